"""Invariants of the simulated cluster under arbitrary actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.controllers import TAKEOVER_SECONDS, EventKey
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, ObjectKey, Pause, RolloutSpec, SetWeight

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.demo.simulator.ground_truth import GroundTruth

KEY = ObjectKey("shop", "checkout")
STEPS = (SetWeight(20), Pause(3), SetWeight(50), Pause(), SetWeight(80))
STRATEGIES = [
    CanaryStrategy(),
    CanaryStrategy(STEPS),
    CanaryStrategy(STEPS, "Nginx", scale_down_delay=6, abort_scale_down_delay=4),
    CanaryStrategy(STEPS, max_surge=0, max_unavailable=0.25),
    BlueGreenStrategy(scale_down_delay=6),
    BlueGreenStrategy(manual=True, preview_replicas=1, scale_down_delay=6, abort_scale_down_delay=4),
    BlueGreenStrategy(auto_promotion=3, scale_down_delay=6),
]
ACTIONS: dict[str, Callable[[SimulatedCluster, int], None]] = {
    "deploy": lambda cluster, number: cluster.deploy(*KEY, f"app:v{number}"),
    "break": lambda cluster, number: cluster.deploy(*KEY, f"app:bad-{number}"),
    "scale": lambda cluster, number: cluster.scale(*KEY, number),
    "pause": lambda cluster, _: cluster.pause(*KEY),
    "resume": lambda cluster, _: cluster.resume(*KEY),
    "promote": lambda cluster, _: cluster.promote_full(*KEY),
    "abort": lambda cluster, _: cluster.abort(*KEY),
    "retry": lambda cluster, _: cluster.retry(*KEY),
    "failover": lambda cluster, _: cluster.failover(),
}
ACTION_LISTS = st.lists(
    st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 7), st.floats(0.01, 9.0, allow_nan=False)), max_size=8
)


def new_cluster(strategy: CanaryStrategy | BlueGreenStrategy, replicas: int, seed: int) -> SimulatedCluster:
    cluster = SimulatedCluster(seed)
    cluster.create(RolloutSpec(*KEY, "app:v1", replicas, strategy, progress_deadline=15))
    cluster.advance(cluster.now + 8)
    return cluster


def split_time(start: float, wait: float) -> list[float]:
    return [start + wait * part / 10 for part in range(1, 11)]


def assert_consistent(truth: GroundTruth) -> None:
    """Check what holds in every recorded frame of real controllers."""
    assert 0 <= truth.available <= truth.replicas
    assert 0 <= truth.updated <= truth.replicas
    assert truth.fraction is None or 0 <= truth.fraction <= 1
    assert truth.fraction in {None, 0.0} or (truth.stable_hash != truth.current_hash and truth.strategy == "canary")
    assert not (truth.phase == "Completed" and truth.stable_hash != truth.current_hash)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(strategy=st.sampled_from(STRATEGIES), replicas=st.integers(0, 9), actions=ACTION_LISTS, seed=st.integers(0, 3))
def test_replica_numbers_never_contradict_each_other(
    strategy: CanaryStrategy | BlueGreenStrategy, replicas: int, actions: list[tuple[str, int, float]], seed: int
) -> None:
    cluster = new_cluster(strategy, replicas, seed)
    for action, number, wait in actions:
        ACTIONS[action](cluster, number)
        for now in split_time(cluster.now, wait):
            cluster.advance(now)
            assert_consistent(cluster.ground_truth()[KEY])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(strategy=st.sampled_from(STRATEGIES), replicas=st.integers(0, 9), actions=ACTION_LISTS)
def test_a_good_image_and_a_full_promotion_always_end_in_completed(
    strategy: CanaryStrategy | BlueGreenStrategy, replicas: int, actions: list[tuple[str, int, float]]
) -> None:
    cluster = new_cluster(strategy, replicas, 1)
    for action, number, wait in actions:
        ACTIONS[action](cluster, number)
        cluster.advance(cluster.now + wait)
    cluster.resume(*KEY)
    cluster.deploy(*KEY, "app:final")
    cluster.advance(cluster.now + TAKEOVER_SECONDS[1] + 1)
    cluster.promote_full(*KEY)
    cluster.advance(cluster.now + 60)
    truth = cluster.ground_truth()[KEY]
    pods = [pod for pod in truth.pods if not pod.terminating]
    assert (truth.phase, truth.updating, truth.fraction or 0.0) == ("Completed", False, 0.0)
    assert truth.desired == truth.updated == truth.available == truth.replicas == len(pods)
    assert {pod.role for pod in pods} <= {"stable"}
    page = cluster.argo_page("argo-a")
    cluster.advance(cluster.now + 600)
    assert cluster.argo_page("argo-a") == page


@settings(max_examples=60, deadline=None, derandomize=True)
@given(strategy=st.sampled_from(STRATEGIES), actions=ACTION_LISTS, fractions=st.lists(st.floats(0, 1), max_size=6))
def test_advancing_in_parts_equals_advancing_at_once(
    strategy: CanaryStrategy | BlueGreenStrategy, actions: list[tuple[str, int, float]], fractions: list[float]
) -> None:
    at_once, in_parts = new_cluster(strategy, 5, 2), new_cluster(strategy, 5, 2)
    for action, number, wait in actions:
        end = at_once.now + wait
        ACTIONS[action](at_once, number)
        ACTIONS[action](in_parts, number)
        for part in sorted(fractions):
            in_parts.advance(end - wait + part * wait)
        at_once.advance(end)
        in_parts.advance(end)
    assert at_once.kube_state_metrics_page() == in_parts.kube_state_metrics_page()
    assert at_once.state_page() == in_parts.state_page()
    assert [at_once.argo_page(name) for name in ("argo-a", "argo-b")] == [
        in_parts.argo_page(name) for name in ("argo-a", "argo-b")
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(actions=ACTION_LISTS)
def test_counters_of_a_process_never_decrease_and_at_most_one_leads(actions: list[tuple[str, int, float]]) -> None:
    cluster = new_cluster(CanaryStrategy(STEPS), 4, 3)
    previous: dict[tuple[str, float], dict[EventKey, int]] = {}
    for action, number, wait in actions:
        ACTIONS[action](cluster, number)
        for now in split_time(cluster.now, wait):
            cluster.advance(now)
            controllers = cluster.controllers.by_name.values()
            assert sum(controller.is_leader for controller in controllers) <= 1
            for controller in controllers:
                counts = previous.get((controller.name, controller.started_at), {})
                assert all(controller.counters.events[event] >= count for event, count in counts.items())
                previous[controller.name, controller.started_at] = dict(controller.counters.events)


def test_only_the_same_seed_gives_the_same_cluster() -> None:
    pages = [new_cluster(CanaryStrategy(STEPS), 3, seed).kube_state_metrics_page() for seed in (7, 7, 8)]
    assert pages[0] == pages[1]
    assert pages[0] != pages[2]


def test_speed_changes_only_durations() -> None:
    slow, fast = SimulatedCluster(5, start=0.0), SimulatedCluster(5, start=0.0, speed=4.0)
    for cluster in (slow, fast):
        cluster.create(RolloutSpec(*KEY, "app:v1", 4, CanaryStrategy(STEPS)))
        cluster.advance(8 / cluster.speed)
        cluster.deploy(*KEY, "app:v2")
        cluster.advance(12 / cluster.speed)
    assert slow.ground_truth() == fast.ground_truth()
    assert slow.ground_truth()[KEY].phase == "Paused"
    assert (slow.now, fast.now) == (12.0, 3.0)


def test_going_back_in_time_changes_nothing() -> None:
    cluster = new_cluster(CanaryStrategy(STEPS), 4, 1)
    page, now = cluster.kube_state_metrics_page(), cluster.now
    cluster.advance(now - 5)
    assert (cluster.kube_state_metrics_page(), cluster.now) == (page, now)
