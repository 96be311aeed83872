"""One turn of the simulated controller at one rollout: what both strategies share.

Follows `rollout/{sync,replicaset,pause}.go` of Argo Rollouts v1.8.3, without analyses, experiments and plugins.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from exporter.demo.simulator import arithmetic, bluegreen, canary, conditions
from exporter.demo.simulator.arithmetic import ReplicaBounds, ReplicaSetSize
from exporter.demo.simulator.objects import NEVER, BlueGreenStrategy, CanaryStrategy, Pause, SimulatedReplicaSet, SimulatedRollout, SimulatedStatus, CanaryStep, PauseCondition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.demo.simulator.objects import SimulatedRollout


SYNC_SECONDS = 0.3
"""Seconds until a resized ReplicaSet makes or removes pods."""


class EventRecorder(Protocol):
    """Where events go: a reason, and whether it is a Warning."""

    def __call__(self, reason: str, *, warning: bool = False) -> None:
        """Count one event of the rollout."""


@dataclass(slots=True)
class ReconcileContext:
    """What one turn knows: `was` is the status it began with; the rollout's own status is the one it writes."""

    rollout: SimulatedRollout
    new: SimulatedReplicaSet
    now: float
    record_event: EventRecorder
    previous_status: SimulatedStatus = field(init=False)
    adds_pause: str = ""
    ends_pause: bool = False
    clears_pauses: bool = False
    adds_abort: bool = False
    clears_abort: bool = False

    def __post_init__(self) -> None:
        self.previous_status = replace(self.rollout.status)

    @property
    def status(self) -> SimulatedStatus:
        """The status being written."""
        return self.rollout.status

    @property
    def desired(self) -> int:
        """How many replicas the rollout asks for."""
        return self.rollout.spec.replicas

    @property
    def strategy(self) -> CanaryStrategy | BlueGreenStrategy:
        """The rollout's strategy."""
        return self.rollout.spec.strategy

    @property
    def stable(self) -> SimulatedReplicaSet | None:
        """The stable ReplicaSet, if there is one, also where it is the wanted one."""
        return self.rollout.replica_sets.get(self.previous_status.stable_hash)

    @property
    def has_distinct_stable(self) -> bool:
        """Whether there is a stable ReplicaSet other than the wanted one."""
        return self.stable is not None and self.stable is not self.new

    @property
    def aborted(self) -> bool:
        """Whether the update is aborted, as far as this turn has come."""
        return not self.clears_abort and (self.adds_abort or bool(self.previous_status.abort))

    @property
    def step(self) -> CanaryStep | None:
        """The canary's step at the beginning of the turn."""
        index, steps = self.previous_status.step_index or 0, self.rollout.spec.steps
        return steps[index] if index < len(steps) else None

    @property
    def bounds(self) -> ReplicaBounds:
        """How far the rollout's size may stray; a blue-green rollout does not."""
        canary = self.strategy
        if isinstance(canary, BlueGreenStrategy):
            return ReplicaBounds(self.desired, 0, 0)
        return arithmetic.resolve_bounds(self.desired, canary.max_surge, canary.max_unavailable)


def size_of(replica_set: SimulatedReplicaSet | None) -> ReplicaSetSize:
    """See a ReplicaSet as the arithmetic does."""
    return ReplicaSetSize(replica_set.desired, replica_set.available) if replica_set else ReplicaSetSize()


def scale(turn: ReconcileContext, replica_set: SimulatedReplicaSet, replicas: int) -> bool:
    """Ask a ReplicaSet for this many pods; True when that is a change."""
    replica_set.rollout_replicas = turn.desired
    if replica_set.desired == replicas:
        return False
    replica_set.desired, replica_set.generation, replica_set.sync_at = replicas, replica_set.generation + 1, turn.now + SYNC_SECONDS
    if not replicas and not delays_scale_down_on_abort(turn):
        replica_set.scale_down_at = None
    turn.record_event("ScalingReplicaSet")
    return True


def is_scaling_event(turn: ReconcileContext) -> bool:
    """Whether spec.replicas changed under ReplicaSets that have pods (isScalingEvent)."""
    return any(one.desired and one.rollout_replicas != turn.desired for one in (turn.new, turn.stable) if one)


def delays_scale_down_on_abort(turn: ReconcileContext) -> bool:
    """Whether an aborted canary or preview stays up for its abort scale-down delay (shouldDelayScaleDownOnAbort)."""
    basic = isinstance(turn.strategy, CanaryStrategy) and not turn.strategy.router
    return turn.aborted and turn.stable is not None and not basic and turn.strategy.abort_scale_down_delay > 0


