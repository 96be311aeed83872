"""The state machine with a controller's page as the only source, tick by tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import PageRollout, controller_page, series_values, update_results

POLICY: Final = tracking_policy(ARTICLE)
SETTLED: Final = PageRollout(events={"RolloutUpdated": 1, "RolloutCompleted": 1, "NewReplicaSetCreated": 1})
"""A settled rollout: its first deploy is counted."""
MID_UPDATE: Final = (4, 1, 4, 1)
TIMES: Final = tuple(tick * 15.0 for tick in range(1, 10))


def after(
    page: PageRollout, phase: str, replicas: tuple[int, int, int, int] = MID_UPDATE, **new_events: int
) -> PageRollout:
    """Return the rollout's next page: another phase and gauges, and event counters grown by `new_events`."""
    counts = {**page.events, **{reason: page.events.get(reason, 0) + count for reason, count in new_events.items()}}
    return replace(page, phase=phase, replicas=replicas, events=counts)


STARTED: Final = after(SETTLED, "Progressing", RolloutUpdated=1, NewReplicaSetCreated=1, RolloutNotCompleted=1)
PAUSED: Final = after(STARTED, "Paused", RolloutPaused=1)
ABORTED: Final = after(PAUSED, "Abort", RolloutAborted=1)
COMPLETED: Final = after(PAUSED, "Completed", (4, 4, 4, 0), RolloutResumed=1, RolloutCompleted=1)
ROLLED_BACK: Final = after(PAUSED, "Progressing", (4, 3, 3, 1), RolloutUpdated=1, SkipSteps=1)


@pytest.mark.parametrize(
    ("pages", "progress", "result_counts"),
    [
        ([SETTLED, STARTED, PAUSED, COMPLETED], "0110", {"promoted": 1}),
        ([SETTLED, STARTED, ABORTED], "010", {"aborted": 1}),
        ([SETTLED, STARTED, after(STARTED, "Abort", RolloutAborted=2)], "010", {"aborted": 1}),
        ([SETTLED, STARTED, ABORTED, after(ABORTED, "Progressing"), after(ABORTED, "Paused")], "01011", {"aborted": 1}),
        ([SETTLED, PAUSED, ABORTED, after(ABORTED, "Progressing", RolloutUpdated=1)], "0101", {"aborted": 1}),
        ([SETTLED, PAUSED, ROLLED_BACK, after(ROLLED_BACK, "Completed", (4, 4, 4, 0))], "0100", {"rolled_back": 1}),
        ([SETTLED, PAUSED, after(PAUSED, "Progressing", RolloutUpdated=1)], "011", {"superseded": 1}),
        (
            [SETTLED, PAUSED, after(PAUSED, "Progressing", (4, 4, 4, 4), RolloutCompleted=1), COMPLETED],
            "0100",
            {"promoted": 1},
        ),
        ([SETTLED, after(SETTLED, "Progressing", (9, 4, 4, 0)), SETTLED], "000", {}),
        ([SETTLED, after(SETTLED, "Progressing", (4, 4, 3, 1), RolloutAddedToInformer=1), SETTLED], "000", {}),
        (
            [
                SETTLED,
                after(SETTLED, "Abort", (4, 4, 4, 0), RolloutAborted=1),
                after(SETTLED, "Completed", (4, 4, 4, 0), RolloutAborted=1),
            ],
            "000",
            {},
        ),
        (
            [SETTLED, after(SETTLED, "Completed", (4, 4, 4, 0), RolloutUpdated=1, RolloutCompleted=1)],
            "00",
            {"promoted": 1},
        ),
        (
            [SETTLED, after(SETTLED, "Completed", (4, 4, 4, 0), RolloutUpdated=2, RolloutCompleted=2)],
            "00",
            {"promoted": 2},
        ),
        ([SETTLED, STARTED, after(STARTED, "Timeout"), after(STARTED, "Timeout")], "0111", {}),
    ],
)
def test_progress_and_results_follow_every_transition(
    pages: list[PageRollout], progress: str, result_counts: dict[str, int]
) -> None:
    tracker = RolloutTracker(POLICY)
    snapshots = [tracker.process(now, [controller_page(now, page)]) for now, page in zip(TIMES, pages, strict=False)]
    in_progress = [series_values(snapshot.families, "argo_rollouts_update_in_progress") for snapshot in snapshots]
    assert [values["canary",] for values in in_progress] == [float(digit) for digit in progress]
    assert update_results(snapshots[-1]) == result_counts


