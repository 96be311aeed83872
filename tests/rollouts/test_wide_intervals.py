"""Pages that are further apart than what happens between them: what they prove is exported, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from exporter.rollouts.inference.revisions import hashes_by_revision
from exporter.rollouts.model import (
    ControllerProcess,
    ControllerView,
    EventDeltas,
    ReplicaCounts,
    ReplicaSet,
    RevisionHashes,
    UpdateState,
)
from exporter.rollouts.tracker import RolloutTracker
from tests.rollouts.lagging import (
    APPLIED,
    FIRST_DEPLOY,
    NEW,
    OLD,
    PAUSED,
    POLICY,
    ROUTED,
    SETTLED,
    Watch,
    changed,
    fraction,
    in_progress,
    pods_by_role,
)
from tests.rollouts.pages import (
    PageReplicaSet,
    PageRollout,
    PageStatus,
    controller_page,
    failed_scrape,
    kube_page,
    status_page,
    update_results,
)

OLD_ALONE: Final = PageReplicaSet("old", 1, 4)


# Controllers


def test_what_a_controller_counted_while_another_one_led_is_no_update_that_ended() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(1000, [controller_page(1000, SETTLED, start_time=990)])
    # The same address answers for another cluster, whose controller is older.
    assert SETTLED.events == FIRST_DEPLOY
    snapshot = tracker.process(1002, [controller_page(1002, SETTLED, start_time=970)])
    assert update_results(snapshot) == {}


def test_what_a_standby_counted_since_it_took_the_lead_is_an_update_that_ended() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(1000, [controller_page(1000, SETTLED, start_time=990)])
    snapshot = tracker.process(1017, [controller_page(1017, SETTLED, target="b", start_time=970)])
    assert update_results(snapshot) == {"promoted": 1}


# Pods


def test_pods_of_an_earlier_page_are_no_share_of_an_update_that_began_since_without_a_leader() -> None:
    tracker = RolloutTracker(POLICY)
    old, updating = PageStatus("old", "old"), PageStatus("old", "new", 2)
    tracker.process(1000, [controller_page(1000, SETTLED), kube_page(1000, OLD_ALONE), status_page(1000, old)])
    away = tracker.process(1015, [failed_scrape(1015), status_page(1015, updating)])
    assert in_progress(away) == 1.0
    assert fraction(away) is None
    with_pods = tracker.process(1030, [failed_scrape(1030), kube_page(1030, OLD, NEW), status_page(1030, updating)])
    assert fraction(with_pods) == 0.25
    led = tracker.process(1045, [controller_page(1045, PAUSED), kube_page(1045, OLD, NEW), status_page(1045, updating)])
    assert fraction(led) == 0.25


@pytest.mark.parametrize(
    ("gauges", "phase", "share"),
    [((4, 2, 3, 1), "Progressing", 1 / 3), ((4, 2, 4, 0), "Paused", 0.5), ((4, 0, 4, 0), "Abort", 0.0)],
    ids=["fewer canary pods in an update", "others in a pause", "more canary pods in an abort"],
)
def test_pods_from_before_the_gauges_of_a_page_are_no_share_of_the_traffic(
    gauges: tuple[int, int, int, int], phase: str, share: float
) -> None:
    watch = Watch()
    unready = changed(PAUSED, "Progressing", (4, 1, 3, 1), RolloutPaused=-1)
    watch.see_all((SETTLED, (OLD_ALONE,)), (unready, (OLD_ALONE, replace(NEW, pod_count=0))))
    reason = {"Abort": "RolloutAborted", "Paused": "RolloutPaused"}.get(phase, "RolloutStepCompleted")
    assert fraction(watch.see(changed(unready, phase, gauges, **{reason: 1}), (OLD, NEW))) == share


def test_pods_from_after_the_gauges_of_a_page_are_the_share_of_the_traffic() -> None:
    watch = Watch()
    watch.see_all((SETTLED, (OLD_ALONE,)), (PAUSED, (OLD, NEW)))
    lagging = changed(PAUSED, "Progressing", (4, 1, 3, 1), RolloutResumed=1)
    assert fraction(watch.see(lagging, (replace(OLD, pod_count=2), replace(NEW, pod_count=2)))) == 0.5


# Weights of a router, without rollout state

HALF: Final = changed(
    APPLIED, "Paused", (10, 5, 10, 0), TrafficWeightUpdated=2, RolloutStepCompleted=1, RolloutPaused=1
)
"""With dynamicStableScale, so that the stable pods are fewer."""


@pytest.mark.parametrize("pods", [(), (replace(OLD, pod_count=5), replace(NEW, pod_count=5))], ids=["none", "shown"])
def test_on_the_way_back_the_weight_is_held_until_its_change_is_counted(pods: tuple[PageReplicaSet, ...]) -> None:
    watch = Watch()
    before = ((replace(OLD, pod_count=10),), pods) if pods else ()
    watch.see_all((ROUTED, *before[:1]), (APPLIED, *before[:1]))
    assert fraction(watch.see(HALF, *before[1:])) == 0.5
    back = changed(HALF, "Progressing", (10, 10, 10, 5), RolloutUpdated=1, SkipSteps=1)
    sets = [(replace(OLD, revision=3, pod_count=10), replace(NEW, pod_count=5))] if pods else []
    assert fraction(watch.see(back, *sets)) == 0.5
    assert fraction(watch.see(changed(back, "Progressing", (10, 10, 13, 2)), *sets)) == 0.5
    counted = changed(back, "Progressing", (10, 10, 14, 1), TrafficWeightUpdated=1)
    assert (fraction(watch.see(counted, *sets)) or 0.0) < 0.5
    assert fraction(watch.see(changed(counted, "Completed", (10, 10, 10, 0)), *sets)) == 0.0


def test_a_weight_is_narrowed_once_a_rollout_that_was_scaled_in_a_pause_has_its_pods() -> None:
    watch = Watch()
    fifth = changed(APPLIED, "Paused", (6, 2, 8, 0), TrafficWeightUpdated=2, RolloutStepCompleted=1, RolloutPaused=1)
    assert fraction(watch.see_all((replace(ROUTED, replicas=(6, 6, 6, 0)),), (APPLIED,), (fifth,))) == 2 / 6
    watch.see(changed(fifth, replicas=(9, 2, 8, 3)))
    assert fraction(watch.see(changed(fifth, replicas=(9, 2, 11, 0)))) == 2 / 9


@pytest.mark.parametrize(
    ("steps", "promotions", "share"),
    [(1, 1, 0.5), (2, 1, None), (2, 2, 0.5)],
    ids=["no step", "a step", "many updates"],
)
def test_at_first_sight_counted_steps_show_that_pods_do_not_follow_the_weight(
    steps: int, promotions: int, share: float | None
) -> None:
    counts = {"TrafficWeightUpdated": 2, "RolloutStepCompleted": steps, "RolloutPaused": 1}
    half = changed(APPLIED, "Paused", (10, 5, 15, 0), **counts, RolloutCompleted=promotions - 1)
    assert fraction(Watch().see(changed(half, TrafficWeightUpdated=1))) == share


def test_a_weight_is_not_taken_from_pods_from_before_the_gauges() -> None:
    watch = Watch()
    step = {"TrafficWeightUpdated": 1, "RolloutStepCompleted": 1, "RolloutPaused": 1}
    fifth = changed(APPLIED, "Paused", (10, 2, 12, 0), **step)
    half = changed(fifth, "Progressing", (10, 5, 15, 0), **step, RolloutResumed=1)
    old, new = replace(OLD, pod_count=10), replace(NEW, pod_count=2)
    watch.see_all((ROUTED, (old,)), (APPLIED, (old, replace(NEW, pod_count=0))), (fifth, (old, new)))
    assert fraction(watch.see(half, (old, new))) == 0.5


def test_a_pause_that_a_user_ends_is_no_set_canary_scale_step() -> None:
    watch = Watch()
    reset = changed(APPLIED, TrafficWeightUpdated=1)
    step = {"TrafficWeightUpdated": 1, "RolloutStepCompleted": 1, "RolloutPaused": 1}
    paused = changed(reset, "Paused", (10, 2, 12, 0), **step)
    promoted = changed(paused, "Progressing", (10, 5, 12, 3), RolloutStepCompleted=1)
    watch.see_all((ROUTED,), (reset,), (paused,), (promoted,))
    assert fraction(watch.see(changed(promoted, "Paused", (10, 5, 15, 0), **step))) == 0.5


# Revisions without numbers

UNNUMBERED: Final = replace(OLD_ALONE, revision=None)
NEW_ALONE: Final = PageReplicaSet("new", None, 4, created_at=2.0)


def test_a_page_that_does_not_show_a_counted_promotion_gives_no_roles() -> None:
    watch = Watch()
    promoted = changed(SETTLED, RolloutUpdated=1, RolloutCompleted=1, NewReplicaSetCreated=1)
    snapshot = watch.see_all((SETTLED, (UNNUMBERED,)), (promoted, (UNNUMBERED,)))
    assert update_results(snapshot) == {"promoted": 1}
    assert pods_by_role(snapshot) == {"unknown": 4}
    assert pods_by_role(watch.see(promoted, (replace(UNNUMBERED, pod_count=0), NEW_ALONE))) == {"stable": 4}


def test_a_size_shows_no_revision_on_a_page_that_counts_other_pods_than_the_controller() -> None:
    watch = Watch()
    waiting = replace(PAUSED, strategy="blueGreen", replicas=(4, 4, 4, 4))
    assert pods_by_role(watch.see(waiting, (UNNUMBERED,))) == {"unknown": 4}
    promoted = changed(waiting, "Completed", RolloutCompleted=1, RolloutResumed=1)
    assert pods_by_role(watch.see(promoted, (UNNUMBERED, NEW_ALONE))) == {"unknown": 8}


def test_of_two_replica_sets_made_in_one_second_that_with_pods_is_the_current_one() -> None:
    watch = Watch()
    watch.see(SETTLED, (UNNUMBERED,))
    replaced = changed(SETTLED, "Progressing", (4, 1, 4, 1), RolloutUpdated=2, NewReplicaSetCreated=2)
    first, second = replace(NEW_ALONE, hash="a", pod_count=0), replace(NEW_ALONE, hash="b", pod_count=1)
    assert pods_by_role(watch.see(replaced, (first, second, UNNUMBERED))) == {"stable": 4, "canary": 1}


def test_a_replica_set_with_all_pods_was_promoted_before_another_process_counts_the_next_revision() -> None:
    watch = Watch()
    watch.see_all((SETTLED, (UNNUMBERED,)), (PAUSED, (UNNUMBERED, replace(NEW_ALONE, pod_count=1))))
    watch.restart_controller()
    following = PageRollout("Progressing", (4, 1, 4, 1), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1})
    snapshot = watch.see(following, (replace(UNNUMBERED, pod_count=0), NEW_ALONE))
    assert update_results(snapshot) == {"promoted": 1}
    assert pods_by_role(snapshot) == {"stable": 4}


# Revisions


def test_the_way_back_and_a_new_revision_in_one_interval_is_an_update_for_as_long_as_the_revision_has_steps_left() -> (
    None
):
    watch = Watch()
    watch.see_all((SETTLED,), (PAUSED,))
    replaced = {"RolloutUpdated": 2, "SkipSteps": 1, "NewReplicaSetCreated": 1, "RolloutStepCompleted": 2}
    snapshot = watch.see(changed(PAUSED, "Progressing", (4, 2, 3, 1), **replaced))
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {"rolled_back": 1}


def test_a_new_revision_and_the_way_back_in_one_interval_is_no_update_once_the_stable_revision_has_all_pods() -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (changed(PAUSED, "Paused", (4, 1, 5, 0)),))
    replaced = {"RolloutUpdated": 2, "SkipSteps": 1, "NewReplicaSetCreated": 1}
    snapshot = watch.see(changed(PAUSED, "Progressing", (4, 4, 5, 1), **replaced))
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {"superseded": 1, "rolled_back": 1}


@pytest.mark.parametrize(
    ("replica_sets", "remembered", "stable"),
    [
        # hash, number, created at, pods; the last one is not the current one yet
        ([("old", 1, 1.0, 1), ("new", 3, 3.0, 1), ("mid", 4, 2.0, 4)], "mid", "mid"),
        ([("new", 2, 2.0, 1), ("old", 3, 1.0, 4)], "", "old"),
        ([("old", 1, 1.0, 4), ("new", 2, 2.0, 1), ("next", 3, 3.0, 1)], "", "old"),
    ],
    ids=["remembered, beside others with pods", "not remembered, taken up again", "not remembered, beside a new one"],
)
def test_the_stable_revision_is_found_while_the_status_is_behind_the_newest_replica_set(
    replica_sets: list[tuple[str, int, float, int]], remembered: str, stable: str
) -> None:
    ordered = [ReplicaSet(name, number, created, pods, pods) for name, number, created, pods in replica_sets]
    view = ControllerView(ControllerProcess("a", 1.0), "canary", "", "Paused", ReplicaCounts(4, 1, 5, 0))
    previous = RevisionHashes("new", remembered)
    hashes = hashes_by_revision(ordered, view, UpdateState.UPDATING, previous, EventDeltas(updates=1), is_behind=True)
    assert (hashes.current, hashes.stable) == ("new", stable)


@pytest.mark.parametrize(("phase", "progress"), [("Progressing", None), ("Paused", 1.0)])
def test_at_first_sight_a_former_replica_set_that_was_taken_up_again_may_be_stable_unless_it_pauses(
    phase: str, progress: float | None
) -> None:
    watch = Watch()
    back = changed(PAUSED, phase, (4, 2, 4, 0), RolloutUpdated=1)
    assert in_progress(watch.see(back, (replace(OLD, revision=3, pod_count=2), replace(NEW, pod_count=2)))) == progress


def test_a_way_back_that_no_page_of_replica_sets_showed_is_no_superseded_revision_of_the_next_page() -> None:
    watch = Watch()
    watch.see_all((SETTLED, (OLD_ALONE,)), (PAUSED, (OLD, NEW)))
    back = changed(PAUSED, "Completed", (4, 4, 4, 0), RolloutUpdated=1, SkipSteps=1)
    assert update_results(watch.see(back)) == {"rolled_back": 1}
    following = changed(back, RolloutUpdated=1, RolloutCompleted=1, NewReplicaSetCreated=1)
    sets = (replace(OLD, revision=3, pod_count=0), PageReplicaSet("next", 4, 4, created_at=3.0))
    assert update_results(watch.see(following, sets)) == {"rolled_back": 1, "promoted": 1}


def test_a_revision_after_an_abort_and_the_way_back_in_one_interval_is_an_update_that_was_rolled_back() -> None:
    watch = Watch()
    aborted = changed(PAUSED, "Abort", (4, 0, 4, 0), RolloutAborted=1)
    watch.see_all((SETTLED, (OLD_ALONE,)), (PAUSED, (OLD, NEW)), (aborted, (OLD_ALONE, replace(NEW, pod_count=0))))
    back = changed(aborted, "Completed", (4, 4, 4, 0), RolloutUpdated=2, NewReplicaSetCreated=1, SkipSteps=1)
    sets = (replace(OLD_ALONE, revision=4), replace(NEW, pod_count=0), PageReplicaSet("next", 3, 0, created_at=3.0))
    assert update_results(watch.see(back, sets)) == {"aborted": 1, "rolled_back": 1}


def test_a_pause_since_an_abort_by_a_user_shows_that_the_update_was_retried() -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (PAUSED,))
    snapshot = watch.see(changed(PAUSED, RolloutAborted=1, RolloutPaused=1))
    assert in_progress(snapshot) == 1.0
    assert update_results(watch.see(changed(PAUSED, RolloutAborted=1, RolloutPaused=2))) == {"aborted": 1}


@pytest.mark.parametrize("pods", [(), ((OLD, NEW),)], ids=["controller's page", "revisions"])
def test_an_abort_that_was_retried_within_an_interval_is_counted_once_the_update_goes_on(
    pods: tuple[tuple[PageReplicaSet, ...], ...],
) -> None:
    watch = Watch()
    before = ((OLD_ALONE,),) if pods else ()
    watch.see_all((SETTLED, *before), (PAUSED, *pods))
    retried = changed(PAUSED, "Progressing", (4, 1, 3, 1), AnalysisRunFailed=1, RolloutAborted=1)
    assert update_results(watch.see(retried, *pods)) == {}, "the status may not show it yet"
    going_on = changed(retried, "Paused", (4, 1, 4, 0), RolloutPaused=1, RolloutStepCompleted=1)
    snapshot = watch.see(going_on, *pods)
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {"aborted": 1}


# Objects


def test_a_revision_that_was_counted_before_a_rollout_was_made_again_is_not_counted_as_its_next_one() -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (PAUSED,))
    # Deleted and made again: the controller goes on with the counters.
    again = changed(PAUSED, "Progressing", (4, 0, 0, 0), RolloutDeleted=1, RolloutUpdated=1, NewReplicaSetCreated=1)
    watch.see(again)
    following = {"RolloutCompleted": 1, "RolloutUpdated": 1, "NewReplicaSetCreated": 1, "RolloutStepCompleted": 1}
    assert in_progress(watch.see(changed(again, "Progressing", (4, 1, 5, 0), **following))) == 1.0


def test_steps_show_an_update_of_a_rollout_whose_first_deploy_was_promoted_before_it_was_seen() -> None:
    watch, other = Watch(), replace(SETTLED, name="other")
    watch.see_all((SETTLED, other, (OLD_ALONE,)), (PAUSED, other, (OLD, NEW)), (other,))
    counted = {"RolloutDeleted": 1, "RolloutUpdated": 1, "RolloutCompleted": 1, "NewReplicaSetCreated": 1}
    again = changed(PAUSED, "Progressing", (4, 4, 2, 2), **counted)
    first, second = PageReplicaSet("first", 1, 4, created_at=5.0), PageReplicaSet("second", 2, 1, created_at=6.0)
    assert in_progress(watch.see(again, other, (first,))) == 0.0
    step = {"RolloutUpdated": 1, "NewReplicaSetCreated": 1, "RolloutPaused": 1, "RolloutStepCompleted": 1}
    following = changed(again, "Paused", (4, 1, 4, 0), **step)
    snapshot = watch.see(following, other, (replace(first, pod_count=3), second))
    assert in_progress(snapshot) == 1.0
    assert pods_by_role(snapshot) == {"stable": 3, "canary": 1}


@pytest.mark.parametrize("is_evicted", [False, True], ids=["in one interval", "after a page without it"])
def test_pods_of_two_revisions_of_a_rollout_that_was_made_again_are_an_update(*, is_evicted: bool) -> None:
    watch = Watch()
    other = replace(SETTLED, name="other")
    watch.see_all((SETTLED, other), (PAUSED, other))
    counted = {"RolloutDeleted": 1, "RolloutUpdated": 2, "RolloutCompleted": 1, "NewReplicaSetCreated": 2}
    again = changed(PAUSED, "Progressing", (4, 1, 4, 1), **counted)
    if is_evicted:
        watch.see(other)
    assert in_progress(watch.see(again, other)) == 1.0
    done = changed(again, "Completed", (4, 4, 4, 0), RolloutCompleted=1)
    assert update_results(watch.see(done, other)) == {"promoted": 1}
