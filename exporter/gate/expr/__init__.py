"""The expression language of the controller's conditions, as its expr engine evaluates it.

text → tokens (`lexer`) → tree (`parser`, nodes in `syntax`) → types (`type_checker`) → folded tree (`optimizer`) →
value (`evaluator`). `builtins` is the table of functions, `operators` that of operators.

Outcomes and messages are those of the engine that the controller's version is built with, to the letter: the tests
compare them with recordings of real engines. What is not implemented raises UnsupportedError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.builtins import CONTROLLER_FUNCTIONS, TIME_FUNCTIONS
from exporter.gate.expr.errors import ConditionError, EngineFailure, EvaluationError, UnsupportedError
from exporter.gate.expr.evaluator import Evaluation, Step
from exporter.gate.expr.optimizer import ConstantFolder, refuse_stack_leaks
from exporter.gate.expr.parser import Parser
from exporter.gate.expr.syntax import Engine
from exporter.gate.expr.type_checker import TypeChecker
from exporter.gate.expr.types import FLOAT, FLOATS
from exporter.gate.expr.values import ListValue, Time, Value, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.expr.builtins import Function
    from exporter.gate.expr.syntax import Node
    from exporter.gate.expr.types import NodeTypes, Type

__all__ = [
    "SCALAR",
    "VECTOR",
    "Condition",
    "ConditionError",
    "ConditionTrace",
    "Engine",
    "EngineFailure",
    "Step",
    "UnsupportedError",
    "check",
    "evaluate",
    "evaluate_time",
    "parse",
    "trace",
]

VECTOR: Final = FLOATS
"""The type of `result` for a query that returns series: their values, in the order of the response."""
SCALAR: Final = FLOAT
"""The type of `result` for a query that returns a single number, such as scalar(…)."""
_TOO_DEEP: Final = "expressions nested this deep are not supported"
"""Python's recursion ends after a thousand calls, long before Go's stack is full."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition: its text, the engine that evaluates it, and its tree."""

    text: str
    engine: Engine
    root: Node


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """The outcome of a condition for a result, and the values of its sub-expressions."""

    outcome: bool | EngineFailure
    steps: tuple[Step, ...] = ()


def parse(text: str, engine: Engine) -> Condition:
    """Parse a condition.

    Raises ConditionError, with the engine's own message and the position, for text that does not compile whatever the
    result; and UnsupportedError for a feature that is not supported here.
    """
    try:
        return Condition(text, engine, Parser(text, engine).parse())
    except RecursionError:
        raise UnsupportedError(_TOO_DEEP) from None


def check(condition: Condition, result: Type) -> None:
    """Raise ConditionError if the engine rejects the condition for a result of this type, VECTOR or SCALAR."""
    _compile(condition, {"result": result}, CONTROLLER_FUNCTIONS)


def evaluate(condition: Condition, result: float | Sequence[float]) -> bool | EngineFailure:
    """Evaluate a condition as the controller does: true, false, or the reason for neither. Raises UnsupportedError."""
    return trace(condition, result).outcome


def trace(condition: Condition, result: float | Sequence[float]) -> ConditionTrace:
    """Evaluate a condition, and return the steps with the outcome. Raises UnsupportedError."""
    value = float(result) if isinstance(result, int | float) else ListValue(VECTOR.name, tuple(map(float, result)))
    variables = {"result": SCALAR if isinstance(value, float) else VECTOR}
    try:
        node_types, tree = _compile(condition, variables, CONTROLLER_FUNCTIONS)
    except UnsupportedError:
        raise
    except ConditionError as error:
        return ConditionTrace(EngineFailure(error.message, compiled=False))
    evaluation = Evaluation(condition.engine, node_types.types, {"result": value}, None)
    outcome = _run(evaluation, tree)
    if not isinstance(outcome, bool | EngineFailure):
        outcome = EngineFailure(f"expected bool, but got {type_name(outcome)}")
    return ConditionTrace(outcome, tuple(evaluation.steps))


def evaluate_time(text: str, engine: Engine, now: float) -> float | EngineFailure:
    """Evaluate the start or end of a range query, such as `now() - duration("5m")`, to Unix seconds.

    Raises UnsupportedError.
    """
    try:
        node_types, tree = _compile(parse(text, engine), {}, TIME_FUNCTIONS)
    except UnsupportedError:
        raise
    except ConditionError as error:
        return EngineFailure(error.message, compiled=False)
    value = _run(Evaluation(engine, node_types.types, {}, int(now * 1e9)), tree)
    if isinstance(value, EngineFailure):
        return value
    if isinstance(value, Time):
        return value.nanoseconds / 1e9
    return EngineFailure(f"expected time.Time, but got {type_name(value)}")


def _compile(
    condition: Condition, variables: Mapping[str, Type], functions: Mapping[str, Function]
) -> tuple[NodeTypes, Node]:
    """Check the types of a tree and fold its constants. Raises ConditionError."""
    try:
        node_types = TypeChecker(condition.engine, variables, functions).check(condition.root)
        tree = ConstantFolder(node_types).fold(condition.root)
        refuse_stack_leaks(tree)
    except RecursionError:
        raise UnsupportedError(_TOO_DEEP) from None
    return node_types, tree


def _run(evaluation: Evaluation, tree: Node) -> Value | EngineFailure:
    try:
        return evaluation.value(tree)
    except EvaluationError as error:
        # a measurement is JSON, in which Go replaces bytes that are not UTF-8
        return EngineFailure(str(error).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    except RecursionError:
        raise UnsupportedError(_TOO_DEEP) from None
