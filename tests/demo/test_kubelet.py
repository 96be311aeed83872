from __future__ import annotations

from random import Random

from exporter.demo.simulator.kubelet import POD_READY_SECONDS, POD_START_SECONDS, POD_STOP_SECONDS, Kubelet, next_change
from exporter.demo.simulator.objects import ALPHABET, NEVER, ObjectKey, SimulatedReplicaSet, template_hash


def new_replica_set(kubelet: Kubelet, pods: int, image: str = "app:v1") -> SimulatedReplicaSet:
    """Return a ReplicaSet whose pods are created at second 0."""
    replica_set = SimulatedReplicaSet(
        ObjectKey("shop", "checkout"), template_hash(image), image, 0.0, 1, pods, desired=pods, sync_at=0.0
    )
    assert kubelet.reconcile(replica_set, 0.0) == bool(pods)
    return replica_set


def test_a_pod_runs_and_becomes_ready_within_three_seconds() -> None:
    kubelet = Kubelet(Random(1))
    replica_set = new_replica_set(kubelet, 20)
    assert not any(pod.running or pod.ready for pod in replica_set.pods)
    kubelet.reconcile(replica_set, POD_START_SECONDS[1])
    assert all(pod.running for pod in replica_set.pods)
    assert replica_set.available < replica_set.replicas == 20
    kubelet.reconcile(replica_set, POD_START_SECONDS[1] + POD_READY_SECONDS[1])
    assert replica_set.available == 20
    assert next_change(replica_set) == NEVER


def test_a_bad_image_runs_and_never_becomes_ready() -> None:
    kubelet = Kubelet(Random(1))
    replica_set = new_replica_set(kubelet, 3, "app:bad-2")
    kubelet.reconcile(replica_set, 1000.0)
    assert (replica_set.replicas, replica_set.available, next_change(replica_set)) == (3, 0, NEVER)
    assert all(pod.running for pod in replica_set.pods)


def test_pods_that_are_not_ready_are_deleted_first_then_the_newest() -> None:
    kubelet = Kubelet(Random(1))
    replica_set = new_replica_set(kubelet, 3)
    kubelet.reconcile(replica_set, 5.0)
    replica_set.desired, replica_set.sync_at = 5, 6.0
    kubelet.reconcile(replica_set, 6.0)
    oldest, *_, unready = replica_set.pods
    replica_set.desired, replica_set.sync_at = 2, 6.1
    kubelet.reconcile(replica_set, 6.1)
    assert unready.terminating
    assert [pod.number for pod in replica_set.active_pods] == [1, 2]
    assert oldest in replica_set.active_pods


def test_a_terminating_pod_stays_ready_until_it_is_gone() -> None:
    kubelet = Kubelet(Random(1))
    replica_set = new_replica_set(kubelet, 2)
    kubelet.reconcile(replica_set, 5.0)
    replica_set.desired, replica_set.sync_at = 0, 6.0
    kubelet.reconcile(replica_set, 6.0)
    assert (replica_set.replicas, replica_set.available) == (0, 0)
    assert all(pod.ready and pod.terminating for pod in replica_set.pods)
    kubelet.reconcile(replica_set, 6.0 + POD_STOP_SECONDS[1])
    assert replica_set.pods == []


def test_names_and_hashes_use_kubernetes_safe_alphabet() -> None:
    replica_set = new_replica_set(Kubelet(Random(1)), 5)
    owner, template, *_ = replica_set.name.split("-")
    assert (owner, template) == ("checkout", template_hash("app:v1"))
    assert set(template) <= set(ALPHABET)
    for pod in replica_set.pods:
        assert pod.name.startswith(f"{replica_set.name}-")
        assert set(pod.name[-5:]) <= set(ALPHABET)
    assert len({pod.uid for pod in replica_set.pods}) == 5
