"""Records with known contents, and spools to put them in."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.queue import QueuedRequest
from exporter.otlp.spool import SpoolLimits, Fsync, Spool

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

NOW = 1_800_000_000.0
BOUNDS = SpoolLimits(60_000, 3600.0, min_segment=1500)


def record(number: int, size: int = 300, at: float | None = None) -> QueuedRequest:
    """Return the record of a number: its body says which, and every byte of it is known; it has number + 1 points."""
    body = b"%08d" % number + random.Random(number).randbytes(max(size, 8) - 8)
    return QueuedRequest(body, number + 1, NOW + number / 1000 if at is None else at)


def number_of(one: QueuedRequest) -> int:
    """Return the number of a record; fails when the record is not what was made."""
    number = int(one.body[:8])
    assert one == record(number, len(one.body), one.timestamp)
    return number


class Kept:
    """A spool with its books, that books as a courier and a sender do."""

    def __init__(self, directory: Path, bounds: SpoolLimits = BOUNDS, fsync: Fsync = "interval", now: float = NOW) -> None:
        self.directory = directory
        self.fsync = fsync
        self.books = DeliveryAccounting()
        self.spool = Spool(directory, bounds, self.books, now, fsync)

    def put(self, *numbers: int, size: int = 300, now: float = NOW) -> None:
        for number in numbers:
            self.put_record(record(number, size), now)

    def put_record(self, one: QueuedRequest, now: float = NOW) -> None:
        self.books.count_enqueued(one.points)
        self.books.count_dropped(self.spool.put(one, now))
        self.secure()

    def take(self, many: int = 1_000_000) -> list[int]:
        """Deliver so many records; return their numbers."""
        taken: list[int] = []
        while len(taken) < many and (head := self.spool.peek()) is not None:
            taken.append(number_of(head))
            self.acknowledge(head)
            self.secure()
        return taken

    def acknowledge(self, head: QueuedRequest) -> None:
        assert self.spool.ack(head)
        self.books.count_acked(head.points, 0)

    def expire(self, now: float) -> None:
        self.books.count_dropped(self.spool.expire(now))
        self.secure()

    def secure(self) -> None:
        if self.fsync == "always":
            asyncio.run(self.spool.commit())
        else:
            at_once(self.spool.commit())
        assert self.books.is_balanced
        assert self.books.queued == self.spool.points

    def sync(self) -> None:
        asyncio.run(self.spool.sync())

    def die(self) -> None:
        """End as SIGKILL does: the system closes the files, and nothing else happens."""
        self.spool._store.close()

    def close(self) -> None:
        self.books.count_dropped(self.spool.close())

    def totals(self) -> tuple[int, int, int, int]:
        books = self.books
        return books.produced, books.delivered, books.rejected, books.dropped.total()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.suffix == ".spool")


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Run what has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def points(*numbers: int) -> int:
    """Return how many points the records of these numbers have."""
    return sum(number + 1 for number in numbers)
