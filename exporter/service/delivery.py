"""The delivery side of the service: encoder, queue, sender and accounting, built from the settings."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.delivery.loop import BackoffPolicy
from exporter.otlp.delivery.probe import ProbeRequests
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.sender import Sender
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.transport.configured import retry_rules, transport
from exporter.self_metrics import OwnMetric
from exporter.service.wiring import identity
from exporter.service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from exporter.config.settings import Settings
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.transport.grpc import GrpcTransport
    from exporter.otlp.transport.http import HttpTransport
    from exporter.otlp.transport.response import TransportOutcome
    from exporter.self_metrics import ObservedValues, SelfMetrics
    from exporter.storage import Storage


class InstrumentedTransport:
    """A transport that measures the duration of each request."""

    def __init__(self, transport: HttpTransport | GrpcTransport, self_metrics: SelfMetrics) -> None:
        self._transport = transport
        self._self_metrics = self_metrics

    def credentials_changed(self) -> bool:
        """Return whether the credential or certificate has changed since its last use."""
        return self._transport.credentials_changed()

    async def post(self, body: bytes) -> TransportOutcome:
        """Send a request body."""
        started_at = time.monotonic()
        outcome = await self._transport.post(body)
        self._self_metrics.observe(OwnMetric.REQUEST_SECONDS, time.monotonic() - started_at)
        return outcome


class DeliveryService:
    """Sends what is queued in `storage` while its context lasts; `accounting` counts what became of the points.

    `producer` makes the requests of snapshots, to be queued and committed by the cycle.
    """

    def __init__(
        self,
        settings: Settings,
        self_metrics: SelfMetrics,
        storage: Storage,
        accounting: DeliveryAccounting,
        worker: Worker | None = None,
    ) -> None:
        otlp = settings.otlp
        self.accounting = accounting
        self._queue = storage.queue
        self._queue_limit = settings.storage.max_bytes
        self._transport = transport(settings)
        instrumented = InstrumentedTransport(self._transport, self_metrics)
        retry = otlp.retry
        backoff = BackoffPolicy(retry.initial, retry.longest, min(1.0, retry.hold), retry.hold)
        rules = retry_rules(settings)
        gzip = otlp.compression == "gzip"
        probes = ProbeRequests(identity(settings), self_metrics.instance, gzip=gzip)
        self._sender = Sender(storage, instrumented, accounting, backoff, rules=rules, probes=probes)
        storage.queue.wake = self._sender.wake
        keeps_name = settings.series.keep_names.matches
        encoder = Encoder(identity(settings), otlp.request.points, otlp.request.bytes, keeps_name)
        self.producer = RequestProducer(encoder, (worker or Worker()).run, gzip=gzip)
        self._send_task: asyncio.Task[None] | None = None
        self_metrics.register_callback(self._collect_metrics)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        self._send_task = asyncio.create_task(self._sender.run(), name="sender")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cancel_task()
        await self._transport.__aexit__(kind, error, trace)

    async def drain(self, seconds: float) -> None:
        """Deliver the queue for at most `seconds`, then end the sender."""
        self._sender.finish()
        if self._send_task is not None:
            await asyncio.wait({self._send_task}, timeout=seconds)  # leaves the task running at the timeout
        await self._cancel_task()

    async def _cancel_task(self) -> None:
        if self._send_task is not None:
            self._send_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._send_task
        self._send_task = None

    def _collect_metrics(self) -> ObservedValues:
        """Read the accounting at one moment, so that the counters balance in every export (E43)."""
        accounting = self.accounting
        values: dict[OwnMetric, float | Mapping[str, float]] = {
            OwnMetric.POINTS_MADE: accounting.produced,
            OwnMetric.POINTS_DELIVERED: accounting.delivered,
            OwnMetric.POINTS_REJECTED: accounting.rejected,
            OwnMetric.POINTS_DROPPED: dict(accounting.dropped),
            OwnMetric.POINTS_QUEUED: accounting.queued,
            OwnMetric.QUEUE_BYTES: self._queue.bytes,
            OwnMetric.QUEUE_LIMIT: self._queue_limit,
            OwnMetric.QUEUE_AGE: self._queue.oldest_age(),
            OwnMetric.REQUESTS: dict(accounting.requests),
            OwnMetric.REQUESTS_RETRIED: accounting.retries,
            OwnMetric.DELIVERY_WARNINGS: accounting.warnings,
            OwnMetric.DELIVERY_STATE: {state.value: float(state is accounting.state) for state in DeliveryState},
        }
        if accounting.last_success:
            values |= {OwnMetric.LAST_DELIVERY: accounting.last_success, OwnMetric.DELIVERY_LAG: accounting.last_lag}
        return values
