"""All of delivery at once, with a clock that stands still but for the sleeps asked of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.delivery.sender import SenderClock, BackoffPolicy, Sender, Transport
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.transport.http import HttpTransport

from .helpers import AT, NOBODY, cycle, gauge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.otlp.transport.credentials import Destination

PACE = BackoffPolicy(initial_delay=1, max_delay=8, blocked_initial_delay=2, blocked_max_delay=300)


@dataclass
class Time:
    """A clock that stands still but for the sleeps asked of it, none of which takes any time."""

    now: float = AT
    slept: list[float] = field(default_factory=list)
    chance: float = 0.0
    then: Callable[[], Awaitable[None]] | None = None

    async def rest(self, seconds: float, _: asyncio.Event) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self.then:
            await self.then()
        await asyncio.sleep(0)

    def clock(self) -> SenderClock:
        return SenderClock(lambda: self.now, self.rest, lambda: self.chance, lambda: self.now)


@dataclass
class Line:
    """All of delivery, from cycle to backend."""

    over: Transport
    sender: Sender
    courier: RequestProducer
    queue: MemoryQueue
    books: DeliveryAccounting
    time: Time

    async def offer(self, *numbers: float) -> int:
        return await self.courier.enqueue(cycle(gauge("x", *(({"i": str(i)}, i) for i in numbers))), self.time.now)

    async def deliver(self, *numbers: float) -> None:
        """Offer one request and run the sender until the queue is empty."""
        await self.offer(*numbers)
        running = asyncio.create_task(self.sender.run())
        await until(lambda: not len(self.queue))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert self.books.is_balanced


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def line(destination: Destination, queue: MemoryQueue | None = None) -> AsyncIterator[Line]:
    async with HttpTransport(destination) as over:
        yield laid(over, queue)


def laid(over: Transport, queue: MemoryQueue | None = None) -> Line:
    """Lay a line over any transport."""
    queue = MemoryQueue(1_000_000, 3600) if queue is None else queue
    books, time = DeliveryAccounting(), Time()
    sender = Sender(queue, over, books, PACE, time.clock())
    courier = RequestProducer(Encoder(NOBODY, max_points=1000), queue, books, sender.wake, asyncio.to_thread)
    return Line(over, sender, courier, queue, books, time)
