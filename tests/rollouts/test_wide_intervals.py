"""Pages that are further apart than what happens between them: what they prove is exported, and nothing else."""

from __future__ import annotations

from typing import Final

from exporter.rollouts.tracker import RolloutTracker
from tests.rollouts.pages import (
    PageReplicaSet,
    PageStatus,
    controller_page,
    failed_scrape,
    kube_page,
    status_page,
    update_results,
)
from tests.rollouts.test_lagging_sources import FIRST_DEPLOY, NEW, OLD, PAUSED, POLICY, SETTLED, fraction, in_progress

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
    shown = tracker.process(1030, [failed_scrape(1030), kube_page(1030, OLD, NEW), status_page(1030, updating)])
    assert fraction(shown) == 0.25
    led = tracker.process(1045, [controller_page(1045, PAUSED), kube_page(1045, OLD, NEW), status_page(1045, updating)])
    assert fraction(led) == 0.25
