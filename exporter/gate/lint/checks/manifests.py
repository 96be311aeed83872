"""The manifest as a whole: whether it can be read, and what the controller wants of its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.gate.lint.finding import Spot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.inputs import Gates


def malformed(gates: Gates) -> Iterator[Spot]:
    """Find text that is no YAML."""
    for fault in gates.faults:
        if not fault.repeated:
            helm = "Helm" in fault.why
            cure = "render it first: helm template … | rollouts-exporter gate lint -" if helm else "mend it"
            yield Spot(fault.source, fault.line, f"this is no YAML: {fault.why}", cure)


def repeated(gates: Gates) -> Iterator[Spot]:
    """Find keys that stand twice in a mapping: kubectl refuses them, others take the last."""
    for fault in gates.faults:
        if fault.repeated:
            yield Spot(
                fault.source, fault.line, f"{fault.why}; kubectl refuses that, others take the last", "leave one"
            )


def no_metrics(gates: Gates) -> Iterator[Spot]:
    """Find gates that measure nothing."""
    for gate in gates.gates:
        if not gate.metrics and not gate.document.at("spec", "templates"):
            yield gate.document.spot(
                ("spec", "metrics"), "there is no metric: the run becomes Error at once", "add one to spec.metrics"
            )


def provider(gates: Gates) -> Iterator[Spot]:
    """Find metrics with no provider, or with several."""
    for metric in gates.metrics:
        providers = metric.raw("provider")
        found = [name for name, value in providers.items() if value is not None] if isinstance(providers, dict) else []
        if len(found) != 1:
            many = f"has {len(found)} providers ({', '.join(map(str, found))})" if found else "has no provider"
            why = f"metric {metric.name} {many}: the run becomes Error before its first measurement"
            yield metric.spot(("provider",), why, "name one, such as prometheus")


def metric_name(gates: Gates) -> Iterator[Spot]:
    """Find metric names that stand twice."""
    for gate in gates.gates:
        seen: set[str] = set()
        for metric in gate.metrics:
            if metric.name in seen:
                yield metric.spot(
                    ("name",),
                    f"there are two metrics {metric.name}: every run becomes Error, and as long as this object exists"
                    " the controller's metrics page answers 500",
                    "rename one",
                )
            seen.add(metric.name)
