"""What takes each cycle: encoded, compressed, booked, and put into the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.net.gzip import gzip_body
from exporter.otlp.delivery.queue import QueuedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.metrics import MetricsSnapshot
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.delivery.queue import RequestQueue
    from exporter.otlp.encode.encoder import Encoder
    from exporter.otlp.encode.protobuf import Request

    EncodeNext = Callable[[], Request | None]
    RunOnWorker = Callable[[EncodeNext], Awaitable[Request | None]]


class RequestProducer:
    """Turns cycles into records of a queue, and calls `notice` when there are new ones.

    The encoder belongs to the worker thread, so each request is encoded and compressed there, by `run_on_worker`.
    """

    def __init__(
        self,
        encoder: Encoder,
        queue: RequestQueue,
        books: DeliveryAccounting,
        notice: Callable[[], None],
        run_on_worker: RunOnWorker,
    ) -> None:
        self._encoder = encoder
        self._queue = queue
        self._books = books
        self._notice = notice
        self._run_on_worker = run_on_worker

    async def offer(self, cycle: MetricsSnapshot, now: float, *, gzip: bool = True) -> int:
        """Take a cycle, at `now` in Unix seconds; return its points."""
        requests = self._encoder.requests(cycle)

        def encode_next() -> Request | None:
            request = next(requests, None)
            return request if request is None or not gzip else replace(request, body=gzip_body(request.body))

        points = 0
        while (request := await self._run_on_worker(encode_next)) is not None:
            points += request.points
            self._books.count_enqueued(request.points)
            queued = QueuedRequest(request.body, request.points, cycle.timestamp)
            self._books.count_dropped(self._queue.put(queued, now))
            self._notice()
            await self._queue.commit()
        return points
