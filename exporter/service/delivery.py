"""The delivery side of the service: encoder, queue, sender and accounting, built from the settings."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.net.tls import ClientTlsLoader
from exporter.otlp.delivery.accounting import DeliveryAccounting, DeliveryState
from exporter.otlp.delivery.probe import ProbeRequests
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.delivery.sender import BackoffPolicy, Sender
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.result import RetryRules
from exporter.otlp.spool import Spool, SpoolLimits
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.http import HttpTransport
from exporter.self_metrics import OwnMetric
from exporter.service.wiring import identity
from exporter.service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from exporter.config.settings import Settings
    from exporter.otlp.delivery.queue import RequestQueue
    from exporter.otlp.transport.grpc import GrpcTransport
    from exporter.otlp.transport.response import TransportOutcome
    from exporter.self_metrics import ObservedValues, SelfMetrics

_log: Final = logging.getLogger(__name__)

SYNC_INTERVAL: Final = 1.0
"""Seconds between two syncs of the queue to disk: what a crash of the machine can cost at most (with fsync)."""

PERSISTENT_COUNTERS: Final = (
    OwnMetric.POINTS_MADE,
    OwnMetric.POINTS_DELIVERED,
    OwnMetric.POINTS_REJECTED,
    OwnMetric.POINTS_DROPPED,
)
"""The counters that the spool carries over a restart."""


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
    """Sends while its context lasts; `producer` enqueues snapshots, `accounting` counts what became of the points.

    Raises InUseError if another process uses storage.directory.
    """

    def __init__(self, settings: Settings, self_metrics: SelfMetrics, worker: Worker | None = None) -> None:
        otlp = settings.otlp
        self.accounting = DeliveryAccounting()
        self._has_spool = settings.storage.directory is not None
        self._queue_limit = settings.storage.max_bytes
        self._queue = _queue(settings, self.accounting, self_metrics)
        self._transport = transport(settings)
        instrumented = InstrumentedTransport(self._transport, self_metrics)
        retry = otlp.retry
        backoff = BackoffPolicy(retry.initial, retry.longest, min(1.0, retry.hold), retry.hold)
        rules = retry_rules(settings)
        probes = ProbeRequests(identity(settings), self_metrics.instance, gzip=otlp.compression == "gzip")
        self._sender = Sender(self._queue, instrumented, self.accounting, backoff, rules=rules, probes=probes)
        encoder = Encoder(identity(settings), otlp.request.points, otlp.request.bytes)
        run = (worker or Worker()).run
        self.producer = RequestProducer(encoder, self._queue, self.accounting, self._sender.wake, run)
        self._send_task: asyncio.Task[None] | None = None
        self._sync_task: asyncio.Task[None] | None = None
        self._lost_points: int | None = None
        self_metrics.register_callback(self._collect_metrics)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        self._send_task = asyncio.create_task(self._sender.run(), name="sender")
        self._sync_task = asyncio.create_task(self._sync_queue(), name="sync")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cancel_tasks()
        self.close()
        await self._transport.__aexit__(kind, error, trace)

    @property
    def degraded_reason(self) -> str:
        """Why the queue is not fully in storage.directory, with a hint; "" if it is, or if none is set."""
        return self._queue.degraded_reason

    async def drain(self, seconds: float) -> bool:
        """Deliver the queue for at most `seconds`, then close; return whether no points were lost."""
        self._sender.finish()
        if self._send_task is not None:
            await asyncio.wait({self._send_task}, timeout=seconds)  # leaves the task running at the timeout
        await self._cancel_tasks()
        return self.close()

    def close(self) -> bool:
        """Close the queue now; return whether no points were lost."""
        # Once: a second signal and the end of the context close it, too.
        if self._lost_points is None:
            drops = self._queue.close()
            self.accounting.count_dropped(drops)
            self._lost_points = sum(drop.points for drop in drops)
            fields = log.fields(
                delivered=self.accounting.delivered,
                queued=self.accounting.queued,
                lost=self._lost_points,
                dropped=self.accounting.dropped.total(),
            )
            _log.log(logging.ERROR if self._lost_points else logging.INFO, "stopped", extra=fields)
        return not self._lost_points

    async def _cancel_tasks(self) -> None:
        for task in filter(None, (self._send_task, self._sync_task)):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._send_task = self._sync_task = None

    async def _sync_queue(self) -> None:
        while True:
            await asyncio.sleep(SYNC_INTERVAL)
            try:
                await self._queue.sync()
            except Exception:  # noqa: BLE001 - after the start no error may end the task
                _log.exception("queue sync failed; please report this")

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
            OwnMetric.QUEUE_AGE: self._queue.oldest_age(time.time()),
            OwnMetric.REQUESTS: dict(accounting.requests),
            OwnMetric.REQUESTS_RETRIED: accounting.retries,
            OwnMetric.DELIVERY_WARNINGS: accounting.warnings,
            OwnMetric.DELIVERY_STATE: {state.value: float(state is accounting.state) for state in DeliveryState},
        }
        if self._has_spool:
            values[OwnMetric.SPOOL_ON_DISK] = float(not self._queue.degraded_reason)
        if accounting.last_success:
            values |= {OwnMetric.LAST_DELIVERY: accounting.last_success, OwnMetric.DELIVERY_LAG: accounting.last_lag}
        return values


def _queue(settings: Settings, accounting: DeliveryAccounting, self_metrics: SelfMetrics) -> RequestQueue:
    section = settings.storage
    if section.directory is None:
        return MemoryQueue(section.max_bytes, section.max_age)
    spool = Spool(
        section.directory, SpoolLimits(section.max_bytes, section.max_age), accounting, time.time(), section.fsync
    )
    # These counters go on from the process before, so they started with it.
    self_metrics.set_start_time(spool.counters_since, *PERSISTENT_COUNTERS)
    return spool


def retry_rules(settings: Settings) -> RetryRules:
    """Return which statuses are retried, according to `otlp.retry`."""
    retry = settings.otlp.retry
    removed = frozenset(code.removeprefix("-") for code in retry.codes if code.startswith("-"))
    return RetryRules(retry.strict, frozenset(retry.codes) - {f"-{code}" for code in removed}, removed)


def transport(settings: Settings) -> HttpTransport | GrpcTransport:
    """Return the HTTP or gRPC transport to the endpoint; an asynchronous context manager."""
    otlp = settings.otlp
    target, tls = otlp.grpc_target
    use_grpc = otlp.protocol == "grpc"
    destination = Destination(
        endpoint=target if use_grpc else otlp.url,
        headers={name: value.get_secret_value() for name, value in otlp.headers.items()},
        headers_file=otlp.headers_file,
        authorization_file=otlp.authorization_file,
        timeout=otlp.timeout,
        tls=ClientTlsLoader(otlp.tls) if tls else None,
        gzip=otlp.compression == "gzip",
        max_response_bytes=otlp.response.bytes,
    )
    if not use_grpc:
        return HttpTransport(destination)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C core logs to standard error, past our log
    from exporter.otlp.transport.grpc import GrpcTransport  # noqa: PLC0415 - loading grpc takes 9 MB, so only if it is used

    return GrpcTransport(destination)
