"""A cycle scrapes what is due, also when cycles take longer than a tick."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import load
from exporter.demo.servers import serve_path
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.scraper import Scraper
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service.cycle import CycleDependencies, CycleRunner, PeriodicSchedule
from exporter.service.cycle_store import CycleStore, storage_config
from exporter.service.delivery import DeliveryService
from exporter.service.transition_feed import TransitionFeed
from exporter.service.wiring import parser_factory, tracking_policy
from exporter.service.worker import Worker
from exporter.storage import Storage

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
    accounting = DeliveryAccounting()
    storage = Storage(storage_config(settings), accounting)
    store, transitions = CycleStore(storage, worker, has_directory=False), TransitionFeed(storage.history)
    delivery = None
    if settings.otlp.endpoint is not None:
        delivery = DeliveryService(settings, self_metrics, storage, accounting, worker)
    dependencies = CycleDependencies(scraper, tracker, cache, self_metrics, worker, store, transitions, delivery)
    try:
        yield CycleRunner(dependencies, settings.tick_seconds)
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


async def test_only_the_first_cycle_queues_points_before_all_of_them_are_encoded(worker: Worker) -> None:
    rows = "".join(f'rollout_info{{name="r{number}",namespace="shop"}} 1\n' for number in range(100))

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=f"# TYPE rollout_info gauge\n{rows}", content_type="text/plain")

    async with serve_path(page) as target:
        otlp = {"endpoint": "http://127.0.0.1:1", "request": {"points": 100}}
        tree = {"argo.targets": [target], "otlp": otlp, "attributes": {"k8s.cluster.name": "none"}}
        async with cycle_runner(load(None, {}, tree).settings, worker) as runner:
            queued: list[set[int]] = []
            for number in range(2):
                async with queue_lengths(runner) as lengths:
                    await runner.run(1, NOW + 15 * number)
                queued.append(lengths)
    total = max(queued[0])
    assert queued[0] == {*range(0, total, 8), total}
    assert total > 16
    assert queued[1] == {total, max(queued[1])}


@asynccontextmanager
async def queue_lengths(runner: CycleRunner) -> AsyncIterator[set[int]]:
    """Yield the lengths that the queue has had at any turn of the event loop."""
    lengths: set[int] = set()
    delivery = runner._dependencies.delivery
    assert delivery is not None

    async def watch() -> None:
        while True:
            lengths.add(len(delivery._queue))
            await asyncio.sleep(0)

    task = asyncio.create_task(watch())
    yield lengths
    await asyncio.sleep(0)
    task.cancel()


async def test_a_clock_that_is_set_back_is_counted_and_logged(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    async with cycle_runner(load(None, {}, {"kube_state_metrics": {"targets": []}}).settings, worker) as runner:
        for now in (NOW, NOW + 7200, NOW + 15):
            snapshot = await runner.run(1, now)
            assert snapshot.timestamp == now
        families = {family.name: family for family in runner._self_metrics.families()}
    assert list(families[OwnMetric.CLOCK_STEPS.value.name].values) == [1]
    (record,) = [record for record in caplog.records if record.message == "the clock was set back"]
    assert record.levelno == logging.ERROR
    assert vars(record)["fields"]["seconds"] == 7185
