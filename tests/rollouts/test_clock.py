"""A clock that is wrong for a moment: the times of points, of the remembered state, and what is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.rollouts.tracker import RolloutTracker, TrackerState
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE

from .pages import PageReplicaSet, PageRollout, controller_page, kube_page
from .stored import after_restart

POLICY = tracking_policy(ARTICLE)
NOW = 1_795_446_000.0
HOURS = 2 * 3600.0
STABLE, NEW = PageReplicaSet("old", 1, 4), PageReplicaSet("new", 2, 1)


def tick(tracker: RolloutTracker, now: float, phase: str = "Completed", *replica_sets: PageReplicaSet) -> float:
    """Process a tick; return the time of its points."""
    results = (controller_page(now, PageRollout(phase)), kube_page(now, *(replica_sets or (STABLE,))))
    return tracker.process(now, results).timestamp


def times(state: TrackerState) -> list[float]:
    """Return every moment that a state remembers."""
    moments = [state.updated_at, *state.last_seen.values(), *state.replaced_info_series.values()]
    for rollout in state.rollout_states.values():
        held = rollout.phases.hold_down_from
        moments += [rollout.first_seen, rollout.phases.since, rollout.last_event_at, held[1] if held else 0.0]
        moments.append((rollout.update and rollout.update.started_at) or 0.0)
    return moments


def test_points_have_the_right_time_again_after_a_moment_with_the_clock_ahead() -> None:
    tracker = RolloutTracker(POLICY)
    tick(tracker, NOW)
    tick(tracker, NOW + HOURS, "Progressing", STABLE, NEW)
    tick(tracker, NOW + HOURS + 4, "Paused", STABLE, NEW)
    assert tracker.status.set_back == 0
    assert tick(tracker, NOW + 19, "Paused", STABLE, NEW) == NOW + 19
    assert tracker.status.set_back == HOURS - 15
    assert max(times(tracker.state)) <= NOW + 19 + POLICY.ended_info
    assert tick(tracker, NOW + 34, "Paused", STABLE, NEW) == NOW + 34
    assert tracker.status.set_back == 0
    (rollout,) = tracker.status.rollouts
    assert rollout.state.phases.phase == "Paused"


@pytest.mark.parametrize("step", [0.5, POLICY.grace - 1])
def test_a_step_back_within_the_grace_period_keeps_the_order_of_points(step: float) -> None:
    tracker = RolloutTracker(POLICY)
    tick(tracker, NOW)
    assert tick(tracker, NOW - step) == pytest.approx(NOW + 0.001, abs=1e-6)
    assert tick(tracker, NOW - step) == pytest.approx(NOW + 0.002, abs=1e-6)
    assert tracker.status.set_back == 0


def test_stored_state_from_the_future_is_used_without_its_time() -> None:
    before = RolloutTracker(POLICY)
    tick(before, NOW)
    tick(before, NOW + HOURS, "Progressing", STABLE, NEW)
    restarted = RolloutTracker(POLICY, after_restart(before.state))
    assert tick(restarted, NOW + 30, "Progressing", STABLE, NEW) == NOW + 30
    assert restarted.status.set_back == HOURS - 30
    assert max(times(restarted.state)) <= NOW + 30 + POLICY.ended_info
    assert restarted.state.rollout_states.keys() == before.state.rollout_states.keys()


def test_a_sidecar_on_standby_believes_the_clock_too() -> None:
    tracker = RolloutTracker(replace(POLICY, sidecar=True))
    tracker.process(NOW + HOURS, (controller_page(NOW + HOURS),))
    assert tracker.process(NOW, (controller_page(NOW),)).timestamp == NOW
    assert tracker.status.set_back == HOURS
    tracker.process(NOW + 15, (controller_page(NOW + 15),))
    assert tracker.status.set_back == 0


def test_a_rollout_that_was_last_seen_in_the_future_still_ends_when_it_is_gone() -> None:
    tracker = RolloutTracker(POLICY)
    tick(tracker, NOW + HOURS)
    tick(tracker, NOW)
    ended = False
    for number in range(1, 40):
        now = NOW + 15 * number
        other = PageRollout(name="other")
        snapshot = tracker.process(now, (controller_page(now, other), kube_page(now)))
        ended |= any(series.label("name") == "cart" for family in snapshot.stale for series in family.series)
    assert ended
    assert [key[1] for key in tracker.state.rollout_states] == ["other"]
