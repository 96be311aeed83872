"""Requests with known content, and a spool with its accounting."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.spool import Fsync, Spool, SpoolLimits
from exporter.storage.model import QueuedRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

NOW = 1_800_000_000.0
LIMITS = SpoolLimits(60_000, 3600.0, min_segment=1500)


def request_for(number: int, size: int = 300, timestamp: float | None = None) -> QueuedRequest:
    """Return the request of a number: its body is determined by the number, and it has number + 1 points."""
    body = b"%08d" % number + random.Random(number).randbytes(max(size, 8) - 8)
    return QueuedRequest(body, number + 1, NOW + number / 1000 if timestamp is None else timestamp)


def number_of(request: QueuedRequest) -> int:
    """Return the number of a request; fail if its content differs."""
    number = int(request.body[:8])
    assert request == request_for(number, len(request.body), request.timestamp)
    return number


class SpoolHarness:
    """A spool with its accounting, used as producer and sender use it."""

    def __init__(
        self, directory: Path, limits: SpoolLimits = LIMITS, fsync: Fsync = "interval", now: float = NOW
    ) -> None:
        self.directory = directory
        self.fsync = fsync
        self.accounting = DeliveryAccounting()
        self.spool = Spool(directory, limits, self.accounting, now, fsync)

    def put(self, *numbers: int, size: int = 300, now: float = NOW) -> None:
        for number in numbers:
            self.put_request(request_for(number, size), now)

    def put_request(self, request: QueuedRequest, now: float = NOW) -> None:
        self.accounting.count_enqueued(request.points)
        self.accounting.count_dropped(self.spool.put(request, now))
        self.commit()

    def deliver(self, max_count: int = 1_000_000) -> list[int]:
        """Deliver at most `max_count` requests; return their numbers."""
        delivered: list[int] = []
        while len(delivered) < max_count and (request := self.spool.peek()) is not None:
            delivered.append(number_of(request))
            self.ack(request)
            self.commit()
        return delivered

    def ack(self, request: QueuedRequest) -> None:
        assert self.spool.ack(request)
        self.accounting.count_acked(request.points, 0)

    def expire(self, now: float) -> None:
        self.accounting.count_dropped(self.spool.expire(now))
        self.commit()

    def commit(self) -> None:
        if self.fsync == "always":
            asyncio.run(self.spool.commit())
        else:
            run_without_waiting(self.spool.commit())
        assert self.accounting.is_balanced
        assert self.accounting.queued == self.spool.points

    def sync(self) -> None:
        asyncio.run(self.spool.sync())

    def kill(self) -> None:
        """End as with SIGKILL: the files are closed, and nothing else happens."""
        self.spool._store.close()

    def close(self) -> None:
        self.accounting.count_dropped(self.spool.close())

    def totals(self) -> tuple[int, int, int, int]:
        accounting = self.accounting
        return accounting.produced, accounting.delivered, accounting.rejected, accounting.dropped.total()

    def segment_names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.suffix == ".spool")


def run_without_waiting(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the coroutine waits")


def points(*numbers: int) -> int:
    """Return the sum of points of the requests of these numbers."""
    return sum(number + 1 for number in numbers)
