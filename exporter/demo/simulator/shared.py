"""The reconciliation steps that both strategies of the simulated controller share, and their context.

Follows `rollout/{sync,replicaset,pause}.go` of Argo Rollouts v1.8.3, without analyses, experiments and plugins.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.demo.simulator import arithmetic
from exporter.demo.simulator.arithmetic import ReplicaBounds, ReplicaSetSize
from exporter.demo.simulator.objects import (
    BlueGreenStrategy,
    CanaryStep,
    CanaryStrategy,
    Pause,
    PauseCondition,
    SimulatedReplicaSet,
    SimulatedStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.demo.simulator.objects import SimulatedRollout

SYNC_SECONDS = 0.3
"""Seconds until a resized ReplicaSet creates or deletes pods."""


@dataclass(slots=True)
class ReconcileContext:
    """One reconciliation: `previous` is the status before it; it writes the rollout's own status.

    `record_event` counts an event of the rollout by its reason. `had_scale_down_deadline`: the current ReplicaSet was
    about to be scaled down, since the rollout had just left it.
    """

    rollout: SimulatedRollout
    new: SimulatedReplicaSet
    now: float
    record_event: Callable[[str], None]
    previous: SimulatedStatus = field(init=False)
    had_scale_down_deadline: bool = field(init=False)
    adds_pause: str = ""
    ends_pause: bool = False
    clears_pause: bool = False
    adds_abort: bool = False
    clears_abort: bool = False

    def __post_init__(self) -> None:
        self.previous = replace(self.rollout.status)
        self.had_scale_down_deadline = self.new.scale_down_at is not None

    @property
    def status(self) -> SimulatedStatus:
        """The status that is written."""
        return self.rollout.status

    @property
    def desired(self) -> int:
        """spec.replicas of the rollout."""
        return self.rollout.spec.replicas

    @property
    def strategy(self) -> CanaryStrategy | BlueGreenStrategy:
        """The rollout's strategy."""
        return self.rollout.spec.strategy

    @property
    def stable(self) -> SimulatedReplicaSet | None:
        """The stable ReplicaSet, if any; it may be the current one."""
        return self.rollout.replica_sets.get(self.previous.stable_hash)

    @property
    def has_distinct_stable(self) -> bool:
        """Whether there is a stable ReplicaSet other than the current one."""
        return self.stable is not None and self.stable is not self.new

    @property
    def aborted(self) -> bool:
        """Whether the update is aborted, as far as this reconciliation has come."""
        return not self.clears_abort and (self.adds_abort or bool(self.previous.abort))

    @property
    def step(self) -> CanaryStep | None:
        """The canary's step before this reconciliation, None after the last one."""
        index, steps = self.previous.step_index or 0, self.rollout.spec.steps
        return steps[index] if index < len(steps) else None

    @property
    def bounds(self) -> ReplicaBounds:
        """Limits of the pod count; a blue-green rollout has no surge and no unavailable pods."""
        strategy = self.strategy
        if isinstance(strategy, BlueGreenStrategy):
            return ReplicaBounds(self.desired, 0, 0)
        return arithmetic.resolve_bounds(self.desired, strategy.max_surge, strategy.max_unavailable)


def size_of(replica_set: SimulatedReplicaSet | None) -> ReplicaSetSize:
    """Return a ReplicaSet's size; 0 pods for None."""
    return ReplicaSetSize(replica_set.desired, replica_set.available) if replica_set else ReplicaSetSize()


def scale(context: ReconcileContext, replica_set: SimulatedReplicaSet, replicas: int) -> bool:
    """Set a ReplicaSet's desired pods; return whether that is a change."""
    replica_set.rollout_replicas = context.desired
    if replica_set.desired == replicas:
        return False
    replica_set.desired = replicas
    replica_set.generation += 1
    replica_set.sync_at = context.now + SYNC_SECONDS
    if not replicas and not delays_scale_down_on_abort(context):
        replica_set.scale_down_at = None
    context.record_event("ScalingReplicaSet")
    return True


def is_scaling_event(context: ReconcileContext) -> bool:
    """Return whether spec.replicas changed under ReplicaSets that have pods (isScalingEvent)."""
    replica_sets = (replica_set for replica_set in (context.new, context.stable) if replica_set)
    return any(replica_set.desired and replica_set.rollout_replicas != context.desired for replica_set in replica_sets)


