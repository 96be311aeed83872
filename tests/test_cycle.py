"""A cycle scrapes what is due, also when cycles take longer than a tick."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import load
from exporter.demo.servers import serve_path
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.scraper import Scraper
from exporter.self_metrics import SelfMetrics
from exporter.service.cycle import CycleDependencies, CycleRunner, PeriodicSchedule
from exporter.service.wiring import parser_factory, tracking_policy
from exporter.service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from exporter.config.settings import Settings

NOW = 1_795_446_000.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    started.close()


@asynccontextmanager
async def cycle_runner(settings: Settings, worker: Worker) -> AsyncIterator[CycleRunner]:
    cache = ScrapeCache()
    scraper = Scraper(settings, parser_factory(settings, cache))
    tracker, self_metrics = RolloutTracker(tracking_policy(settings)), SelfMetrics("a", NOW)
    try:
        yield CycleRunner(CycleDependencies(scraper, tracker, cache, self_metrics, worker), settings.tick_seconds)
    finally:
        await scraper.aclose()


@given(ticks=st.integers(1, 7), jumps=st.lists(st.integers(1, 10), max_size=30))
def test_periodic_work_is_due_at_the_first_tick_at_or_after_each_multiple(ticks: int, jumps: list[int]) -> None:
    schedule, tick_number = PeriodicSchedule(), 0
    assert schedule.is_due("work", tick_number, ticks)
    for jump in jumps:
        multiples = [number for number in range(tick_number + 1, tick_number + jump + 1) if number % ticks == 0]
        tick_number += jump
        assert schedule.is_due("work", tick_number, ticks) is bool(multiples)


@pytest.mark.parametrize(("elapsed_ticks", "scrapes"), [(1, 10), (2, 20), (3, 20)])
async def test_overload_starves_no_source(worker: Worker, elapsed_ticks: int, scrapes: int) -> None:
    counts: Counter[str] = Counter()

    async def page(request: web.Request) -> web.Response:
        counts[request.headers["X-Source"]] += 1
        return web.Response(text="", content_type="text/plain")

    async with serve_path(page) as target:
        sections = {
            name: {"targets": [target], "interval": interval, "headers": {"X-Source": name}}
            for name, interval in (("argo", "1s"), ("kube_state_metrics", "2s"))
        }
        async with cycle_runner(load(None, {}, sections).settings, worker) as runner:
            for number in range(20):
                await runner.run(elapsed_ticks, NOW + elapsed_ticks * number)
    assert counts == {"argo": 20, "kube_state_metrics": scrapes}
