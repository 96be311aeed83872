"""A simulated cluster as the judge of the recordings sees it: objects in the shape of `truth.jsonl`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.demo.simulator import conditions
from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import BlueGreenStrategy
from tests.agreement import HASH
from tests.updates import RevisionStatus

if TYPE_CHECKING:
    from exporter.demo.simulator.controllers import SimulatedController
    from exporter.demo.simulator.objects import SimulatedReplicaSet, SimulatedRollout
    from exporter.rollouts.model import RolloutKey
    from tests.agreement import KubeObject


class ObservedCluster(SimulatedCluster):
    """A cluster that remembers each status that the controller writes."""

    def __init__(self, seed: int, notification_seconds: float) -> None:
        super().__init__(seed, notification_seconds=notification_seconds)
        self.histories: dict[RolloutKey, list[RevisionStatus]] = defaultdict(list)

    def _reconcile(self, leader: SimulatedController, rollout: SimulatedRollout) -> None:
        super()._reconcile(leader, rollout)
        self._remember(rollout)

    def _write_status(self, rollout: SimulatedRollout) -> None:
        super()._write_status(rollout)
        self._remember(rollout)

    def _remember(self, rollout: SimulatedRollout) -> None:
        status, history = rollout.status, self.histories[rollout.key]
        now = RevisionStatus(status.stable_hash, status.current_hash, bool(status.abort), rollout.uid)
        if now.stable and now.current and history[-1:] != [now]:
            history.append(now)


def truth_frame(cluster: SimulatedCluster) -> KubeObject:
    """Return all objects at this time, in the shape of a frame of `truth.jsonl`."""
    rollouts = list(cluster.rollouts.values())
    replica_sets = [replica_set for rollout in rollouts for replica_set in rollout.replica_sets.values()]
    return {
        "at": cluster.now,
        "rollouts": [_rollout(rollout) for rollout in rollouts],
        "replicasets": [_replica_set(replica_set) for replica_set in replica_sets],
        "pods": [pod for replica_set in replica_sets for pod in _pods(replica_set)],
    }


def _rollout(rollout: SimulatedRollout) -> KubeObject:
    spec, status, weights = rollout.spec, rollout.status, rollout.status.weights
    condition = {"type": "InvalidSpec"} if status.spec_error else {"type": "Progressing", "reason": status.reason}
    is_blue_green = isinstance(spec.strategy, BlueGreenStrategy)
    routing: KubeObject = {"trafficRouting": {}} if spec.router else {}
    canary = {"weight": weights.canary, "podTemplateHash": weights.canary_hash} if weights else None
    return {
        "namespace": spec.namespace,
        "name": spec.name,
        "uid": rollout.uid,
        "generation": rollout.generation,
        "spec": {"replicas": spec.replicas, "strategy": {"blueGreen": {}} if is_blue_green else {"canary": routing}},
        "status": {
            "stableRS": status.stable_hash,
            "currentPodHash": status.current_hash,
            "abort": bool(status.abort),
            "conditions": [condition] if conditions.phase(status) else [],
            "phase": status.health,
            "observedGeneration": status.observed_generation,
            "canary": {"weights": {"canary": canary} if canary else None},
        },
    }


def _replica_set(replica_set: SimulatedReplicaSet) -> KubeObject:
    owner = {"kind": "Rollout", "name": replica_set.owner.name}
    return {"namespace": replica_set.owner.namespace, "name": replica_set.name, "owner": owner}


def _pods(replica_set: SimulatedReplicaSet) -> list[KubeObject]:
    return [
        {
            "namespace": replica_set.owner.namespace,
            "uid": pod.uid,
            HASH: replica_set.hash,
            "owner": {"name": replica_set.name},
            "ready": pod.ready,
            "deletionTimestamp": pod.deleted_at if pod.terminating else None,
        }
        for pod in replica_set.pods
    ]
