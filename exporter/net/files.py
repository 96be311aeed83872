"""Values that are built from files and rebuilt when a file changes, and secrets in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


T = TypeVar("T")
MAX_SECRET_BYTES: Final = 1024**2
"""The limit of a Kubernetes Secret; without one, a wrong path such as /dev/zero would fill memory."""
FileVersion = tuple[int, int, int]


class ReloadingFile(Generic[T]):
    """A value that `build` makes of files, built again whenever one of them changes; never shown in a repr."""

    __slots__ = ("_build", "_cached", "_files", "_versions")

    def __init__(self, build: Callable[[], T], *files: Path | None) -> None:
        self._build = build
        self._files = tuple(filter(None, files))
        self._versions: tuple[FileVersion | None, ...] | None = None
        self._cached: tuple[T] | None = None  # a tuple, since the value itself may be None

    def changed(self) -> bool:
        """Return whether a file changed since the last `load`, successful or not; False before the first `load`."""
        return self._versions is not None and self._current_versions() != self._versions

    def load(self) -> T:
        """Return the value for the current files. Raises what `build` raises, until the files are fixed."""
        versions = self._current_versions()
        if self._cached is None or versions != self._versions:
            # The versions are those from before the build: a file that is replaced meanwhile differs at the next call.
            self._versions, self._cached = versions, None
            self._cached = (self._build(),)
        return self._cached[0]

    def _current_versions(self) -> tuple[FileVersion | None, ...]:
        return tuple(_file_version(file) for file in self._files)


def _file_version(file: Path) -> FileVersion | None:
    """Return the modification time (nanoseconds), size and inode of a file, None if it cannot be read.

    The inode counts because Kubernetes updates a mounted Secret by pointing a symbolic link to a new file, whose
    time and size may equal those of the old one.
    """
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class SecretFile:
    """A secret in a file, without surrounding white space; never shown in a repr.

    `read` loads it again whenever the file changes. It raises OSError if the file cannot be read, ValueError if it is
    not UTF-8, or larger than MAX_SECRET_BYTES.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = ReloadingFile(self._decode, path).load

    def _decode(self) -> str:
        with self.path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError(f"{self.path} is larger than a secret can be")
        try:
            return content.decode().strip()
        except UnicodeDecodeError:
            raise ValueError(f"{self.path} is not UTF-8 text") from None

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"
