"""Why a measurement came out as it did: its value, every sub-expression of its conditions, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.gate.analysis_run import Phase
from exporter.gate.expr import EngineFailure
from exporter.gate.expr.syntax import Bool, Predicate, Float, Integer, Nil, String
from exporter.gate.expr.values import ListValue, format_value
from exporter.gate.go_format import general

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.expr import ConditionTrace, Step
    from exporter.gate.expr.values import Value
    from exporter.gate.simulation import Told

LITERALS: Final = (Nil, Bool, Integer, Float, String, Predicate)
MOST: Final = 24
"""Steps shown of one condition; a long vector has many."""
MOST_ITEMS: Final = 8


def lines(told: Told) -> Iterator[str]:
    """Yield the explanation of one measurement, a line each."""
    outcome = told.judged.outcome
    yield f"{told.metric.name}: {outcome.value or 'no value'} → {outcome.phase}"
    for name, text, judgement in _conditions(told):
        if judgement is not None:
            yield f"  {name}: {text}"
            yield from _steps(text, judgement)
    yield f"  {why(told)}"
    if told.judged.hint:
        yield f"  {told.judged.hint}"


def as_json(told: Told) -> dict[str, Any]:
    """Return the explanation of one measurement, for programs."""
    return {
        "metric": told.metric.name,
        "at": told.at,
        "value": told.judged.outcome.value,
        "phase": told.judged.outcome.phase,
        "why": why(told),
        "hint": told.judged.hint,
        "conditions": [
            {
                "condition": name,
                "text": text,
                "outcome": judgement.outcome.message if isinstance(judgement.outcome, EngineFailure) else judgement.outcome,
                "steps": [{"text": _source(text, step), "value": _value(step.value)} for step in _worth(judgement)],
            }
            for name, text, judgement in _conditions(told)
            if judgement is not None
        ],
    }


def _conditions(told: Told) -> tuple[tuple[str, str, ConditionTrace | None], ...]:
    return (
        ("successCondition", told.metric.success_condition, told.judged.success),
        ("failureCondition", told.metric.failure_condition, told.judged.failure),
    )


def _steps(text: str, judgement: ConditionTrace) -> Iterator[str]:
    steps = _worth(judgement)
    rows = [(_source(text, step), _value(step.value)) for step in steps[:MOST]]
    width = max((len(source) for source, _ in rows), default=0)
    for source, value in rows:
        yield f"    {source:{width}} = {value}"
    if len(steps) > MOST:
        yield f"    … and {len(steps) - MOST} more"
    if isinstance(judgement.outcome, EngineFailure):
        yield f"    ✗ {judgement.outcome.message}"


def _worth(judgement: ConditionTrace) -> list[Step]:
    """Return the steps that tell something: no literals, and nothing twice."""
    seen: set[object] = set()
    worth = []
    for step in judgement.steps:
        key = (step.node.start, step.node.end, type(step.node), step.elements)
        if not isinstance(step.node, LITERALS) and key not in seen:
            seen.add(key)
            worth.append(step)
    return worth


def _source(text: str, step: Step) -> str:
    element = "".join(f" for element {index}" for index in step.elements)
    return f"{' '.join(text[step.node.start : step.node.end].split())}{element}"


def _value(value: Value) -> str:
    if isinstance(value, ListValue):
        items = [_value(item) for item in value.items[:MOST_ITEMS]]
        more = [f"… {len(value.items)} in all"] if len(value.items) > MOST_ITEMS else []
        return f"[{', '.join(items + more)}]"
    if isinstance(value, str):
        return repr(value)
    return general(value) if isinstance(value, float) else "nil" if value is None else format_value(value)


def why(told: Told) -> str:
    """Say in plain words how the conditions make the phase."""
    outcome, success, failure = told.judged.outcome, told.judged.success, told.judged.failure
    if outcome.phase is Phase.ERROR:
        return f"an Error, to be tried again after 10 s: {outcome.message}"
    if success is None and failure is None:
        return "there is no condition, so whatever is measured is a success"
    if failure is None:
        said = "true" if outcome.phase is Phase.SUCCESSFUL else "false"
        return f"the success condition is {said}, and there is no failure condition"
    if success is None:
        said = "true" if outcome.phase is Phase.FAILED else "false"
        return f"the failure condition is {said}, and there is no success condition"
    if outcome.phase is Phase.FAILED:
        both = ", which outweighs that the success condition is true, too" if success.outcome is True else ""
        return f"the failure condition is true{both}"
    if outcome.phase is Phase.SUCCESSFUL:
        return "the success condition is true and the failure condition is not"
    return "neither condition is true: the value is in the gap between them"
