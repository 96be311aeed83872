"""Start and outcome of an update that `status.duration` shows (Argo Rollouts 1.11), and fields that have two shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import Source
from exporter.rollouts.inputs.rollout_state import RolloutStatusReader
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import PageRollout, PageStatus, controller_page, parse_page, series_values, update_results

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY: Final = tracking_policy(ARTICLE)
PREFIX: Final = "kube_customresource_rollout_"
KEY: Final = 'name="cart",namespace="shop"'
SETTLED: Final = PageRollout(events={"RolloutUpdated": 1, "RolloutCompleted": 1})
UPDATING: Final = PageRollout("Progressing", (4, 1, 4, 0), {"RolloutUpdated": 2, "RolloutCompleted": 1})
DURATION: Final = "argo_rollouts_last_update_duration_seconds"


def state_lines(status: PageStatus, completion: str = "", times: Mapping[str, float] | None = None) -> list[str]:
    """Return the lines of a status with `status.duration`."""
    lines = list(status.lines())
    if completion:
        lines[0] = lines[0].replace("{", f'{{completion="{completion}",', 1)
    return [*lines, *(f'{PREFIX}duration{{{KEY},field="{field}"}} {value}' for field, value in (times or {}).items())]


@pytest.mark.parametrize("field", ["rolloutStartedAt", "startedAt"], ids=["object", "list"])
def test_start_and_end_of_an_update_are_those_that_the_controller_shows(field: str) -> None:
    tracker = RolloutTracker(POLICY)
    times: dict[str, float] = {field: 1020.0}
    pages = [
        (SETTLED, state_lines(PageStatus("old", "old"))),
        (UPDATING, state_lines(PageStatus("old", "new", 2), times=times)),
        (
            PageRollout(events={"RolloutUpdated": 2, "RolloutCompleted": 2}),
            state_lines(PageStatus("new", "new", 2), "Promoted", {**times, "finishedAt": 1041.0}),
        ),
    ]
    for now, (rollout, lines) in zip((1000.0, 1030.0, 1060.0), pages, strict=True):
        state = parse_page(ScrapeRequest(Source.ROLLOUT_STATE, "state", now), *lines)
        snapshot = tracker.process(now, [controller_page(now, rollout), state])
    assert update_results(snapshot) == {"promoted": 1}
    assert series_values(snapshot.families, DURATION) == {("promoted",): 21.0}


def test_the_outcome_shows_an_abort_before_the_phase_does() -> None:
    tracker = RolloutTracker(POLICY)
    for now, lines in (
        (15.0, state_lines(PageStatus("old", "new", 2))),
        (30.0, state_lines(PageStatus("old", "new", 2), "Aborted")),
    ):
        state = parse_page(ScrapeRequest(Source.ROLLOUT_STATE, "state", now), *lines)
        snapshot = tracker.process(now, [controller_page(now, UPDATING), state])
    assert series_values(snapshot.families, "argo_rollouts_update_in_progress") == {("canary",): 0.0}
    assert update_results(snapshot) == {"aborted": 1}


@pytest.mark.parametrize(("observed", "is_current"), [("5", True), ("5.000000", True), ("4", False)])
def test_a_generation_is_read_as_text_or_as_a_number(observed: str, *, is_current: bool) -> None:
    generations = f'workload_generation="5",workload_observed_generation="{observed}"'
    lines = (
        f'{PREFIX}status_info{{{KEY},stable_hash="a",current_hash="a",message="m",{generations}}} 1',
        f"{PREFIX}generation{{{KEY}}} 5",
        f"{PREFIX}observed_generation{{{KEY}}} {observed}",
    )
    page = parse_page(ScrapeRequest(Source.ROLLOUT_STATE, "state", 1.0), *lines)
    (status,) = RolloutStatusReader().read([page], 1.0).values()
    assert status.details is not None
    assert (status.generation_observed, status.details.workload_observed) == (is_current, is_current)
