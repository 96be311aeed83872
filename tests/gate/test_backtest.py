"""`gate backtest` finds the updates of a month and which of them were bad; `--inject` shows what would be caught."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from exporter.commands.gate.backtest import BacktestOptions, backtest
from exporter.commands.gate.load import GateError, GateSource
from exporter.gate.backtest import UpdateEnd, find_updates
from exporter.gate.controller import parse_version
from exporter.gate.injection import InjectionError, inject
from exporter.gate.render.answers import Answers
from exporter.gate.render.manifest import template
from exporter.gate.render.signals import query
from exporter.net.prometheus_response import RangeSeries
from tests.gate.library import GATES
from tests.gate.simulated_service import (
    NAMESPACE,
    ROLLOUT,
    SERVICE,
    SimulatedService,
    SimulatedUpdate,
    load_victoria_metrics,
)
from tests.real_stores import victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY, HOUR = 86400, 3600
BAD_DAYS = {9: 5.0, 20: 3.0, 25: 8.0}
"""Days of the month on which the update is bad, and how many times as bad its canary is."""
HIDDEN_DAY = 14
"""A bad update that was promoted."""


def month(requests: float = 50.0) -> SimulatedService:
    """Return a month of a service with an update on every second day, and on the bad ones."""
    start = int(time.time()) // DAY * DAY - 30 * DAY
    days = sorted({*range(3, 29, 2), *BAD_DAYS, HIDDEN_DAY})
    updates = tuple(
        SimulatedUpdate(
            day * DAY + 10 * HOUR,
            day * DAY + 11 * HOUR,
            BAD_DAYS.get(day, 5.0 if day == HIDDEN_DAY else 1.0),
            promoted=day not in BAD_DAYS,
        )
        for day in days
    )
    return SimulatedService(start, 30 * DAY, updates, requests=requests, scrape_interval=60)


def options(**overrides: Any) -> BacktestOptions:
    """Return the options of a back-test of the last month."""
    start = time.time() - 31 * DAY
    base = {"service": SERVICE, "rollout": f"{NAMESPACE}/{ROLLOUT}", "as_json": True}
    return BacktestOptions(parse_version("1.9.1"), start, **{**base, **overrides})


def source(file: Path) -> GateSource:
    """Return a gate with the credential."""
    return GateSource(str(file), arguments=("authorization=Basic dXNlcjp0b2tlbg==",))


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["error-rate", "latency"])
async def test_month_with_bad_updates_is_judged(
    signal: str, tmp_path: Path, require_program: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    simulated = month()
    program = require_program("victoria-metrics")
    async with victoria_metrics(program, tmp_path, "-retentionPeriod=1y") as address:
        await load_victoria_metrics(address, simulated)
        base = {"signal": signal, "test": "sequential", "service": SERVICE, "namespace": NAMESPACE, "rollout": ROLLOUT}
        answers = {**base, "address": address, "store": "metricsql", "scrape_interval": 60}
        file = tmp_path / "gate.yaml"
        file.write_text(template(Answers.model_validate(answers)))
        await backtest(source(file), options(factor=3.0))
        document = json.loads(capsys.readouterr().out)
        with pytest.raises(GateError, match=r"no canary of rollout checkout .* set --rollout"):
            await backtest(source(file), options(rollout=""))
    days = {round((row["start"] - simulated.start) // DAY): row for row in document["updates"]}
    assert set(days) == {update.start // DAY for update in simulated.updates}
    assert {day for day, row in days.items() if row["assessment"] == "caught"} == set(BAD_DAYS)
    assert days[HIDDEN_DAY]["assessment"] == "false alarm", "promoted, whatever the gate would have found"
    others = [row["gate"]["verdict"] for day, row in days.items() if day not in BAD_DAYS and day != HIDDEN_DAY]
    assert others.count("passed") >= len(others) - 1
    summary = document["summary"]
    assert (summary["ended"], summary["missed"]) == ({"promoted": len(days) - 3, "aborted": 3}, 0)
    assert 2 <= summary["median_minutes_to_stop"] <= 15
    assert summary["injected"]["stopped"] == summary["injected"]["updates"] == len(days) - 3


@pytest.mark.parametrize("name", ["error-rate", "comparison"])
def test_shipped_gates_that_count_bad_requests_are_scaled(name: str) -> None:
    text = (GATES / f"{name}.yaml").read_text()
    injected = inject(text, 2, "abc")
    assert injected.count("(2 * sum(") == 1
    assert injected.replace("(2 * sum(", "", 1) != injected


def test_rate_of_the_pods_of_the_hash_is_scaled() -> None:
    answers = Answers.model_validate({"signal": "error-rate", "service": "checkout", "address": "http://x"})
    text = query(answers).replace("{{args.canary-hash}}", "6c54544bf9")
    injected = inject(text, 2.5, "6c54544bf9")
    assert injected.startswith('((2.5 * sum(rate(http_requests_total{service="checkout"') or "(2.5 * sum(" in injected
    assert injected.count("2.5 *") == 1, "the denominator is unchanged"


@pytest.mark.parametrize(
    "text",
    [
        'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))',
        'histogram_quantile(0.95, sum by (le) (rate(x_bucket{pod=~".+-abc-.+"}[5m])))',
        "up",
    ],
)
def test_query_without_the_canarys_bad_requests_is_not_scaled(text: str) -> None:
    with pytest.raises(InjectionError, match="does not count the canary's bad requests"):
        inject(text, 2, "abc")


def canary(*timestamps: float) -> RangeSeries:
    """Return the series of a canary that was present at some times."""
    labels = (("name", "web"), ("namespace", "shop"), ("pod_template_hash", "abc"))
    return RangeSeries(labels, tuple((timestamp, 1.0) for timestamp in timestamps))


def counter(result: str, *points: tuple[float, float]) -> RangeSeries:
    """Return the series of ended updates with a result."""
    return RangeSeries((("name", "web"), ("namespace", "shop"), ("result", result)), points)


def test_canary_that_returns_after_a_long_gap_is_another_update() -> None:
    updates = find_updates([canary(0, 60, 120, 600, 5000, 5060)], [], now=90_000)
    assert [(update.start, update.end) for update in updates] == [(0, 600), (5000, 5060)]
    assert {update.result for update in updates} == {UpdateEnd.UNKNOWN}


def test_update_has_the_result_that_was_counted_at_its_end() -> None:
    counters = [
        counter("aborted", (0, 4), (60, 4), (720, 5), (5400, 5)),
        counter("promoted", (0, 1), (60, 1), (720, 1), (5400, 2)),
    ]
    updates = find_updates([canary(0, 600), canary(5000, 5300), canary(89_400, 89_900)], counters, now=90_000)
    assert [str(update.result) for update in updates] == ["aborted", "promoted", "open"]
