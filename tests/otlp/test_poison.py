"""Requests that fail while others are accepted: held in an outage, and as poison reduced to their bad points."""

from __future__ import annotations

import gzip
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from exporter.otlp.delivery.probe import ProbeRequests
from exporter.otlp.delivery.suspicion import MAX_PROBE_INTERVAL, SLOW
from exporter.otlp.encode.protobuf import ExportRequest
from exporter.otlp.transport.credentials import Destination
from exporter.self_metrics import OwnMetric
from exporter.storage.model import StorageLimits

from .backend import Backend, reset_connection, status, values
from .helpers import IDENTITY, metrics
from .pipeline import http_pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from .backend import Reply
    from .pipeline import Pipeline


@asynccontextmanager
async def probing_pipeline(backend: Backend) -> AsyncIterator[Pipeline]:
    async with http_pipeline(Destination(backend.url), StorageLimits(max_bytes=10_000_000, max_age=1e6)) as pipeline:
        pipeline.sender.probes = ProbeRequests(IDENTITY, "exporter-0")
        yield pipeline


def names(body: bytes) -> set[str]:
    """Return the names of the metrics in a request."""
    return {metric.name for metric in metrics(ExportRequest(_plain(body), 0))}


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def is_probe(body: bytes) -> bool:
    return names(body) == {OwnMetric.PROBE.value.name}


def fail_if(is_bad: Callable[[bytes], bool], failure: Reply) -> Reply:
    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        return await (failure if is_bad(await request.read()) else status(200))(request)

    return reply


async def reset_without_status(request: web.BaseRequest) -> web.StreamResponse:
    await reset_connection(request)
    return await status(500)(request)


def points_of(backend: Backend) -> list[float]:
    """Return the stored values, without those of probes."""
    accepted = [request.body for request in backend.received if 200 <= request.response_status < 300]
    return [value for body in accepted if not is_probe(body) for value in values(body)]


@pytest.mark.parametrize("code", [500, 501, 503, 520, 522, 530, 599])
async def test_a_backlog_survives_any_5xx_of_the_endpoint_and_keeps_its_order(backend: Backend, code: int) -> None:
    backend.replies = [status(code)] * 500
    async with probing_pipeline(backend) as pipeline:
        for number in range(20):
            await pipeline.enqueue(number)
        await pipeline.deliver(20)
    assert points_of(backend) == list(range(21))
    assert pipeline.accounting.dropped.total() == 0
    assert pipeline.clock.now - 1_700_000_000 > 10 * SLOW.seconds


@pytest.mark.parametrize("failure", [status(500), status(503), status(403), reset_without_status])
async def test_a_point_that_fails_for_minutes_while_others_are_accepted_is_dropped_alone(
    backend: Backend, caplog: pytest.LogCaptureFixture, failure: Reply
) -> None:
    backend.default_reply = fail_if(lambda body: 777 in values(body), failure)
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(*range(1000))
        started = pipeline.clock.now
        await pipeline.deliver(2000)
    assert pipeline.accounting.dropped == {"poison": 1}
    assert sorted(points_of(backend)) == [*(value for value in range(1000) if value != 777), 2000]
    assert pipeline.accounting.is_balanced
    assert pipeline.accounting.delivered == len(backend.stored)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR and "dropped" in record.message]
    fields = vars(record)["fields"]
    assert (fields["points"], fields["kind"]) == (1, "poison")
    assert started - 1_700_000_000 > 2 * SLOW.seconds


async def test_nothing_is_dropped_before_minutes_of_failures(backend: Backend) -> None:
    backend.default_reply = fail_if(lambda body: not is_probe(body), status(500))

    async def repair() -> None:
        if pipeline.clock.now > 1_700_000_000 + SLOW.seconds - 10:
            backend.default_reply = status(200)

    async with probing_pipeline(backend) as pipeline:
        pipeline.clock.after_sleep = repair
        await pipeline.deliver(*range(100))
    assert pipeline.accounting.dropped.total() == 0
    assert points_of(backend) == list(range(100))


