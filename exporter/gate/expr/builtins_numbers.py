"""Implementations of the functions on numbers: rounding, bits, extremes, sums and means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.errors import EvaluationError
from exporter.gate.expr.operators import add, compare, negate
from exporter.gate.expr.values import (
    ListValue,
    Value,
    as_float,
    as_int,
    conversion_error,
    is_integer,
    is_number,
    kind_name,
    type_name,
    wrap_int64,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_INT64_BITS: Final = 64
_HALF: Final = 0.5


def absolute(value: Value) -> Value:
    """Return abs(value)."""
    if not is_number(value):
        raise EvaluationError(f"invalid argument for abs (type {type_name(value)})")
    return negate(value) if value < 0 else value


def rounding(name: str, operation: Callable[[float], float]) -> Callable[[Value], Value]:
    """Return a function that rounds finite numbers and keeps NaN and Inf, and the sign of zero."""

    def function(value: Value) -> Value:
        if not is_number(value):
            raise EvaluationError(f"invalid argument for {name} (type {type_name(value)})")
        number = as_float(value)
        return math.copysign(float(operation(number)), number) if math.isfinite(number) else number

    return function


def round_half_away(value: float) -> float:
    """Round half away from zero, as Go does; Python's round() goes to the even neighbour."""
    floor = math.floor(abs(value))
    return math.copysign(floor + (abs(value) - floor >= _HALF), value)


def only_float(value: Value) -> float:
    """Return a value that must be a float. Raises EvaluationError."""
    if isinstance(value, float):
        return value
    raise conversion_error(value, "float64")


# Bits


def _bit_operands(name: str, operands: Sequence[Value]) -> list[int]:
    for operand in operands:
        if not is_integer(operand):
            raise EvaluationError(f"cannot use {type_name(operand)} as argument (type int) to call {name}")
    return [as_int(operand) for operand in operands]


def bit_not(value: Value) -> Value:
    """Return ~value."""
    return ~_bit_operands("bitnot", [value])[0]


def bitwise(name: str, operation: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    """Return a function of two integers, with 64-bit overflow."""

    def function(left: Value, right: Value) -> Value:
        first, second = _bit_operands(name, (left, right))
        return wrap_int64(operation(first, second))

    return function


def bit_shift(name: str, operation: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    """Return a shift function, which rejects a negative count."""

    def shift(value: int, count: int) -> int:
        if count < 0:
            raise EvaluationError(f"invalid operation: negative shift count {count} (type int)")
        return operation(value, min(count, _INT64_BITS))  # Python would build an integer of `count` bits

    return bitwise(name, shift)


# Many numbers


def extreme(name: str, operator: str) -> Callable[..., Value]:
    """Return `max` (operator "<") or `min` (operator ">")."""

    def function(*arguments: Value, v117: bool) -> Value:
        # A comparison with NaN is false, so NaN stays if it comes first, and is passed over later.
        best: Value = None
        for argument in arguments:
            if v117 and isinstance(argument, ListValue):
                for item in argument.items:
                    candidate = function(item, v117=True)
                    if not is_number(candidate):
                        raise EvaluationError(f"invalid argument for {name} (type {type_name(candidate)})")
                    best = candidate if best is None or compare(operator, best, candidate) else best
            elif not v117 or is_number(argument):
                best = argument if best is None or compare(operator, best, argument) else best
            elif len(arguments) == 1:
                return argument
            else:
                raise EvaluationError(f"invalid argument for {name} (type {type_name(argument)})")
        return best

    return function


def mean(*arguments: Value, v117: bool) -> Value:
    """Return the mean, 0 of no numbers."""
    numbers = _floats("mean", arguments, v117=v117)
    total = 0.0
    for number in numbers:  # not math.fsum(): the engine rounds at each addition
        total += number
    return total / len(numbers) if numbers else 0.0


def median(*arguments: Value, v117: bool) -> Value:
    """Return the median, 0 of no numbers; NaN sorts first, as in Go's sort.Float64s."""
    numbers = sorted(
        _floats("median", arguments, v117=v117),
        key=lambda number: (not math.isnan(number), 0 if math.isnan(number) else number),
    )
    if not numbers:
        return 0.0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def sum_v115(value: Value) -> Value:
    """Return the sum of a list as 1.15 computes it; 1.17 sums with an optional predicate."""
    total: Value = 0
    for number in _list_of_numbers("sum", value):
        total = add(total, number)
    return total


def _floats(name: str, arguments: Sequence[Value], *, v117: bool) -> list[float]:
    numbers = _flat_numbers(name, arguments) if v117 else _list_of_numbers(name, arguments[0])
    return [as_float(number) for number in numbers]


def _list_of_numbers(name: str, value: Value) -> list[Value]:
    if not isinstance(value, ListValue):
        raise EvaluationError(f"cannot {name} {kind_name(value)}")
    for item in value.items:
        if not is_number(item):
            raise EvaluationError(f"cannot {name} {kind_name(item)}")
    return list(value.items)


def _flat_numbers(name: str, arguments: Sequence[Value]) -> list[Value]:
    numbers: list[Value] = []
    for argument in arguments:
        if isinstance(argument, ListValue):
            numbers += _flat_numbers(name, argument.items)
        elif is_number(argument):
            numbers.append(argument)
        else:
            raise EvaluationError(f"invalid argument for {name} (type {type_name(argument)})")
    return numbers
