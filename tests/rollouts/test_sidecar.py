"""A sidecar beside each controller: takeover and failback double no update and resurrect no counter."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.config.settings import Settings
from exporter.rollouts.persistence import decode_state, encode_state
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.rollouts.told import Told, controller, dead, named, results

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot
    from exporter.rollouts.tracker import TrackerState
    from tests.recorded import Recordings

RULES: Final = tracking_policy(Settings(mode="sidecar"))
TURNS: Final = {"leader-failover": 2, "leader-failover-v1.6.6": 2, "api-outage": 1, "restart": 0}
"""How often the lead passes from one controller to the other in a recording."""
Counters = dict[str, tuple[float, float]]


def counters(cycle: MetricsSnapshot) -> Counters:
    """Return value and start of every derived counter."""
    return {
        repr(series): (value, start)
        for family in cycle.families
        if family.name in DERIVED_FAMILY_NAMES and family.start_times is not None
        for series, value, start in zip(family.series, family.values, family.start_times, strict=True)
    }


def rollouts(cycle: MetricsSnapshot) -> bool:
    """Tell whether a cycle says anything of rollouts."""
    return any(series.label("namespace") for family in cycle.families for series in family.series)


def again(memory: TrackerState) -> RolloutTracker:
    return RolloutTracker(RULES, decode_state(encode_state(memory, "eu"), "eu"))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("name", TURNS)
def test_two_sidecars_never_say_one_rollout_at_once_and_a_counter_never_falls_without_a_new_start(
    recordings: Recordings, name: str, *, restarts: bool
) -> None:
    watches = {"argo-a": RolloutTracker(RULES), "argo-b": RolloutTracker(RULES)}
    before: Counters = {}
    spoke = []
    for tick in recordings.ticks(name, "argo-only"):
        watches = {target: again(one.state) for target, one in watches.items()} if restarts else watches
        cycles = {
            target: watch.process(tick.timestamp, [page for page in tick.results if page.target == target])
            for target, watch in watches.items()
        }
        speaking = [target for target, cycle in cycles.items() if rollouts(cycle)]
        assert len(speaking) <= 1
        spoke += speaking
        for target in speaking:
            now = counters(cycles[target])
            for series, (value, start) in now.items():
                was = before.get(series, (0.0, 0.0))
                assert start > was[1] or (start == was[1] and value >= was[0]), series
            before |= now
    turns = sum(one != other for one, other in pairwise(spoke))
    assert turns == TURNS[name]


def test_updates_of_all_series_lives_together_are_those_that_happened(recordings: Recordings) -> None:
    lives: dict[float, float] = {}
    for target in ("argo-a", "argo-b"):
        watch = RolloutTracker(RULES)
        for tick in recordings.ticks("leader-failover", "argo-only"):
            cycle = watch.process(tick.timestamp, [page for page in tick.results if page.target == target])
            for series, (value, start) in counters(cycle).items():
                if 'name="checkout",result="promoted"' in series and 'namespace="shop"' in series:
                    lives[start] = value
    assert sum(lives.values()) == 1


def test_a_sidecar_whose_controller_loses_the_lead_falls_silent_and_marks_nothing() -> None:
    watch = RolloutTracker(RULES)
    watch.process(15, [controller(15, Told())])
    silent = watch.process(30, [controller(30, start=20)])
    assert not rollouts(silent)
    assert silent.stale == ()


def test_after_a_failback_counters_begin_anew_though_the_memory_still_has_the_old_ones() -> None:
    watch = RolloutTracker(RULES)
    watch.process(15, [controller(15, Told(events={"RolloutUpdated": 1}))])
    done = Told(events={"RolloutUpdated": 2, "RolloutCompleted": 1})
    assert results(watch.process(30, [controller(30, done)])) == {"promoted": 1.0}
    restarted = again(watch.state)
    goes_on = restarted.process(45, [controller(45, done)])
    assert results(goes_on) == {"promoted": 1.0}, "the very process that led before goes on leading"
    taken_over = again(watch.state).process(3600, [controller(3600, done, start=3000)])
    assert results(taken_over) == {}
    assert {start for _, start in counters(taken_over).values()} == {3600.0}


def test_a_page_that_fails_once_costs_a_leading_sidecar_nothing() -> None:
    watch = RolloutTracker(RULES)
    paused = Told("Paused", (4, 1, 4, 0))
    watch.process(15, [controller(15, paused)])
    assert not rollouts(watch.process(30, [dead(30)]))
    back = watch.process(45, [controller(45, paused)])
    assert {start for _, start in counters(back).values()} == {15.0}
    assert named(back.families, "argo_rollouts_phase_start_timestamp_seconds") == {(): 15.0}
