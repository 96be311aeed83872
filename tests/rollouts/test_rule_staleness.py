"""When series go stale, and what is exported before: the rules T41 to T43, T47 to T49 and T57."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy
from tests.recorded import ARTICLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.metrics import MetricFamily, MetricsSnapshot

PARSERS: Final = parser_factory(ARTICLE)
GRACE: Final = ARTICLE.lifecycle.grace
KUBE: Final = Source.KUBE_STATE_METRICS
UP: Final = "rollouts_exporter_target_up"


def controller_page(now: float, phases: dict[str, str], target: str = "a:8090") -> ScrapeResult:
    """Return the page of a controller with rollouts by name and phase; without any it is that of a standby."""
    lines = (
        f'rollout_info{{name="{name}",namespace="shop",phase="{phase}",strategy="canary"}} 1'
        for name, phase in phases.items()
    )
    return parse_page(ScrapeRequest(Source.ARGO, target, now), "process_start_time_seconds 1", *lines)


def kube_page(now: float) -> ScrapeResult:
    """Return the page of kube-state-metrics with one pod of one rollout."""
    return parse_page(
        ScrapeRequest(KUBE, "a:8090", now),
        'kube_replicaset_owner{namespace="shop",replicaset="cart-1",owner_kind="Rollout",owner_name="cart"} 1',
        'kube_replicaset_status_replicas{namespace="shop",replicaset="cart-1"} 1',
        'kube_pod_info{namespace="shop",pod="p",uid="u",created_by_kind="ReplicaSet",created_by_name="cart-1"} 1',
    )


def parse_page(request: ScrapeRequest, *lines: str) -> ScrapeResult:
    parser = PARSERS(request)
    parser.start(200, {})
    parser.feed("".join(f"{line}\n" for line in lines).encode())
    return parser.finish(None, 0.01)


def failed_scrape(now: float, source: Source = Source.ARGO) -> ScrapeResult:
    return ScrapeResult(source, "a:8090", now, failure=Failure("refused", "connection refused"))


def tracker_with_leader(now: float = 0.0) -> RolloutTracker:
    """Return a tracker with a leader, which its next page makes an established one."""
    tracker = RolloutTracker(tracking_policy(ARTICLE))
    tracker.process(now, [controller_page(now, {"cart": "Completed", "pay": "Completed"})])
    return tracker


def series_values(families: Iterable[MetricFamily], name: str = "", rollout: str = "") -> dict[str, float]:
    return {
        repr(series): value
        for family in families
        for series, value in zip(family.series, family.values, strict=True)
        if family.name.startswith(name) and rollout in (series.label("name"), "")
    }


def up(snapshot: MetricsSnapshot) -> dict[str, float]:
    return {series.rpartition("=")[2][1:-2]: value for series, value in series_values(snapshot.families, UP).items()}


def test_series_that_an_established_leader_no_longer_shows_go_stale_once() -> None:
    tracker = tracker_with_leader()
    before = tracker.process(15, [controller_page(15, {"cart": "Completed", "pay": "Completed"})])
    after = tracker.process(30, [controller_page(30, {"cart": "Completed"})])
    assert series_values(after.stale).keys() == series_values(before.families, rollout="pay").keys()
    assert series_values(after.stale).keys().isdisjoint(series_values(after.families))
    assert tracker.process(45, [controller_page(45, {"cart": "Completed"})]).stale == ()


def test_after_a_failed_scrape_series_go_stale_once_when_the_grace_period_ends() -> None:
    tracker = tracker_with_leader()
    before = tracker.process(15, [controller_page(15, {"cart": "Paused"})])
    for now in (30, 45, 60, 75):
        snapshot = tracker.process(now, [failed_scrape(now)])
        assert (up(snapshot), snapshot.stale) == ({"a:8090": 0}, ())
        assert series_values(snapshot.families, "rollout_info") == {}
    last = tracker.process(30 + GRACE, [failed_scrape(30 + GRACE)])
    assert series_values(last.stale).keys() >= series_values(before.families, "rollout_info").keys()
    assert tracker.process(45 + GRACE, [failed_scrape(45 + GRACE)]).stale == ()


def test_a_leader_that_returns_within_the_grace_period_leaves_nothing_stale() -> None:
    tracker = tracker_with_leader()
    assert tracker.process(15, [failed_scrape(15)]).stale == ()
    back = tracker.process(30, [controller_page(30, {"cart": "Completed", "pay": "Completed"})])
    assert {family.name for family in back.stale} == {"argo_rollouts_unknown"}
    assert len(series_values(back.families, "rollout_info")) == 2


@pytest.mark.parametrize("leads", [1.0, 0.0])
def test_all_series_of_a_removed_target_go_stale_at_once(leads: float) -> None:
    tracker = tracker_with_leader()
    both = tracker.process(15, [controller_page(15, {"cart": "Completed"}), controller_page(15, {}, "b:8090")])
    assert up(both) == {"a:8090": 1, "b:8090": 1}
    later = tracker.process(30, [controller_page(30, {"cart": "Completed"}) if leads else failed_scrape(30)])
    assert up(later) == {"a:8090": leads}
    own_series = [name for name in series_values(both.families) if '"b:8090"' in name]
    assert len(own_series) == 5
    assert sorted(series_values(later.stale)) == sorted(own_series)


def test_the_first_page_of_a_new_leader_proves_no_deletion() -> None:
    tracker = tracker_with_leader()
    first = tracker.process(15, [failed_scrape(15), controller_page(15, {"cart": "Completed"}, "b:8090")])
    assert series_values(first.stale) == {}
    assert series_values(first.families, "argo_rollouts_phase_transitions_total", "pay"), "counters go on"
    assert not series_values(first.families, "argo_rollouts_update_in_progress", "pay"), "gauges are absent"


def test_series_missing_from_a_page_with_a_malformed_line_are_not_stale() -> None:
    tracker = tracker_with_leader()
    assert tracker.process(15, [controller_page(15, {"cart": "Completed", 'pay",name="pay': "Completed"})]).stale == ()
    assert series_values(tracker.process(30, [controller_page(30, {"cart": "Completed"})]).stale)


def test_the_empty_page_of_a_standby_leaves_nothing_stale() -> None:
    tracker = tracker_with_leader()
    alive = {"cart": "Completed", "pay": "Completed"}
    assert tracker.process(15, [controller_page(15, {}, "b:8090"), controller_page(15, alive)]).stale == ()
    assert tracker.process(30, [controller_page(30, {}, "b:8090"), failed_scrape(30)]).stale == ()
    assert tracker.process(45, [controller_page(45, {}, "b:8090"), controller_page(45, {})]).stale == ()


def test_a_phase_change_makes_the_old_info_stale_and_changes_the_phase_series_without_a_gap() -> None:
    tracker = tracker_with_leader()
    snapshot = tracker.process(15, [controller_page(15, {"cart": "Progressing", "pay": "Completed"})])
    (stale,) = series_values(snapshot.stale)
    assert stale == 'rollout_info{name="cart",namespace="shop",phase="Completed",strategy="canary"}'
    phases = series_values(snapshot.families, "argo_rollouts_phase", "cart")
    assert phases['argo_rollouts_phase{namespace="shop",name="cart",phase="Completed"}'] == 0
    assert phases['argo_rollouts_phase{namespace="shop",name="cart",phase="Progressing"}'] == 1


def test_series_of_a_failed_source_are_absent_and_go_stale_when_the_grace_period_ends() -> None:
    tracker = tracker_with_leader()
    argo = {"cart": "Completed"}
    before = tracker.process(15, [controller_page(15, argo), kube_page(15)])
    pods = series_values(before.families, "argo_rollouts_pod").keys()
    assert len(pods) > 2
    snapshots = [
        tracker.process(now, [controller_page(now, argo), failed_scrape(now, source=KUBE)])
        for now in range(30, 121, 15)
    ]
    assert [series_values(snapshot.families, "argo_rollouts_pod") for snapshot in snapshots] == [{}] * len(snapshots)
    assert [snapshot.timestamp for snapshot in snapshots if series_values(snapshot.stale).keys() >= pods] == [
        30 + GRACE
    ]
    assert [snapshot.timestamp for snapshot in (before, *snapshots)] == [*range(15, 121, 15)]


def test_a_source_that_is_not_due_counts_as_unchanged_for_the_grace_period_at_most() -> None:
    tracker = tracker_with_leader()
    argo = {"cart": "Completed"}
    tracker.process(15, [controller_page(15, argo), kube_page(15)])
    pods = {
        now: series_values(tracker.process(now, [controller_page(now, argo)]).families, "argo_rollouts_pod_info")
        for now in range(30, 106, 15)
    }
    assert [now for now, infos in pods.items() if infos] == [now for now in pods if now <= 15 + GRACE]
    ages = series_values(
        tracker.process(120, [controller_page(120, argo)]).families, "rollouts_exporter_source_age_seconds"
    )
    assert sorted(ages.values()) == [0, 105]
