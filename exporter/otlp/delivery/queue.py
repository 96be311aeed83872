"""Requests that wait to be delivered: in memory, in order, bounded in bytes and in age."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """A request ready to be sent, compressed or not as the destination wants it; `at` is its points' time."""

    body: bytes
    points: int
    at: float


@dataclass(frozen=True, slots=True)
class Loss:
    """Points that were given up, and why."""

    reason: str
    points: int


class Queue(Protocol):
    """What a sender takes records from, the oldest first; times are Unix seconds."""

    def put(self, record: Record, now: float) -> tuple[Loss, ...]:
        """Add a record at the end; return what had to be given up for it."""

    def expire(self, now: float) -> tuple[Loss, ...]:
        """Give up what is too old."""

    def head(self) -> Record | None:
        """Return the oldest record, None when there is none."""

    def acknowledge(self, record: Record) -> bool:
        """Let go of the oldest record if it is this one; return whether it was."""

    def oldest_age(self, now: float) -> float:
        """Return the age of the oldest record in seconds, 0 when there is none."""

    async def secure(self) -> None:
        """Make what was booked last as durable as was asked for; called after each booking."""

    async def sync(self) -> None:
        """Make everything safe against a crash of the machine, if that was asked for; called every second."""

    def close(self) -> tuple[Loss, ...]:
        """End; return what does not outlive the process."""

    @property
    def bytes(self) -> int:
        """Return how many bytes wait."""

    @property
    def points(self) -> int:
        """Return how many points wait."""

    @property
    def why(self) -> str:
        """Return why the queue is not what was asked for, with the cure; "" when it is."""

    def __len__(self) -> int: ...


class MemoryQueue:
    """A queue of at most `most_bytes` bytes of bodies, none older than `longest` seconds, the oldest dropped first."""

    def __init__(self, most_bytes: int, longest: float) -> None:
        self._most_bytes = most_bytes
        self._longest = longest
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._points = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def bytes(self) -> int:
        """Return how many bytes wait."""
        return self._bytes

    @property
    def points(self) -> int:
        """Return how many points wait."""
        return self._points

    @property
    def why(self) -> str:
        """Return "": memory is what was asked for."""
        return ""

    def put(self, record: Record, now: float) -> tuple[Loss, ...]:
        """Add a record at the end; return what had to be given up for it, itself when it alone is too big."""
        if len(record.body) > self._most_bytes:
            return losses("queue_full", record.points)
        expired = self.expire(now)
        self._records.append(record)
        self._bytes += len(record.body)
        self._points += record.points
        overflow = 0
        while self._bytes > self._most_bytes:
            overflow += self._drop()
        return (*expired, *losses("queue_full", overflow))

    def expire(self, now: float) -> tuple[Loss, ...]:
        """Give up what is too old (E36)."""
        expired = 0
        while self._records and self.oldest_age(now) > self._longest:
            expired += self._drop()
        return losses("expired", expired)

    async def secure(self) -> None:
        """Do nothing: memory is as safe as it gets."""

    async def sync(self) -> None:
        """Do nothing."""

    def close(self) -> tuple[Loss, ...]:
        """Give up everything: the process ends, and memory with it."""
        lost = self._points
        self._records.clear()
        self._bytes = self._points = 0
        return losses("shutdown", lost)

    def head(self) -> Record | None:
        """Return the oldest record, None when there is none."""
        return self._records[0] if self._records else None

    def acknowledge(self, record: Record) -> bool:
        """Let go of the oldest record if it is this one; return whether it was (it may have been dropped meanwhile)."""
        if self.head() is not record:
            return False
        self._drop()
        return True

    def oldest_age(self, now: float) -> float:
        """Return the age of the oldest record in seconds, 0 when there is none."""
        return now - self._records[0].at if self._records else 0.0

    def _drop(self) -> int:
        record = self._records.popleft()
        self._bytes -= len(record.body)
        self._points -= record.points
        return record.points


def losses(reason: str, points: int) -> tuple[Loss, ...]:
    """Return the loss of so many points, nothing for none."""
    return (Loss(reason, points),) if points else ()
