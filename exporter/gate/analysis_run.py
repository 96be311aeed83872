"""An AnalysisRun as a state machine: status, measurements and a time → the next status. Pure; time is an argument.

It follows the controller's analysis/analysis.go, one reconciliation per call of `reconcile`. Nothing happens between
two calls: the caller measures the metrics of `due_metrics`, passes the measurements to `reconcile`, and waits until
`next_time`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from exporter.gate import go_format, validation
from exporter.gate.arguments import ResolutionError, redacted_values, resolve
from exporter.gate.expr.errors import UnsupportedError
from exporter.gate.template import drop_unsupported, effective_count, int_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.controller import ControllerVersion
    from exporter.gate.template import AnalysisSpec, Metric


class AnalysisPhase(StrEnum):
    """The phase of a measurement, a metric or a run."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"

    @property
    def completed(self) -> bool:
        """Return whether the phase is final."""
        return self not in {AnalysisPhase.PENDING, AnalysisPhase.RUNNING}


@dataclass(frozen=True, slots=True)
class MeasurementOutcome:
    """The result of one query: its phase, the value as the controller writes it, and the error message if it has none.

    `was_queried` is False if the provider could not be created, for instance for an invalid address.
    """

    phase: AnalysisPhase
    value: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()
    was_queried: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """An outcome with its times, in Unix seconds."""

    outcome: MeasurementOutcome
    started_at: float
    finished_at: float


@dataclass(frozen=True, slots=True)
class PhaseCounts:
    """A number of metrics or measurements, and how many of them ended in each phase."""

    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0


@dataclass(frozen=True, slots=True)
class MeasurementCounts(PhaseCounts):
    """The measurements of a metric; `count` excludes errors."""

    consecutive_error: int = 0
    consecutive_success: int = 0


@dataclass(frozen=True, slots=True)
class MetricResult:
    """The state of one metric; `query` is the resolved one, "" if none was sent."""

    name: str
    phase: AnalysisPhase = AnalysisPhase.RUNNING
    dry_run: bool = False
    measurements: tuple[Measurement, ...] = ()
    counts: MeasurementCounts = MeasurementCounts()
    message: str = ""
    query: str = ""

    @property
    def last(self) -> Measurement | None:
        """Return the newest measurement."""
        return self.measurements[-1] if self.measurements else None


@dataclass(frozen=True, slots=True)
class AnalysisRunStatus:
    """The state of a run; times are Unix seconds, None if they have not come."""

    phase: AnalysisPhase | None = None
    message: str = ""
    results: tuple[MetricResult, ...] = ()
    started_at: float | None = None
    completed_at: float | None = None
    summary: PhaseCounts | None = None
    """The metrics, and the completed ones by phase."""
    dry_run_summary: PhaseCounts | None = None

    def result(self, name: str) -> MetricResult | None:
        """Return the state of a metric, None before its first measurement."""
        return next((result for result in self.results if result.name == name), None)


def status_json(status: AnalysisRunStatus) -> dict[str, Any]:
    """Return the status as the controller writes it: empty fields omitted, times to the second."""
    return _json_object(
        completedAt=_time(status.completed_at),
        dryRunSummary=status.dry_run_summary and _json_object(**asdict(status.dry_run_summary)),
        message=status.message,
        metricResults=[_result_json(result) for result in status.results],
        phase=status.phase,
        runSummary=status.summary and _json_object(**asdict(status.summary)),
        startedAt=_time(status.started_at),
    )


def _json_object(**values: object) -> dict[str, Any]:
    # Go's omitempty leaves out zero values: a recorded status has no `failed: 0` and no `dryRun: false`.
    return {key: value for key, value in sorted(values.items()) if value not in (None, "", 0, False, [])}


def _time(timestamp: float | None) -> str | None:
    if timestamp is None:
        return None
    # Kubernetes' metav1.Time has whole seconds.
    return datetime.fromtimestamp(int(timestamp), UTC).isoformat().replace("+00:00", "Z")


def _result_json(result: MetricResult) -> dict[str, Any]:
    counts = asdict(result.counts)
    return _json_object(
        consecutiveError=counts.pop("consecutive_error"),
        consecutiveSuccess=counts.pop("consecutive_success"),
        dryRun=result.dry_run,
        measurements=[_measurement_json(measurement) for measurement in result.measurements],
        message=result.message,
        metadata={"ResolvedPrometheusQuery": result.query} if result.query else None,
        name=result.name,
        phase=result.phase,
        **counts,
    )


