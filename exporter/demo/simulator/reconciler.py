"""One turn of the simulated controller at one rollout: what both strategies share.

Follows `rollout/{sync,replicaset,pause}.go` of Argo Rollouts v1.8.3, without analyses, experiments and plugins.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from exporter.demo.simulator import arithmetic, bluegreen, canary, conditions
from exporter.demo.simulator.arithmetic import Bounds, Size
from exporter.demo.simulator.objects import NEVER, BlueGreen, Canary, Pause, ReplicaSet, Rollout, Status, Step, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.demo.simulator.objects import Rollout


SYNC = 0.3
"""Seconds until a resized ReplicaSet makes or removes pods."""


class Record(Protocol):
    """Where events go: a reason, and whether it is a Warning."""

    def __call__(self, reason: str, *, warning: bool = False) -> None:
        """Count one event of the rollout."""


@dataclass(slots=True)
class Turn:
    """What one turn knows: `was` is the status it began with; the rollout's own status is the one it writes."""

    rollout: Rollout
    new: ReplicaSet
    now: float
    record: Record
    was: Status = field(init=False)
    adds_pause: str = ""
    drops_pause: bool = False
    clears_pause: bool = False
    adds_abort: bool = False
    drops_abort: bool = False

    def __post_init__(self) -> None:
        self.was = replace(self.rollout.status)

    @property
    def status(self) -> Status:
        """The status being written."""
        return self.rollout.status

    @property
    def wanted(self) -> int:
        """How many replicas the rollout asks for."""
        return self.rollout.spec.replicas

    @property
    def strategy(self) -> Canary | BlueGreen:
        """The rollout's strategy."""
        return self.rollout.spec.strategy

    @property
    def stable(self) -> ReplicaSet | None:
        """The stable ReplicaSet, if there is one, also where it is the wanted one."""
        return self.rollout.sets.get(self.was.stable_hash)

    @property
    def apart(self) -> bool:
        """Whether there is a stable ReplicaSet other than the wanted one."""
        return self.stable is not None and self.stable is not self.new

    @property
    def aborted(self) -> bool:
        """Whether the update is aborted, as far as this turn has come."""
        return not self.drops_abort and (self.adds_abort or bool(self.was.abort))

    @property
    def step(self) -> Step | None:
        """The canary's step at the beginning of the turn."""
        index, steps = self.was.step or 0, self.rollout.spec.steps
        return steps[index] if index < len(steps) else None

    @property
    def bounds(self) -> Bounds:
        """How far the rollout's size may stray; a blue-green rollout does not."""
        canary = self.strategy
        if isinstance(canary, BlueGreen):
            return Bounds(self.wanted, 0, 0)
        return arithmetic.bounds(self.wanted, canary.max_surge, canary.max_unavailable)


def size(one: ReplicaSet | None) -> Size:
    """See a ReplicaSet as the arithmetic does."""
    return Size(one.spec, one.available) if one else Size()


def scale(turn: Turn, one: ReplicaSet, replicas: int) -> bool:
    """Ask a ReplicaSet for this many pods; True when that is a change."""
    one.desired = turn.wanted
    if one.spec == replicas:
        return False
    one.spec, one.generation, one.sync_at = replicas, one.generation + 1, turn.now + SYNC
    if not replicas and not delays_abort(turn):
        one.deadline = None
    turn.record("ScalingReplicaSet")
    return True


def scaling_event(turn: Turn) -> bool:
    """Whether spec.replicas changed under ReplicaSets that have pods (isScalingEvent)."""
    return any(one.spec and one.desired != turn.wanted for one in (turn.new, turn.stable) if one)


def delays_abort(turn: Turn) -> bool:
    """Whether an aborted canary or preview stays up for its abort scale-down delay (shouldDelayScaleDownOnAbort)."""
    basic = isinstance(turn.strategy, Canary) and not turn.strategy.router
    return turn.aborted and turn.stable is not None and not basic and turn.strategy.abort_scale_down_delay > 0


