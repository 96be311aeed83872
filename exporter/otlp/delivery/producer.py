"""What takes each cycle: encoded, compressed, booked, and put into the queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exporter.otlp.delivery.queue import Record
from exporter.otlp.encode.protobuf import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.metrics import MetricsSnapshot
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.delivery.queue import Queue
    from exporter.otlp.encode.encoder import Encoder


class RequestProducer:
    """Turns cycles into records of a queue, and calls `notice` when there are new ones."""

    def __init__(self, encoder: Encoder, queue: Queue, books: DeliveryAccounting, notice: Callable[[], None]) -> None:
        self._encoder = encoder
        self._queue = queue
        self._books = books
        self._notice = notice

    async def offer(self, cycle: MetricsSnapshot, now: float, *, gzip: bool = True) -> int:
        """Take a cycle, at `now` in Unix seconds; return its points. Gives way to others after each slice of work."""
        made = 0
        for request in self._encoder.steps(cycle):
            if request:
                body = packed(request.body) if gzip else request.body
                made += request.points
                self._books.enter(request.points)
                self._books.lose(self._queue.put(Record(body, request.points, cycle.timestamp), now))
                self._notice()
                await self._queue.secure()
            await asyncio.sleep(0)
        return made
