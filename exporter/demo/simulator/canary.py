"""The canary strategy of the simulated controller: `rollout/canary.go` and `trafficrouting.go` of v1.8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator import arithmetic
from exporter.demo.simulator import reconciler as shared
from exporter.demo.simulator.objects import FULL_WEIGHT, Pause, SetWeight, Weights

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import ReplicaSet
    from exporter.demo.simulator.reconciler import Turn


def reconcile(turn: Turn) -> None:
    """Bring a canary one turn further."""
    if turn.was.current_hash != turn.new.hash:
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


def resize(turn: Turn) -> bool:
    """Size the ReplicaSets, one kind a turn: stable, wanted, others; True when something was asked for."""
    if turn.rollout.spec.paused:
        return False
    shared.lift_deadlines(turn)
    new, stable = _sizes(turn, _weight(turn))
    if turn.stable and turn.apart and shared.scale(turn, turn.stable, stable):
        return True
    return shared.resize_new(turn, new) or _drain_others(turn)


def refresh(turn: Turn) -> None:
    """Refresh only what a mere scaling refreshes (syncReplicasOnly)."""
    turn.status.available = shared.available(list(turn.rollout.sets.values()))


def _count(turn: Turn) -> None:
    shared.count(turn)
    refresh(turn)


def _begin(turn: Turn) -> None:
    shared.begin(turn)
    if turn.was.stable_hash == turn.new.hash and turn.rollout.spec.steps:
        turn.record("SkipSteps")
        turn.status.step = len(turn.rollout.spec.steps)


def _weight(turn: Turn) -> int:
    """Say what weight to size for (GetCanaryReplicasOrWeight)."""
    was = turn.was
    if was.promote_full or not was.stable_hash or was.current_hash == was.stable_hash:
        return FULL_WEIGHT
    if was.abort:
        return 0
    return FULL_WEIGHT if turn.step is None else _weight_at(turn, was.step or 0)


def _weight_at(turn: Turn, index: int) -> int:
    """Say the last weight set at or before a step, 0 before any."""
    weights = [step.weight for step in turn.rollout.spec.steps[: index + 1] if isinstance(step, SetWeight)]
    return weights[-1] if weights else 0


def _sizes(turn: Turn, weight: int) -> tuple[int, int]:
    """Size wanted and stable ReplicaSet for a weight."""
    if turn.rollout.spec.router:
        return arithmetic.routed(turn.wanted, weight), turn.wanted
    others = sum(one.spec for one in turn.rollout.others)
    new = shared.size(turn.new)
    if not turn.apart:
        return arithmetic.alone(turn.bounds, new, others), 0
    return arithmetic.basic(turn.bounds, weight, new, shared.size(turn.stable), others)


def _drain_others(turn: Turn) -> bool:
    """Take away ReplicaSets that are neither wanted nor stable (scaleDownOldReplicaSetsForCanary)."""
    others = [one for one in turn.rollout.others if one.spec]
    scaled = [one for one in others if one.available < one.spec and shared.scale(turn, one, one.available)]
    spare = shared.available(list(turn.rollout.sets.values())) - turn.bounds.least
    for one in others:
        if spare <= 0:
            break
        before = one.spec
        if not _referenced(turn, one) and shared.scale(turn, one, _left(turn, one, spare)):
            scaled.append(one)
            spare -= before - one.spec
    return bool(scaled)


def _left(turn: Turn, one: ReplicaSet, spare: int) -> int:
    """Say how many pods an old ReplicaSet keeps for now."""
    if not turn.rollout.spec.router:
        return max(0, one.spec - spare)
    if turn.rollout.promoted or one.deadline is not None:
        return shared.after_delay(turn, one, one.spec)
    return 0


def _referenced(turn: Turn, one: ReplicaSet) -> bool:
    """Whether traffic may still go to an old ReplicaSet."""
    weights, rollout = turn.was.weights, turn.rollout
    hashes = {rollout.first, rollout.second}
    if weights:
        hashes |= {weights.canary_hash, weights.stable_hash}
    return bool(rollout.spec.router) and one.hash in hashes


def _point_services(turn: Turn) -> None:
    """Point the stable and canary Services at their pods, after an abort both at the stable ones."""
    rollout = turn.rollout
    canary = turn.stable if turn.aborted else turn.new
    if turn.stable and rollout.first != turn.stable.hash and _servable(turn.stable, adopted=bool(rollout.first)):
        rollout.first = turn.stable.hash
        turn.record("SwitchService")
    if canary and rollout.second != canary.hash and _servable(canary, adopted=bool(rollout.second)):
        rollout.second = canary.hash
        turn.record("SwitchService")


def _servable(one: ReplicaSet, *, adopted: bool) -> bool:
    """Whether a Service may point there: it is adopted for a whole ReplicaSet, switched for one pod of it."""
    return one.available >= (1 if adopted else max(one.spec, 1))


def _route(turn: Turn) -> None:
    """Set the router's weight (reconcileTrafficRouting)."""
    stable = turn.stable
    weight = _desired_weight(turn)
    if stable is None or stable.available < (FULL_WEIGHT - weight) * turn.wanted // FULL_WEIGHT:
        return
    old, weights = turn.was.weights, Weights(weight, turn.new.hash, stable.hash)
    if old == weights:
        return
    if turn.rollout.spec.router == "Nginx" and (old is None or old.canary != weight):
        turn.record("PatchingCanaryIngress" if old else "CreatingCanaryIngress")
    turn.record("TrafficWeightUpdated")
    turn.status.weights = weights


