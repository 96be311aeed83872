"""What caused an abort, a timeout, an invalid spec or a pause that is not a step, by message, run and counters.

A message is matched by the words of a cause, never in full: a message that no rule knows has an unknown cause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.details import FINISHED_BADLY
from exporter.rollouts.explain.model import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.details import AnalysisRunDetails, MetricMeasurements, RolloutDetails, StepPluginDetails
    from exporter.rollouts.model import ControllerView, RolloutStatus, UpdateMemory

ABORT_PREFIX: Final = "RolloutAborted:"
TIMEOUT_PREFIX: Final = "ProgressDeadlineExceeded:"
INVALID_PREFIX: Final = "InvalidSpec:"
_ABORT_REASON: Final = re.compile(r"RolloutAborted: Rollout aborted update to revision \d+(?::\s*(.*))?", re.DOTALL)
_CAUSE_OF_WORDS: Final = (
    (re.compile(r"Step Plugin \d+ \("), Cause.PLUGIN),
    (re.compile(r'ReplicaSet ".*" has timed out progressing'), Cause.DEADLINE),
    (re.compile(r"Experiment analysis phase"), Cause.EXPERIMENT),
    (re.compile(r"Template '.*' "), Cause.EXPERIMENT),
    (re.compile(r"(Step-based|Background|Blue/green (pre|post)-promotion) analysis"), Cause.ANALYSIS),
)
"""By the first words of an abort's reason; since Argo Rollouts 1.9 these name the slot of an analysis."""
_SLOT_OF_WORDS: Final = (
    ("Step-based analysis", "Step"),
    ("Background analysis", "Background"),
    ("Blue/green pre-promotion", "PrePromotion"),
    ("Blue/green post-promotion", "PostPromotion"),
)
_OWN_RUN: Final = re.compile(r".*-[0-9]+(-[0-9]+|-pre|-post)?(\.[0-9]+)?")
INCONCLUSIVE_ANALYSIS: Final = "InconclusiveAnalysisRun"
INCONCLUSIVE_EXPERIMENT: Final = "InconclusiveExperiment"
EVENTS_OF_A_DEADLINE: Final = 2
"""An abort by the deadline counts RolloutAborted twice; every other one once."""


@dataclass(frozen=True, slots=True)
class Blame:
    """What is to blame: a cause with its AnalysisRun and metric, or their names alone if the page shows no such run."""

    cause: Cause
    run: AnalysisRunDetails | None = None
    run_name: str = ""
    metric: MetricMeasurements | None = None
    metric_name: str = ""


def is_up_to_date(status: RolloutStatus) -> bool:
    """Return whether a status is about the current spec; until then it is the former revision's."""
    return status.generation_observed and (status.details is None or status.details.workload_observed)


def is_abort_unwritten(status: RolloutStatus) -> bool:
    """Return whether a person has aborted an update, and the controller has not reconciled that yet.

    `kubectl argo rollouts abort` writes the flag alone; the controller writes phase, time and message with it.
    """
    return status.aborted and status.health not in {"", "Degraded"} and is_up_to_date(status)


def current_cause(status: RolloutStatus, details: RolloutDetails, memory: UpdateMemory) -> Blame | None:
    """Return why a rollout is degraded, or paused for a reason that is not a step; None if it is neither."""
    if not is_up_to_date(status):
        return None
    if status.health == "Degraded":
        return _degraded_cause(status, details, memory)
    if status.health == "Paused":
        return _paused_cause(status, details)
    return None


def _degraded_cause(status: RolloutStatus, details: RolloutDetails, memory: UpdateMemory) -> Blame | None:
    # Right after a retry, and in other writes, the message is not of the phase: it is no cause then.
    if details.message.startswith(INVALID_PREFIX):
        return Blame(Cause.INVALID_SPEC)
    if details.message.startswith(TIMEOUT_PREFIX):
        return Blame(Cause.DEADLINE)
    if details.message.startswith(ABORT_PREFIX):
        return with_remembered(abort_cause(status, details, memory), memory)
    return None


def with_remembered(blame: Blame, memory: UpdateMemory) -> Blame:
    """Return a cause with run and metric, as they were at the abort if the run is deleted since."""
    if blame.run is not None or not memory.cause:
        return blame
    if blame.cause is Cause.UNKNOWN:
        blame = Blame(Cause(memory.cause))
    if blame.cause != memory.cause:
        return blame
    return Blame(blame.cause, run_name=memory.run, metric_name=memory.metric)


def abort_cause(status: RolloutStatus, details: RolloutDetails, memory: UpdateMemory) -> Blame:
    """Return what aborted an update."""
    match = _ABORT_REASON.match(details.message)
    if match is None:
        return Blame(Cause.UNKNOWN)
    # None, not "", without a colon: the reason of a step plugin may be empty, but its words are not.
    reason = match[1]
    if not reason:
        return Blame(_cause_of_bare_abort(details, memory))
    cause = next((cause for words, cause in _CAUSE_OF_WORDS if words.match(reason)), None)
    runs = [run for run in _runs_of_revision(status, details) if run.phase in FINISHED_BADLY]
    if cause is None:
        return _cause_by_run(reason, runs)
    if cause is Cause.ANALYSIS:
        slot = next((slot for words, slot in _SLOT_OF_WORDS if reason.startswith(words)), "")
        return _of_run(cause, _newest([run for run in runs if not run.experiment], reason, slot))
    if cause is Cause.EXPERIMENT and not _blames_template(reason):
        return _of_run(cause, _newest([run for run in runs if run.experiment], reason))
    return Blame(cause)


