"""The canary strategy of the simulated controller: `rollout/canary.go` and `trafficrouting.go` of v1.8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator import arithmetic
from exporter.demo.simulator import reconciler as shared
from exporter.demo.simulator.objects import FULL_WEIGHT, Pause, SetWeight, TrafficWeights

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import SimulatedReplicaSet
    from exporter.demo.simulator.reconciler import ReconcileContext


def reconcile(turn: ReconcileContext) -> None:
    """Bring a canary one turn further."""
    if turn.previous_status.current_hash != turn.new.hash:
        _count(turn)
        _begin(turn)
        return
    if turn.rollout.spec.router:
        _point_services(turn)
        _route(turn)
    if not resize(turn):
        _reconcile_pause(turn)
    _count(turn)
    _advance(turn)


def resize(turn: ReconcileContext) -> bool:
    """Size the ReplicaSets, one kind a turn: stable, wanted, others; True when something was asked for."""
    if turn.rollout.spec.paused:
        return False
    shared.remove_scale_down_deadlines(turn)
    new, stable = _sizes(turn, _weight(turn))
    if turn.stable and turn.has_distinct_stable and shared.scale(turn, turn.stable, stable):
        return True
    return shared.scale_new_replica_set(turn, new) or _drain_others(turn)


def refresh(turn: ReconcileContext) -> None:
    """Refresh only what a mere scaling refreshes (syncReplicasOnly)."""
    turn.status.available = shared.count_available(list(turn.rollout.replica_sets.values()))


def _count(turn: ReconcileContext) -> None:
    shared.update_replica_counts(turn)
    refresh(turn)


def _begin(turn: ReconcileContext) -> None:
    shared.reset_status(turn)
    if turn.previous_status.stable_hash == turn.new.hash and turn.rollout.spec.steps:
        turn.record_event("SkipSteps")
        turn.status.step_index = len(turn.rollout.spec.steps)


def _weight(turn: ReconcileContext) -> int:
    """Say what weight to size for (GetCanaryReplicasOrWeight)."""
    was = turn.previous_status
    if was.promote_full or not was.stable_hash or was.current_hash == was.stable_hash:
        return FULL_WEIGHT
    if was.abort:
        return 0
    return FULL_WEIGHT if turn.step is None else _weight_at(turn, was.step_index or 0)


def _weight_at(turn: ReconcileContext, index: int) -> int:
    """Say the last weight set at or before a step, 0 before any."""
    weights = [step.weight for step in turn.rollout.spec.steps[: index + 1] if isinstance(step, SetWeight)]
    return weights[-1] if weights else 0


def _sizes(turn: ReconcileContext, weight: int) -> tuple[int, int]:
    """Size wanted and stable ReplicaSet for a weight."""
    if turn.rollout.spec.router:
        return arithmetic.routed_canary_size(turn.desired, weight), turn.desired
    others = sum(one.desired for one in turn.rollout.other_replica_sets)
    new = shared.size_of(turn.new)
    if not turn.has_distinct_stable:
        return arithmetic.only_replica_set_size(turn.bounds, new, others), 0
    return arithmetic.basic_canary_sizes(turn.bounds, weight, new, shared.size_of(turn.stable), others)


def _drain_others(turn: ReconcileContext) -> bool:
    """Take away ReplicaSets that are neither wanted nor stable (scaleDownOldReplicaSetsForCanary)."""
    others = [one for one in turn.rollout.other_replica_sets if one.desired]
    scaled = [one for one in others if one.available < one.desired and shared.scale(turn, one, one.available)]
    spare = shared.count_available(list(turn.rollout.replica_sets.values())) - turn.bounds.min_available
    for one in others:
        if spare <= 0:
            break
        before = one.desired
        if not _referenced(turn, one) and shared.scale(turn, one, _left(turn, one, spare)):
            scaled.append(one)
            spare -= before - one.desired
    return bool(scaled)


def _left(turn: ReconcileContext, one: SimulatedReplicaSet, spare: int) -> int:
    """Say how many pods an old ReplicaSet keeps for now."""
    if not turn.rollout.spec.router:
        return max(0, one.desired - spare)
    if turn.rollout.is_promoted or one.scale_down_at is not None:
        return shared.replicas_until_deadline(turn, one, one.desired)
    return 0


def _referenced(turn: ReconcileContext, one: SimulatedReplicaSet) -> bool:
    """Whether traffic may still go to an old ReplicaSet."""
    weights, rollout = turn.previous_status.weights, turn.rollout
    hashes = {rollout.stable_service_hash, rollout.canary_service_hash}
    if weights:
        hashes |= {weights.canary_hash, weights.stable_hash}
    return bool(rollout.spec.router) and one.hash in hashes


def _point_services(turn: ReconcileContext) -> None:
    """Point the stable and canary Services at their pods, after an abort both at the stable ones."""
    rollout = turn.rollout
    canary = turn.stable if turn.aborted else turn.new
    if turn.stable and rollout.stable_service_hash != turn.stable.hash and _servable(turn.stable, adopted=bool(rollout.stable_service_hash)):
        rollout.stable_service_hash = turn.stable.hash
        turn.record_event("SwitchService")
    if canary and rollout.canary_service_hash != canary.hash and _servable(canary, adopted=bool(rollout.canary_service_hash)):
        rollout.canary_service_hash = canary.hash
        turn.record_event("SwitchService")


def _servable(one: SimulatedReplicaSet, *, adopted: bool) -> bool:
    """Whether a Service may point there: it is adopted for a whole ReplicaSet, switched for one pod of it."""
    return one.available >= (1 if adopted else max(one.desired, 1))


def _route(turn: ReconcileContext) -> None:
    """Set the router's weight (reconcileTrafficRouting)."""
    stable = turn.stable
    weight = _desired_weight(turn)
    if stable is None or stable.available < (FULL_WEIGHT - weight) * turn.desired // FULL_WEIGHT:
        return
    old, weights = turn.previous_status.weights, TrafficWeights(weight, turn.new.hash, stable.hash)
    if old == weights:
        return
    if turn.rollout.spec.router == "Nginx" and (old is None or old.canary != weight):
        turn.record_event("PatchingCanaryIngress" if old else "CreatingCanaryIngress")
    turn.record_event("TrafficWeightUpdated")
    turn.status.weights = weights


