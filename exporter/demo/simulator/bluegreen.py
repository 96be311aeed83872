"""The blue-green strategy of the simulated controller: `rollout/bluegreen.go` and `service.go` of v1.8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator import reconciler as shared
from exporter.demo.simulator.objects import BlueGreenStrategy

if TYPE_CHECKING:
    from exporter.demo.simulator.reconciler import ReconcileContext


def reconcile(turn: ReconcileContext) -> None:
    """Bring a blue-green rollout one turn further."""
    fast = turn.new.scale_down_at is not None
    rollout, was = turn.rollout, turn.previous_status
    if not rollout.spec.paused and rollout.canary_service_hash != turn.new.hash:
        rollout.canary_service_hash = turn.new.hash
        turn.record_event("SwitchService")
    changed = bool(was.current_hash) and was.current_hash != turn.new.hash
    if not changed:
        resize(turn)
        _reconcile_pause(turn, fast=fast)
        _switch(turn, fast=fast)
    _sync(turn, changed=changed)


def resize(turn: ReconcileContext) -> None:
    """Size the ReplicaSets: the stable one whole, the wanted one as a preview or whole, others away in time."""
    if not turn.rollout.spec.paused:
        shared.remove_scale_down_deadlines(turn)
    if turn.stable:
        shared.scale(turn, turn.stable, turn.desired)
    shared.scale_new_replica_set(turn, _preview(turn))
    for one in turn.rollout.other_replica_sets:
        if one.desired and one.hash not in {turn.rollout.stable_service_hash, turn.previous_status.active_hash}:
            shared.scale(turn, one, shared.replicas_until_deadline(turn, one, turn.desired))


def refresh(turn: ReconcileContext) -> None:
    """Count the available pods: those of the active ReplicaSet, where there is one."""
    active = turn.rollout.replica_sets.get(turn.status.active_hash)
    turn.status.available = shared.count_available([active] if active else list(turn.rollout.replica_sets.values()))


def _strategy(turn: ReconcileContext) -> BlueGreenStrategy:
    assert isinstance(turn.strategy, BlueGreenStrategy)
    return turn.strategy


def _preview(turn: ReconcileContext) -> int:
    """Size the wanted ReplicaSet (NewRSNewReplicas)."""
    preview, was = _strategy(turn).preview_replicas, turn.previous_status
    if preview is None or was.promote_full or was.active_hash in {"", turn.new.hash}:
        return turn.desired
    resumed = not turn.rollout.spec.paused and was.pause is None and was.preview_approved
    return turn.desired if resumed and was.current_hash == turn.new.hash else preview


def _reconcile_pause(turn: ReconcileContext, *, fast: bool) -> None:
    """Begin or end the pause before the switch (reconcileBlueGreenPause)."""
    size, strategy = _preview(turn), _strategy(turn)
    if turn.previous_status.abort or turn.rollout.spec.paused or not turn.new.desired == turn.new.available == size:
        return
    held = strategy.manual or strategy.auto_promotion > 0
    if _fast_tracked(turn, fast=fast) or turn.previous_status.preview_approved or not held:
        turn.ends_pause = True
    elif turn.previous_status.pause is not None:
        turn.ends_pause = _pause_over(turn)
    elif not turn.previous_status.controller_pause:
        turn.adds_pause = "BlueGreenPause"


def _fast_tracked(turn: ReconcileContext, *, fast: bool) -> bool:
    """Whether the switch needs no pause (isBlueGreenFastTracked)."""
    return fast or turn.previous_status.promote_full or turn.rollout.stable_service_hash in {"", turn.new.hash}


def _pause_over(turn: ReconcileContext) -> bool:
    """Whether somebody promoted, or the time has passed (CompletedBlueGreenPause)."""
    strategy = _strategy(turn)
    if turn.previous_status.preview_approved and not turn.adds_pause:
        return True
    if strategy.manual:
        return shared.is_pause_over(turn, None)
    if not strategy.auto_promotion:
        return not turn.adds_pause
    return turn.previous_status.pause is not None and shared.is_pause_over(turn, strategy.auto_promotion)


def _switch(turn: ReconcileContext, *, fast: bool) -> None:
    """Point the active Service at the wanted pods once all of them are ready (reconcileActiveService)."""
    if turn.rollout.spec.paused or not turn.new.desired == turn.new.available == turn.new.rollout_replicas == turn.desired:
        return
    selector = turn.rollout.stable_service_hash
    if _fast_tracked(turn, fast=fast) or _pause_over(turn):
        selector = turn.new.hash
    if turn.previous_status.abort:
        selector = turn.previous_status.stable_hash
    if selector != turn.rollout.stable_service_hash:
        turn.rollout.stable_service_hash = selector
        turn.record_event("SwitchService")


def _sync(turn: ReconcileContext, *, changed: bool) -> None:
    """Write the status (syncRolloutStatusBlueGreen)."""
    status = turn.status
    shared.update_replica_counts(turn)
    if changed:
        shared.reset_status(turn)
    if turn.previous_status.promote_full:
        turn.clears_pauses = turn.clears_abort = True
    status.preview_hash, status.active_hash = turn.rollout.canary_service_hash, turn.rollout.stable_service_hash
    if _promotable(turn):
        shared.promote(turn)
    else:
        status.preview_approved = _preview_checked(turn)
    refresh(turn)


def _promotable(turn: ReconcileContext) -> bool:
    """Whether the wanted revision may become the stable one (shouldFullPromote)."""
    if turn.stable is None or not turn.status.active_hash:
        return True
    return turn.status.active_hash == turn.status.current_hash and (turn.previous_status.promote_full or not turn.aborted)


def _preview_checked(turn: ReconcileContext) -> bool:
    """Whether the small preview was seen and let pass (calculateScaleUpPreviewCheckPoint)."""
    size = _strategy(turn).preview_replicas
    if size is None or turn.clears_pauses:
        return False
    return turn.previous_status.preview_approved or (_pause_over(turn) and turn.new.available == size)