def _measurement_json(measurement: Measurement) -> dict[str, Any]:
    outcome = measurement.outcome
    # One text for all warnings, their quotes not escaped, as the controller joins them.
    warnings = ", ".join(f'"{warning}"' for warning in outcome.warnings)
    return _json_object(
        finishedAt=_time(measurement.finished_at),
        message=outcome.message,
        metadata={"warnings": warnings} if warnings else None,
        phase=outcome.phase,
        startedAt=_time(measurement.started_at),
        value=outcome.value,
    )


ERROR_RETRY_SECONDS: Final = 10.0
"""Delay after an error before the next measurement, whatever the interval: the controller's constant."""
DEFAULT_ERROR_LIMIT: Final = 4
"""The controller's default of consecutiveErrorLimit: the fifth error in a row, after some 40 s, ends a metric."""
TERMINATED: Final = "Run Terminated"
"""The controller's message of a run that was cut short."""
SEVERITY_ORDER: Final = (
    AnalysisPhase.SUCCESSFUL,
    AnalysisPhase.RUNNING,
    AnalysisPhase.PENDING,
    AnalysisPhase.INCONCLUSIVE,
    AnalysisPhase.ERROR,
    AnalysisPhase.FAILED,
)
"""From good to bad: the worst phase of a metric becomes that of the run."""


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """A run that passed validation: its metrics with arguments (secrets redacted) in place, and its rules by metric."""

    metrics: tuple[Metric, ...]
    dry_run: frozenset[str] = frozenset()
    retention: Mapping[str, int] = field(default_factory=dict)
    terminate: bool = False


def make_plan(spec: AnalysisSpec, controller: ControllerVersion) -> AnalysisPlan | AnalysisRunStatus:
    """Return the plan of a run, or its final status if the controller rejects the spec. Raises UnsupportedError."""
    try:
        # The plan is validated, displayed and written to the status, so it holds placeholders for secrets. The order is
        # the controller's: arguments, metrics, dryRun, measurementRetention; the first error is the run's message.
        values = redacted_values(spec.args)
        metrics = tuple(resolve(drop_unsupported(metric, controller), values) for metric in spec.metrics)
    except ResolutionError as error:
        return AnalysisRunStatus(AnalysisPhase.ERROR, f"Unable to resolve metric arguments: {error}")
    error_text = validation.first_error(metrics, controller)
    if error_text:
        return AnalysisRunStatus(AnalysisPhase.ERROR, f"Analysis spec invalid: {error_text}")
    try:
        dry_run = frozenset(validation.match_rules([rule.metric_name for rule in spec.dry_run], "dryRun", metrics))
        retention = validation.retention_limits(spec.retention, metrics, controller)
    except UnsupportedError:  # a ValueError, too, but no verdict of the controller
        raise
    except ValueError as error:
        return AnalysisRunStatus(AnalysisPhase.ERROR, f"Analysis spec invalid: {error}")
    return AnalysisPlan(metrics, dry_run, retention, spec.terminate)


def is_terminating(plan: AnalysisPlan, status: AnalysisRunStatus) -> bool:
    """Return whether the run ends: by `terminate`, or because a metric that is no dry run has ended badly."""
    bad_phases = {AnalysisPhase.FAILED, AnalysisPhase.ERROR, AnalysisPhase.INCONCLUSIVE}
    return plan.terminate or any(result.phase in bad_phases and not result.dry_run for result in status.results)


def due_metrics(plan: AnalysisPlan, status: AnalysisRunStatus, now: float) -> tuple[Metric, ...]:
    """Return the metrics to measure at a time (Unix seconds)."""
    if is_terminating(plan, status):
        return ()
    return tuple(metric for metric in plan.metrics if (due_at := _due_at(metric, status)) is not None and due_at <= now)


def _due_at(metric: Metric, status: AnalysisRunStatus) -> float | None:
    """Return the time of a metric's next measurement, None for never."""
    result = status.result(metric.name)
    if result is None or result.last is None:
        if not metric.initial_delay:
            return float("-inf")
        # The first reconciliation only sets startedAt, from which the delay counts.
        return None if status.started_at is None else status.started_at + _seconds(metric.initial_delay)
    if result.phase.completed or _has_reached_count(metric, result):
        return None
    after_error = result.last.outcome.phase is AnalysisPhase.ERROR
    delay = _seconds(metric.interval) if metric.interval and not after_error else ERROR_RETRY_SECONDS
    # From the end of the last measurement: a slow query delays all later ones.
    return result.last.finished_at + delay


