"""The alerts over what real controllers said: silent where nothing is wrong, and told where something is."""

from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.boards.queries import RULES, alert_queries, selectors
from tests.film import INTERVAL, Film, Play, film, spelt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.recorded import Recordings

MINUTE: Final = 60.0
FIRED: Final = 'group by (alertname, namespace, name) (max_over_time(ALERTS{alertstate="firing"}[30d]))'
QUIET: Final = (
    Play("basic-canary", before=15 * MINUTE, after=65 * MINUTE),
    Play("basic-canary", slow=15, after=35 * MINUTE),
    Play("scale", slow=15, after=35 * MINUTE),
    Play("leader-failover", before=5 * MINUTE, after=8 * MINUTE),
    Play("leader-failover", slow=3, after=4 * MINUTE),
    Play("restart", before=5 * MINUTE, after=8 * MINUTE),
    Play("restart", slow=3, after=3 * MINUTE),
    Play("ksm-restart", before=5 * MINUTE, after=35 * MINUTE),
    Play("ksm-restart", slow=15, after=15 * MINUTE),
    Play("paused", slow=15, until=20, after=65 * MINUTE),
    Play("rollback", slow=15, after=15 * MINUTE),
    Play("delete", slow=15, after=15 * MINUTE),
)
"""Updates, scalings, changes of leader and restarts that all go well, and a pause that waits for a person.

What is held after a change of leader is not longer than Kubernetes takes to replace a pod that ended.
"""
TOLD: Final = (
    (Play("abort", slow=15, after=20 * MINUTE), {"RolloutAborted shop/checkout", "RolloutAborted pay/ledger"}),
    (
        Play("abort", slow=15, until=52, after=20 * MINUTE),
        {
            "RolloutAborted shop/checkout",
            "RolloutAborted pay/ledger",
            "RolloutDegraded shop/checkout",
            "RolloutDegraded pay/ledger",
        },
    ),
    (
        Play("bad-image", slow=15, after=15 * MINUTE),
        {"RolloutAborted shop/search", "RolloutCanaryRestarts shop/checkout", "RolloutCanaryRestarts shop/search"},
    ),
    (
        Play("invalid-spec", slow=15, after=15 * MINUTE),
        {f"RolloutInvalidSpec {one}" for one in ("shop/both", "shop/mismatch", "pay/none", "pay/noservice")},
    ),
    (
        Play("analysis", slow=15, after=15 * MINUTE),
        {
            "RolloutAborted shop/offers",
            "RolloutAborted shop/search",
            "RolloutAnalysisFailed shop/basket",
            "RolloutAnalysisFailed shop/offers",
            "RolloutAnalysisFailed shop/search",
        },
    ),
    (
        Play("analysis", slow=15, until=25, after=15 * MINUTE),
        {
            "RolloutUndecided shop/basket",
            "RolloutAnalysisFailed shop/basket",
            "RolloutAnalysisFailed shop/offers",
            "RolloutAborted shop/offers",
            "RolloutDegraded shop/offers",
        },
    ),
    (
        Play("analysis-error", slow=15, after=20 * MINUTE),
        {
            f"{alert} shop/{name}"
            for alert in ("RolloutAborted", "RolloutAnalysisFailed", "RolloutDegraded")
            for name in ("checkout", "offers", "search")
        },
    ),
    (
        Play("bluegreen", slow=15, after=20 * MINUTE),
        {f"{alert} shop/store" for alert in ("RolloutAborted", "RolloutAnalysisFailed", "RolloutDegraded")},
    ),
    (Play("basic-canary", slow=15, until=23, after=40 * MINUTE), {"RolloutStuckProgressing shop/checkout"}),
    (Play("basic-canary", "plain", slow=15, after=35 * MINUTE), {"KubeStateMetricsWithoutAllowList"}),
    (Play("api-outage", slow=15, after=8 * MINUTE), {"ArgoRolloutsNoLeader"}),
    (
        Play("duplicate-metric", slow=30, until=12, after=20 * MINUTE),
        {"ArgoRolloutsNoLeader", "RolloutsExporterTargetDown"},
    ),
)
"""What goes wrong, held long enough to be told, and what is told of it."""


@pytest.mark.parametrize("play", QUIET, ids=str)
def test_nothing_is_told_where_all_goes_well(play: Play, recordings: Recordings, promtool: str, tmp_path: Path) -> None:
    _judge(promtool, tmp_path, _test(play, film(recordings, play), ()))


@pytest.mark.parametrize(("play", "told"), TOLD, ids=[str(play) for play, _ in TOLD])
def test_what_goes_wrong_is_told_and_nothing_else(
    play: Play, told: set[str], recordings: Recordings, promtool: str, tmp_path: Path
) -> None:
    _judge(promtool, tmp_path, _test(play, film(recordings, play), told))


def _judge(promtool: str, folder: Path, test: dict[str, Any]) -> None:
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _test(play: Play, played: Film, told: Iterable[str]) -> dict[str, Any]:
    """Return promtool's test of a film: what fired at any time is what is told, as `alert namespace/name`."""
    wanted = {one.name for query in alert_queries() for one in selectors(query.expr)}
    series = [
        {"series": spelt(key), "values": " ".join(_values(column))}
        for key, column in played.columns()
        if key[0] in wanted or key[0].startswith(("rollout_reconcile_error",))
    ]
    lasting = math.ceil(len(played.ticks) * INTERVAL / 60)
    running = {"series": 'rollouts_exporter_build_info{version="1"}', "values": f"1x{len(played.ticks)}"}
    return {
        "name": f"{play}",
        "interval": f"{INTERVAL:.0f}s",
        "input_series": [*series, running],
        "promql_expr_test": [
            {
                "expr": FIRED,
                "eval_time": f"{lasting}m",
                "exp_samples": [{"labels": _labels(one), "value": 1} for one in told],
            }
        ],
    }


def _labels(told: str) -> str:
    alert, _, rollout = told.partition(" ")
    namespace, _, name = rollout.partition("/")
    rest = f', namespace="{namespace}", name="{name}"' if rollout else ""
    return f'{{alertname="{alert}"{rest}}}'


def _values(column: list[float | None]) -> Iterator[str]:
    """Write a series as promtool does: a value that is no longer said is stale, as a scrape that lacks it makes it."""
    before: float | None = None
    for value in column:
        yield "stale" if value is None and before is not None else "_" if value is None else f"{value!r}"
        before = value
