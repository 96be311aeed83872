"""Delivery, targets, gates and configuration: what is wrong is there to look at, and no secret is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from exporter.config.load import load
from exporter.metrics import Source
from exporter.otlp.delivery.accounting import DeliveryState
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ResponseParser, ScrapeRequest
from exporter.service.delivery_trend import DeliveryTrend
from exporter.storage.model import QueuedRequest
from tests.page_data.played_pages import ENVIRONMENT, PlayedPages
from tests.scrape.parsing import always_selected

if TYPE_CHECKING:
    from exporter.metrics import ScrapeResult

MIB = 1024 * 1024
SECRET = "Tm90LWEtcmVhbC10b2tlbg"


def answer(body: bytes, status: int = 200, source: Source = Source.ARGO) -> ScrapeResult:
    parser = ResponseParser(ScrapeRequest(source, "argo-a:8090", 1010.0, "default", 0), ScrapeCache(), always_selected)
    parser.start(status, {"Content-Type": "text/plain; version=0.0.4"})
    parser.feed(body)
    return parser.finish(None, 0.25)


def trend(*figures: tuple[float, int, int]) -> DeliveryTrend:
    result = DeliveryTrend()
    for now, queue_bytes, delivered in figures:
        result.observe(now, queue_bytes, delivered)
    return result


def test_the_rate_of_delivery_is_that_of_the_last_minute() -> None:
    assert trend().points_per_second() is None
    assert trend((0.0, 0, 0)).points_per_second() is None
    assert trend((0.0, 0, 0), (60.0, 0, 0), (120.0, 0, 600)).points_per_second() == 10.0
    assert trend((0.0, 0, 0), (300.0, 0, 600)).points_per_second() == 2.0


def test_a_queue_that_grows_is_full_after_what_is_left_at_its_rate() -> None:
    growing = trend(*((float(now), now * 1000, 0) for now in range(0, 301, 15)))
    assert growing.seconds_until_full(1_300_000, oldest_age=300.0) == pytest.approx(1000.0)
    assert growing.seconds_until_full(1_300_000, oldest_age=45.0) is None, "it is drained after each cycle"
    draining = trend(*((float(now), (300 - now) * 1000, 0) for now in range(0, 301, 15)))
    assert draining.seconds_until_full(1_300_000, oldest_age=300.0) is None


def test_a_clock_that_is_set_back_starts_the_trend_again() -> None:
    assert trend((1000.0, 0, 0), (1060.0, 0, 600), (500.0, 0, 900)).points_per_second() is None


async def test_delivery_shows_the_queue_its_limit_and_where_every_point_is() -> None:
    exporter = PlayedPages()
    exporter.books.produced, exporter.books.delivered = 70, 60
    exporter.books.dropped["expired"] = 10
    exporter.storage.queue.put(QueuedRequest(b"x" * 500, 30, exporter.now))
    exporter.books.state, exporter.books.state_reason = DeliveryState.BLOCKED, "401; check otlp.headers"
    page = await exporter.pages.delivery()
    books = page.books
    assert (books.produced, books.delivered, books.rejected, books.dropped, books.queued) == (
        100,
        60,
        0,
        {"expired": 10},
        30,
    )
    assert (page.queue.requests, page.queue.points) == (1, 30)
    assert page.queue.limit == exporter.loaded.settings.storage.max_bytes
    assert page.head.delivery is not None
    assert (page.head.delivery.state, page.head.delivery.reason) == ("holding", "401; check otlp.headers")


async def test_of_the_log_the_last_warnings_are_shown_once_each_newest_first() -> None:
    exporter = PlayedPages()
    logger = logging.getLogger("tests.page_data")
    logger.addHandler(exporter.logged)
    for number in range(20):
        logger.warning("warning %d", number)
        logger.error("again and again")
    logger.info("no warning")
    logger.removeHandler(exporter.logged)
    notices = (await exporter.pages.delivery()).notices
    assert (len(notices), notices[0].text, notices[0].count) == (10, "again and again", 20)
    assert notices[1].text == "warning 19"


async def test_a_target_shows_its_malformed_lines_bounded_and_masked() -> None:
    exporter = PlayedPages()
    lines = b"".join(b'argo_g{n="%d",api_token="%s"} one\n' % (number, SECRET.encode()) for number in range(50))
    await exporter.process(1010.0, [answer(b"# TYPE argo_g gauge\nargo_g 1\n" + lines)])
    (target,) = (await exporter.pages.targets()).targets
    assert (target.malformed_count, len(target.malformed)) == (50, 5)
    assert SECRET not in str(target)
    assert target.duration == 0.25


async def test_a_target_that_cannot_be_used_shows_its_last_answer_bounded_and_masked() -> None:
    exporter = PlayedPages()
    body = b"<html>no metrics here; token=%s\n" % SECRET.encode() + b"x" * 100_000
    await exporter.process(1010.0, [answer(body, 500)])
    (target,) = (await exporter.pages.targets()).targets
    assert target.state == "down"
    assert target.answer.startswith("500")
    assert "no metrics here" in target.answer
    assert len(target.answer) < 1000
    assert SECRET not in str(target)


async def test_a_source_of_the_settings_without_an_address_is_named() -> None:
    exporter = PlayedPages()
    await exporter.process(1010.0, [answer(b"# TYPE a gauge\na 1\n", source=Source.KUBE_STATE_METRICS)])
    assert "argo" in " ".join((await exporter.pages.targets()).sources_without)


async def test_the_configuration_has_each_setting_with_its_origin_and_no_secret() -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Basic {SECRET}"}
    exporter = PlayedPages(load(None, {**ENVIRONMENT, **headers}))
    page = await exporter.pages.configuration()
    lines = {line.name: line for line in page.settings}
    assert SECRET not in str(page)
    assert lines["otlp.endpoint"].origin == "environment OTEL_EXPORTER_OTLP_ENDPOINT"
    assert not lines["otlp.endpoint"].is_default
    assert lines["storage.max_bytes"].is_default


async def test_without_gates_their_page_is_empty() -> None:
    assert (await PlayedPages().pages.gates()).gates == ()
