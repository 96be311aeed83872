"""What a spool may hold, and what of it is not on disk yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.otlp.spool.frame import OVERHEAD

if TYPE_CHECKING:
    from exporter.otlp.queue import Record

MIB: Final = 1024 * 1024

SLICE: Final = 4 * MIB
"""Bytes of the tail that are written at a stretch, some milliseconds."""

RETRY: Final = 5.0
"""The least time between two attempts to write to a disk that failed, in seconds."""

IDLE: Final = 64 * 1024
"""Bytes of a segment in which nothing waits that are kept to write on in."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a spool may hold: bytes on disk and in memory together, seconds of age, and bytes in memory alone.

    On disk it may be one segment more: a segment's space comes back when all of it has gone. Segments grow to a 64th
    of the bytes, and to `segment` bytes at least.
    """

    bytes: int
    age: float
    memory: int = 64 * MIB
    segment: int = 64 * 1024

    @property
    def full(self) -> int:
        """Return the size at which a segment is full, in bytes."""
        return max(self.bytes // 64, self.segment)


class Tail:
    """Records in memory, in order, with their bytes (as they would take on disk) and their points."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.bytes = 0
        self.points = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> Record:
        """The oldest record; there is one."""
        return self._records[0]

    def append(self, record: Record) -> None:
        """Add a record at the end."""
        self._records.append(record)
        self.bytes += OVERHEAD + len(record.body)
        self.points += record.points

    def shift(self) -> Record:
        """Take the oldest record away."""
        record = self._records.popleft()
        self.bytes -= OVERHEAD + len(record.body)
        self.points -= record.points
        return record
