"""The true state of a rollout in the simulated cluster, from its objects: what an exporter should derive."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.demo.simulator import conditions
from exporter.demo.simulator.objects import FULL_WEIGHT, BlueGreenStrategy

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import SimulatedRollout


@dataclass(frozen=True, slots=True)
class PodGroundTruth:
    """A pod of a rollout; `role` is stable, canary, preview or old, "" before the first revision is stable."""

    name: str
    uid: str
    hash: str
    role: str
    ready: bool
    terminating: bool


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """A rollout; `phase` is the metric's, `health` the object's status.phase, `weight` the router's, of 100.

    `fraction` is the canary's share of traffic in [0, 1], None for blue-green and if no pod is ready; `updating` is
    None before the first revision is stable.
    """

    strategy: str
    phase: str
    health: str
    stable_hash: str
    current_hash: str
    updating: bool | None
    step_index: int | None
    weight: int | None
    fraction: float | None
    desired: int
    updated: int
    available: int
    replicas: int
    pods: tuple[PodGroundTruth, ...]


def ground_truth_of(rollout: SimulatedRollout) -> GroundTruth:
    """Return the true state of a rollout."""
    status, pods = rollout.status, _pods(rollout)
    weight = status.weights.canary if status.weights else None
    has_stable = status.stable_hash and status.current_hash
    return GroundTruth(
        strategy=rollout.spec.strategy.label,
        phase=conditions.phase(status),
        health=status.health,
        stable_hash=status.stable_hash,
        current_hash=status.current_hash,
        updating=not rollout.is_promoted and not status.abort if has_stable else None,
        step_index=status.step_index,
        weight=weight,
        fraction=None if isinstance(rollout.spec.strategy, BlueGreenStrategy) else _fraction(rollout, weight, pods),
        desired=rollout.spec.replicas,
        updated=status.updated,
        available=status.available,
        replicas=status.replicas,
        pods=pods,
    )


def _pods(rollout: SimulatedRollout) -> tuple[PodGroundTruth, ...]:
    return tuple(
        PodGroundTruth(pod.name, pod.uid, pod_hash, _role(rollout, pod_hash), pod.ready, pod.terminating)
        for pod_hash, replica_set in rollout.replica_sets.items()
        for pod in replica_set.pods
    )


def _role(rollout: SimulatedRollout, pod_hash: str) -> str:
    status = rollout.status
    if not status.stable_hash:
        return ""
    if pod_hash == status.stable_hash:
        return "stable"
    if pod_hash != status.current_hash:
        return "old"
    return "preview" if isinstance(rollout.spec.strategy, BlueGreenStrategy) else "canary"


def _fraction(rollout: SimulatedRollout, weight: int | None, pods: tuple[PodGroundTruth, ...]) -> float | None:
    """Return the router's weight if there is one, else the share of ready pods.

    0 outside an update, unless the router's weight is still on another revision.
    """
    weights, stable = rollout.status.weights, rollout.status.stable_hash
    lingers = weights is not None and weights.canary > 0 and weights.canary_hash != stable
    if not stable or (rollout.is_promoted and not lingers):
        return 0.0
    if weight is not None:
        return weight / FULL_WEIGHT
    ready = Counter(pod.role for pod in pods if pod.ready and not pod.terminating)
    total = ready["canary"] + ready["stable"] + ready["old"]
    return ready["canary"] / total if total and not rollout.spec.router else None
