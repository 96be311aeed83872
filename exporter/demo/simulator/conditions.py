"""Computes conditions, metric phase and API phase of a rollout as the controller does.

Follows calculateRolloutConditions, checkPausedConditions and CalculateRolloutPhase of Argo Rollouts v1.8.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import BlueGreenStrategy, Pause

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import SimulatedRollout, SimulatedStatus
    from exporter.demo.simulator.shared import ReconcileContext

AVAILABLE = "NewReplicaSetAvailable"
UPDATED = "ReplicaSetUpdated"
NOT_AVAILABLE = "ReplicaSetNotAvailable"
NEW_REPLICA_SET = "NewReplicaSetCreated"
PAUSED = "RolloutPaused"
RESUMED = "RolloutResumed"
RETRIED = "RolloutRetry"
ABORTED = "RolloutAborted"
TIMED_OUT = "ProgressDeadlineExceeded"
INVALID = "InvalidSpec"

PHASES = {AVAILABLE: "Completed", PAUSED: "Paused", TIMED_OUT: "Timeout", ABORTED: "Abort"}


def phase(status: SimulatedStatus) -> str:
    """Return the phase that the controller's metrics show (calculatePhase)."""
    return INVALID if status.spec_error else PHASES.get(status.reason, "Progressing")


def check_paused(rollout: SimulatedRollout, now: float) -> None:
    """Write whether a user paused, resumed or retried since the last reconciliation (checkPausedConditions)."""
    status = rollout.status
    paused = status.pause is not None or rollout.spec.paused
    reason = ""
    if status.reason == ABORTED:
        reason = "" if status.abort else RETRIED
    elif paused != (status.reason == PAUSED) and not rollout.is_promoted:
        reason = PAUSED if paused else RESUMED
    if reason:
        status.reason, status.progressed_at = reason, now


def update_conditions(context: ReconcileContext) -> None:
    """Write the conditions that follow from the new status (calculateRolloutConditions)."""
    status, previous = context.status, context.previous
    healthy = _is_healthy(context)
    worsened = _update_healthy_condition(context, healthy=healthy)
    if context.aborted:
        if status.reason != ABORTED:
            status.reason = ABORTED
            context.record_event(ABORTED)
    elif healthy:
        status.reason = AVAILABLE
    elif worsened or _has_progressed(context):
        promoted = status.stable_hash == status.current_hash
        status.reason = NOT_AVAILABLE if worsened and promoted else UPDATED
        status.progressed_at = context.now
    elif has_timed_out(context):
        status.reason = TIMED_OUT
        if context.rollout.spec.progress_deadline_abort:
            context.adds_abort = True
            context.record_event(ABORTED)  # like the controller, count the event here and again at the abort
    status.completed = context.rollout.is_promoted
    if not status.completed and previous.completed is not False:
        context.record_event("RolloutNotCompleted")


def _update_healthy_condition(context: ReconcileContext, *, healthy: bool) -> bool:
    """Write the Healthy condition; return whether the rollout was healthy and is not any more."""
    paused = context.previous.pause is not None or context.rollout.spec.paused
    if healthy and not paused:
        context.status.healthy = True
    elif context.previous.healthy is not None:
        context.status.healthy = False
        return context.previous.healthy
    return False


def _is_healthy(context: ReconcileContext) -> bool:
    """Return whether the update is complete and every pod is available (RolloutHealthy)."""
    status, rollout, desired = context.status, context.rollout, context.desired
    if not status.updated == status.available == desired or context.previous.observed_generation != rollout.generation:
        return False
    if isinstance(context.strategy, BlueGreenStrategy):
        return status.active_hash == status.preview_hash == status.current_hash
    is_last_step = status.step_index is None or status.step_index == len(rollout.spec.steps)
    return is_last_step and rollout.is_promoted and status.replicas == desired


def _has_progressed(context: ReconcileContext) -> bool:
    """Return whether the rollout came nearer to its end (RolloutProgressing)."""
    status, previous = context.status, context.previous
    return (
        status.updated != previous.updated
        or status.replicas - status.updated < previous.replicas - previous.updated
        or status.available > previous.available
        or (status.active_hash, status.preview_hash) != (previous.active_hash, previous.preview_hash)
        or status.stable_hash != previous.stable_hash
        or (None not in {status.step_index, previous.step_index} and status.step_index != previous.step_index)
    )


def has_timed_out(context: ReconcileContext) -> bool:
    """Return whether a running update made no progress for its progress deadline (RolloutTimedOut)."""
    status, rollout = context.status, context.rollout
    waiting = isinstance(context.step, Pause) or context.previous.pause is not None or rollout.spec.paused
    draining = any(replica_set.scale_down_at is not None for replica_set in rollout.other_replica_sets)
    if waiting or draining or status.reason in {"", ABORTED, PAUSED}:
        return False
    return status.reason == TIMED_OUT or context.now >= status.progressed_at + rollout.spec.progress_deadline


def health(rollout: SimulatedRollout) -> str:
    """Return the object's status.phase (CalculateRolloutPhase)."""
    status, spec = rollout.status, rollout.spec
    if status.spec_error or status.reason in {ABORTED, TIMED_OUT}:
        return "Degraded"
    if spec.paused or status.pause:
        return "Paused"
    if status.updated < spec.replicas or status.available < status.updated or not rollout.is_promoted:
        return "Progressing"
    if isinstance(spec.strategy, BlueGreenStrategy):
        return "Healthy" if status.active_hash == status.current_hash else "Progressing"
    return "Progressing" if not spec.router and status.replicas > status.updated else "Healthy"
