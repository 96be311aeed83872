"""The producer: encodes and compresses each snapshot into requests, ready to be queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.net.gzip import gzip_body
from exporter.storage.model import QueuedRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.metrics import MetricsSnapshot
    from exporter.otlp.encode.encoder import Encoder
    from exporter.otlp.encode.protobuf import ExportRequest

    EncodeNext = Callable[[], QueuedRequest | None]
    RunOnWorker = Callable[[EncodeNext], Awaitable[QueuedRequest | None]]


@dataclass(frozen=True, slots=True)
class RequestProducer:
    """Turns snapshots into requests; the encoder belongs to the worker thread, so `run_on_worker` runs it there."""

    encoder: Encoder
    run_on_worker: RunOnWorker
    gzip: bool = True

    async def parts(self, snapshot: MetricsSnapshot, size: int) -> AsyncIterator[list[QueuedRequest]]:
        """Yield the requests of a snapshot, `size` at once, as soon as they are encoded; at least one list."""
        encoded = self.encoder.requests(snapshot)

        def encode_next() -> QueuedRequest | None:
            request = next(encoded, None)
            return None if request is None else queued_request(request, snapshot.timestamp, gzip=self.gzip)

        part: list[QueuedRequest] = []
        # One at a time, so that other work of the worker is not held up by all of them.
        while (request := await self.run_on_worker(encode_next)) is not None:
            if len(part) == size:
                yield part
                part = []
            part.append(request)
        yield part


def queued_request(request: ExportRequest, timestamp: float, *, gzip: bool) -> QueuedRequest:
    """Return an encoded request as it is queued, with the time of its points (Unix seconds)."""
    return QueuedRequest(gzip_body(request.body) if gzip else request.body, request.point_count, timestamp)