def _desired_weight(turn: Turn) -> int:
    """Say what weight the router should have now."""
    was, index = turn.was, turn.was.step
    if turn.rollout.promoted or turn.aborted or not turn.new.available:
        return 0
    if was.promote_full:
        return was.weights.canary if was.weights else 0
    if index is None:
        return 0
    if not _at_size(turn):
        return _weight_at(turn, index - 1) if index else 0
    return FULL_WEIGHT if turn.step is None else _weight_at(turn, index)


def _at_size(turn: Turn) -> bool:
    """Whether the pods are as the step wants them (AtDesiredReplicaCountsForCanary)."""
    new, stable = _sizes(turn, _weight(turn))
    if not turn.new.spec == turn.new.available == new or turn.stable is None:
        return False
    if not turn.stable.spec == turn.stable.replicas == stable:
        return False
    return bool(turn.rollout.spec.router) or not shared.available(turn.rollout.others)


def _reconcile_pause(turn: Turn) -> None:
    """Begin the pause that the step asks for."""
    halted = turn.rollout.spec.paused or turn.was.promote_full
    if isinstance(turn.step, Pause) and not halted and turn.was.waiting is None and not turn.was.controller_pause:
        turn.adds_pause = "CanaryPauseStep"


def _advance(turn: Turn) -> None:
    """Promote, fall back, or take the next step (syncRolloutStatusCanary)."""
    status, steps = turn.status, turn.rollout.spec.steps
    if turn.was.promote_full:
        turn.clears_pause = turn.drops_abort = True
        status.step = len(steps) or None
    if _promotable(turn):
        shared.promote(turn)
    elif turn.aborted:
        status.step = (len(steps) if turn.rollout.promoted else 0) if steps else None
    elif _step_done(turn):
        status.step = (turn.was.step or 0) + 1
        turn.drops_pause = True
        turn.record("RolloutStepCompleted")


def _promotable(turn: Turn) -> bool:
    """Whether the wanted revision may become the stable one (shouldFullPromote)."""
    if turn.stable is None:
        return True
    if turn.aborted or turn.new.available != turn.wanted:
        return False
    return turn.was.promote_full or turn.step is None


def _step_done(turn: Turn) -> bool:
    """Whether the current step is behind us."""
    if turn.rollout.spec.paused or turn.was.promote_full or turn.step is None:
        return False
    return shared.waited(turn, turn.step.seconds) if isinstance(turn.step, Pause) else _at_size(turn)
