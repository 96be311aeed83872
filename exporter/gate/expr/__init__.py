"""The language of the controller's conditions: text → tree → true, false, or the fault that makes an Error.

What it gives is what the engine of the controller's version gives, to the letter of its messages, where
tests/gate holds it against real controllers; what it does not know it refuses with UnsupportedError.
"""

from exporter.gate.expr.condition import SCALAR, VECTOR, Condition, ConditionTrace, check, evaluate, trace, evaluate_time, parse
from exporter.gate.expr.engine import Engine
from exporter.gate.expr.errors import ConditionError, EngineFailure, UnsupportedError
from exporter.gate.expr.evaluator import Step

__all__ = [
    "SCALAR",
    "VECTOR",
    "Condition",
    "ConditionError",
    "Engine",
    "EngineFailure",
    "ConditionTrace",
    "Step",
    "UnsupportedError",
    "check",
    "evaluate",
    "trace",
    "evaluate_time",
    "parse",
]