async def test_a_backend_that_returns_just_after_a_failure_loses_no_point(backend: Backend) -> None:
    """The probe that follows the last failure of a long outage is accepted, and proves nothing."""
    outage_end = SLOW.seconds * 3

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        is_over = pipeline.clock.now > 1_700_000_000 + outage_end and is_probe(await request.read())
        backend.default_reply = status(200) if is_over else backend.default_reply
        return await status(200 if is_over else 503)(request)

    backend.default_reply = reply
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(1)
    assert (pipeline.accounting.dropped.total(), points_of(backend)) == (0, [1])


async def test_an_overload_that_spares_small_requests_costs_nothing_if_it_ends(backend: Backend) -> None:
    backend.default_reply = fail_if(lambda body: len(values(body)) > 1, status(500))

    async def repair() -> None:
        if pipeline.clock.now > 1_700_000_000 + SLOW.seconds + MAX_PROBE_INTERVAL:
            backend.default_reply = status(200)

    async with probing_pipeline(backend) as pipeline:
        pipeline.clock.after_sleep = repair
        await pipeline.deliver(*range(1000))
    assert pipeline.accounting.dropped.total() == 0
    assert sorted(points_of(backend)) == list(range(1000))


async def test_no_later_point_overtakes_a_suspect_request_and_a_probe_is_not_newer_than_it(backend: Backend) -> None:
    backend.default_reply = fail_if(lambda body: 3 in values(body), status(500))
    async with probing_pipeline(backend) as pipeline:
        for number in range(6):
            pipeline.clock.now += 15
            await pipeline.enqueue(number)
        await pipeline.deliver(6)
    assert points_of(backend) == [0, 1, 2, 4, 5, 6]
    probes = [request.body for request in backend.received if is_probe(request.body)]
    times = {metrics(ExportRequest(_plain(body), 0))[0].gauge.data_points[0].time_unix_nano for body in probes}
    # All requests of this pipeline have the time of its snapshots.
    assert times == {1_700_000_000_123_000_000}
    assert 3 <= len(probes) <= 5


async def test_a_series_that_is_poison_in_every_snapshot_does_not_stop_delivery(backend: Backend) -> None:
    backend.default_reply = fail_if(lambda body: 7 in values(body), status(500))
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(*range(100))
        started = pipeline.clock.now
        for _ in range(10):
            await pipeline.deliver(*range(100))
        assert pipeline.clock.now - started < 10 * 15
    assert pipeline.accounting.dropped == {"poison": 11}
    assert len(points_of(backend)) == 11 * 99


async def test_an_outage_soon_after_poison_costs_nothing(backend: Backend) -> None:
    backend.default_reply = fail_if(lambda body: 7 in values(body), status(500))
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(*range(100))
        # Small requests are accepted throughout, the others fail for a minute.
        backend.default_reply = fail_if(lambda body: not is_probe(body), status(500))
        started = pipeline.clock.now

        async def repair() -> None:
            if pipeline.clock.now > started + 60:
                backend.default_reply = status(200)

        pipeline.clock.after_sleep = repair
        await pipeline.deliver(*range(1000, 1100))
    assert pipeline.accounting.dropped == {"poison": 1}
    assert len(points_of(backend)) == 99 + 100


async def test_a_limited_rate_is_never_the_fault_of_a_request(backend: Backend) -> None:
    backend.replies = [status(429)] * 200
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(1, 2)
    assert points_of(backend) == [1, 2]
    assert not any(is_probe(request.body) for request in backend.received)


async def test_a_refused_credential_is_tried_again_with_a_small_request_after_growing_delays(backend: Backend) -> None:
    backend.replies = [status(401)] * 11
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(*range(1000))
    assert [is_probe(request.body) for request in backend.received] == [False, *[True] * 11, False]
    assert sum(pipeline.clock.sleeps) == 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 300 * 3
    assert (pipeline.accounting.delivered, len(points_of(backend))) == (1001, 1000)
    assert pipeline.accounting.is_balanced


async def test_a_probe_that_the_endpoint_cannot_take_does_not_hold_delivery(backend: Backend) -> None:
    backend.replies = [status(401), status(400)]
    async with probing_pipeline(backend) as pipeline:
        await pipeline.deliver(1)
    assert backend.stored == [1]
