"""A sidecar beside each controller: after takeover and failback no update counts twice, no counter continues."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.config.settings import Settings
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.rollouts.pages import PageRollout, controller_page, failed_scrape, series_values, update_results
from tests.rollouts.stored import after_restart

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot
    from exporter.rollouts.tracker import TrackerState
    from tests.recorded import Recordings

POLICY: Final = tracking_policy(Settings(mode="sidecar"))
TAKEOVERS: Final = {"leader-failover": 2, "leader-failover-v1.6.6": 2, "api-outage": 1, "restart": 0}
"""How often another controller takes the lead in a recording."""
Counters = dict[str, tuple[float, float]]


def counters(snapshot: MetricsSnapshot) -> Counters:
    """Return value and start time of every derived counter."""
    return {
        repr(series): (value, start)
        for family in snapshot.families
        if family.name in DERIVED_FAMILY_NAMES and family.start_times is not None
        for series, value, start in zip(family.series, family.values, family.start_times, strict=True)
    }


def has_rollouts(snapshot: MetricsSnapshot) -> bool:
    """Return whether a snapshot has series of rollouts."""
    return any(series.label("namespace") for family in snapshot.families for series in family.series)


def restarted(state: TrackerState) -> RolloutTracker:
    return RolloutTracker(POLICY, after_restart(state))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("name", TAKEOVERS)
def test_two_sidecars_never_export_one_rollout_at_once_and_counters_fall_only_with_a_new_start_time(
    recordings: Recordings, name: str, *, restarts: bool
) -> None:
    trackers = {"argo-a": RolloutTracker(POLICY), "argo-b": RolloutTracker(POLICY)}
    previous: Counters = {}
    exporting = []
    for tick in recordings.ticks(name, "argo-only"):
        if restarts:
            trackers = {target: restarted(tracker.state) for target, tracker in trackers.items()}
        snapshots = {
            target: tracker.process(tick.timestamp, [result for result in tick.results if result.target == target])
            for target, tracker in trackers.items()
        }
        leading = [target for target, snapshot in snapshots.items() if has_rollouts(snapshot)]
        assert len(leading) <= 1
        exporting += leading
        for target in leading:
            now = counters(snapshots[target])
            for series, (value, start_time) in now.items():
                last_value, last_start = previous.get(series, (0.0, 0.0))
                assert start_time > last_start or (start_time == last_start and value >= last_value), series
            previous |= now
    takeovers = sum(first != second for first, second in pairwise(exporting))
    assert takeovers == TAKEOVERS[name]


def test_the_counters_of_both_sidecars_together_count_each_update_once(recordings: Recordings) -> None:
    counts: dict[float, float] = {}
    for target in ("argo-a", "argo-b"):
        tracker = RolloutTracker(POLICY)
        for tick in recordings.ticks("leader-failover", "argo-only"):
            snapshot = tracker.process(tick.timestamp, [result for result in tick.results if result.target == target])
            for series, (value, start_time) in counters(snapshot).items():
                if 'name="checkout",result="promoted"' in series and 'namespace="shop"' in series:
                    counts[start_time] = value
    assert sum(counts.values()) == 1


def test_a_sidecar_whose_controller_loses_the_lead_exports_nothing_and_sends_no_markers() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, PageRollout())])
    standby = tracker.process(30, [controller_page(30, start_time=20)])
    assert not has_rollouts(standby)
    assert standby.stale == ()


def test_after_a_failback_counters_start_again_although_the_old_ones_are_stored() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, PageRollout(events={"RolloutUpdated": 1}))])
    done = PageRollout(events={"RolloutUpdated": 2, "RolloutCompleted": 1})
    assert update_results(tracker.process(30, [controller_page(30, done)])) == {"promoted": 1.0}
    continued = restarted(tracker.state).process(45, [controller_page(45, done)])
    assert update_results(continued) == {"promoted": 1.0}, "the process that led before still leads"
    taken_over = restarted(tracker.state).process(3600, [controller_page(3600, done, start_time=3000)])
    assert update_results(taken_over) == {}
    assert {start for _, start in counters(taken_over).values()} == {3600.0}


def test_one_failed_scrape_does_not_reset_a_leading_sidecar() -> None:
    tracker = RolloutTracker(POLICY)
    paused = PageRollout("Paused", (4, 1, 4, 0))
    tracker.process(15, [controller_page(15, paused)])
    assert not has_rollouts(tracker.process(30, [failed_scrape(30)]))
    back = tracker.process(45, [controller_page(45, paused)])
    assert {start for _, start in counters(back).values()} == {15.0}
    assert series_values(back.families, "argo_rollouts_phase_start_timestamp_seconds") == {(): 15.0}


def test_a_standby_reports_no_transition_again() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, PageRollout(events={"RolloutUpdated": 1, "RolloutCompleted": 1}))])
    updated = PageRollout("Progressing", events={"RolloutUpdated": 2, "RolloutCompleted": 1})
    tracker.process(30, [controller_page(30, updated)])
    assert [transition.type for transition in tracker.status.transitions] == [TransitionType.UPDATE_STARTED]
    tracker.process(45, [controller_page(45, start_time=20)])
    assert tracker.status.transitions == ()
