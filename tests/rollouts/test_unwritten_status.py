"""Events that are counted before the status is written: the controller sends notifications for seconds in between."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING, Final

import pytest

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import CanaryStrategy, Pause, RolloutSpec, SetWeight
from exporter.metrics import Source
from exporter.rollouts.inputs.work_queue import reconciling_since
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from tests.rollouts.lagging import FIRST_DEPLOY, PAUSED, POLICY, SETTLED, Watch, changed, in_progress
from tests.rollouts.pages import (
    PageReplicaSet,
    PageRollout,
    PageStatus,
    WorkQueue,
    controller_page,
    parse_page,
    status_page,
    update_results,
)

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot

IDLE: Final = WorkQueue()
OLD: Final = PageReplicaSet("old", 1, 4)
NEW: Final = PageReplicaSet("new", 2, 1, created_at=2.0)
SOURCES: Final = pytest.mark.parametrize("shows_pods", [False, True], ids=["controller's page", "revisions"])


def running(seconds: float) -> WorkQueue:
    return WorkQueue(seconds, in_work=1)


class QueueWatch(Watch):
    """Gives pages to a tracker, 15 s apart, each with what is in work."""

    def __init__(self, *, shows_pods: bool = False) -> None:
        super().__init__()
        self.shows_pods = shows_pods

    def see_work(self, rollout: PageRollout, work: WorkQueue = IDLE, *pods: PageReplicaSet) -> MetricsSnapshot:
        """Return what is exported after the next tick; without `pods` those of the old revision are shown."""
        return self.see(rollout, work, *([pods or (OLD,)] if self.shows_pods else []))


@SOURCES
def test_an_update_ends_once_the_reconciliation_that_counted_its_promotion_is_over(*, shows_pods: bool) -> None:
    watch, complete = QueueWatch(shows_pods=shows_pods), changed(PAUSED, "Progressing", (4, 4, 8, 0))
    pods = (OLD, replace(NEW, pod_count=4))
    watch.see_work(SETTLED)
    watch.see_work(complete, IDLE, *pods)
    counted = changed(complete, RolloutCompleted=1)
    assert in_progress(watch.see_work(counted, running(3), *pods)) == 1.0
    assert in_progress(watch.see_work(counted, running(18), *pods)) == 1.0
    snapshot = watch.see_work(counted, IDLE, *pods)
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {"promoted": 1}


@SOURCES
def test_a_later_reconciliation_does_not_hold_up_a_promotion(*, shows_pods: bool) -> None:
    watch, complete = QueueWatch(shows_pods=shows_pods), changed(PAUSED, "Progressing", (4, 4, 8, 0))
    pods = (OLD, replace(NEW, pod_count=4))
    watch.see_work(SETTLED)
    watch.see_work(complete, IDLE, *pods)
    counted = changed(complete, RolloutCompleted=1)
    watch.see_work(counted, running(3), *pods)
    assert in_progress(watch.see_work(counted, running(2), *pods)) == 0.0


def test_a_weight_that_is_set_after_all_steps_is_that_of_a_promoted_revision() -> None:
    watch = QueueWatch()
    watch.see_work(SETTLED)
    before = changed(replace(PAUSED, router="Nginx"), "Progressing", (4, 4, 8, 0), TrafficWeightUpdated=2)
    watch.see_work(before)
    # The pause of the last step ended, all weight went to the canary, which was promoted, and is the stable one now.
    ended = changed(before, RolloutStepCompleted=1, RolloutResumed=1, RolloutCompleted=1, TrafficWeightUpdated=2)
    assert in_progress(watch.see_work(ended, running(3))) == 0.0


def test_a_rollout_is_settled_until_the_status_of_its_new_revision_is_written() -> None:
    watch = QueueWatch()
    watch.see_work(SETTLED)
    # Phase Progressing: it has been scaled.
    counted = changed(SETTLED, "Progressing", (8, 4, 4, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
    assert in_progress(watch.see_work(counted, running(3))) == 0.0
    assert in_progress(watch.see_work(changed(counted, replicas=(8, 0, 8, 0)))) == 1.0


def test_an_update_is_superseded_once_the_status_of_the_next_revision_is_written() -> None:
    watch = QueueWatch()
    watch.see_work(SETTLED)
    watch.see_work(PAUSED)
    counted = changed(PAUSED, RolloutUpdated=1, NewReplicaSetCreated=1)
    assert update_results(watch.see_work(counted, running(3))) == {}
    assert update_results(watch.see_work(changed(counted, "Progressing", (4, 0, 5, 0)))) == {"superseded": 1}


def test_what_a_new_leader_has_counted_waits_for_the_status_too() -> None:
    tracker, status = RolloutTracker(POLICY), PageStatus("old", "old")
    counted = PageRollout("Completed", events={"RolloutUpdated": 1, "NewReplicaSetCreated": 1})
    tracker.process(15.0, [controller_page(15.0, SETTLED, work=IDLE), status_page(15.0, status)])
    page = controller_page(30.0, counted, work=running(3), start_time=16.0)
    assert update_results(tracker.process(30.0, [page, status_page(30.0, status)])) == {}
    page = controller_page(45.0, replace(counted, phase="Progressing"), work=IDLE, start_time=16.0)
    snapshot = tracker.process(45.0, [page, status_page(45.0, replace(status, current="new", generation=2))])
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {}


@SOURCES
def test_an_aborted_update_that_pauses_again_was_retried_whatever_the_phase(*, shows_pods: bool) -> None:
    watch, pods = QueueWatch(shows_pods=shows_pods), (OLD, NEW)
    watch.see_work(SETTLED)
    watch.see_work(PAUSED, IDLE, *pods)
    aborted = changed(PAUSED, "Abort", RolloutAborted=1)
    assert in_progress(watch.see_work(aborted, IDLE, *pods)) == 0.0
    retried = changed(aborted, RolloutPaused=1)
    assert in_progress(watch.see_work(retried, running(3), *pods)) == 1.0
    assert in_progress(watch.see_work(retried, running(18), *pods)) == 1.0
    snapshot = watch.see_work(changed(retried, "Paused"), IDLE, *pods)
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {"aborted": 1}


def test_an_abort_in_the_analysis_after_the_switch_is_no_retry() -> None:
    watch, kind = QueueWatch(), "blueGreen"
    events = {**FIRST_DEPLOY, "AnalysisRunRunning": 1}
    switched = PageRollout("Progressing", (4, 4, 4, 4), {**events, "RolloutUpdated": 2}, strategy=kind)
    watch.see_work(PageRollout("Completed", events=FIRST_DEPLOY, strategy=kind))
    watch.see_work(switched)
    counted = changed(switched, "Completed", RolloutAborted=1, AnalysisRunFailed=1)
    assert in_progress(watch.see_work(counted, running(3)), kind) == 1.0
    snapshot = watch.see_work(changed(counted, "Abort"))
    assert in_progress(snapshot, kind) == 0.0
    assert update_results(snapshot) == {"aborted": 1}


@pytest.mark.parametrize(("seconds", "progress"), [(9, 1.0), (11, 0.0)], ids=["by an earlier one", "by this one"])
def test_a_replica_set_shows_whether_the_reconciliation_that_created_it_is_over(seconds: int, progress: float) -> None:
    watch = QueueWatch(shows_pods=True)
    watch.see_work(changed(SETTLED, replicas=(0, 0, 0, 0)), IDLE, replace(OLD, pod_count=0))
    # The gauges do not differ between the revisions: none has pods.
    counted = changed(SETTLED, "Progressing", (0, 0, 0, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
    pods = (replace(OLD, pod_count=0), replace(NEW, pod_count=0, created_at=watch.now + 15 - 11))
    assert in_progress(watch.see_work(counted, running(seconds), *pods)) == progress


def test_a_revision_that_is_taken_up_again_is_not_written_since_its_replica_set_is_the_youngest() -> None:
    watch, pods = QueueWatch(shows_pods=True), (replace(OLD, revision=3), replace(NEW, pod_count=0))
    settled = changed(SETTLED, RolloutUpdated=2, NewReplicaSetCreated=1)
    watch.see_work(settled, IDLE, *pods)
    counted = changed(settled, RolloutUpdated=1)
    assert in_progress(watch.see_work(counted, running(3), pods[0], replace(pods[1], revision=4))) == 0.0


# The work queue


@pytest.mark.parametrize(
    ("work", "since"),
    [
        (WorkQueue(), inf),
        (WorkQueue(3.0, in_work=1), 97.0),
        (WorkQueue(0.05, in_work=1), inf),
        # What is in work has just begun, where reconciliations take long.
        (WorkQueue(0.0, in_work=1, slow=2), 100.0),
        # The gauge still shows what is over.
        (WorkQueue(3.0), inf),
        (WorkQueue(nan, in_work=1), None),
    ],
)
def test_counters_and_gauge_of_the_work_queue_show_what_goes_on(work: WorkQueue, since: float | None) -> None:
    assert reconciling_since(controller_page(100.0, SETTLED, work=work), 100.0) == since


def test_a_page_without_work_queues_shows_nothing_of_reconciliations() -> None:
    assert reconciling_since(controller_page(100.0, SETTLED), 100.0) is None


def test_the_simulated_controller_shows_the_reconciliation_in_which_it_sends_notifications() -> None:
    cluster = SimulatedCluster(1, notification_seconds=8.0)
    cluster.create(RolloutSpec("shop", "cart", "cart:v1", 2, CanaryStrategy((SetWeight(50), Pause()))))
    cluster.advance(cluster.now + 30)
    deployed_at = cluster.now
    cluster.deploy("shop", "cart", "cart:v2")

    def since() -> float | None:
        page = cluster.argo_page("argo-a") or b""
        return reconciling_since(parse_page(ScrapeRequest(Source.ARGO, "a", 0.0), page.decode()), cluster.now)

    assert since() == inf
    cluster.advance(deployed_at + 5)
    began = since()
    assert began is not None
    assert deployed_at <= began <= deployed_at + 0.6
    cluster.advance(deployed_at + 60)
    assert since() == inf
