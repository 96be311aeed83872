"""Which controller leads, and when what it does not show is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import ScrapeResult, Source
from exporter.rollouts.inputs.leadership import elect_leaders
from exporter.rollouts.model import ControllerProcess
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import PageRollout, controller_page, failed_scrape, parse_page, series_values

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot
    from tests.recorded import Recordings

POLICY: Final = tracking_policy(ARTICLE)
PHASE: Final = "argo_rollouts_phase"
CART, PAY = PageRollout(), PageRollout(name="pay")
IDLE: Final = 'workqueue_adds_total{name="Rollouts"} 0'
BUSY: Final = 'workqueue_adds_total{name="Rollouts"} 3'


def idle_page(now: float, start_time: float, *lines: str, target: str = "a") -> ScrapeResult:
    return parse_page(ScrapeRequest(Source.ARGO, target, now), f"process_start_time_seconds {start_time}", *lines)


@pytest.mark.parametrize(
    ("result", "role", "evidence"),
    [
        (controller_page(100, CART), "leader", "its page shows rollout_info"),
        (idle_page(100, 1, BUSY), "leader", "its work queues have had work"),
        (idle_page(100, 1, IDLE), "standby", "its work queues no work"),
        (idle_page(100, 90, IDLE), "starting", "it has just started"),
        (failed_scrape(100), "down", "connection refused"),
    ],
)
def test_the_role_of_an_address_follows_from_its_page(result: ScrapeResult, role: str, evidence: str) -> None:
    (scraped,) = elect_leaders([result], frozenset())
    assert scraped.role == role
    assert evidence in scraped.evidence


def test_the_roles_in_a_recorded_failover_are_those_that_happened(recordings: Recordings) -> None:
    roles: list[tuple[str, ...]] = []
    for _, _, tracker in recordings.play("leader-failover", "argo-only"):
        now = tuple(str(target.role) for target in tracker.status.targets)
        if roles[-1:] != [now]:
            roles.append(now)
    assert roles == [
        ("leader", "standby"),
        ("down", "starting"),
        ("down", "standby"),
        ("down", "leader"),
        ("standby", "leader"),
        ("starting", "down"),
        ("leader", "down"),
    ]


def test_of_two_leaders_the_one_that_led_before_is_used() -> None:
    old, new = controller_page(30, CART), controller_page(30, PageRollout("Paused"), target="b", start_time=20)
    for results in ([old, new], [new, old]):
        tracker = RolloutTracker(POLICY)
        tracker.process(15, [controller_page(15, CART)])
        phases = series_values(tracker.process(30, results).families, "argo_rollouts_phase")
        assert phases["Completed",] == 1


def test_a_leader_is_established_only_at_its_second_page() -> None:
    previous = frozenset({ControllerProcess("a", 1.0)})
    assert elect_leaders([controller_page(30, CART)], previous)[0].established
    assert not elect_leaders([controller_page(30, CART, start_time=2)], previous)[0].established
    assert not elect_leaders([controller_page(30, CART, target="b")], previous)[0].established


def stale_rollouts(snapshot: MetricsSnapshot) -> set[str]:
    """Return the rollouts of which series go stale, `argo_rollouts_unknown` aside."""
    stale = (family for family in snapshot.stale if family.name != "argo_rollouts_unknown")
    return {series.label("name") for family in stale for series in family.series}


def test_nothing_goes_stale_while_a_failover_hides_rollouts() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, CART, PAY), controller_page(15, target="b")])
    snapshots = [tracker.process(now, [failed_scrape(now), controller_page(now, target="b")]) for now in (30, 45)]
    snapshots.append(tracker.process(60, [failed_scrape(60), controller_page(60, CART, target="b")]))
    snapshots.append(tracker.process(75, [failed_scrape(75), controller_page(75, CART, PAY, target="b")]))
    assert [stale_rollouts(snapshot) for snapshot in snapshots] == [set()] * 4


def test_series_that_a_new_leader_never_shows_go_stale_after_the_grace_period() -> None:
    tracker = RolloutTracker(POLICY)
    tracker.process(15, [controller_page(15, CART, PAY)])
    snapshots = [
        tracker.process(now, [failed_scrape(now), controller_page(now, CART, target="b")]) for now in range(30, 106, 15)
    ]
    stale_at = {
        name: [snapshot.timestamp for snapshot in snapshots if series_values(snapshot.stale, name, "pay")]
        for name in ("rollout_info", PHASE)
    }
    assert stale_at == {"rollout_info": [45.0], PHASE: [90.0]}, (
        "families of the page itself go stale with its second page"
    )


def test_the_leader_of_another_installation_proves_no_deletion() -> None:
    tracker = RolloutTracker(POLICY)
    east, west = PageRollout(name="cart"), PageRollout(name="pay")
    for now in (15.0, 30.0):
        tracker.process(
            now,
            [
                controller_page(now, east, installation="east"),
                controller_page(now, west, target="b", installation="west"),
            ],
        )
    first = tracker.process(45, [controller_page(45, east, installation="east"), failed_scrape(45, "b", "west")])
    assert stale_rollouts(first) == set()
    assert series_values(first.families, "argo_rollouts_unknown", "pay") in (
        {("no_leader",): 1.0},
        {("not_shown",): 1.0},
    )
    snapshots = {
        now: tracker.process(now, [controller_page(now, east, installation="east"), failed_scrape(now, "b", "west")])
        for now in range(60, 600, 15)
    }
    assert series_values(snapshots[585].families, "argo_rollouts_updates_total", "pay"), (
        "counters go on: nothing proves a deletion"
    )
    stale_at = [now for now, snapshot in snapshots.items() if series_values(snapshot.stale, "rollout_info", "pay")]
    assert stale_at == [105], "gauges go stale when the grace period ends"


def test_an_established_leader_proves_deletions_in_its_own_installation() -> None:
    tracker = RolloutTracker(POLICY)
    for now in (15.0, 30.0):
        tracker.process(
            now,
            [
                controller_page(now, CART, PAY, installation="east"),
                controller_page(now, target="b", installation="west"),
            ],
        )
    snapshot = tracker.process(45, [controller_page(45, CART, installation="east"), failed_scrape(45, "b", "west")])
    assert series_values(snapshot.stale, "argo_rollouts_phase", "pay")
    assert stale_rollouts(snapshot) == {"pay"}
