"""The producer: encodes and compresses each snapshot, and puts its requests into the queue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.net.gzip import gzip_body
from exporter.storage.model import QueuedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.metrics import MetricsSnapshot
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.delivery.queue import RequestQueue
    from exporter.otlp.encode.encoder import Encoder
    from exporter.otlp.encode.protobuf import ExportRequest

    EncodeNext = Callable[[], ExportRequest | None]
    RunOnWorker = Callable[[EncodeNext], Awaitable[ExportRequest | None]]


@dataclass(frozen=True, slots=True)
class RequestProducer:
    """Turns snapshots into queued requests, and calls `wake` after each.

    The encoder belongs to the worker thread, so each request is encoded and compressed there, by `run_on_worker`.
    """

    encoder: Encoder
    queue: RequestQueue
    accounting: DeliveryAccounting
    wake: Callable[[], None]
    run_on_worker: RunOnWorker

    async def enqueue(self, snapshot: MetricsSnapshot, now: float, *, gzip: bool = True) -> int:
        """Encode and queue a snapshot at `now` (Unix seconds); return the number of its points."""
        requests = self.encoder.requests(snapshot)

        def encode_next() -> ExportRequest | None:
            request = next(requests, None)
            return request if request is None or not gzip else replace(request, body=gzip_body(request.body))

        points = 0
        while (request := await self.run_on_worker(encode_next)) is not None:
            points += request.point_count
            # Before `put`, which may drop the request: drops are subtracted from what is queued.
            self.accounting.count_enqueued(request.point_count)
            queued = QueuedRequest(request.body, request.point_count, snapshot.timestamp)
            self.accounting.count_dropped(self.queue.put(queued, now))
            self.wake()
            await self.queue.commit()
        return points
