"""An AnalysisRun as a state machine: status, measurements and a time → the next status. Pure; time is an argument.

It is the controller's analysis/analysis.go, one reconciliation a step. Between two steps nothing happens: whoever
drives it asks `due`, measures, hands the measurements to `assessed`, and comes back at `next_time`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from exporter.gate import go_format, validation
from exporter.gate.arguments import ResolutionError, hidden, resolved
from exporter.gate.expr.errors import UnsupportedError
from exporter.gate.template import effective_count, whole
from exporter.gate.validation import pruned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric, Spec


# The status of an AnalysisRun as frozen values, and as the controller writes it.


class Phase(StrEnum):
    """How a measurement, a metric or a run stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"

    @property
    def completed(self) -> bool:
        """Say whether it is the end."""
        return self not in {Phase.PENDING, Phase.RUNNING}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question gave: the phase, the value as the controller writes it, and why there is none.

    `asked` is False when the provider could not even be made, as for an address that is none.
    """

    phase: Phase
    value: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """An outcome with its times, in Unix seconds."""

    outcome: Outcome
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a metric was measured how; `count` leaves errors out."""

    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_error: int = 0
    consecutive_success: int = 0


@dataclass(frozen=True, slots=True)
class MetricResult:
    """How one metric stands; `query` is the resolved one, "" where none was asked."""

    name: str
    phase: Phase = Phase.RUNNING
    dry_run: bool = False
    measurements: tuple[Measurement, ...] = ()
    counts: Counts = Counts()
    message: str = ""
    query: str = ""

    @property
    def last(self) -> Measurement | None:
        """Return the newest measurement."""
        return self.measurements[-1] if self.measurements else None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many metrics there are, and how many ended how."""

    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """How a run stands; times are Unix seconds, None before they come."""

    phase: Phase | None = None
    message: str = ""
    results: tuple[MetricResult, ...] = ()
    started: float | None = None
    completed: float | None = None
    summary: Summary | None = None
    dry_run_summary: Summary | None = None

    def result(self, name: str) -> MetricResult | None:
        """Return how a metric stands, None before its first measurement."""
        return next((one for one in self.results if one.name == name), None)


def as_json(status: Status) -> dict[str, Any]:
    """Return the status as the controller writes it: nothing that is empty, times to the second."""
    return _full(
        {
            "completedAt": _time(status.completed),
            "dryRunSummary": _summary_json(status.dry_run_summary),
            "message": status.message,
            "metricResults": [_result(one) for one in status.results],
            "phase": status.phase,
            "runSummary": _summary_json(status.summary),
            "startedAt": _time(status.started),
        }
    )


def _full(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in (None, "", 0, False, [])}


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _summary_json(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return _full(
        {
            "count": summary.count,
            "error": summary.error,
            "failed": summary.failed,
            "inconclusive": summary.inconclusive,
            "successful": summary.successful,
        }
    )


def _result(result: MetricResult) -> dict[str, Any]:
    counts = result.counts
    return _full(
        {
            "consecutiveError": counts.consecutive_error,
            "consecutiveSuccess": counts.consecutive_success,
            "count": counts.count,
            "dryRun": result.dry_run,
            "error": counts.error,
            "failed": counts.failed,
            "inconclusive": counts.inconclusive,
            "measurements": [_measurement(one) for one in result.measurements],
            "message": result.message,
            "metadata": {"ResolvedPrometheusQuery": result.query} if result.query else None,
            "name": result.name,
            "phase": result.phase,
            "successful": counts.successful,
        }
    )


def _measurement(measurement: Measurement) -> dict[str, Any]:
    outcome = measurement.outcome
    warnings = ", ".join(f'"{one}"' for one in outcome.warnings)
    return _full(
        {
            "finishedAt": _time(measurement.finished),
            "message": outcome.message,
            "metadata": {"warnings": warnings} if warnings else None,
            "phase": outcome.phase,
            "startedAt": _time(measurement.started),
            "value": outcome.value,
        }
    )


# rooms


ERROR_RETRY: Final = 10.0
"""Seconds after an error before the next measurement, whatever the interval."""
DEFAULT_ERROR_LIMIT: Final = 4
ORDER: Final = (Phase.SUCCESSFUL, Phase.RUNNING, Phase.PENDING, Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED)
"""From good to bad."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that is worth measuring: its metrics with their arguments in place (secrets stand hidden)."""

    metrics: tuple[Metric, ...]
    dry_run: frozenset[str] = frozenset()
    kept: Mapping[str, int] = field(default_factory=dict)
    terminate: bool = False


