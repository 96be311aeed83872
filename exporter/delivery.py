"""The delivery side as the app sees it: encoder, queue, sender and books, made of the settings."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from exporter.core import identity
from exporter.otlp.books import Books, State
from exporter.otlp.courier import Courier
from exporter.otlp.encode import Encoder
from exporter.otlp.http import Destination, HttpPost
from exporter.otlp.pace import Pace
from exporter.otlp.queue import MemoryQueue
from exporter.otlp.sender import Sender
from exporter.scrape.credentials import Trust
from exporter.telemetry import Own

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from exporter.config.model import Settings
    from exporter.telemetry import Telemetry


class Delivering:
    """Sends for as long as its context lasts; `courier` takes what is to be sent, `books` say what became of it."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        otlp = settings.otlp
        self.books = Books()
        self._queue = MemoryQueue(otlp.queue.bytes, otlp.queue.age)
        self._post = HttpPost(_destination(settings))
        self._sender = Sender(self._queue, self._post, self.books, Pace(otlp.retry.initial, otlp.retry.longest))
        encoder = Encoder(identity(settings), otlp.request.points, otlp.request.bytes)
        self.courier = Courier(encoder, self._queue, self.books, self._sender.notice)
        self._sending: asyncio.Task[None] | None = None
        telemetry.watch(self._reading)

    async def __aenter__(self) -> Self:
        await self._post.__aenter__()
        self._sending = asyncio.create_task(self._sender.run(), name="sender")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cease()
        await self._post.__aexit__(kind, error, trace)

    async def flush(self, seconds: float) -> bool:
        """Deliver what is queued, for so long at most; return whether nothing is left."""
        await self._cease()
        return await self._sender.flush(seconds)

    async def _cease(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
            self._sending = None

    def _reading(self) -> Mapping[Own, float | Mapping[str, float]]:
        """Read the books in one go, so that they balance in every answer (E43)."""
        books = self.books
        reading: dict[Own, float | Mapping[str, float]] = {
            Own.POINTS_MADE: books.made,
            Own.POINTS_DELIVERED: books.delivered,
            Own.POINTS_REJECTED: books.rejected,
            Own.POINTS_DROPPED: dict(books.dropped),
            Own.POINTS_QUEUED: books.queued,
            Own.QUEUE_BYTES: self._queue.bytes,
            Own.REQUESTS: dict(books.requests),
            Own.REQUESTS_RETRIED: books.retried,
            Own.WARNINGS: books.warnings,
            Own.DELIVERY_STATE: {state.value: float(state is books.state) for state in State},
        }
        if books.last_success:
            reading |= {Own.LAST_DELIVERY: books.last_success, Own.DELIVERY_LAG: books.lag}
        return reading


def _destination(settings: Settings) -> Destination:
    otlp = settings.otlp
    return Destination(
        endpoint=otlp.url,
        headers={name: value.get_secret_value() for name, value in otlp.headers.items()},
        authorization_file=otlp.authorization_file,
        timeout=otlp.timeout,
        tls=Trust(otlp.tls).context() if otlp.url.startswith("https") else None,
        server_name=otlp.tls.server_name,
        gzip=otlp.compression == "gzip",
    )
