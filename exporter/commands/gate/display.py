"""Prints an analysis run: its progress, its result and the explanations of its measurements."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.live import Live
from rich.table import Table

from exporter import log
from exporter.gate.analysis_run import DEFAULT_ERROR_LIMIT, AnalysisPhase, AnalysisRunStatus, MetricResult
from exporter.gate.explanation import explanation_lines
from exporter.gate.template import effective_count, int_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from exporter.gate.analysis_run import AnalysisPlan
    from exporter.gate.runner import OnStep
    from exporter.gate.simulation import AnalysisRunResult, MeasurementTrace
    from exporter.gate.template import Metric

EXIT_UNDECIDED: Final = 4
"""The exit code of a run that has not ended."""


class PhaseDisplay(NamedTuple):
    """How a final phase of a run is shown: exit code, colour, and the effect on a rollout."""

    exit_code: int
    colour: str
    effect: str


FINAL_PHASES: Final[Mapping[AnalysisPhase, PhaseDisplay]] = {
    AnalysisPhase.SUCCESSFUL: PhaseDisplay(0, "green", "the rollout would continue"),
    AnalysisPhase.FAILED: PhaseDisplay(1, "red", "the rollout would be aborted"),
    AnalysisPhase.ERROR: PhaseDisplay(2, "red", "the rollout would be aborted"),
    AnalysisPhase.INCONCLUSIVE: PhaseDisplay(3, "yellow", "the rollout would pause until someone intervenes"),
}
COLUMNS: Final = ("metric", "phase", "measured", "value", "failed", "inconclusive", "errors in a row", "message")
_MAX_VALUE_LENGTH: Final = 60  # a vector has a number for each series


def exit_code(status: AnalysisRunStatus) -> int:
    """Return the exit code of a status."""
    final = FINAL_PHASES.get(status.phase or AnalysisPhase.RUNNING)
    return final.exit_code if final else EXIT_UNDECIDED


def format_time(timestamp: float) -> str:
    """Format a Unix time as date and time in UTC."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@contextmanager
def step_display(console: Console, plan: AnalysisPlan) -> Iterator[OnStep]:
    """Yield a function that shows each step of a run: on a terminal a live table, else a line per measurement."""
    if not console.is_terminal:
        yield lambda _, traces, __: _print_measurements(console, traces)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda status, _, next_due: live.update(status_table(plan, status, next_due), refresh=True)


def _print_measurements(console: Console, traces: Sequence[MeasurementTrace]) -> None:
    for trace in traces:
        outcome = trace.evaluation.outcome
        # A message may quote an address or a response, and with it a secret argument.
        message = log.REDACTOR.redact(outcome.message or trace.evaluation.hint)
        text = f"{format_time(trace.measured_at)} {trace.metric.name} {outcome.value or '-'} {outcome.phase}"
        console.print(f"{text}{message and f' ({message})'}", markup=False, highlight=False, soft_wrap=True)


def status_table(plan: AnalysisPlan, status: AnalysisRunStatus, next_due: float | None = None) -> Table:
    """Return the run as a table, one row per metric."""
    table = Table(title="" if next_due is None else f"next measurement {format_time(next_due)}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for metric in plan.metrics:
        table.add_row(*_cells(metric, status.result(metric.name), dry_run=metric.name in plan.dry_run))
    return table


def _cells(metric: Metric, result: MetricResult | None, *, dry_run: bool) -> Iterator[str]:
    yield f"{metric.name} (dry run)" if dry_run else metric.name
    if result is None:
        yield "Pending"
        return
    final = FINAL_PHASES.get(result.phase)
    yield f"[{final.colour}]{result.phase}[/]" if final else result.phase
    counts, count, limit = result.counts, effective_count(metric), metric.consecutive_error_limit
    yield f"{counts.count} of {'∞' if count is None else count}"
    yield _escape_markup((result.last.outcome.value if result.last else "")[:_MAX_VALUE_LENGTH])
    yield f"{counts.failed} of {int_value(metric.failure_limit)} allowed"
    yield f"{counts.inconclusive} of {int_value(metric.inconclusive_limit)} allowed"
    yield f"{counts.consecutive_error} of {DEFAULT_ERROR_LIMIT if limit is None else int_value(limit)} allowed"
    message = (result.last.outcome.message if result.last else "") or result.message
    yield _escape_markup(log.REDACTOR.redact(message))


def _escape_markup(text: str) -> str:
    return text.replace("[", "\\[")  # rich reads [0.82] as markup


def result_lines(status: AnalysisRunStatus) -> Iterator[str]:
    """Yield the result of a run: a line per metric, and one for the run."""
    phase = status.phase or AnalysisPhase.RUNNING
    for result in status.results:
        counts = result.counts
        errors = f"{counts.error} error{'' if counts.error == 1 else 's'}"
        yield (
            f"{result.name}: {result.phase}, {counts.successful} of {counts.count} successful, {counts.failed} failed, "
            f"{counts.inconclusive} inconclusive, {errors}{' (dry run)' if result.dry_run else ''}"
        )
    final = FINAL_PHASES.get(phase)
    yield f"{phase}: {status.message or (final.effect if final else 'not decided yet')}"


def runs_summary(results: Sequence[AnalysisRunResult]) -> str:
    """Return one line on several runs: how many ended in each phase, and the median time to it."""
    durations: dict[AnalysisPhase, list[float]] = {}
    for result in results:
        status = result.status
        seconds = (status.completed_at or 0.0) - (status.started_at or 0.0)
        durations.setdefault(status.phase or AnalysisPhase.RUNNING, []).append(max(seconds, 0.0))
    phases = sorted(durations, key=lambda phase: -len(durations[phase]))
    texts = (f"{len(durations[phase])} {phase} (median {median(durations[phase]) / 60:.1f} min)" for phase in phases)
    return f"{len(results)} runs: {', '.join(texts)}"


def trace_lines(traces: Sequence[MeasurementTrace]) -> Iterator[str]:
    """Yield the explanation of every measurement; of consecutive equal ones only the first, and their number."""
    previous: list[str] = []
    repetitions = 0
    for trace in traces:
        lines = list(explanation_lines(trace))
        if lines == previous:
            repetitions += 1
            continue
        yield from _repetition_line(repetitions)
        yield f"{format_time(trace.measured_at)} {lines[0]}"
        yield from lines[1:]
        previous, repetitions = lines, 0
    yield from _repetition_line(repetitions)


def _repetition_line(count: int) -> Iterator[str]:
    if count:
        yield f"  … the same {count} more time{'s' if count > 1 else ''}"


def table_lines(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a table as lines of text, its columns as wide as their longest cell."""
    cells = [tuple(columns), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
