"""Secrets that live in files and change while we run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.reread import Reread

if TYPE_CHECKING:
    from pathlib import Path


class SecretFile:
    """A secret in a file, read again whenever the file has changed; it never shows in a repr."""

    __slots__ = ("_text", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = Reread(self._read, path)

    def read(self) -> str:
        """Return the secret without outer white space.

        Raises OSError when the file cannot be read, ValueError when it is not UTF-8.
        """
        return self._text.now()

    def _read(self) -> str:
        try:
            return self.path.read_bytes().decode().strip()
        except UnicodeDecodeError:
            raise ValueError(f"{self.path} is not UTF-8 text") from None

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"
