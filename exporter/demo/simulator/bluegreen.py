"""The blue-green strategy of the simulated controller: `rollout/bluegreen.go` and `service.go` of v1.8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator import shared
from exporter.demo.simulator.objects import BlueGreenStrategy

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import SimulatedRollout
    from exporter.demo.simulator.shared import ReconcileContext


def reconcile(context: ReconcileContext) -> None:
    """Reconcile a blue-green rollout once."""
    rollout, previous = context.rollout, context.previous
    if not rollout.spec.paused and rollout.canary_service_hash != context.new.hash:
        rollout.canary_service_hash = context.new.hash
        context.record_event("SwitchService")
    changed = bool(previous.current_hash) and previous.current_hash != context.new.hash
    if not changed:
        resize(context)
        _reconcile_pause(context)
        _switch(context)
        _analyse(context)
    _write_status(context, changed=changed)


def resize(context: ReconcileContext) -> None:
    """Scale the ReplicaSets: stable in full, current as preview or in full, others down after a delay."""
    if not context.rollout.spec.paused:
        shared.remove_scale_down_deadlines(context)
    if context.stable:
        shared.scale(context, context.stable, context.desired)
    shared.scale_new_replica_set(context, _new_size(context))
    active = {context.rollout.stable_service_hash, context.previous.active_hash}
    for replica_set in context.rollout.other_replica_sets:
        if replica_set.desired and replica_set.hash not in active:
            shared.scale(context, replica_set, shared.replicas_until_deadline(context, replica_set, context.desired))


def refresh(context: ReconcileContext) -> None:
    """Count the available pods: of the active ReplicaSet, or of all if there is none."""
    active = context.rollout.replica_sets.get(context.status.active_hash)
    replica_sets = [active] if active else context.rollout.replica_sets.values()
    context.status.available = shared.count_available(replica_sets)


def _strategy(context: ReconcileContext) -> BlueGreenStrategy:
    assert isinstance(context.strategy, BlueGreenStrategy)
    return context.strategy


def _new_size(context: ReconcileContext) -> int:
    """Return the desired pods of the current ReplicaSet (NewRSNewReplicas)."""
    preview, previous = _strategy(context).preview_replicas, context.previous
    if preview is None or previous.promote_full or previous.active_hash in {"", context.new.hash}:
        return context.desired
    resumed = not context.rollout.spec.paused and previous.pause is None and previous.preview_approved
    return context.desired if resumed and previous.current_hash == context.new.hash else preview


def _reconcile_pause(context: ReconcileContext) -> None:
    """Start or end the pause before the switch (reconcileBlueGreenPause)."""
    strategy = _strategy(context)
    is_ready = context.new.desired == context.new.available == _new_size(context)
    if context.previous.abort or context.rollout.spec.paused or not is_ready:
        return
    needs_pause = strategy.manual or strategy.auto_promotion > 0
    if _fast_tracked(context) or context.previous.preview_approved or not needs_pause:
        context.ends_pause = True
    elif context.previous.pause is not None:
        context.ends_pause = _pause_over(context)
    elif not context.previous.controller_pause:
        context.adds_pause = "BlueGreenPause"


def _fast_tracked(context: ReconcileContext) -> bool:
    """Return whether the switch needs no pause (isBlueGreenFastTracked)."""
    fast = context.had_scale_down_deadline or context.previous.promote_full
    return fast or context.rollout.stable_service_hash in {"", context.new.hash}


def _pause_over(context: ReconcileContext) -> bool:
    """Return whether a user promoted the rollout, or the time has passed (CompletedBlueGreenPause)."""
    strategy = _strategy(context)
    if context.previous.preview_approved and not context.adds_pause:
        return True
    if strategy.manual:
        return shared.is_pause_over(context, None)
    if not strategy.auto_promotion:
        return not context.adds_pause
    return context.previous.pause is not None and shared.is_pause_over(context, strategy.auto_promotion)


def _switch(context: ReconcileContext) -> None:
    """Point the active Service at the current pods once all of them are ready (reconcileActiveService)."""
    new = context.new
    if context.rollout.spec.paused or not new.desired == new.available == new.rollout_replicas == context.desired:
        return
    selector = context.rollout.stable_service_hash
    if _fast_tracked(context) or _pause_over(context):
        selector = context.new.hash
    if context.previous.abort:
        selector = context.previous.stable_hash
    if selector != context.rollout.stable_service_hash:
        context.rollout.stable_service_hash = selector
        context.status.switched_at = context.now
        context.record_event("SwitchService")
        if selector == context.new.hash and context.has_distinct_stable and _strategy(context).post_analysis:
            context.record_event("AnalysisRunRunning")


def _analyse(context: ReconcileContext) -> None:
    """Abort the update if the analysis after the switch fails, which it does at its end."""
    fails = context.new.image.rpartition(":")[2].startswith("fail")
    if fails and context.has_distinct_stable and not context.aborted and is_analysed(context.rollout, context.now):
        context.record_event("AnalysisRunFailed")
        context.adds_abort = True


def is_analysed(rollout: SimulatedRollout, now: float) -> bool:
    """Return whether the active Service is on the current pods, and the analysis of them is over."""
    strategy, switched_at = rollout.spec.strategy, rollout.status.switched_at
    if not isinstance(strategy, BlueGreenStrategy) or rollout.stable_service_hash != rollout.current_hash:
        return False
    return switched_at is None or now >= switched_at + strategy.post_analysis


def _write_status(context: ReconcileContext, *, changed: bool) -> None:
    """Write the status (syncRolloutStatusBlueGreen)."""
    status = context.status
    shared.update_replica_counts(context)
    if changed:
        shared.reset_status(context)
    if context.previous.promote_full:
        context.clears_pause = context.clears_abort = True
    status.preview_hash, status.active_hash = context.rollout.canary_service_hash, context.rollout.stable_service_hash
    if _can_promote(context):
        shared.promote(context)
    else:
        status.preview_approved = _is_preview_approved(context)
    refresh(context)


def _can_promote(context: ReconcileContext) -> bool:
    """Return whether the current revision may become the stable one (shouldFullPromote)."""
    if context.stable is None or not context.status.active_hash:
        return True
    is_active = context.status.active_hash == context.status.current_hash
    is_analysed_now = is_analysed(context.rollout, context.now) and not context.aborted
    return is_active and (context.previous.promote_full or is_analysed_now)


def _is_preview_approved(context: ReconcileContext) -> bool:
    """Return whether a preview with fewer pods may be scaled up (calculateScaleUpPreviewCheckPoint)."""
    size = _strategy(context).preview_replicas
    if size is None or context.clears_pause:
        return False
    return context.previous.preview_approved or (_pause_over(context) and context.new.available == size)
