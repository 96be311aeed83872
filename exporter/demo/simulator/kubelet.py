"""ReplicaSet controller, scheduler and kubelet in one: pods come, get ready and go as their ReplicaSet asks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import ALPHABET, NEVER, Pod, ReplicaSet

if TYPE_CHECKING:
    from random import Random

STARTS = (0.3, 0.9)
READY = (0.4, 1.8)
GOES = (1.5, 3.0)
GRACE = 3.0
"""Seconds of a pod's termination grace: its deletion timestamp lies so far ahead."""


class Kubelet:
    """Makes and ends pods; all its chance comes from one source."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._made = 0

    def settle(self, one: ReplicaSet, now: float) -> bool:
        """Bring a ReplicaSet's pods to `now`; True when any of them came, changed or went."""
        changed = [self._live(pod, now) for pod in one.pods]
        gone = [pod for pod in one.pods if pod.gone_from <= now]
        one.pods = [pod for pod in one.pods if pod.gone_from > now]
        resized = False
        if one.sync_at <= now:
            one.sync_at = NEVER
            resized = self._resize(one, now)
        return any(changed) or bool(gone) or resized

    def _resize(self, one: ReplicaSet, now: float) -> bool:
        standing = one.standing
        for pod in self._expendable(standing)[: max(0, len(standing) - one.spec)]:
            pod.deleted, pod.gone_from = now, now + self._chance.uniform(*GOES)
        one.pods += [self._pod(one, now) for _ in range(one.spec - len(standing))]
        return len(standing) != one.spec

    @staticmethod
    def _expendable(pods: list[Pod]) -> list[Pod]:
        """Order pods by who goes first: those that are not ready, then the youngest."""
        return sorted(pods, key=lambda pod: (pod.ready, -pod.number))

    @staticmethod
    def _live(pod: Pod, now: float) -> bool:
        before = (pod.running, pod.ready)
        pod.running = pod.running or pod.starts <= now
        pod.ready = pod.ready or (pod.ready_from <= now and not pod.terminating)
        return (pod.running, pod.ready) != before

    def _pod(self, one: ReplicaSet, now: float) -> Pod:
        self._made += 1
        suffix = "".join(self._chance.choices(ALPHABET, k=5))
        identity = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        starts = now + self._chance.uniform(*STARTS)
        ready = NEVER if one.image.rpartition(":")[2].startswith("bad") else starts + self._chance.uniform(*READY)
        return Pod(f"{one.name}-{suffix}", identity, self._made, now, starts, ready)


def next_change(one: ReplicaSet) -> float:
    """Say when something will next happen to a ReplicaSet's pods by itself."""
    moments = [one.sync_at]
    for pod in one.pods:
        moments.append(pod.gone_from)
        if not pod.running:
            moments.append(pod.starts)
        elif not pod.ready and not pod.terminating:
            moments.append(pod.ready_from)
    return min(moments)
