"""Refused requests: their good points are delivered, and the others counted as dropped."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.transport.credentials import Destination

from .backend import refuse_larger_than, refuse_value, status
from .pipeline import http_pipeline

if TYPE_CHECKING:
    import pytest

    from .backend import Backend


async def test_one_bad_point_is_dropped_and_the_rest_delivered(backend: Backend) -> None:
    backend.default_reply = refuse_value(777)
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(*range(5000))
        await pipeline.deliver(5)
    dropped = pipeline.accounting.dropped["http_400"]
    assert dropped == 1
    assert sorted(backend.stored[:-1]) == [value for value in range(5000) if value != 777]
    assert backend.stored[-1] == 5
    assert len(backend.received) <= 5 + 20 + 1


async def test_a_request_that_is_too_large_is_halved_until_it_fits(backend: Backend) -> None:
    backend.default_reply = refuse_larger_than(130)
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(*range(500))
    assert sorted(backend.stored) == list(range(500))
    assert pipeline.accounting.dropped.total() == 0


async def test_points_that_are_refused_in_a_request_of_their_own_are_dropped_once(backend: Backend) -> None:
    backend.default_reply = refuse_larger_than(0, 400)
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(1, 2)
    assert (pipeline.accounting.dropped, pipeline.accounting.state) == ({"http_400": 2}, DeliveryState.REFUSED)
    assert len(backend.received) == 3


async def test_a_bisection_ends_after_twenty_requests(backend: Backend) -> None:
    backend.default_reply = refuse_larger_than(0, 400)
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(*range(1000))
    assert (pipeline.accounting.dropped, len(backend.received)) == ({"http_400": 1000}, 1 + 19)


async def test_an_error_that_is_not_about_points_drops_the_request_and_delivery_continues(backend: Backend) -> None:
    backend.replies = [status(405)]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.enqueue(1, 2)
        await pipeline.deliver(3)
    assert (backend.stored, pipeline.accounting.dropped) == ([3], {"http_405": 2})


async def test_an_uncompressed_body_is_split_into_uncompressed_parts(backend: Backend) -> None:
    backend.default_reply = refuse_larger_than(1, 413)
    async with http_pipeline(Destination(backend.url, gzip=False)) as pipeline:
        pipeline.producer = replace(pipeline.producer, gzip=False)
        await pipeline.enqueue(1, 2)
        await pipeline.deliver()
    assert backend.stored == [1, 2]
    assert all("Content-Encoding" not in request.headers for request in backend.received)


async def test_points_dropped_by_a_bisection_are_logged_at_most_once_a_minute(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.default_reply = refuse_value(7)
    async with http_pipeline(Destination(backend.url)) as pipeline:
        for _ in range(3):
            await pipeline.deliver(*range(100))
        pipeline.clock.now += 61
        await pipeline.deliver(*range(100))
    logged = [vars(record)["fields"] for record in caplog.records if record.levelno == logging.ERROR]
    assert [(fields["points"], fields["of"]) for fields in logged] == [(1, 100), (3, 100)]
    assert pipeline.accounting.dropped == {"http_400": 4}