def delays_scale_down_on_abort(context: ReconcileContext) -> bool:
    """Return whether an aborted canary or preview stays up for a while (shouldDelayScaleDownOnAbort)."""
    strategy = context.strategy
    if isinstance(strategy, CanaryStrategy) and (not strategy.router or strategy.dynamic_stable_scale):
        return False
    return context.aborted and context.stable is not None and strategy.abort_scale_down_delay > 0


def remove_scale_down_deadlines(context: ReconcileContext) -> None:
    """Remove the scale-down deadlines of the current and the stable ReplicaSet (removeScaleDownDeadlines)."""
    if not delays_scale_down_on_abort(context):
        context.new.scale_down_at = None
    if context.stable and context.has_distinct_stable:
        context.stable.scale_down_at = None


def scale_new_replica_set(context: ReconcileContext, replicas: int) -> bool:
    """Scale the current ReplicaSet, after an abort to 0 once its delay has passed (reconcileNewReplicaSet)."""
    if not delays_scale_down_on_abort(context):
        return scale(context, context.new, replicas)
    context.new.rollout_replicas = context.desired
    if context.new.scale_down_at is None:
        if size_of(context.stable).available >= context.desired:
            context.new.scale_down_at = context.now + context.strategy.abort_scale_down_delay
        return False
    return context.now >= context.new.scale_down_at and scale(context, context.new, 0)


def replicas_until_deadline(context: ReconcileContext, replica_set: SimulatedReplicaSet, replicas: int) -> int:
    """Return the pods of an old ReplicaSet: 0 after its scale-down deadline, which is set here if it has none."""
    if replica_set.scale_down_at is None:
        replica_set.scale_down_at = context.now + context.strategy.scale_down_delay
        return replica_set.desired
    return replicas if context.now < replica_set.scale_down_at else 0


def update_replica_counts(context: ReconcileContext) -> None:
    """Write the parts of the status that both strategies compute alike (calculateBaseStatus)."""
    context.status.spec_error = ""
    context.status.current_hash = context.new.hash
    context.status.replicas = sum(replica_set.replicas for replica_set in context.rollout.replica_sets.values())
    context.status.updated = context.new.replicas


def count_available(replica_sets: Iterable[SimulatedReplicaSet]) -> int:
    """Return the number of available pods."""
    return sum(replica_set.available for replica_set in replica_sets)


def reset_status(context: ReconcileContext) -> None:
    """Reset the status for a new update (resetRolloutStatus)."""
    context.clears_pause = context.clears_abort = True
    context.status.promote_full = context.status.preview_approved = False
    context.status.step_index = 0 if context.rollout.spec.steps else None


def promote(context: ReconcileContext) -> None:
    """Make the current revision the stable one (promoteStable)."""
    context.clears_pause = context.clears_abort = True
    context.status.promote_full = context.status.preview_approved = False
    context.status.step_index = len(context.rollout.spec.steps) or None
    if context.status.stable_hash != context.status.current_hash:
        context.status.stable_hash = context.status.current_hash
        context.record_event("RolloutCompleted")


def is_pause_over(context: ReconcileContext, seconds: float | None) -> bool:
    """Return whether a pause is over: its condition was removed, or its seconds have passed."""
    if context.adds_pause:
        return False
    if context.previous.pause is None:
        return context.previous.controller_pause
    return seconds is not None and context.now >= context.previous.pause.started_at + seconds


def update_pause_status(context: ReconcileContext) -> None:
    """Write abort and pause into the status, and count an event if a pause starts or ends (CalculatePauseStatus)."""
    status, previous = context.status, context.previous
    status.pause, status.controller_pause = None, False
    if context.aborted:
        status.abort = True
        status.aborted_at = previous.aborted_at if previous.aborted_at is not None else context.now
        return
    status.abort = False if previous.abort is False else None
    status.aborted_at = None
    if not context.clears_pause:
        status.pause = None if context.ends_pause else previous.pause
        if context.adds_pause and previous.pause is None:
            status.pause = PauseCondition(context.adds_pause, context.now)
        status.controller_pause = status.pause is not None
    if (status.pause is None) != (previous.pause is None):
        context.record_event("RolloutPaused" if status.pause else "RolloutResumed")


def pause_duration(rollout: SimulatedRollout) -> float | None:
    """Return the duration of the rollout's pause in seconds; None if only a user ends it."""
    strategy, index = rollout.spec.strategy, rollout.status.step_index or 0
    if isinstance(strategy, BlueGreenStrategy):
        return strategy.auto_promotion or None
    step = strategy.steps[index] if index < len(strategy.steps) else None
    return step.seconds if isinstance(step, Pause) else None
