"""The producer counts what it queues and does not block the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exporter.net.gzip import gunzip_body
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.encode.encoder import Encoder

from .backend import values
from .helpers import IDENTITY, TIMESTAMP, gauge, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.otlp.encode.protobuf import ExportRequest

SNAPSHOT = snapshot(gauge("x", *(({"i": str(i)}, i) for i in range(1000))))


async def test_a_snapshot_becomes_queued_requests_and_is_counted() -> None:
    queue, accounting, queue_lengths = MemoryQueue(1_000_000, 60), DeliveryAccounting(), []
    producer = RequestProducer(
        Encoder(IDENTITY, max_points=300),
        queue,
        accounting,
        lambda: queue_lengths.append(len(queue)),
        asyncio.to_thread,
    )
    assert await producer.enqueue(SNAPSHOT, TIMESTAMP + 1) == 1000
    assert (accounting.produced, accounting.queued, accounting.is_balanced, queue_lengths) == (
        1000,
        1000,
        True,
        [1, 2, 3, 4],
    )
    queued_values = []
    while request := queue.peek():
        assert request.timestamp == TIMESTAMP
        assert gunzip_body(request.body) != request.body
        queued_values += values(request.body)
        queue.ack(request)
    assert queued_values == list(range(1000))


async def test_points_dropped_by_a_full_queue_are_counted() -> None:
    queue, accounting = MemoryQueue(20_000, 60), DeliveryAccounting()
    producer = RequestProducer(Encoder(IDENTITY, max_points=100), queue, accounting, lambda: None, asyncio.to_thread)
    await producer.enqueue(SNAPSHOT, TIMESTAMP, gzip=False)
    assert accounting.is_balanced
    assert 0 < accounting.queued == queue.points < 1000
    assert accounting.dropped["queue_full"] == 1000 - queue.points


async def test_other_tasks_run_between_two_requests() -> None:
    produced = []

    async def other_task() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            produced.append(accounting.produced)

    async def on_worker(encode_next: Callable[[], ExportRequest | None]) -> ExportRequest | None:
        await asyncio.sleep(0)
        return encode_next()

    queue, accounting = MemoryQueue(1_000_000, 60), DeliveryAccounting()
    producer = RequestProducer(Encoder(IDENTITY, max_points=300), queue, accounting, lambda: None, on_worker)
    await asyncio.gather(producer.enqueue(SNAPSHOT, TIMESTAMP), other_task())
    assert produced == [300, 600, 900]
