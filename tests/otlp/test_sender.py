"""From the queue to a real backend that misbehaves: what arrives, what is waited, what the books say."""

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

from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.delivery.sender import SenderClock, BackoffPolicy, Sender
from exporter.otlp.transport.credentials import Destination
from exporter.net.response import HttpResponse

from .backend import Backend, abort, abort_amid, dawdle, status
from .pipeline import laid, line, until
from .helpers import AT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporter.otlp.transport.response import TransportOutcome

    from .backend import Reply


async def test_points_are_delivered_and_counted(backend: Backend) -> None:
    async with line(Destination(backend.url)) as one:
        one.time.now = AT + 2
        await one.deliver(1, 2, 3)
    assert backend.stored == [1, 2, 3]
    assert (one.books.produced, one.books.delivered, one.books.queued) == (3, 3, 0)
    assert (one.books.requests, one.books.last_success, one.books.state) == ({"200": 1}, AT + 2, DeliveryState.DELIVERING)
    assert one.books.last_lag == pytest.approx(2)


async def test_a_large_snapshot_is_sent_in_several_requests_in_order(backend: Backend) -> None:
    async with line(Destination(backend.url)) as one:
        await one.deliver(*range(2500))
    assert backend.stored == list(range(2500))
    assert len(backend.seen) == 3


async def test_a_busy_backend_is_tried_again_ever_later_with_the_same_bytes(backend: Backend) -> None:
    backend.replies = [status(code) for code in (503, 502, 504, 429, 503, 503)]
    async with line(Destination(backend.url)) as one:
        await one.deliver(1)
    assert one.time.slept == [1, 2, 4, 8, 8, 8]
    assert len({seen.body for seen in backend.seen}) == 1
    assert (one.books.retries, one.books.delivered) == (6, 1)


async def test_jitter_only_shortens_delays(backend: Backend) -> None:
    backend.replies = [status(503)] * 3
    async with line(Destination(backend.url)) as one:
        one.time.chance = 0.5
        await one.deliver(1)
    assert one.time.slept == [0.75, 1.5, 3.0]


@pytest.mark.parametrize(("reply", "waits"), [(abort, [0.25]), (status(503), [1.0])])
async def test_time_without_a_response_counts_as_delay_and_a_busy_response_does_not(
    backend: Backend, reply: Reply, waits: list[float]
) -> None:
    async def slowly(request: web.BaseRequest) -> web.StreamResponse:
        one.time.now += 0.75
        return await reply(request)

    backend.replies = [slowly]
    async with line(Destination(backend.url)) as one:
        await one.deliver(1)
    assert one.time.slept == [pytest.approx(seconds) for seconds in waits]


async def test_an_internal_error_drops_one_request_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        """A transport that breaks its promise to never raise."""

        faults = 1

        async def post(self, _: bytes) -> TransportOutcome:
            if self.faults:
                self.faults -= 1
                raise RuntimeError("a fault")
            return HttpResponse(200)

        def credentials_changed(self) -> bool:
            return False

    one = laid(Broken())
    await one.offer(1)
    await one.deliver(2)
    assert (one.books.dropped, one.books.delivered) == ({"fault": 1}, 1)
    assert [record.message for record in caplog.records if record.exc_info] == ["delivery failed with an internal error; please report this"]


@pytest.mark.parametrize(
    ("value", "wait"),
    [("30", 31), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.877), ("1.5", 1), ("soon", 1), ("-3", 1), ("9999", 3601)],
)
async def test_retry_after_is_the_minimum_delay(backend: Backend, value: str, wait: float) -> None:
    backend.replies = [status(429, Retry_After=value)]
    async with line(Destination(backend.url), MemoryQueue(1000, 1e6)) as one:
        await one.deliver(1)
    assert one.time.slept == [pytest.approx(wait, abs=0.001)]


async def test_a_backend_that_was_down_receives_everything_in_order(backend: Backend) -> None:
    await backend.stop()

    async def back_at_the_third_try() -> None:
        if len(one.time.slept) == 3:
            await backend.start()

    async with line(Destination(backend.url)) as one:
        one.time.then = back_at_the_third_try
        for number in range(4):
            await one.offer(number)
        await one.deliver(4)
    assert backend.stored == [0, 1, 2, 3, 4]
    assert one.books.requests == {"connect": 3, "200": 5}


@pytest.mark.parametrize(("reply", "code"), [(abort_amid, "broken"), (dawdle, "timeout")])
async def test_an_incomplete_response_is_retried(backend: Backend, reply: Reply, code: str) -> None:
    backend.replies = [reply]
    async with line(Destination(backend.url, timeout=0.2)) as one:
        await one.deliver(1)
    assert one.books.requests == {code: 1, "200": 1}
    assert one.books.delivered == 1


