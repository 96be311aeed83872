"""The operators: which types each accepts, and what it computes, with Go's 64-bit integers and IEEE floats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.expr import types, values
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.expr.errors import EvaluationError
from exporter.gate.expr.syntax import Engine
from exporter.gate.expr.types import Kinds, Type, TypeKind
from exporter.gate.expr.values import Duration, ListValue, MapValue, Number, Time, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


# Types


@dataclass(frozen=True, slots=True)
class OperandRule:
    """`left operator right` returns a type; None: the common type of two numbers."""

    left: Kinds
    right: Kinds
    returns: Type | None


def operator_type(operator: str, left: Type, right: Type, engine: Engine) -> Type | None:
    """Return the type of the result of an operator, None if it does not accept the operands.

    Without ==, !=, in and ??, which the type checker handles itself.
    """
    rules = _RULES[engine][operator]
    for rule in rules:
        if left.kind in rule.left and right.kind in rule.right:
            return rule.returns or types.common_type(left, right, engine)
    accepted = {TypeKind.ANY}.union(*(rule.left | rule.right for rule in rules))
    if not (left.is_any and right.kind in accepted) and not (right.is_any and left.kind in accepted):
        return None
    same_type = rules[0].returns if len({rule.returns for rule in rules}) == 1 else None
    return same_type or types.unknown(engine)


def _rules(engine: Engine) -> Mapping[str, Sequence[OperandRule]]:
    """Return the rules of each operator, in the order in which they are tried."""
    bools, strings, times, spans = (
        frozenset({kind}) for kind in (TypeKind.BOOL, TypeKind.STRING, TypeKind.TIME, TypeKind.DURATION)
    )
    integers, numbers = types.integer_kinds(engine), types.number_kinds(engine)
    durations = spans if engine.v117 else frozenset()  # to 1.15 a duration is a number

    def same(kinds: Kinds, returns: Type | None) -> OperandRule:
        return OperandRule(kinds, kinds, returns)

    order = [same(kinds, types.BOOL) for kinds in (numbers, strings, times, durations)]
    shift = OperandRule(times, spans, types.TIME)
    plus = [same(numbers, None), same(strings, types.STRING), shift, OperandRule(spans, times, types.TIME)]
    minus = [same(numbers, None), same(times, types.DURATION), shift, same(durations, types.DURATION)]
    product = [
        same(numbers, None),
        OperandRule(numbers, durations, types.DURATION),
        OperandRule(durations, numbers | durations, types.DURATION),
    ]
    return {
        **dict.fromkeys(("or", "||", "and", "&&"), (same(bools, types.BOOL),)),
        **dict.fromkeys(("matches", "contains", "startsWith", "endsWith"), (same(strings, types.BOOL),)),
        **dict.fromkeys(("<", ">", ">=", "<="), order),
        **dict.fromkeys(("/", "**", "^"), (same(numbers, types.FLOAT),)),
        "+": [*plus, same(durations, types.DURATION)],
        "-": minus,
        "*": product,
        "%": [same(integers, types.INT if engine.v117 else None)],
        "..": [same(integers, types.list_of(types.INT, engine) if engine.v117 else types.INTS)],
    }


_RULES: Final = {engine: _rules(engine) for engine in Engine}


# Comparison


_ORDERED_TYPES: Final = (str, Time, Duration)


def equal(left: Value, right: Value, *, v117: bool) -> bool:
    """Compare as == does: numbers by value, lists item by item."""
    if values.is_number(left) and values.is_number(right):
        return left == right
    if isinstance(left, ListValue) and isinstance(right, ListValue):
        return _lists_equal(left, right, v117=v117)
    # In Python True == 1; in the engine a boolean equals a boolean only, and a number a number.
    if isinstance(left, bool) or isinstance(right, bool) or values.is_number(left) or values.is_number(right):
        return left is right
    return left == right


def _lists_equal(left: ListValue, right: ListValue, *, v117: bool) -> bool:
    """Compare two lists: 1.15 requires identical item types (reflect.DeepEqual), 1.17 compares items with ==."""
    if not v117 and left.name == right.name and left.items is right.items:
        return True  # DeepEqual does not look into a slice that it compares with itself, not even at NaN
    mixed = v117 and types.LIST.name in {left.name, right.name}
    if len(left.items) != len(right.items) or not (mixed or left.name == right.name):
        return False
    return all(
        (mixed or values.type_name(a) == values.type_name(b)) and equal(a, b, v117=v117)
        for a, b in zip(left.items, right.items, strict=True)
    )


def compare(operator: str, left: Value, right: Value) -> bool:
    """Compare as <, >, <= and >= do. Raises EvaluationError for values without an order."""
    comparable = any(isinstance(left, kind) and isinstance(right, kind) for kind in _ORDERED_TYPES)
    if not comparable and not (values.is_number(left) and values.is_number(right)):
        raise _invalid(operator, left, right)
    return _COMPARISONS[operator](_sort_key(left), _sort_key(right))


def _sort_key(value: Value) -> object:
    if isinstance(value, Time | Duration):
        return value.nanoseconds
    # Go compares strings by their bytes.
    return values.as_bytes(value) if isinstance(value, str) else value


_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"<": lt, ">": gt, "<=": le, ">=": ge}


def _invalid(operator: str, left: Value, right: Value) -> EvaluationError:
    return EvaluationError(f"invalid operation: {values.type_name(left)} {operator} {values.type_name(right)}")


# Arithmetic


def add(left: Value, right: Value) -> Value:
    """Return a + b."""
    if values.is_number(left) and values.is_number(right):
        return _compute(left, right, lambda a, b: a + b)
    match left, right:
        case str(), str():
            return left + right
        case (Time(a), Duration(b)) | (Duration(a), Time(b)):
            return Time(a + b)
        case Duration(a), Duration(b):
            return Duration(values.wrap_int64(a + b))
    raise _invalid("+", left, right)


def subtract(left: Value, right: Value) -> Value:
    """Return a - b."""
    if values.is_number(left) and values.is_number(right):
        return _compute(left, right, lambda a, b: a - b)
    match left, right:
        case (Time(a), Time(b)) | (Duration(a), Duration(b)):
            return Duration(values.wrap_int64(a - b))
        case Time(a), Duration(b):
            return Time(a - b)
    raise _invalid("-", left, right)


def multiply(left: Value, right: Value) -> Value:
    """Return a * b; a duration times a float is a float."""
    first, second = _magnitude(left), _magnitude(right)
    if first is None or second is None:
        raise _invalid("*", left, right)
    product = _compute(first, second, lambda a, b: a * b)
    has_duration = isinstance(left, Duration) or isinstance(right, Duration)
    return Duration(product) if has_duration and isinstance(product, int) else product


def _magnitude(value: Value) -> Number | None:
    if isinstance(value, Duration):
        return value.nanoseconds
    return value if values.is_number(value) else None


def _compute(left: Number, right: Number, operation: Callable[[Number, Number], Number]) -> Number:
    if isinstance(left, int) and isinstance(right, int):
        return values.wrap_int64(int(operation(int(left), int(right))))
    return operation(float(left), float(right))


def divide(left: Value, right: Value) -> float:
    """Return a / b, always a float: Inf or NaN for a division by zero."""
    if not (values.is_number(left) and values.is_number(right)):
        raise _invalid("/", left, right)
    dividend, divisor = values.as_float(left), values.as_float(right)
    if divisor:
        return dividend / divisor
    if math.isnan(dividend) or not dividend:
        return math.nan
    return math.copysign(math.inf, math.copysign(1, dividend) * math.copysign(1, divisor))


def modulo(left: Value, right: Value) -> int:
    """Return a % b of integers, with the sign of the first, as in Go."""
    if not (values.is_integer(left) and values.is_integer(right)):
        raise _invalid("%", left, right)
    dividend, divisor = values.truncate(left), values.truncate(right)
    if not divisor:
        raise EvaluationError("runtime error: integer divide by zero")
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def power(left: Value, right: Value) -> float:
    """Return a ** b, always a float: Inf or NaN where Python's pow raises."""
    base, exponent = values.as_float(left), values.as_float(right)
    is_odd = math.isfinite(exponent) and exponent % 2 in {1, -1}
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and is_odd else math.inf
    except ValueError:
        if base == 0:
            return math.copysign(math.inf, base) if is_odd else math.inf
        return math.nan


