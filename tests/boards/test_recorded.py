"""Every dashboard query and every alert expression, asked of real stores that hold what real controllers said."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.boards.synthetic_metrics import beside
from tests.boards.queries import Asked, alert_queries, mark_queries, panel_queries, selectors
from tests.boards.loaded_stores import Store, prometheus_with, victoria_metrics_with
from tests.timeline import INTERVAL, Timeline, Playback, play_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.recorded import Recordings

PLAYS: Final = {
    "one": Playback("abort", slowdown=15, until=52, lead_out=900),
    "two": Playback("analysis", slowdown=15),
    "three": Playback("bad-image", slowdown=15, lead_out=300),
    "four": Playback("workload-ref", "argo-only", slowdown=15),
    "five": Playback("leader-failover", slowdown=3),
}
"""What the stores hold, by cluster."""
LIVE: Final = "rollouts_exporter_"
"""The exporter's own figures are not in recordings: a running one has them (test_live.py)."""
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
"""Alerts whose expression has a value somewhere in the recordings; how long it must last, promtool's tests say."""


def recorded(asked: Asked) -> bool:
    names = [one.name or "" for one in selectors(asked.filled())]
    return not any(name.startswith((LIVE, "process_")) and "target" not in name for name in names)


@pytest.fixture(scope="module")
def films(recordings: Recordings) -> dict[str, Timeline]:
    return {cluster: beside(play_recording(recordings, play)) for cluster, play in PLAYS.items()}


@pytest.mark.parametrize("kind", ["prometheus", "victoria-metrics"])
async def test_every_query_has_an_answer_in_a_recording_and_alerts_have_theirs(
    kind: str, films: dict[str, Timeline], require_program: Callable[[str], str], promtool: str, tmp_path: Path
) -> None:
    program = require_program(kind)
    start = min(played.start for played in films.values())
    end = max(played.start + len(played.ticks) * INTERVAL for played in films.values())
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            prometheus_with(films, program, promtool, tmp_path)
            if kind == "prometheus"
            else victoria_metrics_with(films, program, tmp_path)
        )
        asked = [one for one in (*panel_queries(), *mark_queries()) if recorded(one)]
        empty = [one.where for one in asked if not await _answers(store, one, start, end)]
        firing = {one.where for one in alert_queries() if await _answers(store, one, start, end)}
    assert len(asked) >= 60
    assert empty == []
    assert firing == FIRING


async def _answers(store: Store, asked: Asked, start: float, end: float) -> bool:
    """Tell whether there is anything but the 0 that stands for nothing."""
    expr = asked.filled().removesuffix(" or vector(0)")
    return bool(await store.over(expr, start, end, 2 * INTERVAL))
