"""Which controller leads, and what its silence proves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.config.settings import Settings
from exporter.metrics import ScrapeResult, Source
from exporter.rollouts.inputs.leadership import elect_leaders
from exporter.rollouts.model import ControllerProcess
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.rollouts.told import Told, controller, dead, named, read

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot
    from tests.recorded import Recordings

RULES: Final = tracking_policy(Settings())
PHASE: Final = "argo_rollouts_phase"
CART, PAY = Told(), Told(name="pay")
IDLE: Final = 'workqueue_adds_total{name="Rollouts"} 0'
BUSY: Final = 'workqueue_adds_total{name="Rollouts"} 3'


def idle(at: float, start: float, *lines: str, target: str = "a") -> ScrapeResult:
    return read(ScrapeRequest(Source.ARGO, target, at), f"process_start_time_seconds {start}", *lines)


@pytest.mark.parametrize(
    ("page", "verdict", "evidence"),
    [
        (controller(100, CART), "leader", "its page shows rollout_info"),
        (idle(100, 1, BUSY), "leader", "its work queues have had work"),
        (idle(100, 1, IDLE), "standby", "its work queues no work"),
        (idle(100, 90, IDLE), "starting", "it has just started"),
        (dead(100), "down", "nobody listens"),
    ],
)
def test_an_address_is_judged_by_what_its_page_shows(page: ScrapeResult, verdict: str, evidence: str) -> None:
    (one,) = elect_leaders([page], frozenset())
    assert one.role == verdict
    assert evidence in one.evidence


def test_real_pages_of_a_failover_are_judged_as_it_went(recordings: Recordings) -> None:
    verdicts: list[tuple[str, ...]] = []
    for _, _, watch in recordings.play("leader-failover", "argo-only"):
        now = tuple(str(target.role) for target in watch.status.targets)
        if verdicts[-1:] != [now]:
            verdicts.append(now)
    assert verdicts == [
        ("leader", "standby"),
        ("down", "starting"),
        ("down", "standby"),
        ("down", "leader"),
        ("standby", "leader"),
        ("starting", "down"),
        ("leader", "down"),
    ]


def test_of_two_that_seem_to_lead_the_one_that_led_before_is_heard() -> None:
    old, new = controller(30, CART), controller(30, Told("Paused"), target="b", start=20)
    for pages in ([old, new], [new, old]):
        watch = RolloutTracker(RULES)
        watch.process(15, [controller(15, CART)])
        phases = named(watch.process(30, pages).families, "argo_rollouts_phase")
        assert phases["Completed",] == 1


def test_a_new_leader_is_steady_only_at_its_second_page() -> None:
    led = frozenset({ControllerProcess("a", 1.0)})
    assert elect_leaders([controller(30, CART)], led)[0].established
    assert not elect_leaders([controller(30, CART, start=2)], led)[0].established
    assert not elect_leaders([controller(30, CART, target="b")], led)[0].established


def rollouts(cycle: MetricsSnapshot) -> set[str]:
    """Return the rollouts of which anything ends, but for what was not known of them."""
    ended = (family for family in cycle.stale if family.name != "argo_rollouts_unknown")
    return {series.label("name") for family in ended for series in family.series}


def test_what_a_failover_leaves_out_for_a_while_ends_nothing() -> None:
    watch = RolloutTracker(RULES)
    watch.process(15, [controller(15, CART, PAY), controller(15, target="b")])
    cycles = [watch.process(at, [dead(at), controller(at, target="b")]) for at in (30, 45)]
    cycles.append(watch.process(60, [dead(60), controller(60, CART, target="b")]))
    cycles.append(watch.process(75, [dead(75), controller(75, CART, PAY, target="b")]))
    assert [rollouts(cycle) for cycle in cycles] == [set()] * 4


def test_what_a_new_leader_never_shows_has_gone_once_the_grace_is_over() -> None:
    watch = RolloutTracker(RULES)
    watch.process(15, [controller(15, CART, PAY)])
    cycles = [watch.process(at, [dead(at), controller(at, CART, target="b")]) for at in range(30, 106, 15)]
    ended = {
        name: [one.timestamp for one in cycles if named(one.stale, name, "pay")] for name in ("rollout_info", PHASE)
    }
    assert ended == {"rollout_info": [45.0], PHASE: [90.0]}, "its page's own series go with its second page"


def test_another_installations_leader_proves_nothing() -> None:
    watch = RolloutTracker(RULES)
    east, west = Told(name="cart"), Told(name="pay")
    for at in (15.0, 30.0):
        watch.process(at, [controller(at, east, home="east"), controller(at, west, target="b", home="west")])
    first = watch.process(45, [controller(45, east, home="east"), dead(45, "b", "west")])
    assert rollouts(first) == set()
    assert named(first.families, "argo_rollouts_unknown", "pay") in ({("no_leader",): 1.0}, {("not_shown",): 1.0})
    last = {
        at: watch.process(at, [controller(at, east, home="east"), dead(at, "b", "west")]) for at in range(60, 600, 15)
    }
    assert named(last[585].families, "argo_rollouts_updates_total", "pay"), "counters go on: nothing says it has gone"
    gone = [at for at, cycle in last.items() if named(cycle.stale, "rollout_info", "pay")]
    assert gone == [105], "gauges end with the grace"


def test_an_installations_own_steady_leader_proves_a_deletion_whatever_the_others_do() -> None:
    watch = RolloutTracker(RULES)
    for at in (15.0, 30.0):
        watch.process(at, [controller(at, CART, PAY, home="east"), controller(at, target="b", home="west")])
    cycle = watch.process(45, [controller(45, CART, home="east"), dead(45, "b", "west")])
    assert named(cycle.stale, "argo_rollouts_phase", "pay")
    assert rollouts(cycle) == {"pay"}
