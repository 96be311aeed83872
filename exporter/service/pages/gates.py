"""The page of shadow gates: what each would have done with the updates that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.model import ShadowGateCard, ShadowGateRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.service.shadow import ShadowGates, ShadowRun


def gate_cards(gates: ShadowGates) -> tuple[ShadowGateCard, ...]:
    """Return the gates in the order of the settings, each with its runs."""
    return tuple(
        ShadowGateCard(
            name=loaded.name,
            file=str(loaded.section.template or ""),
            rollouts=loaded.section.rollouts,
            error=loaded.error,
            runs=tuple(gate_runs(run for run in gates.runs if run.gate == loaded.name)),
        )
        for loaded in gates.loaded
    )


def gate_runs(runs: Iterable[ShadowRun]) -> Iterator[ShadowGateRun]:
    """Yield the runs of a gate, the newest first."""
    for run in sorted(runs, key=lambda run: -run.started_at):
        decided = run.decision
        update = run.update
        yield ShadowGateRun(
            update.namespace,
            update.name,
            update.hash,
            decided.verdict.value,
            run.started_at,
            decided.message,
            tuple(_values(run)),
        )


def _values(run: ShadowRun) -> Iterator[str]:
    """Yield the last value of each metric with what it is compared with: `error-rate 0.02 (success: < 0.05)`."""
    from exporter.gate.measured import first_number, thresholds  # noqa: PLC0415 - as shadow gates: only if there are any

    metrics = {metric.name: metric for metric in run.plan.metrics} if run.plan is not None else {}
    for result in run.status.results:
        value = first_number(result.last.outcome.value) if result.last is not None else None
        metric = metrics.get(result.name)
        conditions = (("success", metric.success_condition), ("failure", metric.failure_condition)) if metric else ()
        limits = [
            f"{kind}: {operator} {number:g}" for kind, text in conditions for operator, number in thresholds(text)
        ]
        measured = f"{result.name} {'no value' if value is None else f'{value:.4g}'}"
        yield f"{measured} ({', '.join(limits)})" if limits else measured
