"""What the simulated controller calls a rollout's state: conditions, phase of the metric, phase of the object.

Follows calculateRolloutConditions, checkPausedConditions and CalculateRolloutPhase of Argo Rollouts v1.8.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import BlueGreenStrategy, Pause

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import SimulatedRollout, SimulatedStatus
    from exporter.demo.simulator.reconciler import ReconcileContext

AVAILABLE = "NewReplicaSetAvailable"
UPDATED = "ReplicaSetUpdated"
NOT_AVAILABLE = "ReplicaSetNotAvailable"
NEW_SET = "NewReplicaSetCreated"
PAUSED = "RolloutPaused"
RESUMED = "RolloutResumed"
RETRIED = "RolloutRetry"
ABORTED = "RolloutAborted"
TIMED_OUT = "ProgressDeadlineExceeded"
INVALID = "InvalidSpec"

PHASES = {AVAILABLE: "Completed", PAUSED: "Paused", TIMED_OUT: "Timeout", ABORTED: "Abort"}


def phase(status: SimulatedStatus) -> str:
    """Name the phase as the controller's metrics do (calculatePhase)."""
    return INVALID if status.spec_error else PHASES.get(status.reason, "Progressing")


def check_paused(rollout: SimulatedRollout, now: float) -> None:
    """Note at the beginning of a turn that somebody paused, resumed or retried (checkPausedConditions)."""
    status = rollout.status
    paused = status.pause is not None or rollout.spec.paused
    reason = ""
    if status.reason == ABORTED:
        reason = "" if status.abort else RETRIED
    elif paused != (status.reason == PAUSED) and not rollout.is_promoted:
        reason = PAUSED if paused else RESUMED
    if reason:
        status.reason, status.progressed_at = reason, now


def conclude(turn: ReconcileContext) -> None:
    """Write the conditions from what the turn has made of the status (calculateRolloutConditions)."""
    status, was = turn.status, turn.previous_status
    healthy = _healthy(turn)
    worsened = _note_health(turn, healthy=healthy)
    if turn.aborted:
        if status.reason != ABORTED:
            status.reason = ABORTED
            turn.record_event(ABORTED, warning=True)
    elif healthy:
        status.reason = AVAILABLE
    elif worsened or _progressed(turn):
        promoted = status.stable_hash == status.current_hash
        status.reason = NOT_AVAILABLE if worsened and promoted else UPDATED
        status.progressed_at = turn.now
    elif timed_out(turn):
        _give_up(turn)
    status.completed = turn.rollout.is_promoted
    if not status.completed and was.completed is not False:
        turn.record_event("RolloutNotCompleted")


def _note_health(turn: ReconcileContext, *, healthy: bool) -> bool:
    """Write the Healthy condition; True when it was healthy and is not."""
    paused = turn.previous_status.pause is not None or turn.rollout.spec.paused
    if healthy and not paused:
        turn.status.healthy = True
    elif turn.previous_status.healthy is not None:
        turn.status.healthy = False
        return turn.previous_status.healthy
    return False


def _give_up(turn: ReconcileContext) -> None:
    """Time out, and abort where the spec says so: that event comes here and again once the abort is seen."""
    turn.status.reason = TIMED_OUT
    if turn.rollout.spec.progress_deadline_abort:
        turn.adds_abort = True
        turn.record_event(ABORTED, warning=True)


def _healthy(turn: ReconcileContext) -> bool:
    """Whether the update is through, and every pod is there (RolloutHealthy)."""
    status, rollout, wanted = turn.status, turn.rollout, turn.desired
    if not status.updated == status.available == wanted or turn.previous_status.observed_generation != rollout.generation:
        return False
    if isinstance(turn.strategy, BlueGreenStrategy):
        return status.active_hash == status.preview_hash == status.current_hash
    through = status.step_index is None or status.step_index == len(rollout.spec.steps)
    return through and rollout.is_promoted and status.replicas == wanted


def _progressed(turn: ReconcileContext) -> bool:
    """Whether anything moved in the right direction (RolloutProgressing)."""
    status, was = turn.status, turn.previous_status
    return (
        status.updated != was.updated
        or status.replicas - status.updated < was.replicas - was.updated
        or status.available > was.available
        or (status.active_hash, status.preview_hash) != (was.active_hash, was.preview_hash)
        or status.stable_hash != was.stable_hash
        or (None not in {status.step_index, was.step_index} and status.step_index != was.step_index)
    )


def timed_out(turn: ReconcileContext) -> bool:
    """Whether nothing has moved for the progress deadline, where that counts (RolloutTimedOut)."""
    status, rollout = turn.status, turn.rollout
    waiting = isinstance(turn.step, Pause) or turn.previous_status.pause is not None or rollout.spec.paused
    draining = any(one.scale_down_at is not None for one in rollout.other_replica_sets)
    if waiting or draining or status.reason in {"", ABORTED, PAUSED}:
        return False
    return status.reason == TIMED_OUT or turn.now >= status.progressed_at + rollout.spec.progress_deadline


def health(rollout: SimulatedRollout) -> str:
    """Name the object's own status.phase (CalculateRolloutPhase)."""
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
