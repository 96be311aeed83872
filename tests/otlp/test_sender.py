"""The sender against a real backend with faults: delivery, delays, accounting."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.net.response import HttpResponse
from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.delivery.loop import BackoffPolicy, SenderClock
from exporter.otlp.delivery.sender import Sender
from exporter.otlp.transport.credentials import Destination
from exporter.storage.model import StorageLimits

from .backend import Backend, answer_too_late, reset_connection, reset_within_body, status
from .helpers import TIMESTAMP
from .pipeline import build_pipeline, http_pipeline, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporter.otlp.transport.response import TransportOutcome

    from .backend import Reply


async def test_points_are_delivered_and_counted(backend: Backend) -> None:
    async with http_pipeline(Destination(backend.url)) as pipeline:
        pipeline.clock.now = TIMESTAMP + 2
        await pipeline.deliver(1, 2, 3)
    assert backend.stored == [1, 2, 3]
    assert (pipeline.accounting.produced, pipeline.accounting.delivered, pipeline.accounting.queued) == (3, 3, 0)
    assert (pipeline.accounting.requests, pipeline.accounting.last_success, pipeline.accounting.state) == (
        {"200": 1},
        TIMESTAMP + 2,
        DeliveryState.DELIVERING,
    )
    assert pipeline.accounting.last_lag == pytest.approx(2)


async def test_a_large_snapshot_is_sent_in_several_requests_in_order(backend: Backend) -> None:
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(*range(2500))
    assert backend.stored == list(range(2500))
    assert len(backend.received) == 3


async def test_a_busy_backend_receives_the_same_bytes_after_growing_delays(backend: Backend) -> None:
    backend.replies = [status(code) for code in (503, 502, 504, 429, 503, 503)]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.clock.sleeps == [1, 2, 4, 8, 8, 8]
    assert len({request.body for request in backend.received}) == 1
    assert (pipeline.accounting.retries, pipeline.accounting.delivered) == (6, 1)


async def test_jitter_only_shortens_delays(backend: Backend) -> None:
    backend.replies = [status(503)] * 3
    async with http_pipeline(Destination(backend.url)) as pipeline:
        pipeline.clock.jitter = 0.5
        await pipeline.deliver(1)
    assert pipeline.clock.sleeps == [0.75, 1.5, 3.0]


@pytest.mark.parametrize(("reply", "delays"), [(reset_connection, [0.25]), (status(503), [1.0])])
async def test_time_without_a_response_counts_as_delay_and_a_busy_response_does_not(
    backend: Backend, reply: Reply, delays: list[float]
) -> None:
    async def reply_slowly(request: web.BaseRequest) -> web.StreamResponse:
        pipeline.clock.now += 0.75
        return await reply(request)

    backend.replies = [reply_slowly]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.clock.sleeps == [pytest.approx(seconds) for seconds in delays]


async def test_an_internal_error_drops_one_request_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class RaisingTransport:
        """A transport that raises, against its contract."""

        failures = 1

        async def post(self, _: bytes) -> TransportOutcome:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("a bug")
            return HttpResponse(200)

        def credentials_changed(self) -> bool:
            return False

    pipeline = build_pipeline(RaisingTransport())
    await pipeline.enqueue(1)
    await pipeline.deliver(2)
    assert (pipeline.accounting.dropped, pipeline.accounting.delivered) == ({"fault": 1}, 1)
    assert [record.message for record in caplog.records if record.exc_info] == [
        "delivery failed with an internal error; please report this"
    ]


@pytest.mark.parametrize(
    ("value", "delay"),
    [("30", 31), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.877), ("1.5", 1), ("soon", 1), ("-3", 1), ("9999", 3601)],
)
async def test_retry_after_is_the_minimum_delay(backend: Backend, value: str, delay: float) -> None:
    backend.replies = [status(429, Retry_After=value)]
    async with http_pipeline(Destination(backend.url), StorageLimits(max_bytes=1000, max_age=1e6)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.clock.sleeps == [pytest.approx(delay, abs=0.001)]


async def test_a_wait_of_ten_days_is_bounded_and_its_end_is_reported_and_logged(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    reasons = []

    async def note_reason() -> None:
        reasons.append(pipeline.accounting.state_reason)

    backend.replies = [status(503), status(429, Retry_After="864000"), status(503, Retry_After="864000")]
    async with http_pipeline(Destination(backend.url), StorageLimits(max_bytes=1000, max_age=1e6)) as pipeline:
        pipeline.clock.after_sleep = note_reason
        await pipeline.deliver(1)
    assert pipeline.clock.sleeps == [1, 3602, 3604]
    assert reasons == [
        "503 Service Unavailable",
        "429 Too Many Requests; next attempt at 2023-11-14T23:13:23Z",
        "503 Service Unavailable; next attempt at 2023-11-15T00:13:27Z",
    ]
    logged = [vars(record)["fields"]["reason"] for record in caplog.records]
    assert logged == reasons


async def test_a_backend_that_was_down_receives_everything_in_order(backend: Backend) -> None:
    await backend.stop()

    async def start_after_three_retries() -> None:
        if len(pipeline.clock.sleeps) == 3:
            await backend.start()

    async with http_pipeline(Destination(backend.url)) as pipeline:
        pipeline.clock.after_sleep = start_after_three_retries
        for number in range(4):
            await pipeline.enqueue(number)
        await pipeline.deliver(4)
    assert backend.stored == [0, 1, 2, 3, 4]
    assert pipeline.accounting.requests == {"connect": 3, "200": 5}


async def test_a_missing_response_is_retried(backend: Backend) -> None:
    backend.replies = [answer_too_late]
    async with http_pipeline(Destination(backend.url, timeout=0.2)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.accounting.requests == {"timeout": 1, "200": 1}
    assert pipeline.accounting.delivered == 1


async def test_a_success_whose_body_breaks_is_delivered_once_with_a_warning(backend: Backend) -> None:
    backend.replies = [reset_within_body]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(1)
    assert (pipeline.accounting.requests, pipeline.accounting.delivered) == ({"200": 1}, 1)
    assert (len(backend.received), pipeline.accounting.warnings) == (1, 1)


async def test_a_wrong_credential_blocks_delivery_until_its_file_is_corrected(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "authorization"
    file.write_text("Basic d3Jvbmc=")
    backend.replies = [status(401)] * 3

    async def correct_the_file() -> None:
        if len(pipeline.clock.sleeps) == 10:
            assert pipeline.accounting.state is DeliveryState.BLOCKED
            assert "otlp.authorization_file" in pipeline.accounting.state_reason
            file.write_text("Basic cmlnaHQ6cmlnaHQ=")

    async with http_pipeline(Destination(backend.url, authorization_file=file)) as pipeline:
        pipeline.clock.after_sleep = correct_the_file
        await pipeline.deliver(1)
    assert [request.headers["Authorization"] for request in backend.received][-1] == "Basic cmlnaHQ6cmlnaHQ="
    assert (pipeline.accounting.delivered, pipeline.accounting.dropped.total()) == (1, 0)
    assert len(pipeline.clock.sleeps) == 2 + 4 + 4
    assert len(backend.received) == 4


async def test_blocked_delivery_is_retried_every_five_minutes_at_least(backend: Backend) -> None:
    backend.replies = [status(404)] * 11
    async with http_pipeline(Destination(backend.url), StorageLimits(max_bytes=1000, max_age=1e6)) as pipeline:
        await pipeline.deliver(1)
    assert sum(pipeline.clock.sleeps) == 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 300 * 3


async def test_partial_success_is_counted_and_not_retried(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    partial = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    backend.default_reply = status(200, body, Content_Type="application/x-protobuf")
    async with http_pipeline(Destination(backend.url)) as pipeline:
        for _ in range(3):
            await pipeline.deliver(1, 2, 3)
    assert (
        pipeline.accounting.delivered,
        pipeline.accounting.rejected,
        pipeline.accounting.warnings,
        pipeline.accounting.state_reason,
    ) == (3, 6, 3, "too old")
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "points accepted with a warning"
    ]


async def test_a_web_page_instead_of_an_answer_holds_delivery_until_it_is_gone(backend: Backend) -> None:
    async def check_state() -> None:
        assert pipeline.accounting.state is DeliveryState.BLOCKED
        assert "200 OK: Please log in (" in pipeline.accounting.state_reason

    backend.replies = [status(200, b"<html><body>Please log in", Content_Type="text/html")] * 2
    async with http_pipeline(Destination(backend.url)) as pipeline:
        pipeline.clock.after_sleep = check_state
        await pipeline.deliver(1)
    assert (pipeline.accounting.delivered, pipeline.accounting.warnings, pipeline.accounting.requests) == (
        1,
        0,
        {"200": 3},
    )


async def test_a_response_that_is_too_large_drops_the_request(backend: Backend) -> None:
    backend.replies = [status(200, b"x" * 5_000_000)]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.accounting.dropped == {"endless_answer": 1}


async def test_a_request_that_expires_during_retries_is_dropped_and_logged(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.default_reply = status(503)
    async with http_pipeline(Destination(backend.url), StorageLimits(max_bytes=1000, max_age=5)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.accounting.dropped == {"expired": 1}
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message == "points dropped: they waited longer than storage.max_age"
    assert vars(record)["fields"] == {"points": 1, "kind": "expired"}
    assert pipeline.clock.sleeps == [1, 2, 4]


async def test_a_request_dropped_while_in_flight_is_counted_once(backend: Backend) -> None:
    async def fill_the_queue(_: web.BaseRequest) -> web.StreamResponse:
        await pipeline.enqueue(*range(100, 140))
        return web.Response()

    backend.replies = [fill_the_queue]
    async with http_pipeline(Destination(backend.url), StorageLimits(max_bytes=600, max_age=60)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.accounting.is_balanced
    assert pipeline.accounting.produced == 41
    assert (pipeline.accounting.dropped["queue_full"], pipeline.accounting.delivered) == (1, 40)


async def test_an_idle_sender_wakes_up_for_a_new_request(backend: Backend) -> None:
    async with http_pipeline(Destination(backend.url)) as pipeline:
        task = asyncio.create_task(pipeline.sender.run())
        for number in range(3):
            await pipeline.enqueue(number)
            await wait_until(lambda: not len(pipeline.storage.queue))
            await asyncio.sleep(0.005)
        task.cancel()
    assert backend.stored == [0, 1, 2]


async def test_finish_cuts_one_delay_short_and_ends_when_the_queue_is_empty(
    backend: Backend,
) -> None:
    backend.replies = [status(429, Retry_After="300"), status(503)]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        sender = Sender(
            pipeline.storage,
            pipeline.transport,
            pipeline.accounting,
            BackoffPolicy(0.01, 0.01),
            SenderClock(now=lambda: TIMESTAMP),
        )
        await pipeline.enqueue(1)
        task = asyncio.create_task(sender.run())
        await wait_until(lambda: pipeline.accounting.retries == 1)
        assert not task.done()
        sender.finish()
        await asyncio.wait_for(task, 5)
    assert backend.stored == [1]
    assert pipeline.accounting.retries == 2


async def test_a_finishing_sender_still_backs_off_between_retries(backend: Backend) -> None:
    backend.default_reply = status(503)
    async with http_pipeline(Destination(backend.url)) as pipeline:
        sender = Sender(
            pipeline.storage,
            pipeline.transport,
            pipeline.accounting,
            BackoffPolicy(0.05, 0.05),
            SenderClock(now=lambda: TIMESTAMP),
        )
        await pipeline.enqueue(1)
        sender.finish()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sender.run(), 0.2)
    assert 2 <= len(backend.received) <= 10


async def test_an_idle_sender_finishes_at_once(backend: Backend) -> None:
    async with http_pipeline(Destination(backend.url)) as pipeline:
        task = asyncio.create_task(pipeline.sender.run())
        await asyncio.sleep(0.01)
        pipeline.sender.finish()
        await asyncio.wait_for(task, 1)


async def test_a_cancelled_run_leaves_the_request_in_flight_in_the_queue(backend: Backend) -> None:
    backend.replies = [answer_too_late]
    async with http_pipeline(Destination(backend.url)) as pipeline:
        await pipeline.enqueue(1)
        task = asyncio.create_task(pipeline.sender.run())
        await wait_until(lambda: bool(backend.received))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pipeline.accounting.queued == 1
        await pipeline.deliver(2)
    assert backend.stored == [1, 2]


async def test_each_change_of_state_is_logged_without_secrets(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backend.replies = [status(503), status(503), status(403, b"who is c2VjcmV0OnNlY3JldA==?"), status(403), status(200)]
    async with http_pipeline(Destination(backend.url, {"Authorization": "Basic c2VjcmV0OnNlY3JldA=="})) as pipeline:
        for number in range(5):
            await pipeline.deliver(number)
    logged = [record for record in caplog.records if record.name == "exporter.otlp.delivery.sender"]
    assert [record.message for record in logged] == [
        "delivery retrying",
        "delivery blocked: fix credential or endpoint",
        "delivery working",
    ]
    fields: Mapping[str, object] = vars(logged[1])["fields"]
    assert fields["reason"] == (
        "403 Forbidden: who is ***?; see otlp.headers, otlp.headers_file or otlp.authorization_file; "
        "sent authorization (Basic and 20 characters), which is well-formed, "
        "so the server does not accept its user, password or token"
    )


def test_delays_grow_to_a_maximum() -> None:
    policy = BackoffPolicy(0.2, 1.5)
    assert [policy.retry_delay(attempt, None, 0) for attempt in (0, 1, 2, 3, 10_000)] == [0.2, 0.4, 0.8, 1.5, 1.5]
    assert policy.blocked_delay(10_000, 0) == 300
