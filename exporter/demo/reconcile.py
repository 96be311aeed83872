"""The simulated controller's work: one turn at one rollout, and when the next is due."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.demo import bluegreen, canary, conditions
from exporter.demo.objects import NEVER, ReplicaSet
from exporter.demo.spec import BlueGreen
from exporter.demo.turn import Turn, pause_seconds, scaling_event, settle_pause

if TYPE_CHECKING:
    from exporter.demo.objects import Rollout
    from exporter.demo.turn import Record

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
