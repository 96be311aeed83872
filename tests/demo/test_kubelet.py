from __future__ import annotations

from random import Random

from exporter.demo.simulator.kubelet import POD_STOP_SECONDS, POD_READY_SECONDS, POD_START_SECONDS, Kubelet, next_change
from exporter.demo.simulator.objects import ALPHABET, NEVER, ObjectKey, SimulatedReplicaSet, template_hash


def replicaset(kubelet: Kubelet, pods: int, image: str = "app:v1") -> SimulatedReplicaSet:
    """Make a ReplicaSet that has just been given its pods, at second 0."""
    one = SimulatedReplicaSet(ObjectKey("shop", "checkout"), template_hash(image), image, 0.0, 1, pods, desired=pods, sync_at=0.0)
    assert kubelet.reconcile(one, 0.0) == bool(pods)
    return one


def test_a_pod_runs_then_gets_ready_within_three_seconds() -> None:
    kubelet = Kubelet(Random(1))
    one = replicaset(kubelet, 20)
    assert not any(pod.running or pod.ready for pod in one.pods)
    kubelet.reconcile(one, POD_START_SECONDS[1])
    assert all(pod.running for pod in one.pods)
    assert one.available < one.replicas == 20
    kubelet.reconcile(one, POD_START_SECONDS[1] + POD_READY_SECONDS[1])
    assert one.available == 20
    assert next_change(one) == NEVER


def test_a_bad_image_runs_and_never_gets_ready() -> None:
    kubelet = Kubelet(Random(1))
    one = replicaset(kubelet, 3, "app:bad-2")
    kubelet.reconcile(one, 1000.0)
    assert (one.replicas, one.available, next_change(one)) == (3, 0, NEVER)
    assert all(pod.running for pod in one.pods)


def test_those_that_are_not_ready_go_first_then_the_youngest() -> None:
    kubelet = Kubelet(Random(1))
    one = replicaset(kubelet, 3)
    kubelet.reconcile(one, 5.0)
    one.desired, one.sync_at = 5, 6.0
    kubelet.reconcile(one, 6.0)
    oldest, *_, unready = one.pods
    one.desired, one.sync_at = 2, 6.1
    kubelet.reconcile(one, 6.1)
    assert unready.terminating
    assert [pod.number for pod in one.active_pods] == [1, 2]
    assert oldest in one.active_pods


def test_a_pod_that_goes_stays_ready_until_it_has_gone() -> None:
    kubelet = Kubelet(Random(1))
    one = replicaset(kubelet, 2)
    kubelet.reconcile(one, 5.0)
    one.desired, one.sync_at = 0, 6.0
    kubelet.reconcile(one, 6.0)
    assert (one.replicas, one.available) == (0, 0)
    assert all(pod.ready and pod.terminating for pod in one.pods)
    kubelet.reconcile(one, 6.0 + POD_STOP_SECONDS[1])
    assert one.pods == []


def test_names_and_hashes_are_of_kubernetes_safe_alphabet() -> None:
    one = replicaset(Kubelet(Random(1)), 5)
    owner, template, *_ = one.name.split("-")
    assert (owner, template) == ("checkout", template_hash("app:v1"))
    assert set(template) <= set(ALPHABET)
    for pod in one.pods:
        assert pod.name.startswith(f"{one.name}-")
        assert set(pod.name[-5:]) <= set(ALPHABET)
    assert len({pod.uid for pod in one.pods}) == 5
