"""What the engine's functions make of many numbers: extremes, sums, means, medians."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exporter.gate.expr.arithmetic import add, order
from exporter.gate.expr.errors import RunError
from exporter.gate.expr.values import ListValue, Value, as_float, kind, named, number

if TYPE_CHECKING:
    from collections.abc import Sequence


def extreme(name: str, sign: str, arguments: Sequence[Value], *, modern: bool) -> Value:
    """Return the least or the greatest, as `sign` has it."""
    found: Value = None
    for argument in arguments:
        if modern and isinstance(argument, ListValue):
            for item in argument.items:
                one = extreme(name, sign, [item], modern=True)
                if not number(one):
                    raise RunError(f"invalid argument for {name} (type {named(one)})")
                found = one if found is None or order(sign, found, one) else found
        elif not modern or number(argument):
            found = argument if found is None or order(sign, found, argument) else found
        elif len(arguments) == 1:
            return argument
        else:
            raise RunError(f"invalid argument for {name} (type {named(argument)})")
    return found


def _old_items(word: str, value: Value) -> list[Value]:
    if not isinstance(value, ListValue):
        raise RunError(f"cannot {word} {kind(value)}")
    for item in value.items:
        if not number(item):
            raise RunError(f"cannot {word} {kind(item)}")
    return list(value.items)


def _flat_numbers(word: str, arguments: Sequence[Value]) -> list[Value]:
    found: list[Value] = []
    for argument in arguments:
        if isinstance(argument, ListValue):
            found += _flat_numbers(word, argument.items)
        elif number(argument):
            found.append(argument)
        else:
            raise RunError(f"invalid argument for {word} (type {named(argument)})")
    return found


def _items(word: str, arguments: Sequence[Value], *, modern: bool) -> list[float]:
    found = _flat_numbers(word, arguments) if modern else _old_items(word, arguments[0])
    return [as_float(one) for one in found]


def mean(arguments: Sequence[Value], *, modern: bool) -> Value:
    """Return the mean, 0 of nothing."""
    items = _items("mean", arguments, modern=modern)
    total = 0.0
    for item in items:
        total += item
    return total / len(items) if items else 0.0


def median(arguments: Sequence[Value], *, modern: bool) -> Value:
    """Return the median, 0 of nothing; NaN comes first."""
    items = sorted(
        _items("median", arguments, modern=modern),
        key=lambda item: (not math.isnan(item), 0 if math.isnan(item) else item),
    )
    if not items:
        return 0.0
    middle = len(items) // 2
    return items[middle] if len(items) % 2 else (items[middle - 1] + items[middle]) / 2


def old_sum(value: Value) -> Value:
    """Return the older engine's sum."""
    total: Value = 0
    for item in _old_items("sum", value):
        total = add(total, item)
    return total
