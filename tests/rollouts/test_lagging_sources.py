"""Counters, gauges and pages that lag behind each other: what holds at that tick is exported, and each update once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import Source
from exporter.rollouts.inference.revisions import by_number, is_status_behind
from exporter.rollouts.inference.sizes import hashes_by_size
from exporter.rollouts.inference.transitions import summarize_interval
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
from exporter.scrape.response import ScrapeRequest
from tests.rollouts.lagging import (
    APPLIED,
    NEW,
    OLD,
    PAUSED,
    POLICY,
    ROUTED,
    SETTLED,
    Page,
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
    kube_page,
    parse_page,
    series_values,
    status_page,
    update_results,
)

if TYPE_CHECKING:
    from exporter.metrics import ScrapeResult

# Aborts


@pytest.mark.parametrize("pods", [(), ((OLD, NEW),)], ids=["controller's page", "revisions"])
def test_an_abort_by_a_user_is_in_the_status_before_the_phase_shows_it(pods: tuple[Page, ...]) -> None:
    watch = Watch()
    before: tuple[Page, ...] = ((replace(OLD, pod_count=4),),) if pods else ()
    watch.see_all((SETTLED, *before), (PAUSED, *pods))
    counted = changed(PAUSED, RolloutAborted=1)
    assert in_progress(watch.see(counted, *pods)) == 0.0
    snapshot = watch.see(changed(counted, "Abort"), *pods)
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {"aborted": 1}


@pytest.mark.parametrize(
    "events",
    [
        {"RolloutAborted": 1, "AnalysisRunFailed": 1},
        {"RolloutAborted": 1, "AnalysisRunError": 1},
        {"RolloutAborted": 2},
    ],
    ids=["failed analysis", "analysis in error", "deadline"],
)
def test_an_abort_by_the_controller_is_counted_before_it_is_in_the_status(events: dict[str, int]) -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (PAUSED,))
    counted = replace(PAUSED, events={**PAUSED.events, **events})
    assert in_progress(watch.see(counted)) == 1.0
    snapshot = watch.see(changed(counted, "Abort"))
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {"aborted": 1}


ABORTED: Final = changed(PAUSED, "Abort", (4, 0, 4, 0), RolloutAborted=1)


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ({"RolloutAborted": 1}, 1),
        ({"RolloutAborted": 2}, 2),
        ({"RolloutAborted": 1, "RolloutStepCompleted": 1}, 2),
        ({"RolloutStepCompleted": 1}, 1),
    ],
    ids=["second event of a deadline", "deadline again", "steps since the retry", "no abort"],
)
def test_a_retry_that_is_aborted_within_an_interval_is_an_update_that_was_aborted(
    events: dict[str, int], count: int
) -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (PAUSED,), (ABORTED,))
    again = replace(
        ABORTED,
        events={**ABORTED.events, **{name: ABORTED.events.get(name, 0) + grown for name, grown in events.items()}},
    )
    assert update_results(watch.see(again)) == {"aborted": count}


def test_a_retry_that_is_aborted_before_the_next_revision_is_an_update_that_was_aborted() -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (PAUSED,), (ABORTED,))
    after_deadline = changed(ABORTED, "Paused", (4, 1, 4, 0), RolloutAborted=2, RolloutUpdated=1, RolloutPaused=1)
    assert update_results(watch.see(after_deadline)) == {"aborted": 2}


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ({"RolloutAborted": 1, "RolloutStepCompleted": 1}, 1),
        ({"RolloutAborted": 2}, 1),
        ({"RolloutAborted": 3}, 2),
    ],
    ids=["steps before the abort", "deadline", "aborted again after a deadline"],
)
def test_an_abort_that_the_status_shows_before_the_counters_is_counted_once(events: dict[str, int], count: int) -> None:
    """Pages of one tick are made at different times: that of the controller before the abort."""
    watch, status = Watch(), PageStatus("old", "new")
    watch.see_all((SETTLED, PageStatus("old", "old")), (PAUSED, status))
    status = replace(status, aborted=True)
    assert in_progress(watch.see(PAUSED, status)) == 0.0
    counted = changed(PAUSED, "Abort", None, **events)
    assert update_results(watch.see(counted, status)) == {"aborted": count}
    again = changed(counted, "Abort", RolloutAborted=1, RolloutStepCompleted=1)
    assert update_results(watch.see(again, status)) == {"aborted": count + 1}


# Revisions that are ahead of the status


def test_a_stable_revision_that_is_taken_up_again_stays_stable_while_the_status_is_behind() -> None:
    watch = Watch()
    watch.see(PAUSED, (OLD, NEW))
    behind = watch.see(changed(PAUSED, RolloutUpdated=1, SkipSteps=1), (NEW, replace(OLD, revision=3)))
    assert in_progress(behind) == 1.0
    assert pods_by_role(behind) == {"stable": 3, "canary": 1}


def test_gauges_that_did_not_change_and_do_not_show_the_pods_are_those_of_the_revision_before() -> None:
    replica_sets = {
        name: ReplicaSet(name, number, float(number), pods, pods)
        for number, (name, pods) in enumerate([("a", 4), ("b", 0), ("c", 1)], 1)
    }
    view = ControllerView(ControllerProcess("a", 1.0), "canary", "", "Paused", ReplicaCounts(*PAUSED.replicas))
    assert is_status_behind(by_number(replica_sets), "b", view, view.replicas)
    assert not is_status_behind(by_number(replica_sets), "b", view, None)


@pytest.mark.parametrize(
    ("pods", "remembered", "expected"),
    [
        # Both b and c were created in the second of c's creation, and the page that counted c showed b alone.
        ({"a": 4, "b": 3, "c": 1}, ("b", "a"), ("c", "a")),
        ({"a": 4, "b": 1, "c": 0}, ("b", "a"), ("b", "a")),
        # The promotion of b was missed.
        ({"a": 0, "b": 4, "c": 1}, ("c", "a"), ("c", "")),
        # With dynamicStableScale a canary at 100 % has all pods.
        ({"a": 0, "b": 0, "c": 1}, ("c", "a"), ("c", "a")),
    ],
)
def test_hashes_without_revision_numbers_are_those_that_the_pods_do_not_contradict(
    pods: dict[str, int], remembered: tuple[str, str], expected: tuple[str, str]
) -> None:
    replica_sets = {name: ReplicaSet(name, None, float(name != "a"), count, count) for name, count in pods.items()}
    total = sum(pods.values())
    view = ControllerView(ControllerProcess("a", 1.0), "canary", "", "Paused", ReplicaCounts(4, 1, total, 0))
    previous = RevisionHashes(*remembered, newest_created_at=1.0)
    hashes = hashes_by_size(replica_sets, view, UpdateState.UPDATING, previous, EventDeltas(), view.replicas)
    assert (hashes.current, hashes.stable) == expected


def test_a_former_replica_set_that_has_pods_again_is_the_one_that_a_settled_rollout_went_back_to() -> None:
    replica_sets = {name: ReplicaSet(name, None, 1.0, pods, pods) for name, pods in {"a": 4, "b": 1, "c": 0}.items()}
    # The gauges are of the status before.
    view = ControllerView(ControllerProcess("a", 1.0), "canary", "", "Progressing", ReplicaCounts(4, 2, 4, 2))
    previous, deltas, settled = RevisionHashes("a", "a", 1.0), EventDeltas(updates=1), ReplicaCounts(4, 4, 4, 0)
    hashes = hashes_by_size(replica_sets, view, UpdateState.UPDATING, previous, deltas, settled)
    assert (hashes.current, hashes.stable) == ("b", "a")
    # Pods that were there before are of a revision that goes.
    draining = ReplicaCounts(4, 4, 5, 0)
    assert not hashes_by_size(replica_sets, view, UpdateState.UPDATING, previous, deltas, draining).current


def test_pods_of_another_revision_that_come_to_a_settled_rollout_are_an_update() -> None:
    watch = Watch()
    watch.see(replace(SETTLED, replicas=(1, 1, 1, 0)))
    watch.restart_controller()
    # The new process has counted nothing, since its predecessor applied the revision.
    assert in_progress(watch.see(PageRollout("Progressing", (1, 1, 2, 0), {"RolloutAddedToInformer": 1}))) == 1.0


def test_the_number_of_a_revision_that_was_taken_up_again_is_unknown_until_its_page_comes() -> None:
    watch = Watch()
    going_back = changed(PAUSED, "Progressing", (4, 3, 4, 0), RolloutUpdated=1, SkipSteps=1)
    watch.see(SETTLED, (replace(OLD, pod_count=4),), PageStatus("old", "old"))
    watch.see(PAUSED, (OLD, NEW), PageStatus("old", "new", 2))
    assert update_results(watch.see(going_back, PageStatus("old", "old", 3))) == {"rolled_back": 1}
    watch.restart_controller()
    next_revision = PageReplicaSet("next", 4, 1, created_at=3.0)
    snapshot = watch.see(
        PageRollout("Progressing", (4, 1, 4, 0), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1}),
        (replace(OLD, revision=3), next_revision),
        PageStatus("old", "next", 4),
    )
    assert update_results(snapshot) == {"rolled_back": 1}, "none was superseded"


@pytest.mark.parametrize(
    ("number", "deltas", "revisions"),
    [
        (9, EventDeltas(updates=1), 1),
        (3, EventDeltas(updates=1), 2),
        (2, EventDeltas(updates=2), 1),
        (9, EventDeltas(updates=1, process_restarted=True), 8),
    ],
    ids=["taken up again", "ahead of the counters by one", "counted twice", "applied by the former process"],
)
def test_revisions_of_an_interval_are_bounded_by_what_was_counted(
    number: int, deltas: EventDeltas, revisions: int
) -> None:
    before, after = RevisionHashes("a", "a", number=1), RevisionHashes("b", "a", number=number)
    assert summarize_interval(before, after, deltas).revisions == revisions


# Promotions


BLUE_GREEN: Final = replace(
    SETTLED,
    strategy="blueGreen",
    phase="Completed",
    replicas=(4, 4, 8, 0),
    events={"RolloutUpdated": 2, "RolloutCompleted": 1, "NewReplicaSetCreated": 2, "AnalysisRunRunning": 1},
)
"""Switched, and not promoted: the analysis that follows runs."""


def test_a_revision_and_a_promotion_in_one_interval_after_the_switch_may_have_come_in_any_order() -> None:
    watch = Watch()
    watch.see(replace(SETTLED, strategy="blueGreen"))
    assert in_progress(watch.see(BLUE_GREEN), "blueGreen") == 1.0
    snapshot = watch.see(changed(BLUE_GREEN, RolloutUpdated=1, RolloutCompleted=1, NewReplicaSetCreated=1))
    assert in_progress(snapshot, "blueGreen") is None
    assert ("update",) in series_values(snapshot.families, "argo_rollouts_unknown")


def test_a_stable_revision_of_blue_green_that_has_lost_its_pods_may_be_stable_no_more() -> None:
    watch = Watch()
    waiting = replace(BLUE_GREEN, phase="Paused")
    preview = replace(NEW, pod_count=4)
    assert pods_by_role(watch.see(waiting, (replace(OLD, pod_count=4), preview))) == {"stable": 4, "preview": 4}
    assert pods_by_role(watch.see(BLUE_GREEN, (replace(OLD, pod_count=0), preview))) == {"unknown": 4}


def test_a_promotion_in_the_interval_of_the_next_update_is_that_of_the_first_deploy() -> None:
    watch = Watch()
    watch.see(replace(SETTLED, name="other"))
    watch.see(
        replace(SETTLED, name="other"),
        PageRollout("Progressing", (1, 1, 0, 1), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1}),
    )
    stepped = PageRollout("Progressing", (1, 1, 2, 0), {**PAUSED.events, "RolloutPaused": 0, "RolloutStepCompleted": 1})
    snapshot = watch.see(replace(SETTLED, name="other"), stepped)
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {}


def test_a_rollout_at_first_sight_that_promoted_nothing_yet_has_no_update() -> None:
    watch = Watch()
    first = PageRollout("Progressing", (4, 4, 0, 4), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1})
    second = changed(first, RolloutUpdated=1, NewReplicaSetCreated=1)
    sets = (replace(OLD, pod_count=4), replace(NEW, pod_count=4))
    assert in_progress(watch.see(first, sets[:1])) == 0.0
    assert in_progress(watch.see(changed(second, replicas=(4, 4, 0, 8)), sets)) == 0.0
    assert update_results(watch.see(changed(second, "Completed", (4, 4, 4, 0), RolloutCompleted=1), sets[1:])) == {}


def test_a_canary_at_full_size_was_promoted_before_another_process_counts_the_next_revision() -> None:
    watch = Watch()
    ending = changed(PAUSED, "Progressing", (4, 4, 4, 1), RolloutResumed=1)
    watch.see_all((SETTLED,), (PAUSED,), (ending,))
    watch.restart_controller()
    following = PageRollout("Progressing", (4, 1, 4, 1), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1})
    snapshot = watch.see(following)
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {"promoted": 1}


def test_a_paused_canary_was_replaced_before_another_process_counts_the_next_revision() -> None:
    watch = Watch()
    watch.see_all((SETTLED,), (changed(PAUSED, "Paused", (4, 4, 8, 0)),))
    watch.restart_controller()
    following = PageRollout("Progressing", (4, 1, 4, 1), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1})
    assert update_results(watch.see(following)) == {"superseded": 1}


def test_a_promotion_by_another_process_ends_an_update_that_its_predecessor_began() -> None:
    watch = Watch()
    watch.see(replace(SETTLED, strategy="blueGreen"))
    watch.restart_controller()
    promoted = PageRollout("Completed", (4, 4, 4, 4), {"RolloutCompleted": 1}, strategy="blueGreen")
    assert update_results(watch.see(promoted)) == {"promoted": 1}


def test_roles_are_unknown_once_another_process_has_promoted_a_revision_without_a_number() -> None:
    def page(now: float, *sets: PageReplicaSet) -> ScrapeResult:
        lines = [line for replica_set in sets for line in replica_set.lines() if "annotations" not in line]
        return parse_page(ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", now), *lines)

    old, new = replace(OLD, pod_count=4), replace(NEW, pod_count=4)
    settled = replace(SETTLED, strategy="blueGreen")
    promoted = PageRollout("Completed", (4, 4, 8, 0), {"RolloutCompleted": 1}, strategy="blueGreen")
    tracker = RolloutTracker(POLICY)
    assert pods_by_role(tracker.process(15, [controller_page(15, settled), page(15, old)])) == {"stable": 4}
    snapshot = tracker.process(30, [controller_page(30, promoted, start_time=20), page(30, old, new)])
    assert pods_by_role(snapshot) == {"unknown": 8}


def test_the_phase_completed_of_the_revision_before_promotes_no_new_one() -> None:
    watch = Watch()
    # Scaled to 0, so that the gauges say nothing about which revision the phase is of.
    empty = (replace(OLD, pod_count=0),)
    at_rest = replace(SETTLED, replicas=(0, 0, 0, 0))
    watch.see(at_rest, empty)
    counted = changed(at_rest, RolloutUpdated=1, NewReplicaSetCreated=1)
    assert update_results(watch.see(counted, (*empty, replace(NEW, pod_count=0)))) == {}
    snapshot = watch.see(changed(counted, "Progressing"), (*empty, replace(NEW, pod_count=0)))
    assert in_progress(snapshot) == 1.0


# Weights of a router, without rollout state


def test_a_weight_that_was_taken_while_the_gauges_lagged_is_corrected_at_the_next_pause() -> None:
    watch = Watch()
    watch.see_all((ROUTED,), (APPLIED,))
    lagging = changed(APPLIED, "Progressing", (10, 1, 11, 0), TrafficWeightUpdated=2)
    assert fraction(watch.see(lagging)) == 0.1
    assert fraction(watch.see(changed(lagging, "Paused", (10, 5, 15, 0), RolloutPaused=1))) == 0.5


def test_a_pause_does_not_correct_a_weight_that_pods_do_not_follow() -> None:
    watch = Watch()
    applied = changed(APPLIED, TrafficWeightUpdated=1)
    half = changed(applied, "Paused", (10, 5, 15, 0), TrafficWeightUpdated=1, RolloutStepCompleted=1, RolloutPaused=1)
    assert fraction(watch.see_all((ROUTED,), (applied,), (half,))) == 0.5
    scaled = changed(half, "Paused", (10, 8, 18, 0), RolloutResumed=1, RolloutStepCompleted=2, RolloutPaused=1)
    assert fraction(watch.see(scaled)) == 0.5


def test_the_first_weight_of_a_revision_hides_no_set_canary_scale_step() -> None:
    watch = Watch()
    reset = changed(APPLIED, TrafficWeightUpdated=1)
    scaled = changed(reset, "Progressing", (10, 8, 18, 0), RolloutStepCompleted=1)
    watch.see_all((ROUTED,), (APPLIED,), (reset,), (scaled,))
    weighted = changed(scaled, "Progressing", TrafficWeightUpdated=1, RolloutStepCompleted=1)
    assert fraction(watch.see(weighted)) is None, "the pods are those of setCanaryScale"


# Rollout state that comes late, or back


def test_an_update_that_was_promoted_while_rollout_state_was_away_stays_promoted() -> None:
    watch, status = Watch(), PageStatus("old", "new")
    pods = (replace(OLD, pod_count=0), replace(NEW, pod_count=4))
    watch.see_all((SETTLED, (replace(OLD, pod_count=4),), PageStatus("old", "old")), (PAUSED, (OLD, NEW), status))
    counted = changed(PAUSED, "Progressing", (4, 4, 4, 0), RolloutCompleted=1)
    watch.see(counted, pods, status)
    assert in_progress(watch.see(counted, pods)) == 0.0
    assert in_progress(watch.see(counted, pods)) == 0.0
    # A source that has restarted shows what an API server had cached.
    snapshot = watch.see(changed(counted, "Completed"), pods, replace(status, health="Paused"))
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {"promoted": 1}


def test_a_status_that_comes_back_as_it_was_before_an_abort_is_an_old_one() -> None:
    watch, status = Watch(), PageStatus("old", "new", health="Paused")
    watch.see_all((SETTLED, (replace(OLD, pod_count=4),), PageStatus("old", "old")), (PAUSED, (OLD, NEW), status))
    aborted = changed(PAUSED, "Abort", RolloutAborted=1)
    watch.now += 15
    results = [controller_page(watch.now, aborted), kube_page(watch.now, OLD, NEW), status_page(watch.now)]
    assert in_progress(watch.tracker.process(watch.now, results)) == 0.0
    assert in_progress(watch.see(aborted, (OLD, NEW), status)) == 0.0
    snapshot = watch.see(aborted, (OLD, NEW), replace(status, aborted=True, health="Degraded"))
    assert update_results(snapshot) == {"aborted": 1}
