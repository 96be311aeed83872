"""What operators do with values: the engine's helpers, with Go's 64-bit whole numbers and IEEE floats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.errors import RunError
from exporter.gate.expr.values import (
    ANYTHING,
    Duration,
    ListValue,
    Number,
    Time,
    Value,
    as_float,
    named,
    number,
    truncated,
    whole,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COMPARED: Final = (str, Time, Duration)


def equal(one: Value, other: Value, *, modern: bool) -> bool:
    """Compare as == does: numbers by value, lists item by item."""
    if number(one) and number(other):
        return one == other
    if isinstance(one, ListValue) and isinstance(other, ListValue):
        return _same_lists(one, other, modern=modern)
    if isinstance(one, bool) or isinstance(other, bool) or number(one) or number(other):
        return one is other
    return one == other


def _same_lists(one: ListValue, other: ListValue, *, modern: bool) -> bool:
    """Compare two lists: the older engine wants the very same types inside, and NaN is never itself."""
    if not modern and one.name == other.name and one.items is other.items:
        return True  # the very same slice, whatever is in it
    loose = modern and ANYTHING in {one.name, other.name}
    if len(one.items) != len(other.items) or not (loose or one.name == other.name):
        return False
    if loose:
        return all(equal(a, b, modern=modern) for a, b in zip(one.items, other.items, strict=True))
    return all(named(a) == named(b) and equal(a, b, modern=modern) for a, b in zip(one.items, other.items, strict=True))


def order(operator: str, one: Value, other: Value) -> bool:
    """Compare as <, >, <= and >= do. Raises RunError for what has no order."""
    alike = any(isinstance(one, kind) and isinstance(other, kind) for kind in _COMPARED)
    if not alike and not (number(one) and number(other)):
        raise _invalid(operator, one, other)
    return _ORDERS[operator](_magnitude(one), _magnitude(other))


def _magnitude(value: Value) -> object:
    if isinstance(value, Time | Duration):
        return value.nanoseconds
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


_ORDERS: Final[Mapping[str, Callable[[object, object], bool]]] = {
    "<": lambda a, b: a < b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}


def _invalid(operator: str, one: Value, other: Value) -> RunError:
    return RunError(f"invalid operation: {named(one)} {operator} {named(other)}")


def add(one: Value, other: Value) -> Value:
    """Return a + b."""
    if number(one) and number(other):
        return _numbers(one, other, lambda a, b: a + b)
    match one, other:
        case str(), str():
            return one + other
        case (Time(a), Duration(b)) | (Duration(a), Time(b)):
            return Time(a + b)
        case Duration(a), Duration(b):
            return Duration(wrapped(a + b))
    raise _invalid("+", one, other)


def subtract(one: Value, other: Value) -> Value:
    """Return a - b."""
    if number(one) and number(other):
        return _numbers(one, other, lambda a, b: a - b)
    match one, other:
        case (Time(a), Time(b)) | (Duration(a), Duration(b)):
            return Duration(wrapped(a - b))
        case Time(a), Duration(b):
            return Time(a - b)
    raise _invalid("-", one, other)


def multiply(one: Value, other: Value) -> Value:
    """Return a * b; a duration times a float is a float."""
    if not (number(one) or isinstance(one, Duration)) or not (number(other) or isinstance(other, Duration)):
        raise _invalid("*", one, other)
    product = _numbers(_length(one), _length(other), lambda a, b: a * b)
    spans = isinstance(one, Duration) or isinstance(other, Duration)
    return Duration(product) if spans and isinstance(product, int) else product


def _length(value: Value) -> Number:
    return value.nanoseconds if isinstance(value, Duration) else value  # type: ignore[return-value]


def _numbers(one: Number, other: Number, operation: Callable[[Number, Number], Number]) -> Number:
    if isinstance(one, int) and isinstance(other, int):
        return wrapped(int(operation(int(one), int(other))))
    return operation(float(one), float(other))


def divide(one: Value, other: Value) -> float:
    """Return a / b, always a float, and Inf or NaN for a division by zero."""
    if not (number(one) and number(other)):
        raise _invalid("/", one, other)
    dividend, divisor = as_float(one), as_float(other)
    if divisor:
        return dividend / divisor
    if math.isnan(dividend) or not dividend:
        return math.nan
    return math.copysign(math.inf, math.copysign(1, dividend) * math.copysign(1, divisor))


def modulo(one: Value, other: Value) -> int:
    """Return a % b of whole numbers, with the sign of the first."""
    if not (whole(one) and whole(other)):
        raise _invalid("%", one, other)
    dividend, divisor = truncated(one), truncated(other)
    if not divisor:
        raise RunError("runtime error: integer divide by zero")
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def power(one: Value, other: Value) -> float:
    """Return a ** b, always a float."""
    base, exponent = as_float(one), as_float(other)
    odd = math.isfinite(exponent) and exponent % 2 in {1, -1}
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base == 0:
            return math.copysign(math.inf, base) if odd else math.inf
        return math.nan


def negate(value: Value) -> Value:
    """Return -a."""
    if isinstance(value, float):
        return -value
    if whole(value):
        return type(value)(wrapped(-value))
    raise RunError(f"invalid operation: - {named(value)}")


ARITHMETIC: Final[Mapping[str, Callable[[Value, Value], Value]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "**": power,
    "^": power,
}