def lift_deadlines(turn: Turn) -> None:
    """Take the scale-down deadlines off the ReplicaSets that are wanted (removeScaleDownDeadlines)."""
    if not delays_abort(turn):
        turn.new.deadline = None
    if turn.stable and turn.apart:
        turn.stable.deadline = None


def resize_new(turn: Turn, replicas: int) -> bool:
    """Size the wanted ReplicaSet; after an abort first hold it, then let it go (reconcileNewReplicaSet)."""
    if not delays_abort(turn):
        return scale(turn, turn.new, replicas)
    turn.new.desired = turn.wanted
    if turn.new.deadline is None:
        if size(turn.stable).available >= turn.wanted:
            turn.new.deadline = turn.now + turn.strategy.abort_scale_down_delay
        return False
    return turn.now >= turn.new.deadline and scale(turn, turn.new, 0)


def after_delay(turn: Turn, one: ReplicaSet, kept: int) -> int:
    """Say how many pods an old ReplicaSet keeps until its scale-down deadline, set here if need be, has passed."""
    if one.deadline is None:
        one.deadline = turn.now + turn.strategy.scale_down_delay
        return one.spec
    return kept if turn.now < one.deadline else 0


def count(turn: Turn) -> None:
    """Refresh the status's replica numbers that mean the same in both strategies (calculateBaseStatus)."""
    turn.status.invalid = ""
    turn.status.current_hash = turn.new.hash
    turn.status.replicas = sum(one.replicas for one in turn.rollout.sets.values())
    turn.status.updated = turn.new.replicas


def available(sets: Sequence[ReplicaSet]) -> int:
    """Count the available pods of some ReplicaSets."""
    return sum(one.available for one in sets)


def begin(turn: Turn) -> None:
    """Reset the status for a new update (resetRolloutStatus)."""
    turn.clears_pause = turn.drops_abort = True
    turn.status.promote_full = turn.status.preview_checked = False
    turn.status.step = 0 if turn.rollout.spec.steps else None


def promote(turn: Turn) -> None:
    """Make the wanted revision the stable one (promoteStable)."""
    turn.clears_pause = turn.drops_abort = True
    turn.status.promote_full = turn.status.preview_checked = False
    turn.status.step = len(turn.rollout.spec.steps) or None
    if turn.status.stable_hash != turn.status.current_hash:
        turn.status.stable_hash = turn.status.current_hash
        turn.record("RolloutCompleted")


def waited(turn: Turn, seconds: float | None) -> bool:
    """Whether a pause is over: somebody took its condition away, or its seconds have passed."""
    if turn.adds_pause:
        return False
    if turn.was.waiting is None:
        return turn.was.controller_pause
    return seconds is not None and turn.now >= turn.was.waiting.since + seconds


def settle_pause(turn: Turn) -> None:
    """Write abort and pause into the status, and tell when a pause begins or ends (CalculatePauseStatus)."""
    status, was = turn.status, turn.was
    status.waiting, status.controller_pause = None, False
    if turn.aborted:
        status.abort = True
        status.aborted_at = was.aborted_at if was.aborted_at is not None else turn.now
        return
    status.abort = False if was.abort is False else None
    status.aborted_at = None
    if not turn.clears_pause:
        status.waiting = None if turn.drops_pause else was.waiting
        if turn.adds_pause and was.waiting is None:
            status.waiting = Waiting(turn.adds_pause, turn.now)
        status.controller_pause = status.waiting is not None
    if (status.waiting is None) != (was.waiting is None):
        turn.record("RolloutPaused" if status.waiting else "RolloutResumed")


def pause_seconds(rollout: Rollout) -> float | None:
    """How long the pause that the rollout is in lasts, None when a person must end it."""
    strategy, index = rollout.spec.strategy, rollout.status.step or 0
    if isinstance(strategy, BlueGreen):
        return strategy.auto_promotion or None
    step = strategy.steps[index] if index < len(strategy.steps) else None
    return step.seconds if isinstance(step, Pause) else None


