"""`explain(rollout, now)`: the one explanation of a rollout, from what is shown and remembered of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.details import BAD_PHASES, NO_DETAILS, MetricMeasurements
from exporter.rollouts.explain import causes, position
from exporter.rollouts.explain.images import revision_images
from exporter.rollouts.explain.model import ActivePause, Cause, Explanation, ReplacedRevision
from exporter.rollouts.explain.sentences import describe
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from exporter.rollouts.explain.causes import Blame
    from exporter.rollouts.model import Rollout, RolloutStatus, UpdateMemory


def explain(rollout: Rollout, now: float) -> Explanation:
    """Return why a rollout is where it is at a time (Unix seconds); parts that no source shows are absent."""
    status, memory = rollout.observation.status, rollout.state.memory
    if status is None or (not status.current_hash and status.details is None):
        explanation = _without_state(rollout)
    else:
        explanation = _with_state(rollout, status, memory)
    explanation = replace(explanation, activity=position.activity(rollout), images=revision_images(rollout))
    return describe(rollout, explanation, now)


def _without_state(rollout: Rollout) -> Explanation:
    """Return what the controller's page alone shows: the cause of some phases."""
    view = rollout.observation.view
    if view is None:
        return Explanation()
    blame = causes.cause_on_controller_page(view, rollout.state.memory, is_current=False)
    if blame is None:
        return Explanation()
    return Explanation(cause=blame.cause, run=blame.run_name)


def _with_state(rollout: Rollout, status: RolloutStatus, memory: UpdateMemory) -> Explanation:
    details = status.details or NO_DETAILS
    blame = _cause(rollout, status, memory)
    ends = position.wait(status)
    return Explanation(
        revision=details.revision,
        cause=blame.cause if blame is not None else None,
        run=blame.run_name if blame is not None else "",
        slot=blame.run.slot if blame is not None and blame.run is not None else "",
        metric=_metric(blame),
        experiment=_experiment(blame, status),
        plugin=_plugin(blame, status),
        step=position.step_position(status),
        stopped_at=_stopped_at(status, memory, blame),
        pauses=tuple(ActivePause(reason, since) for reason, since in status.pauses),
        until=ends.until,
        paused_by=position.PERSON if details.plan.is_paused and status.health == "Paused" else "",
        waits_for=ends.waits_for,
        replaces=_replaced(status, memory),
        routes=position.routes(status),
        message=details.message,
    )


def _cause(rollout: Rollout, status: RolloutStatus, memory: UpdateMemory) -> Blame | None:
    if causes.is_abort_unwritten(status):
        return causes.Blame(Cause.PERSON)
    if status.details is not None:
        return causes.current_cause(status, status.details, memory)
    # The first configuration shows no message.
    view = rollout.observation.view
    if view is None or status.health != "Degraded" or not causes.is_up_to_date(status):
        return None
    return causes.cause_on_controller_page(view, memory, is_current=True)


def _metric(blame: Blame | None) -> MetricMeasurements | None:
    if blame is None or not blame.metric_name:
        return None
    return blame.metric or MetricMeasurements(blame.metric_name)


def _plugin(blame: Blame | None, status: RolloutStatus) -> str:
    if blame is None or blame.cause is not Cause.PLUGIN:
        return ""
    plugin = causes.failed_plugin(status.details or NO_DETAILS)
    return plugin.name if plugin else ""


def _experiment(blame: Blame | None, status: RolloutStatus) -> str:
    if blame is None or blame.cause is not Cause.EXPERIMENT:
        return ""
    if blame.run is not None:
        return blame.run.experiment
    details = status.details or NO_DETAILS
    bad = [experiment for experiment in details.experiments if experiment.phase in BAD_PHASES]
    return next((experiment.name for experiment in reversed(bad) if experiment.hash == status.current_hash), "")


def _stopped_at(status: RolloutStatus, memory: UpdateMemory, blame: Blame | None) -> int | None:
    """Return the step that an aborted update had reached, or that an inconclusive analysis stopped."""
    if position.step_position(status) is None:
        return None
    step = causes.failed_step(status.details or NO_DETAILS, blame)
    if step is not None or not status.aborted or memory.hash != status.current_hash:
        return step
    return memory.aborted_step


def _replaced(status: RolloutStatus, memory: UpdateMemory) -> ReplacedRevision | None:
    """Return what the current revision replaced, while it is under way."""
    details = status.details or NO_DETAILS
    if not memory.replaced_revision or memory.hash != status.current_hash or memory.revision != details.revision:
        return None
    if status.health == "Healthy" and not position.is_updating(status):
        return None
    return ReplacedRevision(memory.replaced_revision, memory.replaced_step)
