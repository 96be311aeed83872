"""The alerts evaluated on recordings of real controllers: which fire, and that no other does."""

from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.boards.queries import RULES, alert_queries, selectors
from tests.timeline import INTERVAL, Playback, Timeline, play_recording, promql_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.recorded import Recordings

MINUTE: Final = 60.0
FIRED_ALERTS: Final = 'group by (alertname, namespace, name) (max_over_time(ALERTS{alertstate="firing"}[30d]))'
WITHOUT_ALERTS: Final = (
    Playback("basic-canary", lead_in=15 * MINUTE, lead_out=65 * MINUTE),
    Playback("basic-canary", slowdown=15, lead_out=35 * MINUTE),
    Playback("scale", slowdown=15, lead_out=35 * MINUTE),
    Playback("leader-failover", lead_in=5 * MINUTE, lead_out=8 * MINUTE),
    Playback("leader-failover", slowdown=3, lead_out=4 * MINUTE),
    Playback("restart", lead_in=5 * MINUTE, lead_out=8 * MINUTE),
    Playback("restart", slowdown=3, lead_out=3 * MINUTE),
    Playback("ksm-restart", lead_in=5 * MINUTE, lead_out=35 * MINUTE),
    Playback("ksm-restart", slowdown=15, lead_out=15 * MINUTE),
    Playback("paused", slowdown=15, until=20, lead_out=65 * MINUTE),
    Playback("rollback", slowdown=15, lead_out=15 * MINUTE),
    Playback("delete", slowdown=15, lead_out=15 * MINUTE),
)
"""Successful updates, scalings, leader changes and restarts, and a pause that waits for a promotion.

After a leader change the recording continues no longer than Kubernetes takes to replace a pod.
"""
WITH_ALERTS: Final = (
    (
        Playback("abort", slowdown=15, lead_out=20 * MINUTE),
        {"RolloutAborted shop/checkout", "RolloutAborted pay/ledger"},
    ),
    (
        Playback("abort", slowdown=15, until=52, lead_out=20 * MINUTE),
        {
            "RolloutAborted shop/checkout",
            "RolloutAborted pay/ledger",
            "RolloutDegraded shop/checkout",
            "RolloutDegraded pay/ledger",
        },
    ),
    (
        Playback("bad-image", slowdown=15, lead_out=15 * MINUTE),
        {"RolloutAborted shop/search", "RolloutCanaryRestarts shop/checkout", "RolloutCanaryRestarts shop/search"},
    ),
    (
        Playback("invalid-spec", slowdown=15, lead_out=15 * MINUTE),
        {f"RolloutInvalidSpec {rollout}" for rollout in ("shop/both", "shop/mismatch", "pay/none", "pay/noservice")},
    ),
    (
        Playback("analysis", slowdown=15, lead_out=15 * MINUTE),
        {
            "RolloutAborted shop/offers",
            "RolloutAborted shop/search",
            "RolloutAnalysisFailed shop/basket",
            "RolloutAnalysisFailed shop/offers",
            "RolloutAnalysisFailed shop/search",
        },
    ),
    (
        Playback("analysis", slowdown=15, until=25, lead_out=15 * MINUTE),
        {
            "RolloutUndecided shop/basket",
            "RolloutAnalysisFailed shop/basket",
            "RolloutAnalysisFailed shop/offers",
            "RolloutAborted shop/offers",
            "RolloutDegraded shop/offers",
        },
    ),
    (
        Playback("analysis-error", slowdown=15, lead_out=20 * MINUTE),
        {
            f"{alert} shop/{name}"
            for alert in ("RolloutAborted", "RolloutAnalysisFailed", "RolloutDegraded")
            for name in ("checkout", "offers", "search")
        },
    ),
    (
        Playback("bluegreen", slowdown=15, lead_out=20 * MINUTE),
        {f"{alert} shop/store" for alert in ("RolloutAborted", "RolloutAnalysisFailed", "RolloutDegraded")},
    ),
    (Playback("basic-canary", slowdown=15, until=23, lead_out=40 * MINUTE), {"RolloutStuckProgressing shop/checkout"}),
    (Playback("basic-canary", "plain", slowdown=15, lead_out=35 * MINUTE), {"KubeStateMetricsWithoutAllowList"}),
    (Playback("api-outage", slowdown=15, lead_out=8 * MINUTE), {"ArgoRolloutsNoLeader"}),
    (
        Playback("duplicate-metric", slowdown=30, until=12, lead_out=20 * MINUTE),
        {"ArgoRolloutsNoLeader", "RolloutsExporterTargetDown"},
    ),
)
"""Failures that last long enough for an alert, and the alerts that must fire, as `alert namespace/name`."""


@pytest.mark.slow
@pytest.mark.parametrize("playback", WITHOUT_ALERTS, ids=str)
def test_no_alert_fires_if_everything_succeeds(
    playback: Playback, recordings: Recordings, promtool: str, tmp_path: Path
) -> None:
    _run_promtool(promtool, tmp_path, _unit_test(playback, play_recording(recordings, playback), ()))


@pytest.mark.slow
@pytest.mark.parametrize(("playback", "expected"), WITH_ALERTS, ids=[str(playback) for playback, _ in WITH_ALERTS])
def test_exactly_the_expected_alerts_fire(
    playback: Playback, expected: set[str], recordings: Recordings, promtool: str, tmp_path: Path
) -> None:
    _run_promtool(promtool, tmp_path, _unit_test(playback, play_recording(recordings, playback), expected))


def _run_promtool(promtool: str, folder: Path, test: dict[str, Any]) -> None:
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    result = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _unit_test(playback: Playback, timeline: Timeline, alerts: Iterable[str]) -> dict[str, Any]:
    """Return promtool's unit test of a timeline: exactly these alerts (`alert namespace/name`) fire at any time."""
    queried_names = {selector.name for query in alert_queries() for selector in selectors(query.expr)}
    series = [
        {"series": promql_text(key), "values": " ".join(_values(column))}
        for key, column in timeline.columns()
        if key[0] in queried_names or key[0].startswith(("rollout_reconcile_error",))
    ]
    minutes = math.ceil(len(timeline.ticks) * INTERVAL / 60)
    build_info = {"series": 'rollouts_exporter_build_info{version="1"}', "values": f"1x{len(timeline.ticks)}"}
    return {
        "name": f"{playback}",
        "interval": f"{INTERVAL:.0f}s",
        "input_series": [*series, build_info],
        "promql_expr_test": [
            {
                "expr": FIRED_ALERTS,
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": _labels(alert), "value": 1} for alert in alerts],
            }
        ],
    }


def _labels(alert_and_rollout: str) -> str:
    alert, _, rollout = alert_and_rollout.partition(" ")
    namespace, _, name = rollout.partition("/")
    rest = f', namespace="{namespace}", name="{name}"' if rollout else ""
    return f'{{alertname="{alert}"{rest}}}'


def _values(column: list[float | None]) -> Iterator[str]:
    """Yield the values in promtool's notation; a missing value after a present one is stale, as after a scrape."""
    previous: float | None = None
    for value in column:
        yield "stale" if value is None and previous is not None else "_" if value is None else f"{value!r}"
        previous = value
