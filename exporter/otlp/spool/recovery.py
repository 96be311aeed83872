"""Scan a spool directory without changing it: for recovery at start, and for `spool ls` and `spool verify`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.otlp.spool.checkpoint import SLOT_BYTES, Checkpoint, latest_checkpoint
from exporter.otlp.spool.files import CHECKPOINT_FILE, SEGMENT_NAME, SpoolFile
from exporter.otlp.spool.record import SEGMENT_HEADER, VERSION, Corruption, RecordHeader, read_request, scan, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.otlp.spool.record import ReadAt


@dataclass(frozen=True, slots=True)
class SegmentScan:
    """The content of one segment; `removable`: it may be deleted once no record in it is pending."""

    size: int
    headers: Sequence[RecordHeader] = ()
    corruptions: Sequence[Corruption] = ()
    removable: bool = False
    valid_header: bool = False

    @property
    def end(self) -> int:
        """The offset at which the last valid record ends."""
        return self.headers[-1].end if self.headers else len(SEGMENT_HEADER)


@dataclass(slots=True)
class PendingRecords:
    """The pending records of several segments, in order, counted from the checkpoint on.

    `next_sequence` follows the last record, `total_points` counts the points ever put, `points` the pending ones.
    """

    checkpoint: Checkpoint | None
    next_sequence: int = 0
    total_points: int = 0
    points: int = 0
    _first_point: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.checkpoint is not None:
            self.next_sequence, self.total_points = self.checkpoint.next_sequence, self.checkpoint.total_points
            self._first_point = self.checkpoint.total_points - self.checkpoint.queued_points

    def filter_pending(self, headers: Sequence[RecordHeader]) -> Iterator[RecordHeader]:
        """Yield the headers of pending records: neither acknowledged nor seen before."""
        for header in headers:
            self.total_points = max(self.total_points, header.total_points)
            if header.sequence >= self.next_sequence:
                self.next_sequence = header.sequence + 1
                self.points += header.points
                if self._first_point is None:
                    self._first_point = header.total_points - header.points
                yield header

    @property
    def missing_points(self) -> int:
        """The number of points that should be pending and are in no record."""
        if self._first_point is None:
            return 0
        return max(self.total_points - self._first_point - self.points, 0)


def scan_segment(read: ReadAt, size: int) -> SegmentScan:
    """Scan a segment of `size` bytes. Never raises: what cannot be read is a corruption."""
    try:
        start = read(0, len(SEGMENT_HEADER))
        version = version_of(start)
        if version not in {None, VERSION}:
            return SegmentScan(size, (), [Corruption(0, size, f"version {version} is not supported; the file is kept")])
        records = list(scan(read, size))
    except OSError as error:
        return SegmentScan(size, (), [Corruption(0, size, f"cannot be read: {error.strerror}; the file is kept")])
    headers = [item for item in records if isinstance(item, RecordHeader)]
    corruptions = [item for item in records if isinstance(item, Corruption)]
    if version is None and not headers and not SEGMENT_HEADER.startswith(start):
        return SegmentScan(size, (), [Corruption(0, size, "not a segment of a spool; the file is kept")])
    if version is None and size:
        corruptions.insert(0, Corruption(0, min(len(SEGMENT_HEADER), size), "the header of the segment is damaged", 0))
    return SegmentScan(size, headers, corruptions, removable=True, valid_header=version is not None)


def list_segments(directory: Path) -> list[tuple[int, Path]]:
    """Return the number and path of each segment, in order. Raises OSError."""
    matches = ((SEGMENT_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted((int(match[1]), path) for match, path in matches if match)


def verify_bodies(read: ReadAt, segment: SegmentScan) -> Iterator[Corruption]:
    """Yield the corruptions of a segment, damaged bodies included."""
    yield from segment.corruptions
    for header in segment.headers:
        try:
            reason = "" if read_request(header, read) else "the body is damaged"
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        if reason:
            yield Corruption(header.offset, header.size, reason, header.points)


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """The content of one segment, its pending records, and its corruptions."""

    name: str
    scan: SegmentScan
    pending: Sequence[RecordHeader]
    corruptions: Sequence[Corruption] = ()


def segment_reports(directory: Path, *, bodies: bool) -> Iterator[SegmentReport]:
    """Yield a report of each segment; `bodies`: check bodies, too. Raises OSError; takes no lock."""
    pending = PendingRecords(_read_checkpoint(directory))
    for _, path in list_segments(directory):
        try:
            file = SpoolFile(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            segment = scan_segment(file.read, file.size())
            corruptions = list(verify_bodies(file.read, segment)) if bodies else segment.corruptions
            yield SegmentReport(path.name, segment, list(pending.filter_pending(segment.headers)), corruptions)
        finally:
            file.close()


def _read_checkpoint(directory: Path) -> Checkpoint | None:
    try:
        return latest_checkpoint((directory / CHECKPOINT_FILE).read_bytes()[: 2 * SLOT_BYTES])
    except FileNotFoundError:
        return None
