"""Explains a measurement: its value, the value of every sub-expression of its conditions, and the resulting phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.expr import EngineFailure
from exporter.gate.expr.syntax import Bool, Float, Integer, Nil, Predicate, String
from exporter.gate.expr.values import ListValue, format_value
from exporter.gate.go_format import format_general

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.expr import ConditionTrace, Step
    from exporter.gate.expr.values import Value
    from exporter.gate.simulation import MeasurementTrace

UNINFORMATIVE_NODES: Final = (Nil, Bool, Integer, Float, String, Predicate)
"""Literals stand in the condition's text already, and a predicate's value is that of its body."""
MAX_STEPS: Final = 24
"""Steps shown of one condition; a long vector has many."""
MAX_ITEMS: Final = 8
"""Items shown of one list."""


def explanation_lines(trace: MeasurementTrace) -> Iterator[str]:
    """Yield the explanation of one measurement as lines."""
    outcome = trace.evaluation.outcome
    yield f"{trace.metric.name}: {outcome.value or 'no value'} → {outcome.phase}"
    for name, text, condition in _conditions(trace):
        yield f"  {name}: {text}"
        yield from _step_lines(text, condition)
    yield f"  {phase_reason(trace)}"
    if trace.evaluation.hint:
        yield f"  {trace.evaluation.hint}"


def explanation_json(trace: MeasurementTrace) -> dict[str, Any]:
    """Return the explanation of one measurement as JSON; the keys are those of `gate run --json --explain`."""
    return {
        "metric": trace.metric.name,
        "at": trace.measured_at,
        "value": trace.evaluation.outcome.value,
        "phase": trace.evaluation.outcome.phase,
        "why": phase_reason(trace),
        "hint": trace.evaluation.hint,
        "conditions": [
            {
                "condition": name,
                "text": text,
                "outcome": _outcome(condition),
                "steps": [{"text": source, "value": value} for source, value in _informative_steps(text, condition)],
            }
            for name, text, condition in _conditions(trace)
        ],
    }


def _outcome(condition: ConditionTrace) -> bool | str:
    return condition.outcome.message if isinstance(condition.outcome, EngineFailure) else condition.outcome


def _conditions(trace: MeasurementTrace) -> Iterator[tuple[str, str, ConditionTrace]]:
    """Yield the name, text and trace of each condition that was reached."""
    if trace.evaluation.success:
        yield "successCondition", trace.metric.success_condition, trace.evaluation.success
    if trace.evaluation.failure:
        yield "failureCondition", trace.metric.failure_condition, trace.evaluation.failure


def _step_lines(text: str, condition: ConditionTrace) -> Iterator[str]:
    steps = _informative_steps(text, condition)
    width = max((len(source) for source, _ in steps[:MAX_STEPS]), default=0)
    for source, value in steps[:MAX_STEPS]:
        yield f"    {source:{width}} = {value}"
    if len(steps) > MAX_STEPS:
        yield f"    … and {len(steps) - MAX_STEPS} more"
    if isinstance(condition.outcome, EngineFailure):
        yield f"    ✗ {condition.outcome.message}"


def _informative_steps(text: str, condition: ConditionTrace) -> list[tuple[str, str]]:
    """Return text and value of the steps, without literals and repetitions."""
    keys: set[object] = set()
    steps = []
    for step in condition.steps:
        # By place, not by node: b in `a < b < c` is evaluated twice.
        key = (step.node.start, step.node.end, type(step.node), step.elements)
        if not isinstance(step.node, UNINFORMATIVE_NODES) and key not in keys:
            keys.add(key)
            steps.append((_source(text, step), _format(step.value)))
    return steps


def _source(text: str, step: Step) -> str:
    element = "".join(f" for element {index}" for index in step.elements)
    return f"{' '.join(text[step.node.start : step.node.end].split())}{element}"


def _format(value: Value) -> str:
    if isinstance(value, ListValue):
        items = [_format(item) for item in value.items[:MAX_ITEMS]]
        more = [f"… {len(value.items)} in all"] if len(value.items) > MAX_ITEMS else []
        return f"[{', '.join(items + more)}]"
    if isinstance(value, str):
        return repr(value)
    return format_general(value) if isinstance(value, float) else "nil" if value is None else format_value(value)


def phase_reason(trace: MeasurementTrace) -> str:
    """Return a sentence on how the conditions lead to the phase."""
    outcome, success, failure = trace.evaluation.outcome, trace.evaluation.success, trace.evaluation.failure
    if outcome.phase is AnalysisPhase.ERROR:
        return f"an Error, measured again after 10 s: {outcome.message}"
    if success is None and failure is None:
        return "there is no condition, so every value is a success"
    if failure is None:
        is_true = "true" if outcome.phase is AnalysisPhase.SUCCESSFUL else "false"
        return f"the success condition is {is_true}, and there is no failure condition"
    if success is None:
        is_true = "true" if outcome.phase is AnalysisPhase.FAILED else "false"
        return f"the failure condition is {is_true}, and there is no success condition"
    if outcome.phase is AnalysisPhase.FAILED:
        both = ", which takes precedence over the success condition, which is also true"
        return f"the failure condition is true{both if success.outcome is True else ''}"
    if outcome.phase is AnalysisPhase.SUCCESSFUL:
        return "the success condition is true and the failure condition is not"
    return "neither condition is true: the value is in the gap between them"