def _has_reached_count(metric: Metric, result: MetricResult) -> bool:
    count = effective_count(metric)
    return count is not None and result.counts.count >= count


def _seconds(text: str) -> float:
    return go_format.parse_duration(text) / 1e9


def next_time(plan: AnalysisPlan, status: AnalysisRunStatus) -> float | None:
    """Return when the next metric is due, None for never."""
    return min((due_at for metric in plan.metrics if (due_at := _due_at(metric, status)) is not None), default=None)


def reconcile(
    plan: AnalysisPlan, status: AnalysisRunStatus, measurements: Mapping[str, Measurement], now: float
) -> AnalysisRunStatus:
    """Return the next status, with new measurements by the names of their metrics."""
    started_at = now if status.started_at is None else status.started_at
    status = replace(status, started_at=started_at, results=_add_measurements(plan, status, measurements))
    ending = is_terminating(plan, status)
    status = replace(status, results=tuple(_with_phase(plan, result, ending=ending) for result in status.results))
    # In the order of the spec: of equally bad metrics the first one gives the run its message.
    completed = [result for metric in plan.metrics if (result := status.result(metric.name)) and result.phase.completed]
    status = replace(
        status,
        summary=_summary(plan, completed, dry_run=False),
        dry_run_summary=_summary(plan, completed, dry_run=True),
        results=tuple(_with_dry_run_note(plan, result) for result in status.results),
    )
    phase, message = _run_phase(plan, completed, ending=ending)
    if phase is not status.phase:
        status = replace(status, phase=phase, message=message, completed_at=now if phase.completed else None)
    # Retention comes last. The limits compare counters, which do not shrink with the measurements.
    return replace(status, results=tuple(_with_retention(plan, result) for result in status.results))


def _add_measurements(
    plan: AnalysisPlan, status: AnalysisRunStatus, measurements: Mapping[str, Measurement]
) -> tuple[MetricResult, ...]:
    results = {result.name: result for result in status.results}
    for metric in plan.metrics:
        if metric.name in measurements:
            measurement = measurements[metric.name]
            result = results.get(metric.name) or _first_result(plan, metric, measurement)
            results[metric.name] = replace(
                result,
                measurements=(*result.measurements, measurement),
                counts=_add_to_counts(result.counts, measurement.outcome.phase),
            )
    return tuple(results.values())


def _first_result(plan: AnalysisPlan, metric: Metric, measurement: Measurement) -> MetricResult:
    # The controller writes ResolvedPrometheusQuery only once it has a provider.
    query = metric.prometheus.query if metric.prometheus and measurement.outcome.was_queried else ""
    return MetricResult(metric.name, dry_run=metric.name in plan.dry_run, query=query)


def _add_to_counts(counts: MeasurementCounts, phase: AnalysisPhase) -> MeasurementCounts:
    is_success, is_error = phase is AnalysisPhase.SUCCESSFUL, phase is AnalysisPhase.ERROR
    return MeasurementCounts(
        # Without errors: a store that never responds ends the metric by consecutiveErrorLimit, not by count.
        count=counts.count + (not is_error),
        successful=counts.successful + is_success,
        failed=counts.failed + (phase is AnalysisPhase.FAILED),
        inconclusive=counts.inconclusive + (phase is AnalysisPhase.INCONCLUSIVE),
        error=counts.error + is_error,
        consecutive_error=counts.consecutive_error + 1 if is_error else 0,
        consecutive_success=counts.consecutive_success + 1 if is_success else 0,
    )


def _with_phase(plan: AnalysisPlan, result: MetricResult, *, ending: bool) -> MetricResult:
    phase = metric_phase(_metric(plan, result), result, ending=ending)
    if phase is result.phase:
        return result
    message = result.last.outcome.message if result.last else result.message
    return replace(result, phase=phase, message=message)


def _metric(plan: AnalysisPlan, result: MetricResult) -> Metric:
    return next(metric for metric in plan.metrics if metric.name == result.name)


