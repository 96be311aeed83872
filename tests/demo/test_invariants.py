"""What holds of the simulated cluster whatever is done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.controllers import TAKEOVER_SECONDS, EventKey
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, ObjectKey, Pause, SetWeight, RolloutSpec

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
DEEDS: dict[str, Callable[[SimulatedCluster, int], None]] = {
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
ACTS = st.lists(
    st.tuples(st.sampled_from(sorted(DEEDS)), st.integers(0, 7), st.floats(0.01, 9.0, allow_nan=False)), max_size=8
)


def new_cluster(strategy: CanaryStrategy | BlueGreenStrategy, replicas: int, seed: int) -> SimulatedCluster:
    cluster = SimulatedCluster(seed)
    cluster.create(RolloutSpec(*KEY, "app:v1", replicas, strategy, progress_deadline=15))
    cluster.advance(cluster.now + 8)
    return cluster


def pieces(start: float, wait: float) -> list[float]:
    return [start + wait * part / 10 for part in range(1, 11)]


def hold(truth: GroundTruth) -> None:
    """Hold one moment against what observed.md says of every frame."""
    assert 0 <= truth.available <= truth.replicas
    assert 0 <= truth.updated <= truth.replicas
    assert truth.fraction is None or 0 <= truth.fraction <= 1
    assert truth.fraction in {None, 0.0} or (truth.stable_hash != truth.current_hash and truth.strategy == "canary")
    assert not (truth.phase == "Completed" and truth.stable_hash != truth.current_hash)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(strategy=st.sampled_from(STRATEGIES), replicas=st.integers(0, 9), acts=ACTS, seed=st.integers(0, 3))
def test_replica_numbers_never_contradict_each_other(
    strategy: CanaryStrategy | BlueGreenStrategy, replicas: int, acts: list[tuple[str, int, float]], seed: int
) -> None:
    cluster = new_cluster(strategy, replicas, seed)
    for deed, number, wait in acts:
        DEEDS[deed](cluster, number)
        for moment in pieces(cluster.now, wait):
            cluster.advance(moment)
            hold(cluster.ground_truth()[KEY])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(strategy=st.sampled_from(STRATEGIES), replicas=st.integers(0, 9), acts=ACTS)
def test_whatever_happened_a_good_image_and_a_full_promotion_end_in_completed(
    strategy: CanaryStrategy | BlueGreenStrategy, replicas: int, acts: list[tuple[str, int, float]]
) -> None:
    cluster = new_cluster(strategy, replicas, 1)
    for deed, number, wait in acts:
        DEEDS[deed](cluster, number)
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
@given(strategy=st.sampled_from(STRATEGIES), acts=ACTS, cuts=st.lists(st.floats(0, 1), max_size=6))
def test_how_time_is_cut_makes_no_difference(
    strategy: CanaryStrategy | BlueGreenStrategy, acts: list[tuple[str, int, float]], cuts: list[float]
) -> None:
    whole, cut = new_cluster(strategy, 5, 2), new_cluster(strategy, 5, 2)
    for deed, number, wait in acts:
        end = whole.now + wait
        DEEDS[deed](whole, number)
        DEEDS[deed](cut, number)
        for part in sorted(cuts):
            cut.advance(end - wait + part * wait)
        whole.advance(end)
        cut.advance(end)
    assert whole.kube_state_metrics_page() == cut.kube_state_metrics_page()
    assert whole.state_page() == cut.state_page()
    assert [whole.argo_page(name) for name in ("argo-a", "argo-b")] == [
        cut.argo_page(name) for name in ("argo-a", "argo-b")
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acts=ACTS)
def test_counters_of_a_process_never_fall_and_at_most_one_leads(acts: list[tuple[str, int, float]]) -> None:
    cluster = new_cluster(CanaryStrategy(STEPS), 4, 3)
    before: dict[tuple[str, float], dict[EventKey, int]] = {}
    for deed, number, wait in acts:
        DEEDS[deed](cluster, number)
        for moment in pieces(cluster.now, wait):
            cluster.advance(moment)
            members = cluster.controllers.by_name.values()
            assert sum(one.is_leader for one in members) <= 1
            for one in members:
                known = before.get((one.name, one.started_at), {})
                assert all(one.counters.events[event] >= count for event, count in known.items())
                before[one.name, one.started_at] = dict(one.counters.events)


def test_the_same_seed_gives_the_same_cluster_and_another_seed_another() -> None:
    pages = [new_cluster(CanaryStrategy(STEPS), 3, seed).kube_state_metrics_page() for seed in (7, 7, 8)]
    assert pages[0] == pages[1]
    assert pages[0] != pages[2]


def test_speed_changes_how_long_things_take_and_nothing_else() -> None:
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
