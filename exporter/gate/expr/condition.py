"""A condition as a whole: parsed once, then judged against results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.expr import types, values
from exporter.gate.expr.builtins import CONTROLLER
from exporter.gate.expr.constant_folding import Folder
from exporter.gate.expr.engine_bugs import refuse_leaks
from exporter.gate.expr.errors import ConditionError, EngineFailure, RunError, UnsupportedError
from exporter.gate.expr.evaluator import Evaluation, Step
from exporter.gate.expr.parser import Parser
from exporter.gate.expr.type_checker import Checked, Checker
from exporter.gate.expr.values import ListValue, Time, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.gate.expr.engine import Engine
    from exporter.gate.expr.syntax import Node
    from exporter.gate.expr.types import Type

VECTOR: Final = types.FLOATS
"""The type of `result` for a query that gives series: their values, in the order of the answer."""
SCALAR: Final = types.FLOAT
"""The type of `result` for a query that gives a single number, such as scalar(…)."""
_TOO_DEEP: Final = "it nests deeper than is judged here"
_TIMES: Final = {name: CONTROLLER[name] for name in ("isNaN", "isInf")}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition whose grammar is right: its text, the engine it is judged by, and its tree."""

    text: str
    engine: Engine
    root: Node


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """What a condition gave for a result, and by which steps it came to that."""

    outcome: bool | EngineFailure
    steps: tuple[Step, ...] = ()


def parse(text: str, engine: Engine) -> Condition:
    """Parse a condition.

    Raises ConditionError, with the engine's own message and the place, for what does not compile whatever the result;
    and UnsupportedError for what is not judged here.
    """
    try:
        return Condition(text, engine, Parser(text, engine).parse())
    except RecursionError:
        raise UnsupportedError(_TOO_DEEP) from None


def check(condition: Condition, result: Type) -> None:
    """Raise ConditionError if the engine refuses the condition for a result of this type, VECTOR or SCALAR."""
    _checked(condition, {"result": result})


def evaluate(condition: Condition, result: float | Sequence[float]) -> bool | EngineFailure:
    """Judge a result, as the controller does: true, false, or why neither. Raises UnsupportedError."""
    return trace(condition, result).outcome


def trace(condition: Condition, result: float | Sequence[float]) -> ConditionTrace:
    """Judge a result, and tell the steps. Raises UnsupportedError."""
    given = float(result) if isinstance(result, int | float) else ListValue(values.FLOATS, tuple(map(float, result)))
    try:
        checked, tree = _checked(condition, {"result": SCALAR if isinstance(given, float) else VECTOR})
    except UnsupportedError:
        raise
    except ConditionError as error:
        return ConditionTrace(EngineFailure(error.message, compiled=False))
    run = Evaluation(condition.engine, checked.types, {"result": given}, None)
    value = _run(run, tree)
    if isinstance(value, EngineFailure):
        return ConditionTrace(value, tuple(run.steps))
    outcome = value if isinstance(value, bool) else EngineFailure(f"expected bool, but got {values.named(value)}")
    return ConditionTrace(outcome, tuple(run.steps))


def evaluate_time(text: str, engine: Engine, now: float) -> float | EngineFailure:
    """Evaluate the start or end of a range query, such as `now() - duration("5m")`, to Unix seconds.

    Raises UnsupportedError.
    """
    try:
        condition = parse(text, engine)
        checked, tree = _checked(condition, {}, times=True)
    except UnsupportedError:
        raise
    except ConditionError as error:
        return EngineFailure(error.message, compiled=False)
    value = _run(Evaluation(engine, checked.types, {}, int(now * 1e9)), tree)
    if isinstance(value, EngineFailure):
        return value
    if isinstance(value, Time):
        return value.nanoseconds / 1e9
    return EngineFailure(f"expected time.Time, but got {values.named(value)}")


def _checked(condition: Condition, variables: dict[str, Type], *, times: bool = False) -> tuple[Checked, Node]:
    """Check and fold a tree. Raises ConditionError."""
    try:
        checker = Checker(condition.engine, variables, _TIMES if times else CONTROLLER)
        checked = checker.check(condition.root)
        tree = Folder(checked).fold(condition.root)
        refuse_leaks(tree)
    except RecursionError:
        raise UnsupportedError(_TOO_DEEP) from None
    return checked, tree


def _run(run: Evaluation, tree: Node) -> Value | EngineFailure:
    try:
        return run.value(tree)
    except RunError as error:
        return EngineFailure(str(error).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    except RecursionError:
        raise UnsupportedError(_TOO_DEEP) from None
