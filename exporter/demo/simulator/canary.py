"""The canary strategy of the simulated controller: `rollout/canary.go` and `trafficrouting.go` of v1.8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator import arithmetic, shared
from exporter.demo.simulator.objects import (
    FULL_WEIGHT,
    CanaryStrategy,
    Pause,
    SetCanaryScale,
    SetWeight,
    TrafficWeights,
)

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import SimulatedReplicaSet
    from exporter.demo.simulator.shared import ReconcileContext


def reconcile(context: ReconcileContext) -> None:
    """Reconcile a canary rollout once."""
    if context.previous.current_hash != context.new.hash:
        _update_counts(context)
        _start_update(context)
        return
    if context.rollout.spec.router:
        _point_services(context)
        _route(context)
    if not resize(context):
        _reconcile_pause(context)
    _update_counts(context)
    _advance(context)


def resize(context: ReconcileContext) -> bool:
    """Scale one kind of ReplicaSet: stable, current, others, in this order; return whether any was scaled."""
    if context.rollout.spec.paused:
        return False
    shared.remove_scale_down_deadlines(context)
    new, stable = _sizes(context, _weight(context))
    if context.stable and context.has_distinct_stable and shared.scale(context, context.stable, stable):
        return True
    return shared.scale_new_replica_set(context, new) or _scale_down_others(context)


def refresh(context: ReconcileContext) -> None:
    """Write what a scaling event changes in the status (syncReplicasOnly)."""
    context.status.available = shared.count_available(context.rollout.replica_sets.values())


def _update_counts(context: ReconcileContext) -> None:
    shared.update_replica_counts(context)
    refresh(context)


def _start_update(context: ReconcileContext) -> None:
    shared.reset_status(context)
    is_back = context.previous.stable_hash == context.new.hash or _is_rollback_within_window(context)
    if is_back and context.rollout.spec.steps:
        context.record_event("SkipSteps")
        context.status.step_index = len(context.rollout.spec.steps)


def _is_rollback_within_window(context: ReconcileContext) -> bool:
    """Return whether the current ReplicaSet is older than the stable one by few revisions (isRollbackWithinWindow)."""
    new, stable, window = context.new, context.stable, context.rollout.spec.rollback_window
    if stable is None or not window or new.created_at >= stable.created_at:
        return False
    others = (replica_set.created_at for replica_set in context.rollout.replica_sets.values())
    return sum(new.created_at < created_at < stable.created_at for created_at in others) < window


def _is_dynamic(context: ReconcileContext) -> bool:
    strategy = context.strategy
    return isinstance(strategy, CanaryStrategy) and bool(strategy.router) and strategy.dynamic_stable_scale


def _canary_scale(context: ReconcileContext) -> int | None:
    """Return the canary's size by the last setCanaryScale at or before the step, None without (UseSetCanaryScale)."""
    previous, index = context.previous, context.previous.step_index
    is_over = previous.promote_full or previous.abort or previous.current_hash == previous.stable_hash
    if is_over or index is None or context.step is None:
        return None
    scales = [step.replicas for step in context.rollout.spec.steps[: index + 1] if isinstance(step, SetCanaryScale)]
    return scales[-1] if scales else None


def _weight(context: ReconcileContext) -> int:
    """Return the weight to scale for (GetCanaryReplicasOrWeight)."""
    previous = context.previous
    if previous.promote_full or not previous.stable_hash or previous.current_hash == previous.stable_hash:
        return FULL_WEIGHT
    if previous.abort:
        return 0
    return FULL_WEIGHT if context.step is None else _weight_at(context, previous.step_index or 0)


def _weight_at(context: ReconcileContext, index: int) -> int:
    """Return the last weight set at or before a step, 0 before any."""
    weights = [step.weight for step in context.rollout.spec.steps[: index + 1] if isinstance(step, SetWeight)]
    return weights[-1] if weights else 0