def planned(spec: Spec, controller: Controller) -> Plan | Status:
    """Return the plan of a run, or the status of one that ends before it begins. Raises UnsupportedError."""
    try:
        values = hidden(spec.args)
        metrics = tuple(resolved(pruned(metric, controller), values) for metric in spec.metrics)
    except ResolutionError as error:
        return Status(Phase.ERROR, f"Unable to resolve metric arguments: {error}")
    fault = validation.fault(metrics, controller)
    if fault:
        return Status(Phase.ERROR, f"Analysis spec invalid: {fault}")
    try:
        dry_run = frozenset(validation.matching(spec.dry_run, "dryRun", metrics))
        kept = validation.kept(spec.retention, metrics, controller)
    except UnsupportedError:
        raise
    except ValueError as error:
        return Status(Phase.ERROR, f"Analysis spec invalid: {error}")
    return Plan(metrics, dry_run, kept, spec.terminate)


# When


def terminating(plan: Plan, status: Status) -> bool:
    """Say whether the run is to end: it was told to, or a metric that counts has ended badly."""
    bad = {Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE}
    return plan.terminate or any(one.phase in bad and not one.dry_run for one in status.results)


def due(plan: Plan, status: Status, now: float) -> tuple[Metric, ...]:
    """Return the metrics to measure at a time (Unix seconds)."""
    if terminating(plan, status):
        return ()
    return tuple(metric for metric in plan.metrics if (at := _next(metric, status)) is not None and at <= now)


def _next(metric: Metric, status: Status) -> float | None:
    """Return when a metric is measured next, None for never."""
    result = status.result(metric.name)
    if result is None or result.last is None:
        if not metric.initial_delay:
            return float("-inf")
        return None if status.started is None else status.started + _seconds(metric.initial_delay)
    if result.phase.completed or _reached(metric, result):
        return None
    failed = result.last.outcome.phase is Phase.ERROR
    return result.last.finished + (_seconds(metric.interval) if metric.interval and not failed else ERROR_RETRY)


def _reached(metric: Metric, result: MetricResult) -> bool:
    count = effective_count(metric)
    return count is not None and result.counts.count >= count


def _seconds(text: str) -> float:
    return go_format.duration(text) / 1e9


def next_time(plan: Plan, status: Status) -> float | None:
    """Return when something is due next, None for never."""
    return min((at for metric in plan.metrics if (at := _next(metric, status)) is not None), default=None)


# What


def assessed(plan: Plan, status: Status, measured: Mapping[str, Measurement], now: float) -> Status:
    """Return the status after measurements, by the names of their metrics, were taken."""
    started = now if status.started is None else status.started
    status = replace(status, started=started, results=_with(plan, status, measured))
    ending = terminating(plan, status)
    after = replace(status, results=tuple(_judged(plan, one, ending=ending) for one in status.results))
    ended = [one for metric in plan.metrics if (one := after.result(metric.name)) and one.phase.completed]
    after = replace(
        after,
        summary=_summary(plan, ended, dry_run=False),
        dry_run_summary=_summary(plan, ended, dry_run=True),
        results=tuple(_noted(plan, one) for one in after.results),
    )
    phase, message = _overall(plan, ended, ending=ending)
    if phase is not after.phase:
        after = replace(after, phase=phase, message=message, completed=now if phase.completed else None)
    return replace(after, results=tuple(_trimmed(plan, one) for one in after.results))


def _with(plan: Plan, status: Status, measured: Mapping[str, Measurement]) -> tuple[MetricResult, ...]:
    known = {one.name: one for one in status.results}
    for metric in plan.metrics:
        if metric.name in measured:
            measurement = measured[metric.name]
            result = known.get(metric.name) or _first(plan, metric, measurement)
            known[metric.name] = replace(
                result,
                measurements=(*result.measurements, measurement),
                counts=_counted(result.counts, measurement.outcome.phase),
            )
    return tuple(known.values())


def _first(plan: Plan, metric: Metric, measurement: Measurement) -> MetricResult:
    query = metric.prometheus.query if metric.prometheus and measurement.outcome.asked else ""
    return MetricResult(metric.name, dry_run=metric.name in plan.dry_run, query=query)


def _counted(counts: Counts, phase: Phase) -> Counts:
    match phase:
        case Phase.SUCCESSFUL:
            successes = counts.consecutive_success + 1
            counts = replace(counts, successful=counts.successful + 1, consecutive_success=successes)
        case Phase.FAILED:
            counts = replace(counts, failed=counts.failed + 1, consecutive_success=0)
        case Phase.INCONCLUSIVE:
            counts = replace(counts, inconclusive=counts.inconclusive + 1, consecutive_success=0)
        case _:
            errors = counts.consecutive_error + 1
            return replace(counts, error=counts.error + 1, consecutive_error=errors, consecutive_success=0)
    return replace(counts, count=counts.count + 1, consecutive_error=0)


