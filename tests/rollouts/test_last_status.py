"""Rollout state that is away, comes back old, or goes on while nobody leads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.lagging import fraction, in_progress
from tests.rollouts.pages import (
    PageReplicaSet,
    PageRollout,
    PageStatus,
    controller_page,
    failed_scrape,
    kube_page,
    series_values,
    status_page,
    update_results,
)
from tests.rollouts.stored import after_restart

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot, ScrapeResult

POLICY: Final = tracking_policy(ARTICLE)
FRACTION: Final = "argo_rollouts_canary_fraction"
PROGRESS: Final = "argo_rollouts_update_in_progress"
CANARY: Final = PageRollout("Paused", (10, 6, 16, 0), {"RolloutUpdated": 2, "TrafficWeightUpdated": 5}, router="Nginx")
STATUS: Final = PageStatus("old", "new", 7, weight=50, health="Paused")


AFTER_RESTART: Final = pytest.mark.parametrize("restarts", [False, True], ids=["", "after a restart"])


def process(tracker: RolloutTracker, *results: ScrapeResult) -> MetricsSnapshot:
    return tracker.process(results[0].scraped_at, results)


def mid_canary() -> RolloutTracker:
    tracker = RolloutTracker(POLICY)
    assert fraction(process(tracker, controller_page(15, CANARY), status_page(15, STATUS))) == 0.5
    return tracker


@pytest.mark.parametrize("page", [status_page, lambda now: failed_scrape(now, "state", source=Source.ROLLOUT_STATE)])
def test_the_weight_stays_known_while_rollout_state_restarts(page: object) -> None:
    tracker = mid_canary()
    assert callable(page)
    for now in (30, 45, 60, 75):
        assert fraction(process(tracker, controller_page(now, CANARY), page(now))) == 0.5


def test_after_the_grace_period_rollout_state_is_forgotten() -> None:
    tracker = mid_canary()
    snapshots = [process(tracker, controller_page(now, CANARY), status_page(now)) for now in range(30, 106, 15)]
    healths = [bool(series_values(snapshot.families, "argo_rollouts_health")) for snapshot in snapshots]
    assert healths == [True] * 4 + [False] * 2


def test_a_counted_event_ends_what_is_remembered_of_the_weight() -> None:
    tracker = mid_canary()
    stepped = replace(CANARY, events={**CANARY.events, "TrafficWeightUpdated": 6})
    snapshot = process(tracker, controller_page(30, stepped), status_page(30))
    assert ("weight",) not in series_values(snapshot.families, f"{FRACTION}_estimate")
    assert in_progress(snapshot) == 1.0


@pytest.mark.parametrize(
    "stale",
    [
        PageStatus("older", "old", 6, weight=20),
        PageStatus("old", "new", 7, 6, weight=20),
    ],
    ids=["an older generation", "an older observed generation"],
)
def test_a_page_from_before_the_known_status_is_not_believed(stale: PageStatus) -> None:
    tracker = mid_canary()
    process(tracker, controller_page(30, CANARY), status_page(30))
    assert fraction(process(tracker, controller_page(45, CANARY), status_page(45, stale))) == 0.5
    newer = replace(STATUS, weight=60)
    assert fraction(process(tracker, controller_page(60, CANARY), status_page(60, newer))) == 0.6


@AFTER_RESTART
def test_a_stable_revision_that_the_same_spec_has_left_is_not_believed(*, restarts: bool) -> None:
    tracker = mid_canary()
    promoted = replace(
        CANARY, phase="Progressing", replicas=(10, 10, 16, 0), events={**CANARY.events, "RolloutCompleted": 2}
    )
    process(tracker, controller_page(30, promoted), status_page(30, replace(STATUS, stable="new", weight=0)))
    tracker = RolloutTracker(POLICY, after_restart(tracker.state)) if restarts else tracker
    snapshot = process(tracker, controller_page(45, promoted), status_page(45, STATUS))
    assert (in_progress(snapshot), fraction(snapshot)) == (0.0, 0.0)


def test_an_older_generation_that_lasts_is_believed_in_the_end() -> None:
    tracker = mid_canary()
    restored = PageStatus("old", "new", 3, weight=20)
    snapshots = [process(tracker, controller_page(t, CANARY), status_page(t, restored)) for t in range(30, 106, 15)]
    assert (fraction(snapshots[0]), fraction(snapshots[-1])) == (0.5, 0.2)


@pytest.mark.parametrize(("uid", "deletions"), [("", 1), ("another", 0)])
def test_the_status_of_an_object_that_was_created_again_is_believed_at_once(uid: str, deletions: int) -> None:
    tracker = RolloutTracker(POLICY)
    process(tracker, controller_page(15, CANARY), status_page(15, replace(STATUS, uid=uid and "one")))
    events = {**CANARY.events, "RolloutDeleted": deletions}
    page = controller_page(30, replace(CANARY, phase="Completed", replicas=(10, 10, 10, 0), events=events))
    status = PageStatus("first", "first", 1, weight=0, uid=uid)
    snapshot = process(tracker, page, status_page(30, status), kube_page(30, PageReplicaSet("first", 1, 10)))
    assert (in_progress(snapshot), update_results(snapshot)) == (0.0, {})
    assert series_values(snapshot.families, "argo_rollouts_pods")["stable",] == 10


def test_rollout_state_goes_on_while_nobody_leads() -> None:
    tracker = mid_canary()
    snapshot = process(tracker, failed_scrape(30), status_page(30, replace(STATUS, weight=60)))
    assert (in_progress(snapshot), fraction(snapshot)) == (1.0, 0.6)
    assert series_values(snapshot.families, "argo_rollouts_phase") == {}
    snapshot = process(tracker, failed_scrape(45), status_page(45, replace(STATUS, stable="new", weight=0)))
    assert (in_progress(snapshot), fraction(snapshot)) == (0.0, 0.0)
    assert update_results(snapshot) == {"promoted": 1}


@pytest.mark.parametrize("counted", [True, False], ids=["the same leader", "another leader"])
def test_a_promotion_that_is_seen_while_nobody_leads_is_counted_once(*, counted: bool) -> None:
    tracker = mid_canary()
    promoted = replace(STATUS, stable="new", weight=0, health="Healthy")
    for now in (30, 45, 60):
        process(tracker, failed_scrape(now), status_page(now, promoted))
    events = {**CANARY.events, "RolloutCompleted": 1} if counted else {}
    view = replace(CANARY, phase="Completed", replicas=(10, 10, 10, 0), events=events)
    page = controller_page(75, view, start_time=1.0 if counted else 50.0)
    snapshot = process(tracker, page, status_page(75, promoted))
    assert update_results(snapshot) == {"promoted": 1}


def test_pages_of_resource_state_metrics_are_read_alike() -> None:
    values = []
    for rsm in (True, False):
        tracker = RolloutTracker(POLICY)
        status = replace(STATUS, rsm=rsm)
        snapshot = process(tracker, controller_page(15, CANARY), status_page(15, status))
        names = (FRACTION, PROGRESS, "argo_rollouts_health", f"{FRACTION}_estimate")
        values.append([series_values(snapshot.families, name) for name in names])
    assert values[0] == values[1]
    assert values[0][0] == {(): 0.5}


def test_the_successor_of_a_leader_outlives_a_restart() -> None:
    gone, other = replace(CANARY, name="gone"), CANARY
    tracker = RolloutTracker(POLICY)
    process(tracker, controller_page(15, gone, other))
    process(tracker, failed_scrape(30), controller_page(30, other, target="b", start_time=9.0))
    tracker = RolloutTracker(POLICY, after_restart(tracker.state))
    for now in (45, 60, 75, 90):
        process(tracker, failed_scrape(now), controller_page(now, other, target="b", start_time=9.0))
    assert [rollout.key[1] for rollout in tracker.status.rollouts] == ["cart"]


@pytest.mark.parametrize(
    ("event", "phase", "replicas", "updating"),
    [("RolloutCompleted", "Completed", (10, 10, 10, 0), 0.0), ("RolloutUpdated", "Progressing", (10, 1, 16, 1), 1.0)],
)
@AFTER_RESTART
def test_the_page_from_before_a_gap_is_not_believed_after_an_event(
    event: str, phase: str, replicas: tuple[int, int, int, int], updating: float, *, restarts: bool
) -> None:
    tracker = mid_canary()
    events = {**CANARY.events, event: CANARY.events.get(event, 0) + 1}
    view = replace(CANARY, phase=phase, replicas=replicas, events=events)
    process(tracker, controller_page(30, view), status_page(30))
    tracker = RolloutTracker(POLICY, after_restart(tracker.state)) if restarts else tracker
    snapshot = process(tracker, controller_page(45, view), status_page(45, STATUS))
    assert (in_progress(snapshot), fraction(snapshot) == 0.5) == (updating, False)
    assert series_values(snapshot.families, "argo_rollouts_health") == {}


@AFTER_RESTART
def test_a_revision_that_awaits_its_status_outdates_the_former_one_once(*, restarts: bool) -> None:
    settled = replace(CANARY, phase="Completed", replicas=(10, 10, 10, 0), events={"RolloutUpdated": 1})
    counted = replace(settled, events={"RolloutUpdated": 2})
    tracker = RolloutTracker(POLICY)
    process(tracker, controller_page(15, settled), status_page(15, PageStatus("old", "old", 6, health="Healthy")))
    process(tracker, controller_page(30, counted), status_page(30))
    tracker = RolloutTracker(POLICY, after_restart(tracker.state)) if restarts else tracker
    process(tracker, controller_page(45, counted), status_page(45))
    snapshot = process(tracker, controller_page(60, counted), status_page(60, STATUS))
    assert in_progress(snapshot) == 1.0


def test_while_nobody_leads_each_page_of_pods_shows_its_estimate() -> None:
    settled, status = PageRollout(events={"RolloutUpdated": 1}), PageStatus("old", "old", 7)
    tracker = RolloutTracker(POLICY)
    process(tracker, controller_page(15, settled), status_page(15, status), kube_page(15, PageReplicaSet("old", 1, 4)))
    estimates = []
    for now, pages in ((20, ()), (25, (kube_page(25, PageReplicaSet("old", 1, 4)),)), (30, ())):
        snapshot = process(tracker, failed_scrape(now), status_page(now, status), *pages)
        estimates.append(series_values(snapshot.families, f"{FRACTION}_estimate").get(("ready_pods",)))
    assert estimates == [None, 0.0, None]


def test_a_rollout_that_the_next_leader_does_not_show_is_not_without_a_leader() -> None:
    tracker, settled = RolloutTracker(POLICY), PageRollout(events={"RolloutUpdated": 1})
    process(tracker, controller_page(15, settled))
    reasons = []
    for results in (
        (failed_scrape(30),),
        (failed_scrape(45),),
        (failed_scrape(60), controller_page(60, replace(settled, name="till"), target="b", start_time=9.0)),
    ):
        snapshot = process(tracker, *results)
        reasons.append(
            [key[0] for key, value in series_values(snapshot.families, "argo_rollouts_unknown").items() if value]
        )
    assert reasons == [["no_leader"], ["no_leader"], ["not_shown"]]


def test_health_is_that_of_a_new_phase_once_rollout_state_is_scraped_again() -> None:
    status = PageStatus("old", "old", 6, health="Progressing")
    scaling = PageRollout("Progressing", (6, 4, 4, 0), {"RolloutUpdated": 1})
    tracker = RolloutTracker(POLICY)
    process(tracker, controller_page(15, replace(scaling, phase="Completed")), status_page(15, status))
    healths = []
    for now in (20, 25, 30, 35):
        pages = (status_page(now, status),) if now == 35 else ()
        snapshot = process(tracker, controller_page(now, scaling), *pages)
        healths.append(bool(series_values(snapshot.families, "argo_rollouts_health")))
    assert healths == [False, False, False, True]
