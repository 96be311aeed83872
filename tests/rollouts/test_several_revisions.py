"""Several revisions, promotions and aborts of a rollout between two ticks."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from tests.rollouts.lagging import PAUSED, SETTLED, Watch, changed, fraction, in_progress, pods_by_role
from tests.rollouts.pages import PageReplicaSet, PageRollout, WorkQueue, update_results

OLD: Final = PageReplicaSet("old", 1, 4)
SECOND: Final = PageReplicaSet("second", 2, 1, created_at=20.0)
THIRD: Final = PageReplicaSet("third", 3, 1, created_at=27.0)
BLUE_GREEN: Final = replace(SETTLED, strategy="blueGreen")


def test_a_revision_is_stable_if_each_of_the_interval_was_promoted_though_its_pods_are_not_ready() -> None:
    watch = Watch()
    watch.see(BLUE_GREEN, (OLD,))
    replaced = changed(BLUE_GREEN, "Progressing", (4, 4, 2, 6), RolloutUpdated=1, NewReplicaSetCreated=1)
    snapshot = watch.see(changed(replaced, RolloutCompleted=1), (OLD, replace(SECOND, pod_count=4)))
    assert in_progress(snapshot, "blueGreen") == 0.0
    assert pods_by_role(snapshot) == {"stable": 4.0, "old": 4.0}


def test_of_two_revisions_the_one_whose_reconciliation_goes_on_is_not_current_yet() -> None:
    watch = Watch()
    watch.see(SETTLED, (OLD,), WorkQueue())
    applied = changed(SETTLED, "Progressing", (4, 1, 4, 1), RolloutUpdated=2, NewReplicaSetCreated=2)
    snapshot = watch.see(applied, (OLD, SECOND, THIRD), WorkQueue(3.0, in_work=1))
    assert pods_by_role(snapshot) == {"stable": 4.0, "canary": 1.0, "unknown": 1.0}
    assert watch.tracker.status.rollouts[0].state.hashes.current == "second"


def test_of_two_revisions_the_one_that_is_not_counted_is_not_current_yet() -> None:
    watch = Watch()
    watch.see(SETTLED, (OLD,))
    applied = changed(SETTLED, "Progressing", (4, 1, 4, 1), RolloutUpdated=1, NewReplicaSetCreated=1)
    watch.see(applied, (OLD, SECOND, replace(THIRD, pod_count=0)))
    assert watch.tracker.status.rollouts[0].state.hashes.current == "second"
    watch.see(changed(applied, "", (4, 1, 5, 1), RolloutUpdated=1, NewReplicaSetCreated=1), (OLD, SECOND, THIRD))
    assert watch.tracker.status.rollouts[0].state.hashes.current == "third"


def test_an_update_to_a_former_replica_set_goes_on_until_it_is_promoted() -> None:
    watch = Watch()
    watch.see(BLUE_GREEN)
    switched = changed(BLUE_GREEN, "Completed", (4, 4, 4, 4), RolloutUpdated=1, AnalysisRunRunning=1)
    assert in_progress(watch.see(switched), "blueGreen") == 1.0
    assert in_progress(watch.see(switched), "blueGreen") == 1.0
    assert update_results(watch.see(changed(switched, RolloutCompleted=1))) == {"promoted": 1}


def test_a_settled_rollout_that_completes_steps_is_updated() -> None:
    watch, empty = Watch(), replace(SETTLED, replicas=(0, 0, 0, 0))
    watch.see(empty)
    assert in_progress(watch.see(changed(empty, "Progressing", RolloutStepCompleted=1))) == 1.0


def test_an_abort_just_after_the_promotion_changes_nothing() -> None:
    watch = Watch()
    watch.see(SETTLED)
    watch.see(PAUSED)
    snapshot = watch.see(changed(PAUSED, "Abort", (4, 4, 4, 0), RolloutCompleted=1, RolloutAborted=1))
    assert (in_progress(snapshot), fraction(snapshot), update_results(snapshot)) == (0.0, 0.0, {"promoted": 1})


def test_of_a_new_revision_and_one_taken_up_again_a_pause_shows_which_came_last() -> None:
    watch = Watch()
    former, old, new = (replace(page, revision=None) for page in (replace(SECOND, created_at=0.5), OLD, THIRD))
    watch.see(SETTLED, (replace(former, pod_count=0), old))
    applied = changed(SETTLED, "Progressing", (4, 0, 4, 0), RolloutUpdated=2, NewReplicaSetCreated=1)
    snapshot = watch.see(applied, (replace(former, pod_count=0), old, new))
    assert pods_by_role(snapshot) == {"stable": 4.0, "unknown": 1.0}
    paused, pods = changed(applied, "Paused", (4, 2, 6, 0), RolloutPaused=1), (replace(former, pod_count=2), old)
    watch.see(paused, (*pods, replace(new, pod_count=0)))
    snapshot = watch.see(paused, (*pods, replace(new, pod_count=0)))
    assert pods_by_role(snapshot) == {"stable": 4.0, "canary": 2.0}


def test_replica_sets_from_before_the_steps_of_an_update_are_outdated() -> None:
    watch = Watch()
    watch.see(SETTLED, (OLD,))
    snapshot = watch.see(PAUSED, (OLD,))
    assert (in_progress(snapshot), pods_by_role(snapshot)) == (1.0, {"stable": 4.0})


def test_lower_revision_numbers_after_a_change_of_leader_are_another_rollout_of_the_name() -> None:
    watch = Watch()
    watch.see(SETTLED, (OLD,))
    watch.see(PAUSED, (OLD, SECOND))
    watch.restart_controller()
    created = replace(SETTLED, phase="Progressing", replicas=(4, 4, 0, 4))
    snapshot = watch.see(created, (replace(OLD, hash="first", created_at=40.0),))
    assert (in_progress(snapshot), pods_by_role(snapshot)) == (0.0, {"stable": 4.0})


def test_pods_of_a_revision_that_is_about_to_be_promoted_are_not_old() -> None:
    watch, old, new = Watch(), replace(OLD, revision=None), replace(SECOND, revision=None, pod_count=4)
    watch.see(SETTLED, (old,), WorkQueue())
    counted = changed(SETTLED, "Progressing", (4, 4, 4, 4), RolloutUpdated=1, RolloutCompleted=1)
    snapshot = watch.see(counted, (old, new), WorkQueue(2.0, in_work=1))
    assert (in_progress(snapshot), pods_by_role(snapshot)) == (1.0, {"stable": 4.0, "unknown": 4.0})


def test_blue_green_there_and_back_between_two_ticks_is_at_rest() -> None:
    watch = Watch()
    watch.see(BLUE_GREEN)
    back = changed(BLUE_GREEN, "Completed", (4, 4, 4, 4), RolloutUpdated=2, NewReplicaSetCreated=1)
    assert in_progress(watch.see(back), "blueGreen") == 0.0


def test_blue_green_is_promoted_once_its_former_pods_are_gone() -> None:
    watch = Watch()
    watch.see(BLUE_GREEN, WorkQueue())
    preview = changed(BLUE_GREEN, "Progressing", (4, 4, 4, 4), RolloutUpdated=1, NewReplicaSetCreated=1)
    watch.see(preview, WorkQueue())
    promoted = changed(preview, "Completed", (4, 4, 4, 0), AnalysisRunRunning=1, RolloutCompleted=1)
    assert in_progress(watch.see(promoted, WorkQueue(3.0, in_work=1)), "blueGreen") == 0.0


@pytest.mark.parametrize("before", [SETTLED, PAUSED], ids=["from rest", "in an update"])
def test_an_abort_counts_for_an_update_that_was_counted_before_it(before: PageRollout) -> None:
    watch = Watch()
    watch.see(SETTLED, WorkQueue())
    watch.see(before, WorkQueue())
    counted = changed(before, RolloutUpdated=1, NewReplicaSetCreated=1)
    watch.see(counted, WorkQueue(3.0, in_work=1))
    aborted = changed(counted, "Progressing", (4, 1, 4, 0), RolloutAborted=1)
    snapshot = watch.see(aborted, WorkQueue(1.0, in_work=1))
    assert (in_progress(snapshot), update_results(snapshot)["aborted"]) == (0.0, 1)


def test_with_dynamic_stable_scale_a_new_revision_keeps_the_weight_until_it_is_counted() -> None:
    watch, routed = Watch(), replace(SETTLED, replicas=(10, 10, 10, 0), router="Nginx")
    watch.see(routed)
    applied = changed(routed, "Progressing", (10, 0, 10, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
    watch.see(changed(applied, TrafficWeightUpdated=1))
    weighted = changed(applied, "Paused", (10, 6, 10, 0), TrafficWeightUpdated=2, RolloutPaused=1)
    assert fraction(watch.see(weighted)) == 0.6
    replaced = changed(weighted, "Progressing", (10, 4, 10, 4), RolloutUpdated=1, NewReplicaSetCreated=1)
    assert fraction(watch.see(replaced)) == 0.6
    assert fraction(watch.see(changed(replaced, TrafficWeightUpdated=1))) == 0.0


def test_a_rollout_that_is_aborted_at_first_sight_is_in_no_first_deploy() -> None:
    watch, other = Watch(), replace(SETTLED, name="till")
    events = {"RolloutUpdated": 3, "RolloutCompleted": 1, "RolloutDeleted": 1, "RolloutAborted": 1}
    aborted = PageRollout("Abort", (4, 0, 4, 0), events)
    watch.see(other)
    watch.see(other, aborted)
    assert in_progress(watch.see(other, changed(aborted, "Progressing", (4, 1, 4, 1)))) == 1.0


def test_blue_green_without_revisions_is_back_when_the_stable_replica_set_has_the_updated_pods() -> None:
    watch, old, new = Watch(), replace(OLD, revision=None), replace(SECOND, revision=None, pod_count=1)
    watch.see(BLUE_GREEN, (old,))
    preview = changed(BLUE_GREEN, "Paused", (4, 1, 4, 1), RolloutUpdated=1, NewReplicaSetCreated=1, RolloutPaused=1)
    assert in_progress(watch.see(preview, (old, new)), "blueGreen") == 1.0
    snapshot = watch.see(changed(preview, "Progressing", (4, 4, 4, 1), RolloutUpdated=1), (old, new))
    assert in_progress(snapshot, "blueGreen") == 0.0
    assert update_results(snapshot) == {"rolled_back": 1}


def test_of_two_new_replica_sets_the_one_that_was_left_at_once_is_not_current() -> None:
    watch, old = Watch(), replace(OLD, revision=None)
    left, new = (replace(page, revision=None, pod_count=0) for page in (THIRD, SECOND))
    watch.see(SETTLED, (old,))
    applied = changed(SETTLED, "Progressing", (4, 0, 4, 0), RolloutUpdated=2, NewReplicaSetCreated=2)
    watch.see(applied, (old, new, left))
    snapshot = watch.see(changed(applied, "", (4, 1, 4, 1)), (old, replace(new, pod_count=1), left))
    assert pods_by_role(snapshot) == {"stable": 4.0, "canary": 1.0}


def test_of_two_revisions_the_one_that_is_not_written_yet_is_counted_once_and_can_be_aborted() -> None:
    watch, work = Watch(), WorkQueue(3.0, in_work=1)
    watch.see(SETTLED, (OLD,), WorkQueue())
    watch.see(PAUSED, (OLD, SECOND), WorkQueue())
    counted = changed(PAUSED, "Progressing", RolloutUpdated=2, NewReplicaSetCreated=2)
    pods = (
        OLD,
        replace(SECOND, pod_count=0),
        PageReplicaSet("third", 3, 1, 40.0),
        PageReplicaSet("fourth", 4, 0, 42.0),
    )
    assert update_results(watch.see(counted, pods, work)) == {"superseded": 1}
    snapshot = watch.see(changed(counted, "", (4, 0, 4, 1), RolloutAborted=1), pods, WorkQueue(1.0, in_work=1))
    assert (in_progress(snapshot), update_results(snapshot)) == (0.0, {"superseded": 2, "aborted": 1})


def test_the_stable_revision_stays_known_while_two_revisions_follow_an_abort() -> None:
    watch, second = Watch(), replace(SECOND, pod_count=0)
    watch.see(SETTLED, (OLD,), WorkQueue())
    watch.see(PAUSED, (OLD, SECOND), WorkQueue())
    aborted = changed(PAUSED, "Abort", (4, 0, 4, 0), RolloutAborted=1)
    watch.see(aborted, (OLD, second), WorkQueue())
    third, fourth = PageReplicaSet("third", 3, 1, 52.0), PageReplicaSet("fourth", 4, 0, 70.0)
    replaced = changed(aborted, RolloutUpdated=1, NewReplicaSetCreated=1)
    watch.see(replaced, (OLD, second, third), WorkQueue())
    again = changed(replaced, "Progressing", RolloutUpdated=1, NewReplicaSetCreated=1)
    snapshot = watch.see(again, (OLD, second, third, fourth), WorkQueue(5.0, in_work=1))
    assert (in_progress(snapshot), pods_by_role(snapshot)["stable"]) == (1.0, 4.0)
