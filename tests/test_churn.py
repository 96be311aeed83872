"""Names that never come back do not stay in memory."""

from __future__ import annotations

import tracemalloc

import pytest

from exporter.config.settings import Settings
from exporter.metrics import Source
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory
from tests.churn import EVICTION_TICKS, LIFETIME, ROLLOUTS, ChurningExporter, measure


def test_every_cycle_of_churn_has_new_rollouts_and_completes_updates() -> None:
    exporter = ChurningExporter()
    for cycle in range(1, 12):
        exporter.run(cycle)
    rollouts = exporter.tracker.status.rollouts
    assert {rollout.key[0] for rollout in rollouts} == {f"n{born}" for born in range(11 - LIFETIME + 1, 12)}
    assert len(rollouts) == LIFETIME * ROLLOUTS
    assert exporter.tracker.state.duration_histograms


@pytest.mark.slow
def test_memory_is_flat_under_churn() -> None:
    points = dict(measure(8 * EVICTION_TICKS, 2 * EVICTION_TICKS))
    # Caches of several generations are full only then; the 200 KiB are what tables of a bounded size may add.
    assert points[8 * EVICTION_TICKS] < points[6 * EVICTION_TICKS] + 200


@pytest.mark.slow
def test_histograms_of_a_namespace_without_rollouts_end() -> None:
    exporter = ChurningExporter()
    for cycle in range(1, 3 * EVICTION_TICKS):
        exporter.run(cycle)
    assert len({namespace for namespace, _ in exporter.tracker.state.duration_histograms}) < 2.5 * EVICTION_TICKS


@pytest.mark.slow
@pytest.mark.parametrize("pass_through", [["unwanted"], ["f.*"]], ids=["unwanted", "wanted"])
def test_names_of_families_that_are_new_at_each_scrape_are_evicted(pass_through: object) -> None:
    settings = Settings.parse({"series": {"pass_through": pass_through}})
    cache = ScrapeCache(settings.series.passes_through)
    parsers = parser_factory(settings, cache)

    def scrape(number: int) -> None:
        parser = parsers(ScrapeRequest(Source.ARGO, "10.0.0.1:8090", 1e9 + number))
        parser.start(200, {})
        parser.feed(b"".join(b"# TYPE f%d_%d gauge\nf%d_%d 1\n" % (number, n, number, n) for n in range(1_500)))
        assert parser.finish(None, 0.1).failure is None

    tracemalloc.start()
    try:
        sizes = []
        for number in range(14):
            scrape(number)
            sizes.append(tracemalloc.get_traced_memory()[0])
        # The first scrapes fill what is bounded.
        assert max(sizes[10:]) < 1.1 * max(sizes[4:8]) + 100_000
    finally:
        tracemalloc.stop()