def remove_scale_down_deadlines(turn: ReconcileContext) -> None:
    """Take the scale-down deadlines off the ReplicaSets that are wanted (removeScaleDownDeadlines)."""
    if not delays_scale_down_on_abort(turn):
        turn.new.scale_down_at = None
    if turn.stable and turn.has_distinct_stable:
        turn.stable.scale_down_at = None


def scale_new_replica_set(turn: ReconcileContext, replicas: int) -> bool:
    """Size the wanted ReplicaSet; after an abort first hold it, then let it go (reconcileNewReplicaSet)."""
    if not delays_scale_down_on_abort(turn):
        return scale(turn, turn.new, replicas)
    turn.new.rollout_replicas = turn.desired
    if turn.new.scale_down_at is None:
        if size_of(turn.stable).available >= turn.desired:
            turn.new.scale_down_at = turn.now + turn.strategy.abort_scale_down_delay
        return False
    return turn.now >= turn.new.scale_down_at and scale(turn, turn.new, 0)


def replicas_until_deadline(turn: ReconcileContext, replica_set: SimulatedReplicaSet, replicas: int) -> int:
    """Say how many pods an old ReplicaSet keeps until its scale-down deadline, set here if need be, has passed."""
    if replica_set.scale_down_at is None:
        replica_set.scale_down_at = turn.now + turn.strategy.scale_down_delay
        return replica_set.desired
    return replicas if turn.now < replica_set.scale_down_at else 0


def update_replica_counts(turn: ReconcileContext) -> None:
    """Refresh the status's replica numbers that mean the same in both strategies (calculateBaseStatus)."""
    turn.status.spec_error = ""
    turn.status.current_hash = turn.new.hash
    turn.status.replicas = sum(one.replicas for one in turn.rollout.replica_sets.values())
    turn.status.updated = turn.new.replicas


def count_available(sets: Sequence[SimulatedReplicaSet]) -> int:
    """Count the available pods of some ReplicaSets."""
    return sum(one.available for one in sets)


def reset_status(turn: ReconcileContext) -> None:
    """Reset the status for a new update (resetRolloutStatus)."""
    turn.clears_pauses = turn.clears_abort = True
    turn.status.promote_full = turn.status.preview_approved = False
    turn.status.step_index = 0 if turn.rollout.spec.steps else None


def promote(turn: ReconcileContext) -> None:
    """Make the wanted revision the stable one (promoteStable)."""
    turn.clears_pauses = turn.clears_abort = True
    turn.status.promote_full = turn.status.preview_approved = False
    turn.status.step_index = len(turn.rollout.spec.steps) or None
    if turn.status.stable_hash != turn.status.current_hash:
        turn.status.stable_hash = turn.status.current_hash
        turn.record_event("RolloutCompleted")


def is_pause_over(turn: ReconcileContext, seconds: float | None) -> bool:
    """Whether a pause is over: somebody took its condition away, or its seconds have passed."""
    if turn.adds_pause:
        return False
    if turn.previous_status.pause is None:
        return turn.previous_status.controller_pause
    return seconds is not None and turn.now >= turn.previous_status.pause.started_at + seconds


def update_pause_status(turn: ReconcileContext) -> None:
    """Write abort and pause into the status, and tell when a pause begins or ends (CalculatePauseStatus)."""
    status, was = turn.status, turn.previous_status
    status.pause, status.controller_pause = None, False
    if turn.aborted:
        status.abort = True
        status.aborted_at = was.aborted_at if was.aborted_at is not None else turn.now
        return
    status.abort = False if was.abort is False else None
    status.aborted_at = None
    if not turn.clears_pauses:
        status.pause = None if turn.ends_pause else was.pause
        if turn.adds_pause and was.pause is None:
            status.pause = PauseCondition(turn.adds_pause, turn.now)
        status.controller_pause = status.pause is not None
    if (status.pause is None) != (was.pause is None):
        turn.record_event("RolloutPaused" if status.pause else "RolloutResumed")


def pause_duration(rollout: SimulatedRollout) -> float | None:
    """How long the pause that the rollout is in lasts, None when a person must end it."""
    strategy, index = rollout.spec.strategy, rollout.status.step_index or 0
    if isinstance(strategy, BlueGreenStrategy):
        return strategy.auto_promotion or None
    step = strategy.steps[index] if index < len(strategy.steps) else None
    return step.seconds if isinstance(step, Pause) else None


