"""Secrets that live in files and change while we run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class SecretFile:
    """A secret in a file, read again whenever the file has changed; it never shows in a repr.

    A mounted Kubernetes Secret is a symbolic link that is turned to a new file, hence the inode beside the times.
    """

    __slots__ = ("_seen", "_text", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def read(self) -> str:
        """Return the secret without outer white space.

        Raises OSError when the file cannot be read, ValueError when it is not UTF-8.
        """
        status = self.path.stat()
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            try:
                self._text = self.path.read_bytes().decode().strip()
            except UnicodeDecodeError:
                message = f"{self.path} is not UTF-8 text"
                raise ValueError(message) from None
            self._seen = seen
        return self._text

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"