def test_every_counter_is_exported_as_0_from_the_first_tick_so_that_the_first_abort_is_an_increase() -> None:
    tracker = RolloutTracker(POLICY)
    families = tracker.process(15, [controller_page(15, SETTLED)]).families
    assert set(series_values(families, "argo_rollouts_updates_total").values()) == {0.0}
    assert set(series_values(families, "argo_rollouts_phase_transitions_total").values()) == {0.0}
    assert len(series_values(families, "argo_rollouts_updates_total")) == 4
    start_times = [
        start for family in families for start in family.start_times or () if family.name.startswith("argo_")
    ]
    assert set(start_times) == {15.0}


def test_counters_that_restart_with_the_controller_are_not_an_event() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, SETTLED)])
    tracker.process(30, [controller_page(30, PAUSED)])
    restarted = tracker.process(
        45, [controller_page(45, replace(PAUSED, events={"RolloutAddedToInformer": 1}), start_time=35)]
    )
    assert update_results(restarted) == {}
    assert series_values(restarted.families, "argo_rollouts_update_in_progress") == {("canary",): 1.0}
    done = tracker.process(60, [controller_page(60, replace(COMPLETED, events={"RolloutCompleted": 1}), start_time=35)])
    assert update_results(done) == {"promoted": 1}
    assert update_results(tracker.process(75, [controller_page(75, replace(COMPLETED, events={}), start_time=65)])) == {
        "promoted": 1
    }


def test_a_cold_start_in_mid_update_is_unknown_until_there_is_evidence() -> None:
    tracker = RolloutTracker(POLICY)
    progressing = after(STARTED, "Progressing")
    first = tracker.process(15, [controller_page(15, progressing)])
    assert series_values(first.families, "argo_rollouts_update_in_progress") == {}
    assert series_values(first.families, "argo_rollouts_canary_fraction") == {}
    assert series_values(first.families, "argo_rollouts_unknown") == {("update",): 1.0}
    snapshot = tracker.process(30, [controller_page(30, after(progressing, "Paused", RolloutPaused=1))])
    assert series_values(snapshot.families, "argo_rollouts_update_in_progress") == {("canary",): 1.0}
    assert series_values(snapshot.families, "argo_rollouts_unknown") == {}
    assert series_values(snapshot.stale, "argo_rollouts_unknown") == {("update",): 0.0}


def test_a_first_deploy_is_not_an_update_even_if_its_spec_was_invalid_at_first() -> None:
    other = replace(SETTLED, name="other")
    new = PageRollout("InvalidSpec", (2, 0, 0, 0))
    fixed = after(new, "Progressing", (2, 2, 0, 2), RolloutUpdated=1, RolloutCompleted=1, NewReplicaSetCreated=1)
    pages = [[other], [other, new], [other, new], [other, fixed], [other, after(fixed, "Completed", (2, 2, 2, 0))]]
    tracker = RolloutTracker(POLICY)
    snapshots = [tracker.process(now, [controller_page(now, *page)]) for now, page in zip(TIMES, pages, strict=False)]
    assert update_results(snapshots[-1]) == {}
    tracker.process(90, [controller_page(90, other, after(fixed, "Progressing", RolloutUpdated=1))])
    done = after(fixed, "Completed", (2, 2, 2, 0), RolloutUpdated=1, RolloutCompleted=1)
    assert update_results(tracker.process(105, [controller_page(105, other, done)])) == {"promoted": 1}, (
        "the second deploy is an update"
    )


def test_update_and_pause_are_timed_from_the_first_tick_to_the_end() -> None:
    tracker = RolloutTracker(POLICY)
    for now, page in ((15, SETTLED), (30, STARTED), (45, PAUSED), (60, PAUSED), (75, after(PAUSED, "Progressing"))):
        tracker.process(now, [controller_page(now, page)])
    snapshot = tracker.process(90, [controller_page(90, COMPLETED)])
    assert series_values(snapshot.families, "argo_rollouts_last_update_duration_seconds") == {("promoted",): 60.0}
    assert series_values(snapshot.families, "argo_rollouts_pause_seconds_total") == {(): 30.0}
    buckets = series_values(snapshot.families, "argo_rollouts_update_duration_seconds")
    assert (buckets["promoted", "30"], buckets["promoted", "60"], buckets["promoted",]) == (0.0, 1.0, 1.0)


def test_an_abort_of_a_settled_rollout_means_no_canary_traffic() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, SETTLED)])
    snapshot = tracker.process(30, [controller_page(30, after(SETTLED, "Abort", (4, 4, 4, 0), RolloutAborted=1))])
    assert series_values(snapshot.families, "argo_rollouts_canary_fraction") == {(): 0.0}
