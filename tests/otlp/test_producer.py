"""The courier books what it puts into the queue, and lets others run; the memory behind it forgets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exporter.incremental import GENERATION_CYCLES, GenerationalCache
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.encode.encoder import Encoder
from exporter.net.gzip import gunzip_body

from .backend import values
from .helpers import AT, NOBODY, cycle, gauge

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.otlp.encode.protobuf import ExportRequest

MANY = cycle(gauge("x", *(({"i": str(i)}, i) for i in range(1000))))


async def test_a_cycle_becomes_records_of_its_time_and_is_booked() -> None:
    queue, books, noticed = MemoryQueue(1_000_000, 60), DeliveryAccounting(), []
    courier = RequestProducer(
        Encoder(NOBODY, max_points=300), queue, books, lambda: noticed.append(len(queue)), asyncio.to_thread
    )
    assert await courier.enqueue(MANY, AT + 1) == 1000
    assert (books.produced, books.queued, books.is_balanced, noticed) == (1000, 1000, True, [1, 2, 3, 4])
    told = []
    while record := queue.peek():
        assert record.timestamp == AT
        assert gunzip_body(record.body) != record.body
        told += values(record.body)
        queue.ack(record)
    assert told == list(range(1000))


async def test_a_queue_that_overflows_is_booked() -> None:
    queue, books = MemoryQueue(20_000, 60), DeliveryAccounting()
    courier = RequestProducer(Encoder(NOBODY, max_points=100), queue, books, lambda: None, asyncio.to_thread)
    await courier.enqueue(MANY, AT, gzip=False)
    assert books.is_balanced
    assert 0 < books.queued == queue.points < 1000
    assert books.dropped["queue_full"] == 1000 - queue.points


async def test_others_run_between_two_requests() -> None:
    turns = []

    async def other() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            turns.append(books.produced)

    async def on_worker(encode_next: Callable[[], ExportRequest | None]) -> ExportRequest | None:
        await asyncio.sleep(0)
        return encode_next()

    queue, books = MemoryQueue(1_000_000, 60), DeliveryAccounting()
    courier = RequestProducer(Encoder(NOBODY, max_points=300), queue, books, lambda: None, on_worker)
    await asyncio.gather(courier.enqueue(MANY, AT), other())
    assert turns == [300, 600, 900]


def test_what_is_in_use_is_remembered_and_the_rest_forgotten() -> None:
    recent: GenerationalCache[str, int] = GenerationalCache()
    made: list[str] = []

    def make(key: str) -> int:
        made.append(key)
        return len(made)

    assert recent.get_all(["used", "left"], make) == [1, 2]
    for _ in range(3 * GENERATION_CYCLES):
        assert recent.get_all(["used"], make) == [1]
        recent.end_cycle()
    assert "used" in recent
    assert "left" not in recent
    assert made == ["used", "left"]


def test_memory_does_not_grow_when_everything_changes_all_the_time() -> None:
    recent: GenerationalCache[int, int] = GenerationalCache()
    most = 0
    for turn in range(200):
        recent.get_all(range(turn * 10, turn * 10 + 10), int)
        recent.end_cycle()
        most = max(most, len(recent))
    assert most <= 60
