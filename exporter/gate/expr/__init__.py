"""The expression language of the controller's conditions, as its expr engine evaluates it.

text → tokens (`lexer`) → tree (`parser`, nodes in `syntax`) → types (`type_checker`) → folded tree (`optimizer`) →
value (`evaluator`). `builtins` is the table of functions, `operators` that of operators; `condition` is the entry.

Outcomes and messages are those of the engine that the controller's version is built with, to the letter: the tests
compare them with recordings of real engines. What is not implemented raises UnsupportedError.
"""

from exporter.gate.expr.condition import (
    SCALAR,
    VECTOR,
    Condition,
    ConditionTrace,
    check,
    evaluate,
    evaluate_time,
    parse,
    trace,
)
from exporter.gate.expr.errors import ConditionError, EngineFailure, UnsupportedError
from exporter.gate.expr.evaluator import Step
from exporter.gate.expr.syntax import Engine

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
