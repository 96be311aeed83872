"""Replaced info series, passed-through families, namespaces, the series limit, and owners of analysis runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.config.settings import NamespacesSection, SeriesSection, Settings
from exporter.metrics import Source
from exporter.rollouts.inputs.controller import owning_rollout
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import (
    PageReplicaSet,
    PageRollout,
    controller_page,
    failed_scrape,
    kube_page,
    parse_page,
    series_values,
)
from tests.rollouts.stored import after_restart

if TYPE_CHECKING:
    from tests.recorded import Recordings

PODS: Final = "argo_rollouts_pod_info"
REST: Final = PageRollout(events={"RolloutUpdated": 1, "RolloutCompleted": 1}, replicas=(2, 2, 2, 0))
GOING: Final = PageRollout("Paused", (2, 1, 3, 0), {"RolloutUpdated": 2, "RolloutCompleted": 1})
DONE: Final = PageRollout("Completed", (2, 2, 2, 0), {"RolloutUpdated": 2, "RolloutCompleted": 2})
OLD, NEW, BOTH = (
    (PageReplicaSet("old", 1, 2),),
    (PageReplicaSet("old", 1, 0), PageReplicaSet("new", 2, 2, 9)),
    (PageReplicaSet("old", 1, 2), PageReplicaSet("new", 2, 1, 9)),
)


def mid_update(*, restart: bool = False) -> RolloutTracker:
    """Return a tracker of a canary with a pod new-0, which a promotion at 45 makes a stable one."""
    tracker = RolloutTracker(tracking_policy(ARTICLE))
    tracker.process(15, [controller_page(15, REST), kube_page(15, *OLD)])
    snapshot = tracker.process(30, [controller_page(30, GOING), kube_page(30, *BOTH)])
    assert series_values(snapshot.families, PODS)["cart-new-0", "new-0", "canary", "new", "2", "n"] == 1
    if not restart:
        return tracker
    return RolloutTracker(tracking_policy(ARTICLE), after_restart(tracker.state))


def roles_of_new_0(tracker: RolloutTracker, now: float) -> tuple[dict[str, float], bool]:
    """Return value by role of the info series of pod cart-new-0, and whether the one as a canary goes stale."""
    snapshot = tracker.process(now, [controller_page(now, DONE), kube_page(now, *NEW)])
    roles = {
        labels[2]: value for labels, value in series_values(snapshot.families, PODS).items() if labels[1] == "new-0"
    }
    return roles, any("canary" in labels for labels in series_values(snapshot.stale, PODS))


@pytest.mark.parametrize("restart", [False, True])
def test_a_pod_whose_role_changes_is_exported_as_0_with_its_old_role_for_five_minutes(*, restart: bool) -> None:
    tracker = mid_update(restart=restart)
    for now in range(45, 345, 15):
        assert roles_of_new_0(tracker, now) == ({"stable": 1.0, "canary": 0.0}, False), now
    assert roles_of_new_0(tracker, 345) == ({"stable": 1.0}, True)
    assert roles_of_new_0(tracker, 360) == ({"stable": 1.0}, False)


def test_a_role_that_changes_while_no_controller_responds_is_replaced_too() -> None:
    tracker = mid_update()
    tracker.process(45, [failed_scrape(45), kube_page(45, *NEW)])
    assert roles_of_new_0(tracker, 60)[0] == {"stable": 1.0, "canary": 0.0}


def test_replaced_info_series_of_a_deleted_rollout_go_stale_with_it() -> None:
    tracker = mid_update()
    other = PageRollout(name="other")
    tracker.process(45, [controller_page(45, DONE, other), kube_page(45, *NEW)])
    tracker.process(60, [controller_page(60, DONE, other), kube_page(60, *NEW)])
    snapshot = tracker.process(75, [controller_page(75, other), kube_page(75, *NEW)])
    assert series_values(snapshot.families, PODS) == {}
    assert {labels[2] for labels in series_values(snapshot.stale, PODS)} == {"stable", "canary"}
    assert tracker.process(90, [controller_page(90, other), kube_page(90, *NEW)]).stale == ()


def test_a_revision_whose_role_changes_is_replaced_like_its_pods() -> None:
    tracker = mid_update()
    tracker.process(45, [controller_page(45, DONE), kube_page(45, *NEW)])
    snapshot = tracker.process(60, [controller_page(60, DONE), kube_page(60, *NEW)])
    assert series_values(snapshot.families, "argo_rollouts_revision_info") == {
        ("new", "2", "stable"): 1.0,
        ("new", "2", "canary"): 0.0,
    }


def test_only_allowed_namespaces_and_series_without_namespace_are_exported() -> None:
    tracker = RolloutTracker(tracking_policy(Settings(namespaces=NamespacesSection(include=("shop",)))))
    version = 'argo_rollouts_controller_info{version="v1.8.3"} 1'
    lines = [*PageRollout().lines(), *PageRollout(namespace="pay").lines(), version, "process_start_time_seconds 1"]
    snapshot = tracker.process(15, [parse_page(ScrapeRequest(Source.ARGO, "a", 15), *lines)])
    namespaces = {series.label("namespace") for family in snapshot.families for series in family.series}
    assert namespaces == {"shop", ""}
    assert series_values(snapshot.families, "argo_rollouts_controller_info") == {("v1.8.3",): 1.0}


def test_shards_export_together_what_one_exporter_does() -> None:
    def exported(**namespaces: tuple[str, ...]) -> set[tuple[str, str]]:
        tracker = RolloutTracker(tracking_policy(Settings(namespaces=NamespacesSection(**namespaces))))
        rollouts = (PageRollout(namespace=namespace) for namespace in ("shop", "pay", "new"))
        families = tracker.process(15, [controller_page(15, *rollouts), kube_page(15, *NEW)]).families
        series = ((family.name, series) for family in families for series in family.series)
        return {(name, str(each.labels)) for name, each in series if each.label("namespace")}

    first, last = exported(include=("shop", "pa*")), exported(exclude=("shop", "pa*"))
    assert first
    assert last
    assert not first & last
    assert first | last == exported()


@pytest.mark.parametrize("limit", [1, 10, 37, 10_000])
def test_series_beyond_the_limit_are_omitted_and_counted(limit: int) -> None:
    def exported(series_limit: int) -> tuple[int, int]:
        tracker = RolloutTracker(tracking_policy(Settings(series=SeriesSection(limit=series_limit))))
        snapshot = tracker.process(15, [controller_page(15, PageRollout(), PageRollout(name="pay"))])
        return sum(map(len, snapshot.families)), tracker.status.omitted_series

    total, _ = exported(10_000)
    assert exported(limit) == (min(limit, total), max(total - limit, 0))


def test_without_derivation_families_still_pass_through() -> None:
    tracker = RolloutTracker(tracking_policy(Settings(series=SeriesSection(derive=False))))
    snapshot = tracker.process(15, [controller_page(15, PageRollout())])
    families = {family.name for family in snapshot.families}
    assert "rollout_info" in families
    assert families & {"argo_rollouts_phase", "argo_rollouts_updates_total"} == set()


ROLLOUTS: Final = frozenset(
    {("shop", "checkout"), ("shop", "checkout-6c68fb46d4-2"), ("shop", "a"), ("pay", "checkout")}
)


@pytest.mark.parametrize(
    ("name", "rollout"),
    [
        ("checkout-6c68fb46d4-2", "checkout"),
        ("checkout-6c68fb46d4-2-1", "checkout"),
        ("checkout-6c68fb46d4-2-1.1", "checkout"),
        ("checkout-6c68fb46d4-2-pre", "checkout"),
        ("checkout-6c68fb46d4-12-post.3", "checkout"),
        ("checkout-6c68fb46d4-2-0-compare", "checkout"),
        ("checkout-6c68fb46d4-2-7d9f8b5c4-3-1", "checkout-6c68fb46d4-2"),
        ("a-6c68fb46d4-2", "a"),
        ("a-6c68fb46d4-2.1", "a"),
        ("stranger-6c68fb46d4-2", None),
        ("checkout-6c68fb46d4", None),
        ("checkout-with-words-2", None),
        ("checkout", None),
        ("twice-run", None),
        ("", None),
    ],
)
def test_the_owner_of_a_run_is_found_by_its_name_among_the_existing_rollouts(name: str, rollout: str | None) -> None:
    assert owning_rollout("shop", name, ROLLOUTS) == (None if rollout is None else ("shop", rollout))
    assert owning_rollout("elsewhere", name, ROLLOUTS) is None


def test_a_pause_is_exported_with_its_reason_while_it_lasts(recordings: Recordings) -> None:
    reasons: list[tuple[str, ...]] = []
    for _, snapshot, _ in recordings.play("analysis", "full"):
        pauses = series_values(snapshot.families, "argo_rollouts_pause_start_timestamp_seconds", "basket")
        if tuple(reason for (reason,) in pauses) not in reasons[-1:]:
            reasons.append(tuple(reason for (reason,) in pauses))
    assert reasons == [(), ("InconclusiveAnalysisRun",), (), ("CanaryPauseStep",), ()]
