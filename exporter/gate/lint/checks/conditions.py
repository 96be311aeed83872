"""Conditions that are missing, or that no engine compiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.gate.lint.probe import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates


def missing(gates: Gates) -> Iterator[Spot]:
    """Find Prometheus metrics without a condition: whatever is measured is Successful."""
    for metric in gates.prometheus:
        if not metric.text(SUCCESS) and not metric.text(FAILURE):
            yield metric.spot(
                (),
                f"metric {metric.name} has neither condition: whatever the answer, it is Successful",
                "add successCondition, such as: len(result) > 0 && result[0] < 0.05",
            )


def malformed(gates: Gates) -> Iterator[Spot]:
    """Find conditions with which every measurement becomes Error."""
    for judge in gates.judges:
        for name in judge.texts:
            why = judge.fault(name)
            if why and not judge.beyond:
                kind = "a number" if judge.scalar else "a list of numbers"
                yield judge.metric.spot(
                    (name,),
                    f"every measurement becomes Error: {why} (result is {kind} here, {judge.engine})",
                    "write result < 0.05" if judge.scalar else "write len(result) > 0 && result[0] < 0.05",
                )


def beyond(gates: Gates) -> Iterator[Spot]:
    """Find conditions that may be right, but are not judged here."""
    for judge in gates.judges:
        for name in judge.texts:
            if judge.beyond and judge.fault(name):
                yield judge.metric.spot(
                    (name,),
                    f"this is not judged here: {judge.fault(name)}",
                    "try it on the controller, then allow it: # gate-lint: allow condition-unknown",
                )
