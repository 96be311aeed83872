"""The producer makes requests of snapshots and does not block the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exporter.net.gzip import is_gzip
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.encode.encoder import Encoder

from .backend import values
from .helpers import IDENTITY, TIMESTAMP, all_requests, gauge, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.storage.model import QueuedRequest

SNAPSHOT = snapshot(gauge("x", *(({"i": str(i)}, i) for i in range(1000))))


@pytest.mark.parametrize("gzip", [True, False])
async def test_a_snapshot_becomes_requests_of_bounded_size(*, gzip: bool) -> None:
    producer = RequestProducer(Encoder(IDENTITY, max_points=300), asyncio.to_thread, gzip=gzip)
    requests = await all_requests(producer, SNAPSHOT)
    assert [request.points for request in requests] == [300, 300, 300, 100]
    assert {request.timestamp for request in requests} == {TIMESTAMP}
    assert {is_gzip(request.body) for request in requests} == {gzip}
    assert [value for request in requests for value in values(request.body)] == list(range(1000))


@pytest.mark.parametrize(("size", "lengths"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (9, [4])])
async def test_parts_are_the_requests_in_order(size: int, lengths: list[int]) -> None:
    producer = RequestProducer(Encoder(IDENTITY, max_points=300), asyncio.to_thread)
    parts = [part async for part in producer.parts(SNAPSHOT, size)]
    assert [len(part) for part in parts] == lengths
    bodies = [request.body for request in await all_requests(producer, SNAPSHOT)]
    assert [request.body for part in parts for request in part] == bodies


async def test_a_snapshot_without_points_is_one_part_without_requests() -> None:
    producer = RequestProducer(Encoder(IDENTITY), asyncio.to_thread)
    assert [part async for part in producer.parts(snapshot(), 8)] == [[]]


async def test_other_tasks_run_between_two_requests() -> None:
    encoded: list[QueuedRequest] = []
    observed: list[int] = []

    async def other_task() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            observed.append(len(encoded))

    async def on_worker(encode_next: Callable[[], QueuedRequest | None]) -> QueuedRequest | None:
        await asyncio.sleep(0)
        request = encode_next()
        encoded.extend([request] if request is not None else [])
        return request

    producer = RequestProducer(Encoder(IDENTITY, max_points=300), on_worker)
    await asyncio.gather(all_requests(producer, SNAPSHOT), other_task())
    assert observed == [1, 2, 3]