# The simulated controller's work: one turn at one rollout, and when the next is due.


# rooms


LAG = 0.012
"""Seconds from a change to the turn that sees it."""
FIRST_RETRY = 0.005
"""Seconds until an invalid spec is looked at again; doubles each time, and nothing else brings a look."""


def reconcile(rollout: Rollout, now: float, record: Record) -> None:
    """Take one turn: change ReplicaSets and status in place, count events, and set when it is due again."""
    if rollout.spec.fault:
        _refuse(rollout, now)
        return
    before = _snapshot(rollout)
    rollout.retries = 0
    new = _adopt(rollout, now, record)
    conditions.check_paused(rollout, now)
    _turn(Turn(rollout, new, now, record))
    _forget(rollout)
    rollout.due = now + LAG if _snapshot(rollout) != before else _next_look(rollout, now)


def _turn(turn: Turn) -> None:
    strategy = bluegreen if isinstance(turn.strategy, BlueGreen) else canary
    if scaling_event(turn):
        strategy.resize(turn)
        strategy.refresh(turn)
    else:
        strategy.reconcile(turn)
    conditions.conclude(turn)
    settle_pause(turn)
    turn.status.observed = turn.rollout.generation
    turn.status.health = conditions.health(turn.rollout)


def _refuse(rollout: Rollout, now: float) -> None:
    """Call the spec invalid; the next look comes when the back-off runs out."""
    status = rollout.status
    status.invalid, status.reason, status.observed = rollout.spec.fault, conditions.INVALID, rollout.generation
    status.health = conditions.health(rollout)
    rollout.due = now + FIRST_RETRY * 2**rollout.retries
    rollout.retries += 1


def _adopt(rollout: Rollout, now: float, record: Record) -> ReplicaSet:
    """Find or make the ReplicaSet of the wanted template; the highest revision is always its own."""
    highest = max((one.revision for one in rollout.sets.values() if one.hash != rollout.hash), default=0)
    found = rollout.new
    new = found or ReplicaSet(rollout.key, rollout.hash, rollout.spec.image, now, highest + 1, rollout.spec.replicas)
    new.revision = max(new.revision, highest + 1)
    if rollout.revision != new.revision:
        rollout.revision = new.revision
        record("RolloutUpdated")
    if found is None:
        rollout.sets[new.hash] = new
        rollout.status.reason, rollout.status.progress_at = conditions.NEW_SET, now
        record("NewReplicaSetCreated")
    return new


def _forget(rollout: Rollout) -> None:
    """Drop the oldest empty ReplicaSets beyond the history limit."""
    empty = [one for one in rollout.others if not one.spec and not one.pods]
    empty.sort(key=lambda one: one.created)
    for one in empty[: max(0, len(rollout.others) - rollout.spec.history)]:
        del rollout.sets[one.hash]


def _next_look(rollout: Rollout, now: float) -> float:
    """Say when time alone will make a difference: a pause ends, a delay or the progress deadline passes."""
    status = rollout.status
    moments = [one.deadline for one in rollout.sets.values() if one.deadline is not None and one.spec]
    seconds = pause_seconds(rollout)
    if status.waiting and seconds is not None:
        moments.append(status.waiting.since + seconds)
    if status.reason != conditions.TIMED_OUT and conditions.phase(status) == "Progressing":
        moments.append(status.progress_at + rollout.spec.progress_deadline)
    return min((moment for moment in moments if moment > now), default=NEVER)


def _snapshot(rollout: Rollout) -> tuple[object, ...]:
    """Take down all that a turn may change, to see whether it did."""
    sets = [(one.hash, one.spec, one.deadline, one.desired) for one in rollout.sets.values()]
    return (replace(rollout.status), rollout.revision, rollout.first, rollout.second, sets)
