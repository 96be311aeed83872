"""What the simulated controller calls a rollout's state: conditions, phase of the metric, phase of the object.

Follows calculateRolloutConditions, checkPausedConditions and CalculateRolloutPhase of Argo Rollouts v1.8.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import BlueGreen, Pause

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import Rollout, Status
    from exporter.demo.simulator.reconciler import Turn

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


def phase(status: Status) -> str:
    """Name the phase as the controller's metrics do (calculatePhase)."""
    return INVALID if status.invalid else PHASES.get(status.reason, "Progressing")


def check_paused(rollout: Rollout, now: float) -> None:
    """Note at the beginning of a turn that somebody paused, resumed or retried (checkPausedConditions)."""
    status = rollout.status
    paused = status.waiting is not None or rollout.spec.paused
    reason = ""
    if status.reason == ABORTED:
        reason = "" if status.abort else RETRIED
    elif paused != (status.reason == PAUSED) and not rollout.promoted:
        reason = PAUSED if paused else RESUMED
    if reason:
        status.reason, status.progress_at = reason, now


def conclude(turn: Turn) -> None:
    """Write the conditions from what the turn has made of the status (calculateRolloutConditions)."""
    status, was = turn.status, turn.was
    healthy = _healthy(turn)
    worsened = _note_health(turn, healthy=healthy)
    if turn.aborted:
        if status.reason != ABORTED:
            status.reason = ABORTED
            turn.record(ABORTED, warning=True)
    elif healthy:
        status.reason = AVAILABLE
    elif worsened or _progressed(turn):
        promoted = status.stable_hash == status.current_hash
        status.reason = NOT_AVAILABLE if worsened and promoted else UPDATED
        status.progress_at = turn.now
    elif timed_out(turn):
        _give_up(turn)
    status.completed = turn.rollout.promoted
    if not status.completed and was.completed is not False:
        turn.record("RolloutNotCompleted")


def _note_health(turn: Turn, *, healthy: bool) -> bool:
    """Write the Healthy condition; True when it was healthy and is not."""
    paused = turn.was.waiting is not None or turn.rollout.spec.paused
    if healthy and not paused:
        turn.status.healthy = True
    elif turn.was.healthy is not None:
        turn.status.healthy = False
        return turn.was.healthy
    return False


def _give_up(turn: Turn) -> None:
    """Time out, and abort where the spec says so: that event comes here and again once the abort is seen."""
    turn.status.reason = TIMED_OUT
    if turn.rollout.spec.progress_deadline_abort:
        turn.adds_abort = True
        turn.record(ABORTED, warning=True)


def _healthy(turn: Turn) -> bool:
    """Whether the update is through, and every pod is there (RolloutHealthy)."""
    status, rollout, wanted = turn.status, turn.rollout, turn.wanted
    if not status.updated == status.available == wanted or turn.was.observed != rollout.generation:
        return False
    if isinstance(turn.strategy, BlueGreen):
        return status.active == status.preview == status.current_hash
    through = status.step is None or status.step == len(rollout.spec.steps)
    return through and rollout.promoted and status.replicas == wanted


def _progressed(turn: Turn) -> bool:
    """Whether anything moved in the right direction (RolloutProgressing)."""
    status, was = turn.status, turn.was
    return (
        status.updated != was.updated
        or status.replicas - status.updated < was.replicas - was.updated
        or status.available > was.available
        or (status.active, status.preview) != (was.active, was.preview)
        or status.stable_hash != was.stable_hash
        or (None not in {status.step, was.step} and status.step != was.step)
    )


def timed_out(turn: Turn) -> bool:
    """Whether nothing has moved for the progress deadline, where that counts (RolloutTimedOut)."""
    status, rollout = turn.status, turn.rollout
    waiting = isinstance(turn.step, Pause) or turn.was.waiting is not None or rollout.spec.paused
    draining = any(one.deadline is not None for one in rollout.others)
    if waiting or draining or status.reason in {"", ABORTED, PAUSED}:
        return False
    return status.reason == TIMED_OUT or turn.now >= status.progress_at + rollout.spec.progress_deadline


def health(rollout: Rollout) -> str:
    """Name the object's own status.phase (CalculateRolloutPhase)."""
    status, spec = rollout.status, rollout.spec
    if status.invalid or status.reason in {ABORTED, TIMED_OUT}:
        return "Degraded"
    if spec.paused or status.waiting:
        return "Paused"
    if status.updated < spec.replicas or status.available < status.updated or not rollout.promoted:
        return "Progressing"
    if isinstance(spec.strategy, BlueGreen):
        return "Healthy" if status.active == status.current_hash else "Progressing"
    return "Progressing" if not spec.router and status.replicas > status.updated else "Healthy"
