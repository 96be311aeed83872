"""Several revisions, promotions and aborts of a rollout between two ticks."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.rollouts.lagging import PAUSED, SETTLED, Watch, changed, fraction, in_progress, pods_by_role
from tests.rollouts.pages import PageReplicaSet, WorkQueue, update_results

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