def _sizes(context: ReconcileContext, weight: int) -> tuple[int, int]:
    """Return the desired pods of current and stable ReplicaSet for a weight."""
    if context.rollout.spec.router:
        return _routed_sizes(context, weight)
    others = sum(replica_set.desired for replica_set in context.rollout.other_replica_sets)
    new = shared.size_of(context.new)
    if not context.has_distinct_stable:
        return arithmetic.only_replica_set_size(context.bounds, new, others), 0
    return arithmetic.basic_canary_sizes(context.bounds, weight, new, shared.size_of(context.stable), others)


def _routed_sizes(context: ReconcileContext, weight: int) -> tuple[int, int]:
    """Return the desired pods with a router (CalculateReplicaCountsForTrafficRoutedCanary)."""
    desired, weights, scale = context.desired, context.previous.weights, _canary_scale(context)
    canary = arithmetic.routed_canary_size(desired, weight) if scale is None else scale
    if not _is_dynamic(context) or weights is None:
        return canary, desired
    # Neither side shrinks before its traffic does.
    stable_weight = max(FULL_WEIGHT - weight, FULL_WEIGHT - weights.canary)
    canary = max(canary, arithmetic.routed_canary_size(desired, weights.canary) if scale is None else 0)
    return canary, arithmetic.routed_canary_size(desired, stable_weight)


def _scale_down_others(context: ReconcileContext) -> bool:
    """Scale down ReplicaSets that are neither current nor stable (scaleDownOldReplicaSetsForCanary)."""
    others = [replica_set for replica_set in context.rollout.other_replica_sets if replica_set.desired]
    scaled = False
    for replica_set in others:
        if replica_set.available < replica_set.desired:
            scaled = shared.scale(context, replica_set, replica_set.available)
    spare = shared.count_available(context.rollout.replica_sets.values()) - context.bounds.min_available
    for replica_set in others:
        if spare > 0 and not _may_receive_traffic(context, replica_set):
            size = replica_set.desired
            scaled |= shared.scale(context, replica_set, _remaining(context, replica_set, spare))
            spare -= size - replica_set.desired
    return scaled


def _remaining(context: ReconcileContext, replica_set: SimulatedReplicaSet, spare: int) -> int:
    """Return how many pods an old ReplicaSet keeps for now."""
    if not context.rollout.spec.router:
        return max(0, replica_set.desired - spare)
    if context.rollout.is_promoted or replica_set.scale_down_at is not None:
        return shared.replicas_until_deadline(context, replica_set, replica_set.desired)
    return 0


def _may_receive_traffic(context: ReconcileContext, replica_set: SimulatedReplicaSet) -> bool:
    """Return whether a Service or the router may still refer to an old ReplicaSet."""
    weights, rollout = context.previous.weights, context.rollout
    hashes = {rollout.stable_service_hash, rollout.canary_service_hash}
    if weights:
        hashes |= {weights.canary_hash, weights.stable_hash}
    return bool(rollout.spec.router) and replica_set.hash in hashes


def _point_services(context: ReconcileContext) -> None:
    """Point the stable and canary Services at their pods; after an abort both at the stable ones."""
    rollout, stable = context.rollout, context.stable
    canary = stable if context.aborted else context.new
    if stable and _can_switch(rollout.stable_service_hash, stable):
        rollout.stable_service_hash = stable.hash
        context.record_event("SwitchService")
    if canary and _can_switch(rollout.canary_service_hash, canary):
        rollout.canary_service_hash = canary.hash
        context.record_event("SwitchService")


def _can_switch(service_hash: str, replica_set: SimulatedReplicaSet) -> bool:
    """Return whether a Service may switch: its first time only to a full ReplicaSet, later to one ready pod."""
    if service_hash == replica_set.hash:
        return False
    return replica_set.available >= (1 if service_hash else max(replica_set.desired, 1))


