"""The files of a spool: segments, which stay open while records in them are pending, and the lock."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from exporter.otlp.spool.record import SEGMENT_HEADER
from exporter.storage.model import InUseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

LOCK_FILE: Final = "spool.lock"
CHECKPOINT_FILE: Final = "spool.cursor"
SEGMENT_NAME: Final = re.compile(r"([0-9]{12})\.spool")


class SpoolFile:
    """An open file and the path that it was opened at; `dirty`: written since the last sync.

    All methods but `close` raise OSError.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self.dirty = False
        self.descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def is_linked(self) -> bool:
        """Return whether the path still leads to this file: it may have been removed or replaced."""
        try:
            status = self.path.stat()
        except OSError:
            return False
        return os.path.samestat(status, os.fstat(self.descriptor))

    def size(self) -> int:
        """Return the size in bytes."""
        return os.fstat(self.descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from an offset on, fewer only at the end of the file."""
        return os.pread(self.descriptor, length, offset)

    def write(self, content: bytes, offset: int) -> None:
        """Write all bytes at an offset."""
        self.dirty = True
        left = memoryview(content)
        while left:
            written = os.pwrite(self.descriptor, left, offset)
            left, offset = left[written:], offset + written

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


class Segment:
    """A file of records, `pending` of them not acknowledged; `unlinked`: its path is gone or leads to another file."""

    def __init__(self, file: SpoolFile, size: int) -> None:
        self.file = file
        self.size = size
        self.pending = 0
        self.unlinked = False

    @classmethod
    def create(cls, directory: Path, number: int) -> Self:
        """Create a segment file. Raises OSError, and leaves no file behind then."""
        path = directory / f"{number:012}.spool"
        file = SpoolFile(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            file.write(SEGMENT_HEADER, 0)
        except OSError:
            file.close()
            with suppress(OSError):
                path.unlink()
            raise
        return cls(file, len(SEGMENT_HEADER))

    def append(self, record: bytes) -> int:
        """Append a record; return its offset. Raises OSError, and leaves no partial record behind then."""
        offset = self.size
        try:
            self.file.write(record, offset)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.file.descriptor, offset)
            raise
        self.size += len(record)
        return offset

    def remove(self) -> None:
        """Close the file and delete it, unless its path leads to another file. Raises OSError."""
        is_linked = self.file.is_linked()
        self.file.close()
        if is_linked:
            self.file.path.unlink(missing_ok=True)


def lock_directory(directory: Path) -> SpoolFile:
    """Lock the directory; return the lock file. Raises OSError, and InUseError if another process holds the lock."""
    file = SpoolFile(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT)
    with ExitStack() as opened:
        opened.callback(file.close)
        try:
            fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read(0, 20).decode(errors="replace").strip() or "unknown"
            raise InUseError(
                f"storage.directory {directory} is in use by another process (its pid: {owner}); "
                "give each exporter a directory of its own, or stop the other first"
            ) from None
        os.ftruncate(file.descriptor, 0)
        file.write(f"{os.getpid()}\n".encode(), 0)
        opened.pop_all()
    return file


def fsync_all(descriptors: Sequence[int]) -> OSError | None:
    """Sync and close descriptors, in any thread; return the last error."""
    failure = None
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            failure = error
        with suppress(OSError):
            os.close(descriptor)
    return failure
