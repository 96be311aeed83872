"""How a run of a gate is shown: a live table, lines where there is no terminal, and the verdict."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.table import Table

from exporter import log
from exporter.gate import explanation
from exporter.gate.analysis_run import MetricResult, Phase, Status
from exporter.gate.template import effective_count, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from rich.console import Console

    from exporter.gate.analysis_run import Plan
    from exporter.gate.simulation import Told
    from exporter.gate.template import Metric

CODES: Final[Mapping[Phase, int]] = {Phase.SUCCESSFUL: 0, Phase.FAILED: 1, Phase.ERROR: 2, Phase.INCONCLUSIVE: 3}
UNDECIDED: Final = 4
"""The exit code of a run that has not ended."""
COLOURS: Final[Mapping[Phase, str]] = {
    Phase.SUCCESSFUL: "green",
    Phase.FAILED: "red",
    Phase.ERROR: "red",
    Phase.INCONCLUSIVE: "yellow",
}
EFFECTS: Final[Mapping[Phase, str]] = {
    Phase.SUCCESSFUL: "the rollout would go on",
    Phase.FAILED: "the rollout would be aborted",
    Phase.ERROR: "the rollout would be aborted",
    Phase.INCONCLUSIVE: "the rollout would pause until somebody decides",
}
_LONGEST: Final = 60


def code(status: Status) -> int:
    """Return the exit code of a status."""
    return CODES.get(status.phase or Phase.RUNNING, UNDECIDED)


def at(seconds: float) -> str:
    """Write a time of the day."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


class Show:
    """Shows a run while it goes; use it with `with`. A terminal gets a table, anything else a line a measurement."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def see(self, status: Status, told: Sequence[Told], following: float | None) -> None:
        """Show a step."""
        if self._live:
            self._live.update(table(self._plan, status, following), refresh=True)
            return
        for one in told:
            outcome = one.judged.outcome
            said = log.REDACTOR.redact(outcome.message or one.judged.hint)
            self._console.print(
                f"{at(one.at)} {one.metric.name} {outcome.value or '-'} {outcome.phase}{said and f' ({said})'}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def table(plan: Plan, status: Status, following: float | None = None) -> Table:
    """Return the run as a table, a row a metric."""
    made = Table(title="" if following is None else f"next measurement {at(following)}", title_justify="left")
    for column in ("metric", "phase", "measured", "value", "failed", "inconclusive", "errors in a row", "message"):
        made.add_column(column)
    for metric in plan.metrics:
        made.add_row(*_row(metric, status.result(metric.name), dry_run=metric.name in plan.dry_run))
    return made


def _row(metric: Metric, result: MetricResult | None, *, dry_run: bool) -> Iterator[str]:
    yield f"{metric.name} (dry run)" if dry_run else metric.name
    if result is None:
        yield "Pending"
        return
    colour = COLOURS.get(result.phase)
    yield f"[{colour}]{result.phase}[/]" if colour else result.phase
    counts, count, limit = result.counts, effective_count(metric), metric.consecutive_error_limit
    yield f"{counts.count} of {'∞' if count is None else count}"
    yield (result.last.outcome.value if result.last else "")[:_LONGEST].replace("[", "\\[")
    yield f"{counts.failed} of {whole(metric.failure_limit)} allowed"
    yield f"{counts.inconclusive} of {whole(metric.inconclusive_limit)} allowed"
    yield f"{counts.consecutive_error} of {4 if limit is None else whole(limit)} allowed"
    message = (result.last.outcome.message if result.last else "") or result.message
    yield log.REDACTOR.redact(message).replace("[", "\\[")


def verdict(status: Status) -> Iterator[str]:
    """Yield the end of a run in words."""
    phase = status.phase or Phase.RUNNING
    for result in status.results:
        counts = result.counts
        errors = f"{counts.error} error{'' if counts.error == 1 else 's'}"
        yield (
            f"{result.name}: {result.phase}, {counts.successful} of {counts.count} successful, {counts.failed} failed, "
            f"{counts.inconclusive} inconclusive, {errors}{' (dry run)' if result.dry_run else ''}"
        )
    yield f"{phase}: {status.message or EFFECTS.get(phase, 'no verdict yet')}"


def explained(told: Sequence[Told]) -> Iterator[str]:
    """Yield the explanation of every measurement; what came several times in a row is told once."""
    before: list[str] = []
    times = 0
    for one in told:
        lines = list(explanation.lines(one))
        if lines == before:
            times += 1
            continue
        yield from _repeated(times)
        yield f"{at(one.at)} {lines[0]}"
        yield from lines[1:]
        before, times = lines, 0
    yield from _repeated(times)


def _repeated(times: int) -> Iterator[str]:
    if times:
        yield f"  … the same {times} more time{'s' if times > 1 else ''}"