def _blames_template(reason: str) -> bool:
    """Return whether an experiment failed by its pods, not by an analysis."""
    return "Template '" in reason and 'Metric "' not in reason


def _cause_by_run(reason: str, runs: list[AnalysisRunDetails]) -> Blame:
    """Return the cause of a reason without the words for a slot, as before Argo Rollouts 1.9: that of the bad run."""
    blamed = _newest([run for run in runs if run.message and run.message in reason], reason) or (
        _newest(runs, reason) if 'Metric "' in reason else None
    )
    if blamed is None:
        return Blame(Cause.UNKNOWN)
    return _of_run(Cause.EXPERIMENT if blamed.experiment else Cause.ANALYSIS, blamed)


def _cause_of_bare_abort(details: RolloutDetails, memory: UpdateMemory) -> Cause:
    """Tell a person's abort from one by the deadline, which has the same message before Argo Rollouts 1.10."""
    if not details.plan.progress_deadline_abort:
        return Cause.PERSON
    count = abort_count(memory)
    if count > 0:
        return Cause.DEADLINE if count >= EVENTS_OF_A_DEADLINE else Cause.PERSON
    if memory.cause:
        return Cause(memory.cause)
    if details.aborted_at is None or memory.progressed_at is None:
        return Cause.UNKNOWN
    waited = details.aborted_at - memory.progressed_at
    return Cause.DEADLINE if waited >= details.plan.progress_deadline else Cause.PERSON


def _paused_cause(status: RolloutStatus, details: RolloutDetails) -> Blame | None:
    reasons = {reason for reason, _ in status.pauses}
    runs = [run for run in _runs_of_revision(status, details) if run.phase == "Inconclusive"]
    if INCONCLUSIVE_ANALYSIS in reasons:
        return _of_run(Cause.ANALYSIS, _newest([run for run in runs if not run.experiment]))
    if INCONCLUSIVE_EXPERIMENT in reasons:
        return _of_run(Cause.EXPERIMENT, _newest([run for run in runs if run.experiment]))
    return Blame(Cause.PERSON) if details.plan.is_paused else None


def _runs_of_revision(status: RolloutStatus, details: RolloutDetails) -> list[AnalysisRunDetails]:
    """Return the AnalysisRuns of the current revision, also those of its experiments."""
    # Runs of former revisions stay for a while. A run of an experiment has no revision of its own.
    experiments = {
        experiment.name
        for experiment in details.experiments
        if (experiment.revision, experiment.hash) == (details.revision, status.current_hash)
    }
    return [
        run
        for run in details.runs
        if run.experiment in experiments or (run.revision, run.hash) == (details.revision, status.current_hash)
    ]


def _newest(runs: Iterable[AnalysisRunDetails], reason: str = "", slot: str = "") -> AnalysisRunDetails | None:
    """Return the run that ended last, of those that a reason quotes, or of a slot, if there are such."""

    def rank(run: AnalysisRunDetails) -> tuple[bool, bool, float, float, str]:
        quoted = bool(run.message) and run.message in reason
        return (slot == run.slot, quoted, run.completed_at or 0.0, run.started_at or 0.0, run.name)

    return max(runs, key=rank, default=None)


def _of_run(cause: Cause, run: AnalysisRunDetails | None) -> Blame:
    if run is None:
        return Blame(cause)
    metric = run.bad_metric
    return Blame(cause, run, run.name, metric, metric.name if metric is not None else "")


def cause_on_controller_page(view: ControllerView, memory: UpdateMemory, *, is_current: bool) -> Blame | None:
    """Return the cause as far as the controller's page alone shows it: right, or unknown.

    `is_current`: rollout state shows that the controller has reconciled the current spec.
    """
    match view.phase:
        case "InvalidSpec":
            # It stays until the controller reads the mended spec, which may take seconds.
            return Blame(Cause.INVALID_SPEC if is_current else Cause.UNKNOWN)
        case "Timeout":
            return Blame(Cause.DEADLINE)
        case "Abort":
            return _cause_by_events(memory)
    return None


def _cause_by_events(memory: UpdateMemory) -> Blame:
    """Return the cause of an abort by the runs that turned bad and the events counted since the attempt began."""
    if memory.bad_run:
        is_own = _OWN_RUN.fullmatch(memory.bad_run)
        return Blame(Cause.ANALYSIS if is_own else Cause.EXPERIMENT, run_name=memory.bad_run)
    if abort_count(memory) >= EVENTS_OF_A_DEADLINE:
        return Blame(Cause.DEADLINE)
    return Blame(Cause.UNKNOWN)


def abort_count(memory: UpdateMemory) -> float:
    """Return by how much RolloutAborted grew in an attempt, 0 if unknown."""
    return growth(memory.counts_before, memory.counts, "RolloutAborted")


def growth(before: Mapping[str, float], counts: Mapping[str, float], reason: str) -> float:
    """Return by how much the counter of an event's reason grew, 0 if unknown."""
    return counts[reason] - before[reason] if before and counts else 0.0


def failed_step(details: RolloutDetails, cause: Blame | None) -> int | None:
    """Return the index of the step whose analysis or plugin is the cause."""
    if cause is None:
        return None
    if cause.run is not None:
        return cause.run.step
    if cause.cause is Cause.PLUGIN:
        plugin = failed_plugin(details)
        return plugin.step if plugin else None
    return None


def failed_plugin(details: RolloutDetails) -> StepPluginDetails | None:
    """Return the step plugin that failed last: the plugins of later steps do not run after it."""
    return next((plugin for plugin in reversed(details.plugins) if plugin.phase in FINISHED_BADLY), None)
