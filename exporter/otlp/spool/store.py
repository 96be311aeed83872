"""The directory of a spool, locked: its segments, the active one that is written to, and its checkpoint."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.otlp.spool.checkpoint import Checkpoint, CheckpointFile
from exporter.otlp.spool.files import Segment, SpoolFile, lock_directory
from exporter.otlp.spool.record import Corruption, RecordHeader, read_request
from exporter.otlp.spool.recovery import PendingRecords, SegmentScan, list_segments, scan_segment
from exporter.storage.model import InUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.storage.model import QueuedRequest

_log: Final = logging.getLogger(__name__)

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

MAX_LOGGED: Final = 20
"""Corruptions that are logged one by one; a destroyed disk must not flood the log."""

HINTS: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "has no space left: free some, or lower storage.max_bytes"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "is not writable: check its owner, its mode, and the pod's fsGroup"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "is not a directory: choose another"),
    errno.EROFS: "is read-only: mount it writable",
    errno.ENOENT: "does not exist and cannot be created: mount it",
}
"""The problem with the directory and its remedy, by error number."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A pending record in a segment."""

    segment: Segment
    header: RecordHeader

    def read(self) -> QueuedRequest | None:
        """Return the request, None if the record cannot be read or is damaged."""
        try:
            return read_request(self.header, self.segment.file.read)
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Recovery:
    """The content of the directory when it was opened: pending records, and corruptions by file name."""

    records: Sequence[StoredRecord]
    pending: PendingRecords
    corruptions: Sequence[tuple[str, Corruption]]


@dataclass(frozen=True, slots=True)
class SpoolFiles:
    """The open files other than segments."""

    lock: SpoolFile
    directory: SpoolFile
    checkpoint_file: CheckpointFile

    def is_linked(self) -> bool:
        """Return whether the paths of lock and checkpoint still lead to these files."""
        return self.lock.is_linked() and self.checkpoint_file.file.is_linked()

    def close(self) -> None:
        """Close the files, which releases the lock."""
        for file in (self.checkpoint_file.file, self.directory, self.lock):
            file.close()


