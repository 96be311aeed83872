"""What is made of files that change while we run, and is made again when they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


T = TypeVar("T")
Stamp = tuple[int, int, int]


class Reread(Generic[T]):
    """What `make` makes of files, made again whenever one of them is another; it never shows in a repr.

    A mounted Kubernetes Secret is a symbolic link that is turned to a new file, hence the inode beside the times.
    """

    __slots__ = ("_files", "_made", "_make", "_seen")

    def __init__(self, make: Callable[[], T], *files: Path) -> None:
        self._make = make
        self._files = files
        self._seen: tuple[Stamp | None, ...] | None = None
        self._made: tuple[T] | None = None

    def changed(self) -> bool:
        """Return whether the files are others than at the last `now`, whatever came of that; if it ever was."""
        return self._seen is not None and self._stamps() != self._seen

    def now(self) -> T:
        """Return what the files as they are now make. Raises what `make` raises, each time until they are mended."""
        stamps = self._stamps()
        if self._made is None or stamps != self._seen:
            self._seen, self._made = stamps, None
            self._made = (self._make(),)
        return self._made[0]

    def _stamps(self) -> tuple[Stamp | None, ...]:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> Stamp | None:
    """Return what tells a file from another at its place, None when there is none to be seen."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


# Secrets that live in files and change while we run.


# rooms


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
