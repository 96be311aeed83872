"""What is the case in the simulated cluster, told from its objects: the reference an exporter is held to."""

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
    """A pod of a rollout; `role` is stable, canary, preview or old, "" while there is no stable revision."""

    name: str
    uid: str
    hash: str
    role: str
    ready: bool
    terminating: bool


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """A rollout; `phase` is the metric's, `health` the object's own, `weight` the router's of 100 (None without).

    `fraction` is the canary's share of traffic in [0, 1], None for blue-green and where nothing is ready; `updating`
    is None before the first revision is stable.
    """

    strategy: str
    phase: str
    health: str
    stable_hash: str
    current_hash: str
    aborted: bool
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
    """Tell the truth about one rollout."""
    status, pods = rollout.status, _pods(rollout)
    weight = status.weights.canary if status.weights else None
    settled = status.stable_hash and status.current_hash
    return GroundTruth(
        strategy=rollout.spec.strategy.label,
        phase=conditions.phase(status),
        health=status.health,
        stable_hash=status.stable_hash,
        current_hash=status.current_hash,
        aborted=bool(status.abort),
        updating=not rollout.is_promoted and not status.abort if settled else None,
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
        PodGroundTruth(pod.name, pod.uid, one.hash, _role(rollout, one.hash), pod.ready, pod.terminating)
        for one in rollout.replica_sets.values()
        for pod in one.pods
    )


def _role(rollout: SimulatedRollout, template: str) -> str:
    status = rollout.status
    if not status.stable_hash:
        return ""
    if template == status.stable_hash:
        return "stable"
    if template != status.current_hash:
        return "old"
    return "preview" if isinstance(rollout.spec.strategy, BlueGreenStrategy) else "canary"


def _fraction(rollout: SimulatedRollout, weight: int | None, pods: tuple[PodGroundTruth, ...]) -> float | None:
    """Say the router's weight where there is one, else the share of ready pods; 0 outside an update."""
    if not rollout.status.stable_hash or rollout.is_promoted:
        return 0.0
    if weight is not None:
        return weight / FULL_WEIGHT
    ready = Counter(pod.role for pod in pods if pod.ready and not pod.terminating)
    total = ready["canary"] + ready["stable"]
    return ready["canary"] / total if total and not rollout.spec.router else None