class SegmentStore:
    """All access to the directory; `segment_size` is the size in bytes from which on a segment is full.

    Methods raise OSError, `open` also InUseError. A drained segment (one without pending records) is removed only after
    the checkpoint that released its records is synced (`duplicate_dirty`, `remove_drained`): otherwise, after a crash
    of the machine, an older checkpoint would count its records as missing.
    """

    def __init__(self, directory: Path, segment_size: int) -> None:
        self._directory = directory
        self._segment_size = segment_size
        self._open_files: SpoolFiles | None = None
        self._segments: list[Segment] = []
        self._active: Segment | None = None
        self.drained: list[Segment] = []
        self._next_number = 0
        self._generation = 0

    def is_linked(self) -> bool:
        """Return whether the directory is open and still in place; marks segments whose path is gone as unlinked."""
        for segment in self._segments:
            segment.unlinked = not segment.file.is_linked()
        if self._active is not None and self._active.unlinked:
            self._active = None
        return self._open_files is not None and self._open_files.is_linked()

    def open(self) -> Recovery:
        """Open the directory, created if missing, and scan it, unless segments that are open here are still in it."""
        self._close_files()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._open_files = _open_spool_files(self._directory)
        checkpoint = self._open_files.checkpoint_file.latest
        self._generation = max(self._generation, checkpoint.generation if checkpoint is not None else 0)
        self.is_linked()
        if not all(segment.unlinked for segment in self._segments):
            return Recovery((), PendingRecords(None), ())
        previous = tuple(self._segments)
        try:
            return self._recover(PendingRecords(checkpoint))
        except OSError:
            self._undo_open(previous)
            raise

    def _recover(self, pending: PendingRecords) -> Recovery:
        records: list[StoredRecord] = []
        corruptions: list[tuple[str, Corruption]] = []
        for number, path in list_segments(self._directory):
            self._next_number = max(self._next_number, number + 1)
            try:
                file = SpoolFile(path, os.O_RDWR)
            except OSError as error:
                reason = f"cannot be opened: {error.strerror}; the file is kept"
                corruptions.append((path.name, Corruption(0, 0, reason)))
                continue
            scan = scan_segment(file.read, file.size())
            corruptions += [(path.name, corruption) for corruption in scan.corruptions]
            records += self._adopt(file, scan, pending)
        if self._active is not None:
            os.ftruncate(self._active.file.descriptor, self._active.size)
        return Recovery(records, pending, corruptions)

    def _undo_open(self, previous: Sequence[Segment]) -> None:
        """Close what a failed `open` has opened."""
        for segment in self._segments[len(previous) :]:
            segment.file.close()
        self._segments = list(previous)
        self.drained = [segment for segment in self.drained if segment in previous]
        self._active = None
        self._close_files()

    def _adopt(self, file: SpoolFile, scan: SegmentScan, pending: PendingRecords) -> list[StoredRecord]:
        """Add a segment file; the last one becomes active: new records follow its last valid one."""
        self._active = None
        if not scan.removable:
            file.close()
            return []
        segment = Segment(file, scan.end)
        records = [StoredRecord(segment, header) for header in pending.filter_pending(scan.headers)]
        segment.pending = len(records)
        self._segments.append(segment)
        if not records:
            self.drained.append(segment)
        elif scan.valid_header and scan.end < self._segment_size:
            self._active = segment
        return records

    def append(self, record: bytes) -> tuple[Segment, int]:
        """Append a record, in a new segment if the active one is full; return its segment and offset."""
        if self._active is None or self._active.size >= self._segment_size:
            self._active = self._new_segment()
        offset = self._active.append(record)
        self._active.pending += 1
        return self._active, offset

    def _new_segment(self) -> Segment:
        full, self._active = self._active, None
        if full is not None and not full.pending:
            self.drained.append(full)
        number, self._next_number = self._next_number, self._next_number + 1
        segment = Segment.create(self._directory, number)
        self._segments.append(segment)
        if self._open_files is not None:
            self._open_files.directory.dirty = True
        return segment

    def release(self, segment: Segment) -> None:
        """Count one record of a segment as no longer pending."""
        segment.pending -= 1
        if not segment.pending and segment is not self._active:
            self.drained.append(segment)

    def close_if_idle(self, max_size: int) -> None:
        """Retire the active segment if it is drained and larger than `max_size` bytes, so that its space is freed."""
        if self._active is not None and not self._active.pending and self._active.size > max_size:
            self.drained.append(self._active)
            self._active = None

    def write_checkpoint(self, checkpoint: Callable[[int], Checkpoint]) -> None:
        """Write the checkpoint that `checkpoint` returns for a generation; do nothing if no directory is open."""
        if self._open_files is not None:
            self._open_files.checkpoint_file.write(checkpoint(self._generation + 1))
            self._generation += 1

    def duplicate_dirty(self) -> list[int]:
        """Return descriptors of the files written since the last call; the caller syncs and closes them."""
        descriptors: list[int] = []
        files = [segment.file for segment in self._segments]
        if self._open_files is not None:
            files = [self._open_files.directory, self._open_files.checkpoint_file.file, *files]
        dirty = [file for file in files if file.dirty]
        with ExitStack() as stack:
            for file in dirty:
                descriptors.append(os.dup(file.descriptor))
                stack.callback(os.close, descriptors[-1])
            stack.pop_all()
        for file in dirty:
            file.dirty = False
        return descriptors

    def remove_drained(self, drained: Sequence[Segment]) -> None:
        """Delete drained segments after a sync of the checkpoint; what cannot be deleted is at the next start."""
        for segment in drained:
            if segment in self.drained:
                self.drained.remove(segment)
                self._segments.remove(segment)
                with suppress(OSError):
                    segment.remove()

    @property
    def has_unlinked(self) -> bool:
        """Whether records are pending in unlinked segments, so that they would not outlive this process."""
        return any(segment.unlinked and segment.pending for segment in self._segments)

    def _close_files(self) -> None:
        if self._open_files is not None:
            self._open_files.close()
            self._open_files = None

    def close(self) -> None:
        """Close all files, which releases the lock."""
        for segment in self._segments:
            segment.file.close()
        self._segments.clear()
        self._close_files()


def _open_spool_files(directory: Path) -> SpoolFiles:
    with ExitStack() as opened:
        lock = lock_directory(directory)
        opened.callback(lock.close)
        directory_file = SpoolFile(directory, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(directory_file.close)
        files = SpoolFiles(lock, directory_file, CheckpointFile(directory))
        opened.pop_all()
    return files


def read_boot_id() -> str:
    """Return the identifier of this boot of the machine, "" if the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def error_message(error: OSError | InUseError, directory: Path) -> str:
    """Return why a directory cannot be used, with a hint."""
    if isinstance(error, InUseError):
        return str(error)
    text = HINTS.get(error.errno or 0, f"fails ({error.strerror}): check its volume")
    return f"storage.directory {directory} {text}"


def log_recovery(directory: Path, recovery: Recovery) -> None:
    """Log what a directory contained when it was opened: pending and damaged records."""
    pending = recovery.pending
    if recovery.records or pending.missing_points:
        counts = {"records": len(recovery.records), "points": pending.points, "lost": pending.missing_points}
        _log.info("spool recovered", extra=fields(directory=str(directory), **counts))
    for name, corruption in recovery.corruptions[:MAX_LOGGED]:
        place = {"file": name, "offset": corruption.offset, "bytes": corruption.size}
        extra = fields(**place, points=corruption.points, reason=corruption.reason)
        _log.warning("spool has a damaged record", extra=extra)
    if len(recovery.corruptions) > MAX_LOGGED:
        _log.warning("spool has more damaged records", extra=fields(places=len(recovery.corruptions) - MAX_LOGGED))
