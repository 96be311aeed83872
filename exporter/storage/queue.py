"""The queue: requests in order, limited in bytes and in age; on disk, or in memory if nothing is stored.

It holds numbers, points, ages and sizes of all requests, and the bodies of those that are not on disk yet or are sent
next. It changes only on the event loop, and never waits for the disk except in `peek`, for a body.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from exporter.storage.batch import RequestHead
from exporter.storage.model import MIB, Drop, QueuedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from exporter.storage.model import Books, StorageLimits

    ReadRequests = Callable[[Sequence[int]], Awaitable[bool]]

OVERHEAD: Final = 128
"""Bytes of a request in the database besides its body."""

MAX_LOADED: Final = 8 * MIB
"""Bytes of bodies in memory that are on disk as well: the next ones to send."""

READ_BYTES: Final = 4 * MIB
READ_COUNT: Final = 256
"""Bodies that are read from disk together."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A queued request, with its body or without; `size` includes the overhead."""

    head: RequestHead
    request: QueuedRequest | None
    size: int


class StoredQueue:
    """A queue that a sender empties, oldest first; it counts in `books` what it queues and drops.

    A request can be sent when its commit is finished or was waited for long enough (`release`). `read` reads requests
    by number into the queue, and returns whether the disk answered. `wake` is called when there may be some to send.
    """

    def __init__(
        self, limits: StorageLimits, books: Books, clock: Callable[[], float], read: ReadRequests, *, durable: bool
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.read = read
        self._limits = limits
        self._books = books
        self._clock = clock
        self._durable = durable
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._unwritten: OrderedDict[int, _Entry] = OrderedDict()
        self._inserts: dict[int, tuple[RequestHead, bytes]] = {}
        self._removed: list[int] = []
        self._unwritten_bytes = self._loaded_bytes = 0
        self._released = 0
        self.last_number = 0
        self.bytes = self.points = 0

    def __len__(self) -> int:
        return len(self._entries)

    # Put and drop -----------------------------------------------------------------------------------------------------

    def put(self, request: QueuedRequest) -> None:
        """Append a request; drop the oldest to make room, or the request itself if it exceeds the queue."""
        size = OVERHEAD + len(request.body)
        self._books.count_enqueued(request.points)
        if size > self._limits.max_bytes:
            # It would not fit even if everything else were dropped.
            self._drop("queue_full", request.points)
            return
        self.expire()
        while self.bytes + size > self._limits.max_bytes:
            self._drop("queue_full", self._remove(next(iter(self._entries))))
        self.last_number += 1
        head = RequestHead(
            self.last_number, float(self._clock()), float(request.timestamp), request.points, len(request.body)
        )
        self._append(_Entry(head, request, size))
        if self._durable:
            self._inserts[head.id] = (head, request.body)
            while self._unwritten_bytes > self._limits.max_memory:
                self._drop("queue_full", self._remove(next(iter(self._unwritten))))

    def expire(self) -> None:
        """Drop requests that are too old (E36)."""
        while self.oldest_age() > self._limits.max_age:
            self._drop("expired", self._remove(next(iter(self._entries))))

    def clear(self) -> int:
        """Drop and count all requests; return their points."""
        points = sum(self._remove(number) for number in list(self._entries))
        self._drop("cleared", points)
        return points

    def oldest_age(self) -> float:
        """Return how long the oldest request has been queued, in seconds, 0 if the queue is empty."""
        oldest = self._oldest()
        return max(self._clock() - oldest.head.queued_at, 0.0) if oldest is not None else 0.0

    def _oldest(self) -> _Entry | None:
        return next(iter(self._entries.values()), None)

    def _append(self, entry: _Entry) -> None:
        self._entries[entry.head.id] = self._unwritten[entry.head.id] = entry
        self._unwritten_bytes += entry.size
        self.bytes += entry.size
        self.points += entry.head.points

    def _remove(self, number: int) -> int:
        """Remove a request; return its points."""
        entry = self._entries.pop(number)
        self.bytes -= entry.size
        self.points -= entry.head.points
        if self._unwritten.pop(number, None) is not None:
            self._unwritten_bytes -= entry.size
        elif entry.request is not None:
            self._loaded_bytes -= entry.size
        if self._durable and self._inserts.pop(number, None) is None:
            self._removed.append(number)
        return entry.head.points

    def _drop(self, reason: str, points: int) -> None:
        if points:
            self._books.count_dropped((Drop(reason, points),))

    # The sender -------------------------------------------------------------------------------------------------------

    async def peek(self) -> QueuedRequest | None:
        """Return the oldest request, None if there is none that can be sent now."""
        while (oldest := self._oldest()) is not None and oldest.head.id <= self._released:
            if oldest.request is not None:
                return oldest.request
            if not await self.read(self._next_without_body()):
                return None  # the disk fails; `wake` is called when it is back
        return None

    def is_head(self, request: QueuedRequest) -> bool:
        """Return whether a request is the oldest: by identity, as two requests may be equal."""
        oldest = self._oldest()
        return oldest is not None and oldest.request is request

    def ack(self, request: QueuedRequest) -> bool:
        """Remove the oldest request if it is this one; return whether it was (it may have been dropped meanwhile)."""
        is_head = self.is_head(request)
        if is_head:
            self._remove(next(iter(self._entries)))
        return is_head

    def _next_without_body(self) -> list[int]:
        numbers, size = [], 0
        for entry in islice(self._entries.values(), READ_COUNT):
            if entry.request is None and entry.head.id <= self._released:
                numbers.append(entry.head.id)
                size += entry.size
            if size >= READ_BYTES:
                break
        return numbers

    # The disk ---------------------------------------------------------------------------------------------------------

    def take_changes(self) -> tuple[dict[int, tuple[RequestHead, bytes]], list[int]]:
        """Return requests to store and numbers to delete, since the last call."""
        changes = self._inserts, self._removed
        self._inserts, self._removed = {}, []
        return changes

    def release(self, number: int) -> None:
        """Let requests up to a number be sent."""
        self._released = max(self._released, number)
        self.wake()

    def on_stored(self, number: int) -> None:
        """Note that requests up to a number are on disk; their bodies leave memory, but for the next ones."""
        while self._unwritten and next(iter(self._unwritten)) <= number:
            _, entry = self._unwritten.popitem(last=False)
            self._unwritten_bytes -= entry.size
            self._keep_loaded(entry)
        self.release(number)

    def _keep_loaded(self, entry: _Entry) -> None:
        if self._durable and self._loaded_bytes + entry.size > MAX_LOADED and self._oldest() is not entry:
            entry.request = None
        else:
            self._loaded_bytes += entry.size

    def on_read(self, requests: Mapping[int, QueuedRequest | None]) -> None:
        """Take bodies that were read; a damaged request is dropped."""
        for number, request in requests.items():
            entry = self._entries.get(number)
            if entry is None or entry.request is not None:
                continue
            if request is None:
                self.lose((number,))
            else:
                entry.request = request
                self._loaded_bytes += entry.size
        if requests:
            self.wake()

    def adopt(self, heads: Sequence[RequestHead]) -> None:
        """Queue the requests of an earlier process before all others."""
        entries = OrderedDict((head.id, _Entry(head, None, head.size + OVERHEAD)) for head in heads)
        self.bytes += sum(entry.size for entry in entries.values())
        points = sum(head.points for head in heads)
        self.points += points
        self._books.count_enqueued(points)
        self._entries = OrderedDict(entries | self._entries)
        if heads:
            self._released = max(self._released, heads[-1].id)
            self.last_number = max(self.last_number, heads[-1].id)

    def lose(self, numbers: Iterable[int]) -> None:
        """Drop requests that are damaged; those whose body is in memory are written again."""
        for number in numbers:
            entry = self._entries.get(number)
            if entry is None or number in self._unwritten:
                continue
            if entry.request is not None:
                self._loaded_bytes -= entry.size
                self._unwritten_bytes += entry.size
                self._unwritten[number] = entry
                self._unwritten.move_to_end(number, last=False)
                self._inserts[number] = (entry.head, entry.request.body)
            else:
                self._drop("damaged", self._remove(number))

    def close(self, stored: Collection[int]) -> int:
        """Drop the requests that are not on disk; return their points."""
        lost = [number for number in self._entries if number not in stored]
        points = sum(self._remove(number) for number in lost)
        self._drop("shutdown", points)
        return points
