"""The delivery side as the app sees it: encoder, queue, sender and books, made of the settings."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.net.tls import Trust
from exporter.otlp.delivery.accounting import DeliveryAccounting, State
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.delivery.sender import Pace, Sender
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.spool import Bounds, Spool
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.http import HttpPost
from exporter.self_metrics import OwnMetric
from exporter.service.wiring import identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from exporter.config.settings import Settings
    from exporter.otlp.delivery.queue import Queue
    from exporter.otlp.result import Outcome
    from exporter.otlp.transport.grpc import GrpcCall
    from exporter.self_metrics import SelfMetrics

_log: Final = logging.getLogger(__name__)

SYNC: Final = 1.0
"""How often the queue is made safe against a crash of the machine, in seconds."""

BOOKED: Final = (OwnMetric.POINTS_MADE, OwnMetric.POINTS_DELIVERED, OwnMetric.POINTS_REJECTED, OwnMetric.POINTS_DROPPED)
"""The counters that outlive a restart with the spool."""


class Timed:
    """A transport that also tells how long each request took."""

    def __init__(self, transport: HttpPost | GrpcCall, telemetry: SelfMetrics) -> None:
        self._transport = transport
        self._telemetry = telemetry

    def renewed(self) -> bool:
        """Return whether there is another credential or certificate than the one last used."""
        return self._transport.renewed()

    async def post(self, body: bytes) -> Outcome:
        """Send a body."""
        began = time.monotonic()
        outcome = await self._transport.post(body)
        self._telemetry.observe(OwnMetric.REQUEST_SECONDS, time.monotonic() - began)
        return outcome


class DeliveryService:
    """Sends for as long as its context lasts; `courier` takes what is to be sent, `books` say what became of it.

    Raises InUseError when another process has otlp.queue.directory.
    """

    def __init__(self, settings: Settings, telemetry: SelfMetrics) -> None:
        otlp = settings.otlp
        self.books = DeliveryAccounting()
        self._spooled = otlp.queue.directory is not None
        self._most_bytes = otlp.queue.bytes
        self._queue = _queue(settings, self.books, telemetry)
        self._transport = transport(settings)
        timed = Timed(self._transport, telemetry)
        self._sender = Sender(self._queue, timed, self.books, Pace(otlp.retry.initial, otlp.retry.longest))
        encoder = Encoder(identity(settings), otlp.request.points, otlp.request.bytes)
        self.courier = RequestProducer(encoder, self._queue, self.books, self._sender.notice)
        self._sending: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._lost: int | None = None
        telemetry.watch(self._reading)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        self._sending = asyncio.create_task(self._sender.run(), name="sender")
        self._syncing = asyncio.create_task(self._sync_for_ever(), name="sync")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cease()
        self.end()
        await self._transport.__aexit__(kind, error, trace)

    @property
    def alarm(self) -> str:
        """Why not all that waits is in otlp.queue.directory, with the cure; "" when it is, or none is set."""
        return self._queue.why

    async def finish(self, seconds: float) -> bool:
        """Deliver what is queued, for so long at most, and end; return whether nothing was lost with the process."""
        self._sender.finish()
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=seconds)
        await self._cease()
        return self.end()

    def end(self) -> bool:
        """Let go of the queue here and now; return whether nothing was lost with the process."""
        if self._lost is None:
            losses = self._queue.close()
            self.books.lose(losses)
            self._lost = sum(loss.points for loss in losses)
            told = log.fields(
                delivered=self.books.delivered,
                kept=self.books.queued,
                lost=self._lost,
                dropped=self.books.dropped.total(),
            )
            _log.log(logging.ERROR if self._lost else logging.INFO, "stopped", extra=told)
        return not self._lost

    async def _cease(self) -> None:
        for task in filter(None, (self._sending, self._syncing)):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._sending = self._syncing = None

    async def _sync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SYNC)
            try:
                await self._queue.sync()
            except Exception:  # noqa: BLE001 - nothing after the start may end it
                _log.exception("the queue could not be synced; please report this")

    def _reading(self) -> Mapping[OwnMetric, float | Mapping[str, float]]:
        """Read the books in one go, so that they balance in every answer (E43)."""
        books = self.books
        reading: dict[OwnMetric, float | Mapping[str, float]] = {
            OwnMetric.POINTS_MADE: books.made,
            OwnMetric.POINTS_DELIVERED: books.delivered,
            OwnMetric.POINTS_REJECTED: books.rejected,
            OwnMetric.POINTS_DROPPED: dict(books.dropped),
            OwnMetric.POINTS_QUEUED: books.queued,
            OwnMetric.QUEUE_BYTES: self._queue.bytes,
            OwnMetric.QUEUE_LIMIT: self._most_bytes,
            OwnMetric.QUEUE_AGE: self._queue.oldest_age(time.time()),
            OwnMetric.REQUESTS: dict(books.requests),
            OwnMetric.REQUESTS_RETRIED: books.retried,
            OwnMetric.WARNINGS: books.warnings,
            OwnMetric.DELIVERY_STATE: {state.value: float(state is books.state) for state in State},
        }
        if self._spooled:
            reading[OwnMetric.SPOOL_ON_DISK] = float(not self._queue.why)
        if books.last_success:
            reading |= {OwnMetric.LAST_DELIVERY: books.last_success, OwnMetric.DELIVERY_LAG: books.lag}
        return reading


def _queue(settings: Settings, books: DeliveryAccounting, telemetry: SelfMetrics) -> Queue:
    section = settings.otlp.queue
    if section.directory is None:
        return MemoryQueue(section.bytes, section.age)
    spool = Spool(section.directory, Bounds(section.bytes, section.age), books, time.time(), section.fsync)
    telemetry.begun(spool.since, *BOOKED)
    return spool


def transport(settings: Settings) -> HttpPost | GrpcCall:
    """Return what carries requests to the endpoint, over the protocol of the settings; use it with `async with`."""
    otlp = settings.otlp
    target, secure = otlp.grpc_target
    grpc = otlp.protocol == "grpc"
    destination = Destination(
        endpoint=target if grpc else otlp.url,
        headers={name: value.get_secret_value() for name, value in otlp.headers.items()},
        headers_file=otlp.headers_file,
        authorization_file=otlp.authorization_file,
        timeout=otlp.timeout,
        trust=Trust(otlp.tls) if secure else None,
        gzip=otlp.compression == "gzip",
    )
    if not grpc:
        return HttpPost(destination)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes to standard error by itself, past our log
    from exporter.otlp.transport.grpc import GrpcCall  # noqa: PLC0415 - the library takes 9 MB

    return GrpcCall(destination)
