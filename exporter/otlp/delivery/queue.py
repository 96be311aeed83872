"""Queued requests, in order, limited in bytes and in age: the queue's interface, and the queue in memory."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from exporter.storage.model import Drop, QueuedRequest


class RequestQueue(Protocol):
    """A queue that a sender empties, oldest first; times are Unix seconds."""

    def put(self, request: QueuedRequest, now: float) -> tuple[Drop, ...]:
        """Append a request; return what was dropped to make room."""

    def expire(self, now: float) -> tuple[Drop, ...]:
        """Drop requests that are too old."""

    def peek(self) -> QueuedRequest | None:
        """Return the oldest request, None if the queue is empty."""

    def ack(self, request: QueuedRequest) -> bool:
        """Remove the oldest request if it is this one; return whether it was."""

    def oldest_age(self, now: float) -> float:
        """Return the age of the oldest request in seconds, 0 if the queue is empty."""

    async def commit(self) -> None:
        """Persist the latest counts, as durably as configured; called after each change of them."""

    async def sync(self) -> None:
        """Make everything safe against a crash of the machine, if configured; called every second."""

    def close(self) -> tuple[Drop, ...]:
        """Close the queue; return the points that do not outlive the process."""

    @property
    def bytes(self) -> int:
        """The size of the queue in bytes."""

    @property
    def degraded_reason(self) -> str:
        """Why requests are not stored as configured, with a hint; "" if they are."""


class RequestBuffer:
    """Requests in memory, in order; `bytes` is the size of their bodies, plus `overhead` bytes for each."""

    def __init__(self, overhead: int = 0) -> None:
        self._overhead = overhead
        self._requests: deque[QueuedRequest] = deque()
        self.bytes = self.points = 0

    def __len__(self) -> int:
        return len(self._requests)

    def peek(self) -> QueuedRequest | None:
        """Return the oldest request, None if there is none."""
        return self._requests[0] if self._requests else None

    def append(self, request: QueuedRequest) -> None:
        """Append a request."""
        self._requests.append(request)
        self.bytes += len(request.body) + self._overhead
        self.points += request.points

    def pop(self) -> int:
        """Remove the oldest request; return its points."""
        request = self._requests.popleft()
        self.bytes -= len(request.body) + self._overhead
        self.points -= request.points
        return request.points


class MemoryQueue(RequestBuffer):
    """A queue of at most `max_bytes` bytes of bodies, none older than `max_age` seconds; it drops its oldest first."""

    degraded_reason: Final = ""  # memory is what was configured

    def __init__(self, max_bytes: int, max_age: float) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._max_age = max_age

    def put(self, request: QueuedRequest, now: float) -> tuple[Drop, ...]:
        """Append a request; return what was dropped to make room, or the request if it exceeds the queue by itself."""
        # It would not fit even if everything else were dropped.
        if len(request.body) > self._max_bytes:
            return drops("queue_full", request.points)
        expired = self.expire(now)
        self.append(request)
        overflow = 0
        while self.bytes > self._max_bytes:
            overflow += self.pop()
        return (*expired, *drops("queue_full", overflow))

    def expire(self, now: float) -> tuple[Drop, ...]:
        """Drop requests that are too old (E36)."""
        expired = 0
        while self.oldest_age(now) > self._max_age:
            expired += self.pop()
        return drops("expired", expired)

    async def commit(self) -> None:
        """Do nothing: memory is never durable."""

    async def sync(self) -> None:
        """Do nothing."""

    def close(self) -> tuple[Drop, ...]:
        """Drop everything: memory ends with the process."""
        return drops("shutdown", sum(self.pop() for _ in range(len(self))))

    def ack(self, request: QueuedRequest) -> bool:
        """Remove the oldest request if it is this one; return whether it was (it may have been dropped meanwhile)."""
        is_oldest = self.peek() is request  # by identity: two requests may be equal
        if is_oldest:
            self.pop()
        return is_oldest

    def oldest_age(self, now: float) -> float:
        """Return the age of the oldest request in seconds, 0 if the queue is empty."""
        return now - self._requests[0].timestamp if self._requests else 0.0


def drops(reason: str, points: int) -> tuple[Drop, ...]:
    """Return the drop of some points as a tuple, which is empty for no points."""
    return (Drop(reason, points),) if points else ()
