"""The authorization header from a file, read again whenever the file changes (Kubernetes rotates secrets in place)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter import log

if TYPE_CHECKING:
    from pathlib import Path

_FIT: Final = re.compile(r"[\x20-\x7e\t]+")


class AuthorizationFile:
    """A file that holds the whole value of the header, as `Basic …`, or nothing when there is no path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._value = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what must not be shown: the value last read, and the part after its scheme."""
        return (self._value, self._value.rpartition(" ")[2]) if self._value else ()

    def changed(self) -> bool:
        """Return whether the file is another than the one last read."""
        try:
            return self._now() != self._stamp
        except OSError:
            return False

    def read(self) -> str:
        """Return the value, "" when there is no path. Raises ValueError with the cure, without the value."""
        try:
            stamp = self._now()
            if stamp != self._stamp:
                self._value, self._stamp = self._read(), stamp
        except OSError as error:
            raise ValueError(f"otlp.authorization_file: {self._path} cannot be read: {error.strerror}") from None
        return self._value

    def _read(self) -> str:
        if self._path is None:
            return ""
        value = self._path.read_bytes().decode("utf-8", "replace").strip()
        if not _FIT.fullmatch(value):
            raise ValueError(f"otlp.authorization_file: {self._path} must hold one line of ASCII, as `Basic …`")
        log.hide(value, value.rpartition(" ")[2])
        return value

    def _now(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        now = self._path.stat()
        return now.st_ino, now.st_mtime_ns, now.st_size
