"""The functions that the controller itself gives to conditions (its utils/evaluate)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.builtins_strings import read_float, read_int
from exporter.gate.expr.errors import RunError
from exporter.gate.expr.values import Int64, Value, conversion, named, number, format_value, truncated
from exporter.gate.go_format import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _as_int(value: Value) -> Value:
    if number(value):
        return Int64(truncated(value))
    if isinstance(value, str):
        found = read_int(value)
        if found is None:
            raise _unread("ParseInt", value, ranged=value.lstrip("+-").isdigit())
        return Int64(found)
    raise RunError(f"asInt() not supported on {named(value)} {format_value(value)}")


def _as_float(value: Value) -> Value:
    if number(value):
        return float(value)
    if isinstance(value, str):
        found = read_float(value)
        if found is None:
            raise _unread("ParseFloat", value, ranged=value.strip("+-")[:1].isdigit() and _finite_looking(value))
        return found
    raise RunError(f"asFloat() not supported on {named(value)} {format_value(value)}")


def _finite_looking(text: str) -> bool:
    try:
        return math.isinf(float(text)) and "_" not in text
    except ValueError:
        return False


def _unread(reader: str, text: str, *, ranged: bool) -> RunError:
    why = "value out of range" if ranged else "invalid syntax"
    return RunError(f"strconv.{reader}: parsing {quoted(text)}: {why}")


def _float_only(value: Value) -> float:
    if isinstance(value, float):
        return value
    raise conversion(value, "float64")


CALLS: Final[Mapping[str, Callable[[Sequence[Value], Value], Value]]] = {
    "asInt": lambda given, _: _as_int(given[0]),
    "asFloat": lambda given, _: _as_float(given[0]),
    "isNaN": lambda given, _: math.isnan(_float_only(given[0])),
    "isInf": lambda given, _: math.isinf(_float_only(given[0])),
    "isNil": lambda _, result: result is None,
    "default": lambda given, result: given[1] if result is None else result,
}
"""Each by its name, of the arguments and the result; isNil and default look at the result, whatever they are given."""