async def test_a_wrong_credential_blocks_delivery_until_its_file_is_corrected(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "authorization"
    file.write_text("Basic d3Jvbmc=")
    backend.replies = [status(401)] * 3

    async def repaired() -> None:
        if len(one.time.slept) == 10:
            assert one.books.state is DeliveryState.BLOCKED
            assert "otlp.authorization_file" in one.books.state_reason
            file.write_text("Basic cmlnaHQ6cmlnaHQ=")

    async with line(Destination(backend.url, authorization_file=file)) as one:
        one.time.then = repaired
        await one.deliver(1)
    assert [seen.headers["Authorization"] for seen in backend.seen][-1] == "Basic cmlnaHQ6cmlnaHQ="
    assert (one.books.delivered, one.books.dropped.total()) == (1, 0)
    assert len(one.time.slept) == 2 + 4 + 4
    assert len(backend.seen) == 4


async def test_blocked_delivery_is_retried_every_five_minutes_at_least(backend: Backend) -> None:
    backend.replies = [status(404)] * 11
    async with line(Destination(backend.url), MemoryQueue(1000, 1e6)) as one:
        await one.deliver(1)
    assert sum(one.time.slept) == 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 300 * 3


async def test_partial_success_is_booked_and_not_sent_again(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    told = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
    body = ExportMetricsServiceResponse(partial_success=told).SerializeToString()
    backend.always = status(200, body, Content_Type="application/x-protobuf")
    async with line(Destination(backend.url)) as one:
        for _ in range(3):
            await one.deliver(1, 2, 3)
    assert (one.books.delivered, one.books.rejected, one.books.warnings, one.books.state_reason) == (3, 6, 3, "too old")
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "points accepted with a warning"
    ]


async def test_an_html_response_counts_as_delivered_with_a_warning(backend: Backend) -> None:
    backend.replies = [status(200, b"<html>", Content_Type="text/html")]
    async with line(Destination(backend.url)) as one:
        await one.deliver(1)
    assert (one.books.delivered, one.books.warnings) == (1, 1)


async def test_a_response_that_is_too_large_drops_the_request(backend: Backend) -> None:
    backend.replies = [status(200, b"x" * 5_000_000)]
    async with line(Destination(backend.url)) as one:
        await one.deliver(1)
    assert one.books.dropped == {"endless_answer": 1}


async def test_a_request_that_expires_during_retries_is_dropped(backend: Backend) -> None:
    backend.always = status(503)
    async with line(Destination(backend.url), MemoryQueue(1000, 5)) as one:
        await one.deliver(1)
    assert one.books.dropped == {"expired": 1}
    assert one.time.slept == [1, 2, 4]


async def test_a_request_dropped_while_in_flight_is_counted_once(backend: Backend) -> None:
    async def crowd_out(_: web.BaseRequest) -> web.StreamResponse:
        await one.offer(*range(100, 140))
        return web.Response()

    backend.replies = [crowd_out]
    async with line(Destination(backend.url), MemoryQueue(400, 60)) as one:
        await one.deliver(1)
    assert one.books.is_balanced
    assert one.books.produced == 41
    assert (one.books.dropped["queue_full"], one.books.delivered) == (1, 40)


async def test_an_idle_sender_wakes_up_for_a_new_request(backend: Backend) -> None:
    async with line(Destination(backend.url)) as one:
        running = asyncio.create_task(one.sender.run())
        for number in range(3):
            await one.offer(number)
            await until(lambda: not len(one.queue))
            await asyncio.sleep(0.005)
        running.cancel()
    assert backend.stored == [0, 1, 2]


async def test_finish_cuts_one_delay_short_and_ends_when_the_queue_is_empty(
    backend: Backend,
) -> None:
    backend.replies = [status(429, Retry_After="300"), status(503)]
    async with line(Destination(backend.url)) as one:
        sender = Sender(one.queue, one.over, one.books, BackoffPolicy(0.01, 0.01), SenderClock(now=lambda: AT))
        await one.offer(1)
        running = asyncio.create_task(sender.run())
        await until(lambda: one.books.retries == 1)
        assert not running.done()
        sender.finish()
        await asyncio.wait_for(running, 5)
    assert backend.stored == [1]
    assert one.books.retries == 2


async def test_a_finishing_sender_still_backs_off_between_retries(backend: Backend) -> None:
    backend.always = status(503)
    async with line(Destination(backend.url)) as one:
        sender = Sender(one.queue, one.over, one.books, BackoffPolicy(0.05, 0.05), SenderClock(now=lambda: AT))
        await one.offer(1)
        sender.finish()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sender.run(), 0.2)
    assert 2 <= len(backend.seen) <= 10


async def test_an_idle_sender_finishes_at_once(backend: Backend) -> None:
    async with line(Destination(backend.url)) as one:
        running = asyncio.create_task(one.sender.run())
        await asyncio.sleep(0.01)
        one.sender.finish()
        await asyncio.wait_for(running, 1)


async def test_a_cancelled_run_leaves_the_request_in_flight_in_the_queue(backend: Backend) -> None:
    backend.replies = [dawdle]
    async with line(Destination(backend.url)) as one:
        await one.offer(1)
        running = asyncio.create_task(one.sender.run())
        await until(lambda: bool(backend.seen))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert one.books.queued == 1
        await one.deliver(2)
    assert backend.stored == [1, 2]


async def test_each_change_of_state_is_logged_without_secrets(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backend.replies = [status(503), status(503), status(403, b"who is c2VjcmV0OnNlY3JldA==?"), status(403), status(200)]
    async with line(Destination(backend.url, {"Authorization": "Basic c2VjcmV0OnNlY3JldA=="})) as one:
        for number in range(5):
            await one.deliver(number)
    told = [record for record in caplog.records if record.name == "exporter.otlp.delivery.sender"]
    assert [record.message for record in told] == [
        "delivery retrying",
        "delivery blocked: fix credential or endpoint",
        "delivery working",
    ]
    fields: Mapping[str, object] = vars(told[1])["fields"]
    assert fields["reason"] == "403 Forbidden: who is ***?; see otlp.headers, otlp.headers_file or otlp.authorization_file"


def test_delays_grow_to_a_maximum() -> None:
    assert [BackoffPolicy().retry_delay(attempt, None, 0) for attempt in (0, 1, 2, 3, 10_000)] == [0.2, 0.4, 0.8, 1.5, 1.5]
    assert BackoffPolicy().blocked_delay(10_000, 0) == 300
