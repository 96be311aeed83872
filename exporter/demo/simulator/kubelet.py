"""ReplicaSet controller, scheduler and kubelet in one: creates pods, makes them ready and deletes them."""

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
"""A pod's termination grace period; its deletion timestamp is that far ahead."""


class Kubelet:
    """Creates and deletes pods, with random delays from one seeded source."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pod_count = 0

    def reconcile(self, replica_set: SimulatedReplicaSet, now: float) -> bool:
        """Advance a ReplicaSet's pods to `now`; return whether any was created, changed or deleted."""
        changes = [_update_pod(pod, now) for pod in replica_set.pods]
        changes += [pod.gone_at <= now for pod in replica_set.pods]
        replica_set.pods = [pod for pod in replica_set.pods if pod.gone_at > now]
        if replica_set.sync_at <= now:
            replica_set.sync_at = NEVER
            changes.append(self._resize(replica_set, now))
        return any(changes)

    def _resize(self, replica_set: SimulatedReplicaSet, now: float) -> bool:
        active = replica_set.active_pods
        active.sort(key=lambda pod: (pod.ready, -pod.number))  # deletes pods that are not ready, then the newest
        for pod in active[: max(0, len(active) - replica_set.desired)]:
            pod.deleted_at, pod.gone_at = now, now + self._random.uniform(*POD_STOP_SECONDS)
        replica_set.pods += [self._new_pod(replica_set, now) for _ in range(replica_set.desired - len(active))]
        return len(active) != replica_set.desired

    def _new_pod(self, replica_set: SimulatedReplicaSet, now: float) -> SimulatedPod:
        self._pod_count += 1
        suffix = "".join(self._random.choices(ALPHABET, k=5))
        uid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        starts = now + self._random.uniform(*POD_START_SECONDS)
        is_bad = replica_set.image.rpartition(":")[2].startswith("bad")
        ready = NEVER if is_bad else starts + self._random.uniform(*POD_READY_SECONDS)
        return SimulatedPod(f"{replica_set.name}-{suffix}", uid, self._pod_count, now, starts, ready)


def _update_pod(pod: SimulatedPod, now: float) -> bool:
    previous = (pod.running, pod.ready)
    pod.running = pod.running or pod.starts_at <= now
    pod.ready = pod.ready or (pod.ready_at <= now and not pod.terminating)
    return (pod.running, pod.ready) != previous


def next_change(replica_set: SimulatedReplicaSet) -> float:
    """Return when a ReplicaSet's pods change next without a command."""
    times = [replica_set.sync_at]
    for pod in replica_set.pods:
        times.append(pod.gone_at)
        if not pod.running:
            times.append(pod.starts_at)
        elif not pod.ready and not pod.terminating:
            times.append(pod.ready_at)
    return min(times)
