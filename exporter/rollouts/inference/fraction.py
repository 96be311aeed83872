"""The share of traffic on the canary, by every method that can be computed, and the best of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import CANARY, Role, UpdateState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.rollouts.model import ControllerView, Pod, Replicas, RolloutStatus

METHODS: Final = ("weight", "ready_pods", "pods", "replicas")


@dataclass(frozen=True, slots=True)
class Fraction:
    """`best` is in [0, 1], or None while unknown; `method` says which estimate it is, or why none was needed."""

    best: float | None = None
    method: str = ""
    why: str = ""
    estimates: Mapping[str, float] = field(default_factory=dict)


def canary_fraction(
    standing: UpdateState,
    reading: ControllerView,
    state: RolloutStatus | None,
    roles: Sequence[tuple[Pod, Role]],
    *,
    router: bool,
) -> Fraction | None:
    """Compute the canary's share of traffic; None for any other strategy.

    `roles` are the pods with their roles when they can be trusted, else empty. With a router, pods say little about
    traffic, and right after an abort nothing (facts/observed.md 4).
    """
    if reading.strategy != CANARY:
        return None
    estimates = _estimates(reading.replicas, state, roles, router=router)
    if standing is UpdateState.SETTLED:
        return Fraction(0.0, "settled", "the wanted revision is the stable one", estimates)
    if standing is UpdateState.UNKNOWN:
        return Fraction(None, "", "it is not known whether an update is under way", estimates)
    if standing is UpdateState.ABORTED and router and "weight" not in estimates:
        return Fraction(0.0, "aborted", "an abort takes the weight off the canary at once", estimates)
    if reading.phase == "Completed":
        return _lagging(estimates)
    return _best(estimates, router=router)


def _lagging(estimates: Mapping[str, float]) -> Fraction:
    """Judge while the controller's page still speaks of the revision before: its gauges say nothing of this one."""
    why = "the controller's page does not show the new revision yet"
    return Fraction(estimates.get("weight"), "weight" if "weight" in estimates else "", why, estimates)


def _best(estimates: Mapping[str, float], *, router: bool) -> Fraction:
    order, why = (
        (("weight", "replicas"), "a router sets the traffic, so pods say little")
        if router
        else (("weight", "ready_pods", "pods"), "without a router traffic follows the pods that are ready")
    )
    for method in order:
        if method in estimates:
            return Fraction(estimates[method], method, why, estimates)
    return Fraction(None, "", "no method could be computed", estimates)


def _estimates(
    replicas: Replicas | None, state: RolloutStatus | None, roles: Sequence[tuple[Pod, Role]], *, router: bool
) -> dict[str, float]:
    found: dict[str, float] = {}
    if state is not None and state.weight is not None:
        found["weight"] = _share(state.weight, state.most_weight)
    ready = [role for pod, role in roles if pod.ready]
    counted = ready.count(Role.CANARY) + ready.count(Role.STABLE)
    if counted and Role.UNKNOWN not in ready:
        found["ready_pods"] = ready.count(Role.CANARY) / counted
    if replicas is not None:
        if replicas.total:
            found["pods"] = _share(replicas.updated, replicas.total)
        if replicas.desired:
            found["replicas"] = _share(replicas.updated, replicas.desired)
        elif router and not replicas.total:
            found["replicas"] = 0.0  # scaled to nothing: the controller takes the weight off, too (observed.md 3.4.6)
    return found


def _share(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0
