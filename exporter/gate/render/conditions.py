"""Thresholds → the two conditions: no data, NaN and several series thought of, in every controller's language."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.gate import promql
from exporter.gate.render.answers import Answers, NoData
from exporter.gate.render.signals import query

GOOD, BAD = "{{args.success}}", "{{args.failure}}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a metric."""

    success: str
    failure: str


def conditions(answers: Answers) -> Conditions:
    """Write the conditions. Raises ValueError when the query is no PromQL, or answers with a string."""
    expression = promql.read(query(answers)).expression
    match promql.shape(expression):
        case promql.Shape.SCALAR:
            return _of_number(answers)
        case promql.Shape.VECTOR if promql.single(expression) is not None:
            return _of_one(answers)
        case promql.Shape.VECTOR:
            return _of_several(answers)
        case other:
            raise ValueError(f"the query answers with a {other}; ask for an instant vector: rate(…), sum(…)")


def _of_one(answers: Answers) -> Conditions:
    some, none = "len(result) > 0 && !isNaN(result[0])", "len(result) == 0 || isNaN(result[0])"
    return _judged(answers, "result[0]", some, none)


def _of_number(answers: Answers) -> Conditions:
    return _judged(answers, "result", "!isNaN(result)", "isNaN(result)")


def _judged(answers: Answers, value: str, some: str, none: str) -> Conditions:
    """Compare one value, and let no data be what the answers say."""
    good, bad = _operators(answers)
    success, failure = f"{value} {good} {GOOD}", f"{value} {bad} {BAD}"
    return Conditions(
        f"{none} || {success}" if answers.no_data is NoData.PASS else f"{some} && {success}",
        f"{none} || {failure}" if answers.no_data is NoData.FAIL else f"{some} && {failure}",
    )


def _of_several(answers: Answers) -> Conditions:
    """Want every series to be good, and let one that is bad fail."""
    good, bad = _operators(answers)
    every, any_bad = f"all(result, {{# {good} {GOOD}}})", f"any(result, {{# {bad} {BAD}}})"
    missing = "len(result) == 0 || any(result, {isNaN(#)})"
    if answers.no_data is NoData.PASS:
        return Conditions(f"all(result, {{isNaN(#) || # {good} {GOOD}}})", any_bad)
    if answers.no_data is NoData.FAIL:
        return Conditions(f"len(result) > 0 && {every}", f"{missing} || {any_bad}")
    return Conditions(f"len(result) > 0 && {every}", any_bad)


def _operators(answers: Answers) -> tuple[str, str]:
    return (">", "<=") if answers.higher_is_better else ("<", ">=")