# The simulated controller's work: one turn at one rollout, and when the next is due.


# rooms


RECONCILE_DELAY = 0.012
"""Seconds from a change to the turn that sees it."""
INITIAL_BACKOFF = 0.005
"""Seconds until an invalid spec is looked at again; doubles each time, and nothing else brings a look."""


def reconcile(rollout: SimulatedRollout, now: float, record: EventRecorder) -> None:
    """Take one turn: change ReplicaSets and status in place, count events, and set when it is due again."""
    if rollout.spec.error:
        _reject_spec(rollout, now)
        return
    before = _snapshot(rollout)
    rollout.retries = 0
    new = _current_replica_set(rollout, now, record)
    conditions.check_paused(rollout, now)
    _reconcile_strategy(ReconcileContext(rollout, new, now, record))
    _delete_old_replica_sets(rollout)
    rollout.next_reconcile_at = now + RECONCILE_DELAY if _snapshot(rollout) != before else _next_reconcile_at(rollout, now)


def _reconcile_strategy(turn: ReconcileContext) -> None:
    strategy = bluegreen if isinstance(turn.strategy, BlueGreenStrategy) else canary
    if is_scaling_event(turn):
        strategy.resize(turn)
        strategy.refresh(turn)
    else:
        strategy.reconcile(turn)
    conditions.conclude(turn)
    update_pause_status(turn)
    turn.status.observed_generation = turn.rollout.generation
    turn.status.health = conditions.health(turn.rollout)


def _reject_spec(rollout: SimulatedRollout, now: float) -> None:
    """Call the spec invalid; the next look comes when the back-off runs out."""
    status = rollout.status
    status.spec_error, status.reason, status.observed_generation = rollout.spec.error, conditions.INVALID, rollout.generation
    status.health = conditions.health(rollout)
    rollout.next_reconcile_at = now + INITIAL_BACKOFF * 2**rollout.retries
    rollout.retries += 1


def _current_replica_set(rollout: SimulatedRollout, now: float, record: EventRecorder) -> SimulatedReplicaSet:
    """Find or make the ReplicaSet of the wanted template; the highest revision is always its own."""
    highest = max((one.revision for one in rollout.replica_sets.values() if one.hash != rollout.current_hash), default=0)
    found = rollout.new_replica_set
    new = found or SimulatedReplicaSet(rollout.key, rollout.current_hash, rollout.spec.image, now, highest + 1, rollout.spec.replicas)
    new.revision = max(new.revision, highest + 1)
    if rollout.revision != new.revision:
        rollout.revision = new.revision
        record("RolloutUpdated")
    if found is None:
        rollout.replica_sets[new.hash] = new
        rollout.status.reason, rollout.status.progressed_at = conditions.NEW_SET, now
        record("NewReplicaSetCreated")
    return new


def _delete_old_replica_sets(rollout: SimulatedRollout) -> None:
    """Drop the oldest empty ReplicaSets beyond the history limit."""
    empty = [one for one in rollout.other_replica_sets if not one.desired and not one.pods]
    empty.sort(key=lambda one: one.created_at)
    for one in empty[: max(0, len(rollout.other_replica_sets) - rollout.spec.history_limit)]:
        del rollout.replica_sets[one.hash]


def _next_reconcile_at(rollout: SimulatedRollout, now: float) -> float:
    """Say when time alone will make a difference: a pause ends, a delay or the progress deadline passes."""
    status = rollout.status
    moments = [one.scale_down_at for one in rollout.replica_sets.values() if one.scale_down_at is not None and one.desired]
    seconds = pause_duration(rollout)
    if status.pause and seconds is not None:
        moments.append(status.pause.started_at + seconds)
    if status.reason != conditions.TIMED_OUT and conditions.phase(status) == "Progressing":
        moments.append(status.progressed_at + rollout.spec.progress_deadline)
    return min((moment for moment in moments if moment > now), default=NEVER)


def _snapshot(rollout: SimulatedRollout) -> tuple[object, ...]:
    """Take down all that a turn may change, to see whether it did."""
    sets = [(one.hash, one.desired, one.scale_down_at, one.rollout_replicas) for one in rollout.replica_sets.values()]
    return (replace(rollout.status), rollout.revision, rollout.stable_service_hash, rollout.canary_service_hash, sets)