def _desired_weight(turn: ReconcileContext) -> int:
    """Say what weight the router should have now."""
    was, index = turn.previous_status, turn.previous_status.step_index
    if turn.rollout.is_promoted or turn.aborted or not turn.new.available:
        return 0
    if was.promote_full:
        return was.weights.canary if was.weights else 0
    if index is None:
        return 0
    if not _at_size(turn):
        return _weight_at(turn, index - 1) if index else 0
    return FULL_WEIGHT if turn.step is None else _weight_at(turn, index)


def _at_size(turn: ReconcileContext) -> bool:
    """Whether the pods are as the step wants them (AtDesiredReplicaCountsForCanary)."""
    new, stable = _sizes(turn, _weight(turn))
    if not turn.new.desired == turn.new.available == new or turn.stable is None:
        return False
    if not turn.stable.desired == turn.stable.replicas == stable:
        return False
    return bool(turn.rollout.spec.router) or not shared.count_available(turn.rollout.other_replica_sets)


def _reconcile_pause(turn: ReconcileContext) -> None:
    """Begin the pause that the step asks for."""
    halted = turn.rollout.spec.paused or turn.previous_status.promote_full
    if isinstance(turn.step, Pause) and not halted and turn.previous_status.pause is None and not turn.previous_status.controller_pause:
        turn.adds_pause = "CanaryPauseStep"


def _advance(turn: ReconcileContext) -> None:
    """Promote, fall back, or take the next step (syncRolloutStatusCanary)."""
    status, steps = turn.status, turn.rollout.spec.steps
    if turn.previous_status.promote_full:
        turn.clears_pauses = turn.clears_abort = True
        status.step_index = len(steps) or None
    if _promotable(turn):
        shared.promote(turn)
    elif turn.aborted:
        status.step_index = (len(steps) if turn.rollout.is_promoted else 0) if steps else None
    elif _step_done(turn):
        status.step_index = (turn.previous_status.step_index or 0) + 1
        turn.ends_pause = True
        turn.record_event("RolloutStepCompleted")


def _promotable(turn: ReconcileContext) -> bool:
    """Whether the wanted revision may become the stable one (shouldFullPromote)."""
    if turn.stable is None:
        return True
    if turn.aborted or turn.new.available != turn.desired:
        return False
    return turn.previous_status.promote_full or turn.step is None


def _step_done(turn: ReconcileContext) -> bool:
    """Whether the current step is behind us."""
    if turn.rollout.spec.paused or turn.previous_status.promote_full or turn.step is None:
        return False
    return shared.is_pause_over(turn, turn.step.seconds) if isinstance(turn.step, Pause) else _at_size(turn)
