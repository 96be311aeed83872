"""An AnalysisRun as a state machine: status, measurements and a time → the next status. Pure; time is an argument.

It is the controller's analysis/analysis.go, one reconciliation a step. Between two steps nothing happens: whoever
drives it asks `due`, measures, hands the measurements to `assessed`, and comes back at `next_time`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.gate import gotext, validation
from exporter.gate.arguments import ResolutionError, hidden, resolved
from exporter.gate.condition.faults import UnsupportedError
from exporter.gate.status import Counts, Measurement, MetricResult, Phase, Status, Summary
from exporter.gate.template import effective_count, whole
from exporter.gate.versions import pruned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric, Spec

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
    return gotext.duration(text) / 1e9


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