def negate(value: Value) -> Value:
    """Return -a."""
    if isinstance(value, float):
        return -value
    if values.is_integer(value):
        return type(value)(values.wrap_int64(-value))
    raise EvaluationError(f"invalid operation: - {values.type_name(value)}")


ARITHMETIC: Final[Mapping[str, Callable[[Value, Value], Value]]] = {
    "+": add, "-": subtract, "*": multiply, "/": divide, "%": modulo, "**": power, "^": power,
}  # fmt: skip


# Membership


def is_member(item: Value, container: Value, *, v117: bool) -> bool:
    """Return whether a list has an item, or a map a key. Raises EvaluationError for any other container."""
    match container:
        case None:
            return False
        case ListValue():
            return any(equal(member, item, v117=v117) for member in container.items)
        case MapValue():
            return values.map_key(container, item) in container.entries
    raise EvaluationError(f'operator "in" not defined on {values.type_name(container)}')


def is_in_literals(value: Value, literals: Mapping[object, object]) -> bool:
    """Look a value up in a set of integers or of strings; its mapped value is the zero that nil is converted to."""
    zero = next(iter(literals.values()))
    if value is None:
        return zero in literals
    expected = "int" if zero == 0 else "string"
    if not (values.is_integer(value) if zero == 0 else isinstance(value, str)):
        raise EvaluationError(
            f"reflect.Value.MapIndex: value of type {values.type_name(value)} is not assignable to type {expected}"
        )
    return value in literals


def matches(operator: str, left: Value, right: Value, *, v117: bool) -> bool:
    """Apply `matches`, `contains`, `startsWith` or `endsWith`. Raises EvaluationError if an operand is not a string."""
    if v117 and (left is None or right is None):
        return False
    if operator == "matches":
        pattern = values.as_text(right)
        return compile_regex(pattern).search(values.as_text(left)) is not None
    return _TEXT_TESTS[operator](values.as_bytes(left), values.as_bytes(right))


_TEXT_TESTS: Final[Mapping[str, Callable[[bytes, bytes], bool]]] = {
    "contains": lambda text, part: part in text,
    "startsWith": bytes.startswith,
    "endsWith": bytes.endswith,
}
