"""One reconciliation of the simulated controller, and when the next one is due.

Follows `rollout/{controller,sync,replicaset}.go` of Argo Rollouts v1.8.3, without analyses, experiments and plugins.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.demo.simulator import bluegreen, canary, conditions
from exporter.demo.simulator.objects import NEVER, BlueGreenStrategy, SimulatedReplicaSet
from exporter.demo.simulator.shared import ReconcileContext, is_scaling_event, pause_duration, update_pause_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.demo.simulator.objects import SimulatedRollout

RECONCILE_DELAY = 0.012
"""Seconds from a change to the reconciliation that it triggers."""
INITIAL_BACKOFF = 0.005
"""Seconds until an invalid spec is reconciled again; doubles each time. A fix is noticed only then, too."""


def reconcile(rollout: SimulatedRollout, now: float, record: Callable[[str], None]) -> None:
    """Change ReplicaSets and status in place, count events, and set when the next reconciliation is due."""
    if rollout.spec.error:
        _reject_spec(rollout, now)
        return
    previous = _snapshot(rollout)
    rollout.retries = 0
    new = _current_replica_set(rollout, now, record)
    conditions.check_paused(rollout, now)
    _reconcile_strategy(ReconcileContext(rollout, new, now, record))
    _delete_old_replica_sets(rollout)
    has_changed = _snapshot(rollout) != previous
    rollout.next_reconcile_at = now + RECONCILE_DELAY if has_changed else _next_reconcile_at(rollout, now)


def _reconcile_strategy(context: ReconcileContext) -> None:
    strategy = bluegreen if isinstance(context.strategy, BlueGreenStrategy) else canary
    if is_scaling_event(context):
        strategy.resize(context)
        strategy.refresh(context)
    else:
        strategy.reconcile(context)
    conditions.update_conditions(context)
    update_pause_status(context)
    context.status.observed_generation = context.rollout.generation
    context.status.health = conditions.health(context.rollout)


def _reject_spec(rollout: SimulatedRollout, now: float) -> None:
    """Mark the spec as invalid; the next reconciliation is due when the back-off ends."""
    status = rollout.status
    status.spec_error, status.reason = rollout.spec.error, conditions.INVALID
    status.observed_generation = rollout.generation
    status.health = conditions.health(rollout)
    rollout.next_reconcile_at = now + INITIAL_BACKOFF * 2**rollout.retries
    rollout.retries += 1


def _current_replica_set(rollout: SimulatedRollout, now: float, record: Callable[[str], None]) -> SimulatedReplicaSet:
    """Return the ReplicaSet of the current template, created if need be; it always gets the highest revision."""
    template, spec, existing = rollout.current_hash, rollout.spec, rollout.new_replica_set
    others = (replica_set for replica_set in rollout.replica_sets.values() if replica_set.hash != template)
    revision = max((replica_set.revision for replica_set in others), default=0) + 1
    new = existing or SimulatedReplicaSet(rollout.key, template, spec.image, now, revision, spec.replicas)
    new.revision = max(new.revision, revision)
    if rollout.revision != new.revision:
        rollout.revision = new.revision
        record("RolloutUpdated")
    if existing is None:
        rollout.replica_sets[new.hash] = new
        rollout.status.reason, rollout.status.progressed_at = conditions.NEW_REPLICA_SET, now
        record("NewReplicaSetCreated")
    return new


def _delete_old_replica_sets(rollout: SimulatedRollout) -> None:
    """Delete the oldest empty ReplicaSets beyond the history limit."""
    others = rollout.other_replica_sets
    empty = [replica_set for replica_set in others if not replica_set.desired and not replica_set.pods]
    empty.sort(key=lambda replica_set: replica_set.created_at)
    for replica_set in empty[: max(0, len(others) - rollout.spec.history_limit)]:
        del rollout.replica_sets[replica_set.hash]


def _next_reconcile_at(rollout: SimulatedRollout, now: float) -> float:
    """Return when time alone makes a difference: a pause ends, a delay or the progress deadline passes."""
    status = rollout.status
    deadlines = [replica_set.scale_down_at for replica_set in rollout.replica_sets.values() if replica_set.desired]
    times = [deadline for deadline in deadlines if deadline is not None]
    if isinstance(rollout.spec.strategy, BlueGreenStrategy) and status.switched_at is not None:
        times.append(status.switched_at + rollout.spec.strategy.post_analysis)
    seconds = pause_duration(rollout)
    if status.pause and seconds is not None:
        times.append(status.pause.started_at + seconds)
    if status.reason != conditions.TIMED_OUT and conditions.phase(status) == "Progressing":
        times.append(status.progressed_at + rollout.spec.progress_deadline)
    return min((time for time in times if time > now), default=NEVER)


def _snapshot(rollout: SimulatedRollout) -> tuple[object, ...]:
    """Return all that a reconciliation may change, for comparison."""
    services = (rollout.stable_service_hash, rollout.canary_service_hash)
    replica_sets = [
        (replica_set.hash, replica_set.desired, replica_set.scale_down_at, replica_set.rollout_replicas)
        for replica_set in rollout.replica_sets.values()
    ]
    return replace(rollout.status), rollout.revision, services, replica_sets
