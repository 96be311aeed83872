"""Every dashboard query and alert expression, run on real stores loaded with recordings of real controllers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from tests.boards.last9_alerts import threshold
from tests.boards.loaded_stores import QueryClient, prometheus_with, victoria_metrics_with
from tests.boards.queries import (
    Expression,
    alert_queries,
    annotation_queries,
    last9_panel_queries,
    panel_queries,
    selectors,
)
from tests.boards.synthetic_metrics import with_synthetic_metrics
from tests.timeline import INTERVAL, Playback, Timeline, play_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.recorded import Recordings

PLAYBACKS: Final = {
    "one": Playback("abort", slowdown=15, until=52, lead_out=900),
    "two": Playback("analysis", slowdown=15),
    "three": Playback("bad-image", slowdown=15, lead_out=300),
    "four": Playback("workload-ref", "argo-only", slowdown=15),
    "five": Playback("leader-failover", slowdown=3),
}
"""The recordings in the stores, by cluster."""
WITH_DETAILS: Final = {"six": Playback("routes-1.10.2", slowdown=15)}
"""Recordings with the second configuration of rollout state."""
WITHOUT_DATA: Final = ["fleet: Lead time: A", "Last9 fleet: Lead time: A"]
"""Panels without data in the recordings, whose objects have no commit time."""
LIVE_PREFIX: Final = "rollouts_exporter_"
"""Own metrics of the exporter are not in recordings; test_live.py queries them."""
FIRING: Final = {
    "ArgoRolloutsNoLeader",
    "RolloutAborted",
    "RolloutAnalysisFailed",
    "RolloutCanaryRestarts",
    "RolloutDegraded",
    "RolloutStuckProgressing",
    "RolloutUndecided",
    "RolloutsExporterSilent",
    "RolloutsExporterTargetDown",
}
"""Alerts whose expression has a value in the recordings; tests/alerts covers their duration."""


def is_recorded(expression: Expression) -> bool:
    names = [selector.name or "" for selector in selectors(expression.with_variables())]
    return not any(name.startswith((LIVE_PREFIX, "process_")) and "target" not in name for name in names)


@pytest.fixture(scope="module")
def timelines(recordings: Recordings, explained_recordings: Recordings) -> dict[str, Timeline]:
    played = {cluster: play_recording(recordings, play) for cluster, play in PLAYBACKS.items()}
    # They are from another day: a query over both has more points than Prometheus allows.
    start = played["one"].start
    for cluster, play in WITH_DETAILS.items():
        played[cluster] = replace(play_recording(explained_recordings, play), start=start)
    return {cluster: with_synthetic_metrics(timeline) for cluster, timeline in played.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["prometheus", "victoria-metrics"])
async def test_every_query_and_the_expected_alerts_return_data(
    kind: str, timelines: dict[str, Timeline], require_program: Callable[[str], str], promtool: str, tmp_path: Path
) -> None:
    program = require_program(kind)
    start = min(timeline.start for timeline in timelines.values())
    end = max(timeline.start + len(timeline.ticks) * INTERVAL for timeline in timelines.values())
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            prometheus_with(timelines, program, promtool, tmp_path)
            if kind == "prometheus"
            else victoria_metrics_with(timelines, program, tmp_path)
        )
        queries = (*panel_queries(), *annotation_queries(), *last9_panel_queries())
        expressions = [item for item in queries if is_recorded(item)]
        empty = [item.location for item in expressions if not await _has_data(store, item, start, end)]
        firing = {item.location for item in alert_queries() if await _has_data(store, item, start, end)}
        differing = [item.location for item in alert_queries() if not await _same_in_last9(store, item, start, end)]
    assert differing == []
    assert len(expressions) >= 120
    assert empty == WITHOUT_DATA
    assert firing == FIRING


async def _has_data(store: QueryClient, expression: Expression, start: float, end: float) -> bool:
    """Return whether a query has a result, without the `or vector(0)` that replaces an empty result."""
    expr = expression.with_variables().removesuffix(" or vector(0)")
    return bool(await store.query_range(expr, start, end, 2 * INTERVAL))


async def _same_in_last9(store: QueryClient, alert: Expression, start: float, end: float) -> bool:
    """Return whether the query of the alert in Last9 is above its number exactly where the expression has a value."""
    query, number = threshold(alert.expr)
    expected = await store.query_range(alert.expr, start, end, 2 * INTERVAL)
    in_last9 = await store.query_range(query, start, end, 2 * INTERVAL)
    above = (
        (series.labels, [timestamp for timestamp, value in series.points if value > number]) for series in in_last9
    )
    return sorted(
        map(_key, ((series.labels, [timestamp for timestamp, _ in series.points]) for series in expected))
    ) == sorted(map(_key, ((labels, times) for labels, times in above if times)))


def _key(series: tuple[Mapping[str, str], list[float]]) -> tuple[list[tuple[str, str]], list[float]]:
    labels, times = series
    return sorted((name, value) for name, value in labels.items() if name != "__name__"), times
