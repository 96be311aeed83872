"""The complete delivery pipeline, with a clock that only sleeps advance."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.loop import BackoffPolicy, SenderClock
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.sender import Sender, Transport
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.transport.http import HttpTransport
from exporter.storage import Storage
from exporter.storage.clock import Clocks
from exporter.storage.model import StorageConfig, StorageLimits

from .helpers import IDENTITY, TIMESTAMP, all_requests, gauge, snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from exporter.otlp.transport.credentials import Destination
    from exporter.storage.model import QueuedRequest

LIMITS = StorageLimits(max_bytes=1_000_000, max_age=3600)
BACKOFF = BackoffPolicy(initial_delay=1, max_delay=8, blocked_initial_delay=2, blocked_max_delay=300)


@dataclass
class FakeClock:
    """A clock that only sleeps advance; they return at once."""

    now: float = TIMESTAMP
    sleeps: list[float] = field(default_factory=list)
    jitter: float = 0.0
    after_sleep: Callable[[], Awaitable[None]] | None = None

    async def sleep(self, seconds: float, _: asyncio.Event) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        if self.after_sleep:
            await self.after_sleep()
        await asyncio.sleep(0)

    def sender_clock(self) -> SenderClock:
        return SenderClock(lambda: self.now, self.sleep, lambda: self.jitter, lambda: self.now)


@dataclass
class Pipeline:
    """Delivery from producer to transport."""

    transport: Transport
    sender: Sender
    producer: RequestProducer
    storage: Storage
    accounting: DeliveryAccounting
    clock: FakeClock

    async def enqueue(self, *numbers: float) -> None:
        points = gauge("x", *(({"i": str(i)}, i) for i in numbers))
        await put_all(self.storage, await all_requests(self.producer, snapshot(points)))

    async def deliver(self, *numbers: float) -> None:
        """Enqueue one snapshot and run the sender until the queue is empty."""
        await self.enqueue(*numbers)
        running = asyncio.create_task(self.sender.run())
        await wait_until(lambda: not len(self.storage.queue))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert self.accounting.is_balanced


async def put_all(storage: Storage, requests: Iterable[QueuedRequest]) -> None:
    """Queue and commit requests, as a cycle does."""
    for request in requests:
        storage.queue.put(request)
    await storage.commit()


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def http_pipeline(destination: Destination, limits: StorageLimits = LIMITS) -> AsyncIterator[Pipeline]:
    async with HttpTransport(destination) as transport:
        yield build_pipeline(transport, limits)


def build_pipeline(transport: Transport, limits: StorageLimits = LIMITS) -> Pipeline:
    """Build a pipeline over any transport, with a queue in memory."""
    accounting, clock = DeliveryAccounting(), FakeClock()
    storage = Storage(StorageConfig(limits=limits), accounting, Clocks(lambda: clock.now, "boot", lambda: clock.now))
    sender = Sender(storage, transport, accounting, BACKOFF, clock.sender_clock())
    storage.queue.wake = sender.wake
    producer = RequestProducer(Encoder(IDENTITY, max_points=1000), asyncio.to_thread)
    return Pipeline(transport, sender, producer, storage, accounting, clock)
