"""ReplicaSet controller, scheduler and kubelet in one: pods come, get ready and go as their ReplicaSet asks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import ALPHABET, NEVER, SimulatedPod, SimulatedReplicaSet

if TYPE_CHECKING:
    from random import Random

POD_START_SECONDS = (0.3, 0.9)
POD_READY_SECONDS = (0.4, 1.8)
POD_STOP_SECONDS = (1.5, 3.0)
TERMINATION_GRACE_SECONDS = 3.0
"""Seconds of a pod's termination grace: its deletion timestamp lies so far ahead."""


class Kubelet:
    """Makes and ends pods; all its chance comes from one source."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pod_count = 0

    def reconcile(self, replica_set: SimulatedReplicaSet, now: float) -> bool:
        """Bring a ReplicaSet's pods to `now`; True when any of them came, changed or went."""
        changed = [self._update_pod(pod, now) for pod in replica_set.pods]
        gone = [pod for pod in replica_set.pods if pod.gone_at <= now]
        replica_set.pods = [pod for pod in replica_set.pods if pod.gone_at > now]
        resized = False
        if replica_set.sync_at <= now:
            replica_set.sync_at = NEVER
            resized = self._resize(replica_set, now)
        return any(changed) or bool(gone) or resized

    def _resize(self, replica_set: SimulatedReplicaSet, now: float) -> bool:
        standing = replica_set.active_pods
        for pod in self._deletion_order(standing)[: max(0, len(standing) - replica_set.desired)]:
            pod.deleted_at, pod.gone_at = now, now + self._random.uniform(*POD_STOP_SECONDS)
        replica_set.pods += [self._new_pod(replica_set, now) for _ in range(replica_set.desired - len(standing))]
        return len(standing) != replica_set.desired

    @staticmethod
    def _deletion_order(pods: list[SimulatedPod]) -> list[SimulatedPod]:
        """Order pods by who goes first: those that are not ready, then the youngest."""
        return sorted(pods, key=lambda pod: (pod.ready, -pod.number))

    @staticmethod
    def _update_pod(pod: SimulatedPod, now: float) -> bool:
        before = (pod.running, pod.ready)
        pod.running = pod.running or pod.starts_at <= now
        pod.ready = pod.ready or (pod.ready_at <= now and not pod.terminating)
        return (pod.running, pod.ready) != before

    def _new_pod(self, replica_set: SimulatedReplicaSet, now: float) -> SimulatedPod:
        self._pod_count += 1
        suffix = "".join(self._random.choices(ALPHABET, k=5))
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        starts = now + self._random.uniform(*POD_START_SECONDS)
        ready = NEVER if replica_set.image.rpartition(":")[2].startswith("bad") else starts + self._random.uniform(*POD_READY_SECONDS)
        return SimulatedPod(f"{replica_set.name}-{suffix}", identity, self._pod_count, now, starts, ready)


def next_change(replica_set: SimulatedReplicaSet) -> float:
    """Say when something will next happen to a ReplicaSet's pods by itself."""
    moments = [replica_set.sync_at]
    for pod in replica_set.pods:
        moments.append(pod.gone_at)
        if not pod.running:
            moments.append(pod.starts_at)
        elif not pod.ready and not pod.terminating:
            moments.append(pod.ready_at)
    return min(moments)
