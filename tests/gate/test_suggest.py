"""`gate suggest` is honest: what it promises about a service's traffic happens in simulation."""

from __future__ import annotations

import json
import time
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exporter.commands.gate.load import GateError
from exporter.commands.gate.suggest import SuggestOptions, suggest
from exporter.gate.render.answers import Answers
from exporter.gate.sequential import ServiceTraffic
from exporter.gate.suggestion import (
    FALSE_ABORTS,
    TrafficHistory,
    history_of,
    poisson_tail,
    suggest_sequential,
    suggest_threshold,
)
from tests.gate.simulated_service import NAMESPACE, ROLLOUT, SERVICE, SimulatedService, load_victoria_metrics
from tests.real_stores import victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOURS = 24 * 7


def history(requests: float, bad_share: float = 0.005, updates: float = 20.0) -> TrafficHistory:
    """Return a week of even traffic."""
    return TrafficHistory((ServiceTraffic(requests, bad_share),) * HOURS, updates)


def test_sequential_suggestion_decides_in_the_hour_where_it_can() -> None:
    rows = {row.weight: row for row in suggest_sequential(history(20))}
    assert rows[10].decides
    assert (rows[10].worse, round(rows[10].pass_minutes), round(rows[10].catch_minutes)) == (2.0, 19, 23)
    assert rows[10].false_aborts == pytest.approx(0.2)


def test_low_traffic_is_reported_as_undecided() -> None:
    at_ten = [next(row for row in suggest_sequential(history(rate)) if row.weight == 10) for rate in (0.2, 0.02)]
    assert [row.decides for row in at_ten] == [True, False]
    assert at_ten[0].worse == 50.0, "only a canary that fails a quarter of its requests is found in an hour"
    assert at_ten[1].detectable > 100


def test_frequent_updates_get_a_lower_rate_of_false_alarms() -> None:
    rows = list(suggest_sequential(history(20, updates=200)))
    assert {row.false_alarm for row in rows} == {0.001}
    assert all(row.false_aborts <= FALSE_ABORTS for row in rows)


def test_quiet_hours_take_longer() -> None:
    mixed = TrafficHistory((*(ServiceTraffic(50, 0.005),) * 60, *(ServiceTraffic(5, 0.005),) * 40), 20)
    row = next(iter(suggest_sequential(mixed)))
    assert row.quiet_pass_minutes > 5 * row.pass_minutes


@pytest.mark.parametrize("requests", [2.0, 20.0, 200.0])
def test_threshold_keeps_its_promises_in_simulation(requests: float) -> None:
    generator, runs = np.random.default_rng(3), 4000
    for row in suggest_threshold(history(requests)):
        number = requests * row.weight / 100 * row.window

        def failed(factor: float, number: float = number, level: float = row.failure) -> float:
            bad = generator.poisson(number * min(0.005 * factor, 1.0), (runs, 5)) / number
            return float(((bad >= level).sum(axis=1) >= 3).mean())

        assert row.false_aborts <= FALSE_ABORTS
        assert failed(1.0) * 20 <= FALSE_ABORTS + 0.1
        if isfinite(row.detectable):
            assert failed(row.detectable) >= 0.93


def test_hours_without_requests_do_not_count() -> None:
    traffic = history_of([10.0, 0.0, 20.0], [0.1, 0.0, 0.2], [], 5)
    assert [hour.requests for hour in traffic.hours] == [10.0, 20.0]
    assert traffic.typical == ServiceTraffic(15.0, 0.01, 1.0)


@pytest.mark.parametrize("mean", [0.5, 5.0, 99.0, 499.0, 501.0, 2000.0])
def test_poisson_tail_is_that_of_the_distribution(mean: float) -> None:
    drawn = np.random.default_rng(1).poisson(mean, 200_000)
    for count in (int(mean), int(mean + 2 * mean**0.5) + 1):
        assert poisson_tail(count, mean) == pytest.approx(float((drawn >= count).mean()), abs=0.005)
    assert (poisson_tail(0, mean), poisson_tail(1, 0.0)) == (1.0, 0.0)
    assert inf > poisson_tail(3, 1.0, burst=4.0) > poisson_tail(3, 1.0)


@pytest.mark.slow
async def test_suggestions_come_from_the_store(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    start = int(time.time()) // 3600 * 3600 - 49 * 3600
    simulated = SimulatedService(start, 48 * 3600, requests=20.0, scrape_interval=60)
    async with victoria_metrics(require_program("victoria-metrics"), tmp_path, "-retentionPeriod=1y") as address:
        await load_victoria_metrics(address, simulated)
        base = {"signal": "error-rate", "test": "sequential", "service": SERVICE, "namespace": NAMESPACE}
        answers = Answers.model_validate({**base, "rollout": ROLLOUT, "address": address, "store": "metricsql"})
        (line,) = await suggest(answers, None, SuggestOptions(start, as_json=True))
        text = "\n".join(await suggest(answers, None, SuggestOptions(start)))
        other = answers.model_copy(update={"service": "other"})
        with pytest.raises(GateError, match="the store has no requests of other"):
            await suggest(other, None, SuggestOptions(start))
    document = json.loads(line)
    assert document["requests_per_second"]["median"] == pytest.approx(20, rel=0.02)
    assert document["bad_share"] == pytest.approx(0.005, rel=0.1)
    assert 1 <= document["burst"] < 1.3
    assert [row["weight"] for row in document["sequential"]] == [5, 10, 25, 50]
    assert "suggested: gate render --test sequential --signal error-rate --service checkout --worse 2" in text
