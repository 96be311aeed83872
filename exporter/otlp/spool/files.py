"""The files of a spool: segments, which stay open for as long as they hold anything, and the lock."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exporter.otlp.spool.record import HEAD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

LOCK: Final = "spool.lock"
CURSOR: Final = "spool.cursor"
_SEGMENT: Final = re.compile(r"([0-9]{12})\.spool")


class InUseError(Exception):
    """The directory belongs to another process; the message names the setting."""


class File:
    """An open file that knows whether it still stands where it was opened; `dirty` means written since the last sync.

    Everything raises OSError, but for `close`.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self.dirty = False
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def stands(self) -> bool:
        """Say whether the path still leads to this file."""
        try:
            there = self.path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def size(self) -> int:
        """Return the bytes in the file."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return so many bytes from an offset on, fewer only at the end."""
        return os.pread(self._descriptor, length, offset)

    def write(self, content: bytes, offset: int) -> None:
        """Put bytes in place."""
        self.dirty = True
        left = memoryview(content)
        while left:
            written = os.pwrite(self._descriptor, left, offset)
            left, offset = left[written:], offset + written

    def cut(self, size: int) -> None:
        """Let the file end here."""
        os.ftruncate(self._descriptor, size)

    def duplicate(self) -> int:
        """Return another descriptor of the same file, for a thread to sync and close."""
        return os.dup(self._descriptor)

    def lock(self) -> bool:
        """Lock the file against other processes until it is closed, also by death; say whether that went well."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class Segment:
    """A file of frames; `live` counts those that still wait, `orphan` means that its name is gone or another's."""

    def __init__(self, file: File, size: int) -> None:
        self.file = file
        self.size = size
        self.live = 0
        self.orphan = False

    @classmethod
    def create(cls, directory: Path, number: int) -> Self:
        """Begin a new segment. Raises OSError, and leaves nothing behind then."""
        path = directory / f"{number:012}.spool"
        file = File(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            file.write(HEAD, 0)
        except OSError:
            file.close()
            with suppress(OSError):
                path.unlink()
            raise
        return cls(file, len(HEAD))

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.file.path.name

    def append(self, frame: bytes) -> int:
        """Add a frame; return its offset. Raises OSError, and ends where it ended before then."""
        offset = self.size
        try:
            self.file.write(frame, offset)
        except OSError:
            with suppress(OSError):
                self.file.cut(offset)
            raise
        self.size += len(frame)
        return offset

    def remove(self) -> None:
        """Close the file and give its disk space back. Raises OSError."""
        stands = self.file.stands()
        self.file.close()
        if stands:
            self.file.path.unlink(missing_ok=True)


def number_of(name: str) -> int | None:
    """Return the number in a segment's name, None when the name is none."""
    match = _SEGMENT.fullmatch(name)
    return int(match[1]) if match else None


def locked(directory: Path) -> File:
    """Return the directory's lock, taken. Raises OSError, and InUseError when another process has it."""
    file = File(directory / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        if file.lock():
            file.cut(0)
            file.write(f"{os.getpid()}\n".encode(), 0)
            return file
    except OSError:
        file.close()
        raise
    owner = file.read(0, 20).decode(errors="replace").strip() or "unknown"
    file.close()
    raise InUseError(
        f"otlp.queue.directory {directory} is in use by another process (its pid: {owner}); "
        "give each exporter a directory of its own, or stop the other first"
    )


def flush(descriptors: Sequence[int]) -> OSError | None:
    """Sync descriptors to the device and close them, in whatever thread; return what went wrong."""
    failure = None
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            failure = error
        with suppress(OSError):
            os.close(descriptor)
    return failure