def metric_phase(metric: Metric, result: MetricResult, *, ending: bool) -> AnalysisPhase:
    """Return the phase of a metric from its counts; `ending` means that the run ends now."""
    # Final, even if the limits would decide otherwise now.
    if result.phase.completed:
        return result.phase
    limit_phase, _ = exceeded_limit(metric, result)
    if limit_phase is not None:
        return limit_phase
    success_limit = int_value(metric.consecutive_success_limit)
    # 0 before 1.8, where drop_unsupported has removed the field.
    if 0 < success_limit <= result.counts.consecutive_success:
        return AnalysisPhase.SUCCESSFUL
    if _has_reached_count(metric, result):
        if success_limit > 0:
            # The count is used up before enough successes in a row: undecided if failures are limited, else failed.
            return AnalysisPhase.INCONCLUSIVE if int_value(metric.failure_limit) >= 0 else AnalysisPhase.FAILED
        return AnalysisPhase.SUCCESSFUL
    # The controller calls a metric that is cut short successful, whatever was measured.
    return AnalysisPhase.SUCCESSFUL if ending else AnalysisPhase.RUNNING


def exceeded_limit(metric: Metric, result: MetricResult) -> tuple[AnalysisPhase | None, str]:
    """Return the phase of an exceeded limit and the controller's text for it; of several the last one applies."""
    counts = result.counts
    failures, inconclusives = int_value(metric.failure_limit), int_value(metric.inconclusive_limit)
    limit = metric.consecutive_error_limit
    errors = DEFAULT_ERROR_LIMIT if limit is None else int_value(limit)
    # The controller checks in the opposite order, and a later check overrides an earlier one.
    if (count := counts.consecutive_error) > errors:
        return AnalysisPhase.ERROR, f"consecutiveErrors ({count}) > consecutiveErrorLimit ({errors})"
    if (count := counts.inconclusive) > inconclusives:
        return AnalysisPhase.INCONCLUSIVE, f"inconclusive ({count}) > inconclusiveLimit ({inconclusives})"
    # From 1.8 on -1 disables the limit.
    if 0 <= failures < counts.failed:
        return AnalysisPhase.FAILED, f"failed ({counts.failed}) > failureLimit ({failures})"
    return None, ""


def _run_phase(plan: AnalysisPlan, completed: Sequence[MetricResult], *, ending: bool) -> tuple[AnalysisPhase, str]:
    """Return the run's phase and message: those of its worst metric, once all are completed."""
    worst: AnalysisPhase | None = None
    message = TERMINATED if plan.terminate else ""
    for result in completed:
        if result.dry_run:
            # The run waits for a dry run, but its result never becomes worse through it.
            worst = worst or AnalysisPhase.SUCCESSFUL
        elif worst is None or SEVERITY_ORDER.index(result.phase) > SEVERITY_ORDER.index(worst):
            worst = result.phase
            message = _failure_message(plan, result) or message
    if ending:
        return worst or AnalysisPhase.SUCCESSFUL, message
    if worst is None or len(completed) < len(plan.metrics):
        return AnalysisPhase.RUNNING, ""
    return worst, message


def _failure_message(plan: AnalysisPlan, result: MetricResult) -> str:
    _, limit = exceeded_limit(_metric(plan, result), result)
    if not limit:
        return ""
    error = f': "Error Message: {result.message}"' if result.message else ""
    return f'Metric "{result.name}" assessed {result.phase} due to {limit}{error}'


def _with_dry_run_note(plan: AnalysisPlan, result: MetricResult) -> MetricResult:
    """Add to a dry run's result how it would have ended."""
    _, limit = exceeded_limit(_metric(plan, result), result)
    if not (result.dry_run and result.phase.completed and limit):
        return result
    return replace(result, message=f"Metric assessed {result.phase} due to {limit}")


def _summary(plan: AnalysisPlan, completed: Sequence[MetricResult], *, dry_run: bool) -> PhaseCounts:
    """Count the completed metrics; one that no limit ended counts as a success."""
    phases = [exceeded_limit(_metric(plan, result), result)[0] for result in completed if result.dry_run is dry_run]
    return PhaseCounts(
        count=sum((metric.name in plan.dry_run) is dry_run for metric in plan.metrics),
        successful=phases.count(None),
        failed=phases.count(AnalysisPhase.FAILED),
        inconclusive=phases.count(AnalysisPhase.INCONCLUSIVE),
        error=phases.count(AnalysisPhase.ERROR),
    )


def _with_retention(plan: AnalysisPlan, result: MetricResult) -> MetricResult:
    return replace(result, measurements=result.measurements[-plan.retention[result.name] :])
