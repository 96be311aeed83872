"""A request that is refused as a whole: what of it still arrives, and what the books say of the rest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.transport.credentials import Destination

from .backend import refuse_over, refuse_value, status
from .pipeline import line
from .helpers import AT, cycle, gauge

if TYPE_CHECKING:
    import pytest

    from .backend import Backend


async def test_one_bad_point_is_dropped_and_the_rest_delivered(backend: Backend) -> None:
    backend.always = refuse_value(777)
    async with line(Destination(backend.url)) as one:
        await one.deliver(*range(5000))
        await one.deliver(5)
    dropped = one.books.dropped["http_400"]
    assert dropped == 1
    assert sorted(backend.stored[:-1]) == [value for value in range(5000) if value != 777]
    assert backend.stored[-1] == 5
    assert len(backend.seen) <= 5 + 20 + 1


async def test_a_request_that_is_too_large_is_halved_until_it_fits(backend: Backend) -> None:
    backend.always = refuse_over(130)
    async with line(Destination(backend.url)) as one:
        await one.deliver(*range(500))
    assert sorted(backend.stored) == list(range(500))
    assert one.books.dropped.total() == 0


async def test_points_that_are_rejected_alone_are_dropped_once(backend: Backend) -> None:
    backend.always = refuse_over(0, 400)
    async with line(Destination(backend.url)) as one:
        await one.deliver(1, 2)
    assert (one.books.dropped, one.books.state) == ({"http_400": 2}, DeliveryState.REJECTED)
    assert len(backend.seen) == 3


async def test_a_bisection_ends_after_twenty_requests(backend: Backend) -> None:
    backend.always = refuse_over(0, 400)
    async with line(Destination(backend.url)) as one:
        await one.deliver(*range(1000))
    assert (one.books.dropped, len(backend.seen)) == ({"http_400": 1000}, 1 + 19)


async def test_an_error_that_is_not_about_points_drops_the_request_and_delivery_continues(backend: Backend) -> None:
    backend.replies = [status(500)]
    async with line(Destination(backend.url)) as one:
        await one.offer(1, 2)
        await one.deliver(3)
    assert (backend.stored, one.books.dropped) == ([3], {"http_500": 2})


async def test_an_uncompressed_body_is_split_into_uncompressed_parts(backend: Backend) -> None:
    backend.always = refuse_over(1, 413)
    async with line(Destination(backend.url, gzip=False)) as one:
        await one.courier.enqueue(cycle(gauge("x", ({"i": "1"}, 1), ({"i": "2"}, 2))), AT, gzip=False)
        await one.deliver()
    assert backend.stored == [1, 2]
    assert all("Content-Encoding" not in seen.headers for seen in backend.seen)


async def test_points_dropped_by_a_bisection_are_logged_at_most_once_a_minute(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.always = refuse_value(7)
    async with line(Destination(backend.url)) as one:
        for _ in range(3):
            await one.deliver(*range(100))
        one.time.now += 61
        await one.deliver(*range(100))
    told = [vars(record)["fields"] for record in caplog.records if record.levelno == logging.WARNING]
    assert [(fields["points"], fields["of"]) for fields in told] == [(1, 100), (3, 100)]
    assert one.books.dropped == {"http_400": 4}