def _judged(plan: Plan, result: MetricResult, *, ending: bool) -> MetricResult:
    metric = next(one for one in plan.metrics if one.name == result.name)
    phase = metric_phase(metric, result, ending=ending)
    if phase is result.phase:
        return result
    message = result.last.outcome.message if result.last else result.message
    return replace(result, phase=phase, message=message)


def metric_phase(metric: Metric, result: MetricResult, *, ending: bool) -> Phase:
    """Return the phase of a metric by its counts; `ending` says that the run is to end."""
    if result.phase.completed:
        return result.phase
    over, _ = limit_passed(metric, result)
    if over is not None:
        return over
    wanted = whole(metric.consecutive_success_limit)
    if 0 < wanted <= result.counts.consecutive_success:
        return Phase.SUCCESSFUL
    if _reached(metric, result):
        if wanted > 0:
            return Phase.INCONCLUSIVE if whole(metric.failure_limit) >= 0 else Phase.FAILED
        return Phase.SUCCESSFUL
    return Phase.SUCCESSFUL if ending else Phase.RUNNING


def limit_passed(metric: Metric, result: MetricResult) -> tuple[Phase | None, str]:
    """Return the phase that a passed limit means, and the controller's words for it; of several the last one counts."""
    counts = result.counts
    failures, gaps = whole(metric.failure_limit), whole(metric.inconclusive_limit)
    limit = metric.consecutive_error_limit
    errors = DEFAULT_ERROR_LIMIT if limit is None else whole(limit)
    passed: tuple[Phase | None, str] = None, ""
    if 0 <= failures < counts.failed:
        passed = Phase.FAILED, f"failed ({counts.failed}) > failureLimit ({failures})"
    if counts.inconclusive > gaps:
        passed = Phase.INCONCLUSIVE, f"inconclusive ({counts.inconclusive}) > inconclusiveLimit ({gaps})"
    if counts.consecutive_error > errors:
        passed = Phase.ERROR, f"consecutiveErrors ({counts.consecutive_error}) > consecutiveErrorLimit ({errors})"
    return passed


def _passed(plan: Plan, result: MetricResult) -> tuple[Phase | None, str]:
    return limit_passed(next(one for one in plan.metrics if one.name == result.name), result)


def _overall(plan: Plan, ended: Sequence[MetricResult], *, ending: bool) -> tuple[Phase, str]:
    """Return the run's phase and message: those of its worst metric, once all have ended."""
    worst: Phase | None = None
    message = "Run Terminated" if plan.terminate else ""
    for result in ended:
        if result.dry_run:
            worst = worst or Phase.SUCCESSFUL
        elif worst is None or ORDER.index(result.phase) > ORDER.index(worst):
            worst = result.phase
            message = _blame(plan, result) or message
    if ending:
        return worst or Phase.SUCCESSFUL, message
    if worst is None or len(ended) < len(plan.metrics):
        return Phase.RUNNING, ""
    return worst, message


def _blame(plan: Plan, result: MetricResult) -> str:
    _, why = _passed(plan, result)
    if not why:
        return ""
    said = f': "Error Message: {result.message}"' if result.message else ""
    return f'Metric "{result.name}" assessed {result.phase} due to {why}{said}'


def _noted(plan: Plan, result: MetricResult) -> MetricResult:
    """Write into a dry run's result what would have happened."""
    _, why = _passed(plan, result)
    if not (result.dry_run and result.phase.completed and why):
        return result
    return replace(result, message=f"Metric assessed {result.phase} due to {why}")


def _summary(plan: Plan, ended: Sequence[MetricResult], *, dry_run: bool) -> Summary:
    """Count the metrics that ended; one that ended otherwise than by a limit counts as a success."""
    mine = [_passed(plan, one)[0] for one in ended if one.dry_run is dry_run]
    return Summary(
        count=sum((metric.name in plan.dry_run) is dry_run for metric in plan.metrics),
        successful=mine.count(None),
        failed=mine.count(Phase.FAILED),
        inconclusive=mine.count(Phase.INCONCLUSIVE),
        error=mine.count(Phase.ERROR),
    )


def _trimmed(plan: Plan, result: MetricResult) -> MetricResult:
    return replace(result, measurements=result.measurements[-plan.kept[result.name] :])