def _route(context: ReconcileContext) -> None:
    """Set the router's weight (reconcileTrafficRouting)."""
    stable = context.stable
    weight = _desired_weight(context)
    # The stable pods must be able to carry their share before the weight is set.
    if stable is None or stable.available < (FULL_WEIGHT - weight) * context.desired // FULL_WEIGHT:
        return
    old = context.previous.weights
    former = old.canary_hash if old and weight and context.rollout.is_promoted else context.new.hash
    weights = TrafficWeights(weight, former, stable.hash)
    if old == weights:
        return
    if context.rollout.spec.router == "Nginx" and (old is None or old.canary != weight):
        context.record_event("PatchingCanaryIngress" if old else "CreatingCanaryIngress")
    context.record_event("TrafficWeightUpdated")
    context.status.weights = weights


def _desired_weight(context: ReconcileContext) -> int:
    """Return the weight that the router should have now."""
    previous, index = context.previous, context.previous.step_index
    if context.rollout.is_promoted or context.aborted:
        return _weight_on_the_way_back(context)
    if not context.new.available:
        return 0
    if previous.promote_full:
        return previous.weights.canary if previous.weights else 0
    if index is None:
        return 0
    if not _has_desired_size(context):
        return _weight_at(context, index - 1) if index else 0
    return FULL_WEIGHT if context.step is None else _weight_at(context, index)


def _weight_on_the_way_back(context: ReconcileContext) -> int:
    """Return the weight after an abort, or back at the stable revision (calculateDesiredWeightOnAbortOrStableRollback).

    With dynamicStableScale the stable pods must come back before the traffic does.
    """
    old, stable = context.previous.weights, context.stable
    if not _is_dynamic(context) or old is None or stable is None or not context.desired:
        return 0
    return min(old.canary, max(0, FULL_WEIGHT - FULL_WEIGHT * stable.available // context.desired))


def _has_desired_size(context: ReconcileContext) -> bool:
    """Return whether the pods match the step (AtDesiredReplicaCountsForCanary)."""
    new, stable = _sizes(context, _weight(context))
    if not context.new.desired == context.new.available == new or context.stable is None:
        return False
    if not context.stable.desired == context.stable.replicas == stable:
        return False
    return bool(context.rollout.spec.router) or not shared.count_available(context.rollout.other_replica_sets)


def _reconcile_pause(context: ReconcileContext) -> None:
    """Start the pause of a pause step."""
    previous = context.previous
    halted = context.rollout.spec.paused or previous.promote_full
    paused = previous.pause is not None or previous.controller_pause
    if isinstance(context.step, Pause) and not halted and not paused:
        context.adds_pause = "CanaryPauseStep"


def _advance(context: ReconcileContext) -> None:
    """Promote, go back, or take the next step (syncRolloutStatusCanary)."""
    status, steps = context.status, context.rollout.spec.steps
    if context.previous.promote_full:
        context.clears_pause = context.clears_abort = True
        status.step_index = len(steps) or None
    if _can_promote(context):
        shared.promote(context)
    elif context.aborted:
        status.step_index = (len(steps) if context.rollout.is_promoted else 0) if steps else None
    elif _is_step_complete(context):
        status.step_index = (context.previous.step_index or 0) + 1
        context.ends_pause = True
        context.record_event("RolloutStepCompleted")


def _can_promote(context: ReconcileContext) -> bool:
    """Return whether the current revision may become the stable one (shouldFullPromote)."""
    if context.stable is None:
        return True
    if context.aborted or context.new.available != context.desired:
        return False
    return context.previous.promote_full or context.step is None


def _is_step_complete(context: ReconcileContext) -> bool:
    """Return whether the current step is complete."""
    if context.rollout.spec.paused or context.previous.promote_full or context.step is None:
        return False
    if isinstance(context.step, Pause):
        return shared.is_pause_over(context, context.step.seconds)
    return _has_desired_size(context)
