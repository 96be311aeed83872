"""The life of a rollout from a controller's page alone: what each turn of it means, tick by tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from exporter.config.settings import Settings
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.rollouts.told import Told, controller, named, results

RULES: Final = tracking_policy(Settings())
REST: Final = Told(events={"RolloutUpdated": 1, "RolloutCompleted": 1, "NewReplicaSetCreated": 1})
"""A rollout at rest: its first deploy was counted, too."""
GOING: Final = (4, 1, 4, 1)


def then(told: Told, phase: str, replicas: tuple[int, int, int, int] = GOING, **events: int) -> Told:
    """Go on: another phase, other gauges, and so many more events."""
    grown = {**told.events, **{reason: told.events.get(reason, 0) + more for reason, more in events.items()}}
    return replace(told, phase=phase, replicas=replicas, events=grown)


STARTED: Final = then(REST, "Progressing", RolloutUpdated=1, NewReplicaSetCreated=1, RolloutNotCompleted=1)
PAUSED: Final = then(STARTED, "Paused", RolloutPaused=1)
ABORTED: Final = then(PAUSED, "Abort", RolloutAborted=1)
DONE: Final = then(PAUSED, "Completed", (4, 4, 4, 0), RolloutResumed=1, RolloutCompleted=1)
BACK: Final = then(PAUSED, "Progressing", (4, 3, 3, 1), RolloutUpdated=1, SkipSteps=1)


@pytest.mark.parametrize(
    ("ticks", "progress", "ended"),
    [
        ([REST, STARTED, PAUSED, DONE], "0110", {"promoted": 1}),
        ([REST, STARTED, ABORTED], "010", {"aborted": 1}),
        ([REST, STARTED, then(STARTED, "Abort", RolloutAborted=2)], "010", {"aborted": 1}),
        ([REST, STARTED, ABORTED, then(ABORTED, "Progressing"), PAUSED], "01011", {"aborted": 1}),
        ([REST, PAUSED, ABORTED, then(ABORTED, "Progressing", RolloutUpdated=1)], "0101", {"aborted": 1}),
        ([REST, PAUSED, BACK, then(BACK, "Completed", (4, 4, 4, 0))], "0100", {"rolled_back": 1}),
        ([REST, PAUSED, then(PAUSED, "Progressing", RolloutUpdated=1)], "011", {"superseded": 1}),
        ([REST, PAUSED, then(PAUSED, "Progressing", (4, 4, 4, 4), RolloutCompleted=1), DONE], "0100", {"promoted": 1}),
        ([REST, then(REST, "Progressing", (9, 4, 4, 0)), REST], "000", {}),
        ([REST, then(REST, "Progressing", (4, 4, 3, 1), RolloutAddedToInformer=1), REST], "000", {}),
        ([REST, then(REST, "Abort", (4, 4, 4, 0), RolloutAborted=1), REST], "000", {}),
        ([REST, then(REST, "Completed", (4, 4, 4, 0), RolloutUpdated=1, RolloutCompleted=1)], "00", {"promoted": 1}),
        ([REST, then(REST, "Completed", (4, 4, 4, 0), RolloutUpdated=2, RolloutCompleted=2)], "00", {"promoted": 2}),
        ([REST, STARTED, then(STARTED, "Timeout"), then(STARTED, "Timeout")], "0111", {}),
    ],
)
def test_progress_and_results_follow_every_turn(ticks: list[Told], progress: str, ended: dict[str, int]) -> None:
    watch = RolloutTracker(RULES)
    cycles = [watch.process(number * 15.0, [controller(number * 15.0, told)]) for number, told in enumerate(ticks, 1)]
    said = [named(cycle.families, "argo_rollouts_update_in_progress") for cycle in cycles]
    assert [one["canary",] for one in said] == [float(one) for one in progress]
    assert results(cycles[-1]) == ended


def test_every_counter_is_there_at_0_from_first_sight_so_that_the_first_abort_is_an_increase() -> None:
    watch = RolloutTracker(RULES)
    cycle = watch.process(15, [controller(15, REST)])
    assert set(named(cycle.families, "argo_rollouts_updates_total").values()) == {0.0}
    assert set(named(cycle.families, "argo_rollouts_phase_transitions_total").values()) == {0.0}
    assert len(named(cycle.families, "argo_rollouts_updates_total")) == 4
    starts = [one for family in cycle.families for one in family.start_times or () if family.name.startswith("argo_")]
    assert set(starts) == {15.0}


def test_a_controller_that_restarts_counts_anew_and_that_is_no_event() -> None:
    watch = RolloutTracker(RULES)
    watch.process(15, [controller(15, REST)])
    watch.process(30, [controller(30, PAUSED)])
    again = watch.process(45, [controller(45, replace(PAUSED, events={"RolloutAddedToInformer": 1}), start=35)])
    assert results(again) == {}
    assert named(again.families, "argo_rollouts_update_in_progress") == {("canary",): 1.0}
    done = watch.process(60, [controller(60, replace(DONE, events={"RolloutCompleted": 1}), start=35)])
    assert results(done) == {"promoted": 1}
    assert results(watch.process(75, [controller(75, replace(DONE, events={}), start=65)])) == {"promoted": 1}


def test_a_cold_start_in_mid_update_is_unknown_and_says_so_until_the_evidence_allows() -> None:
    watch = RolloutTracker(RULES)
    rising = then(STARTED, "Progressing")
    first = watch.process(15, [controller(15, rising)])
    assert named(first.families, "argo_rollouts_update_in_progress") == {}
    assert named(first.families, "argo_rollouts_canary_fraction") == {}
    assert named(first.families, "argo_rollouts_unknown") == {("update",): 1.0}
    known = watch.process(30, [controller(30, then(rising, "Paused", RolloutPaused=1))])
    assert named(known.families, "argo_rollouts_update_in_progress") == {("canary",): 1.0}
    assert named(known.families, "argo_rollouts_unknown") == {}
    assert named(known.stale, "argo_rollouts_unknown") == {("update",): 0.0}


def test_a_first_deploy_is_no_update_even_when_its_spec_was_invalid_at_first() -> None:
    other = replace(REST, name="other")
    new = Told("InvalidSpec", (2, 0, 0, 0))
    fixed = then(new, "Progressing", (2, 2, 0, 2), RolloutUpdated=1, RolloutCompleted=1, NewReplicaSetCreated=1)
    ticks = [[other], [other, new], [other, new], [other, fixed], [other, then(fixed, "Completed", (2, 2, 2, 0))]]
    watch = RolloutTracker(RULES)
    cycles = [watch.process(number * 15.0, [controller(number * 15.0, *told)]) for number, told in enumerate(ticks, 1)]
    assert results(cycles[-1]) == {}
    watch.process(90, [controller(90, other, then(fixed, "Progressing", RolloutUpdated=1))])
    done = then(fixed, "Completed", (2, 2, 2, 0), RolloutUpdated=1, RolloutCompleted=1)
    assert results(watch.process(105, [controller(105, other, done)])) == {"promoted": 1}, "its second deploy is one"


def test_an_update_is_timed_from_first_sight_to_its_end_and_so_is_its_pause() -> None:
    watch = RolloutTracker(RULES)
    for at, told in ((15, REST), (30, STARTED), (45, PAUSED), (60, PAUSED), (75, then(PAUSED, "Progressing"))):
        watch.process(at, [controller(at, told)])
    cycle = watch.process(90, [controller(90, DONE)])
    assert named(cycle.families, "argo_rollouts_last_update_duration_seconds") == {("promoted",): 60.0}
    assert named(cycle.families, "argo_rollouts_pause_seconds_total") == {(): 30.0}
    buckets = named(cycle.families, "argo_rollouts_update_duration_seconds")
    assert (buckets["promoted", "30"], buckets["promoted", "60"], buckets["promoted",]) == (0.0, 1.0, 1.0)


def test_an_abort_at_rest_takes_no_traffic_for_a_canary() -> None:
    watch = RolloutTracker(RULES)
    watch.process(15, [controller(15, REST)])
    cycle = watch.process(30, [controller(30, then(REST, "Abort", (4, 4, 4, 0), RolloutAborted=1))])
    assert named(cycle.families, "argo_rollouts_canary_fraction") == {(): 0.0}
