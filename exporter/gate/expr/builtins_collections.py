"""What the engine's functions on numbers, lists and maps give."""

from __future__ import annotations

import math
from functools import cmp_to_key, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.access import get, key_of, quiet
from exporter.gate.expr.arithmetic import equal, negate, order
from exporter.gate.expr.builtins_math import extreme, mean, median, old_sum
from exporter.gate.expr.errors import RunError
from exporter.gate.expr.values import (
    ANY_TABLE,
    Duration,
    ListValue,
    MapValue,
    Time,
    Value,
    as_float,
    as_int,
    as_text,
    kind,
    listed,
    named,
    number,
    format_value,
    whole,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


# Sorting, as the engine does it.


_SHORT: Final = 12


def descending(value: Value, refusal: str) -> bool:
    """Read asc or desc. Raises RunError, in the words of `refusal`."""
    way = as_text(value)
    if way not in {"asc", "desc"}:
        raise RunError(refusal.format(way))
    return way == "desc"


def sorted_by(items: Sequence[Value], values: Sequence[Value], *, down: bool) -> list[Value]:
    """Sort items by values, as Go does: by insertion while they are few, which shows with NaN among them."""

    def less(one: tuple[Value, Value], other: tuple[Value, Value]) -> bool:
        return order("<", other[0], one[0]) if down else order("<", one[0], other[0])

    def compared(one: tuple[Value, Value], other: tuple[Value, Value]) -> int:
        return less(other, one) - less(one, other)

    pairs = list(zip(values, items, strict=True))
    if len(pairs) > _SHORT:
        return [item for _, item in sorted(pairs, key=cmp_to_key(compared))]
    for end in range(1, len(pairs)):
        at = end
        while at > 0 and less(pairs[at], pairs[at - 1]):
            pairs[at], pairs[at - 1] = pairs[at - 1], pairs[at]
            at -= 1
    return [item for _, item in pairs]


def sort(arguments: Sequence[Value], *, modern: bool) -> Value:
    """Return a sorted list."""
    old = 'invalid argument for sort (expected "asc" or "desc", got "{}")'
    refusal = "invalid order {}, expected asc or desc" if modern else old
    down = descending(arguments[1], refusal) if arguments[1:] else False
    items = arguments[0].items if isinstance(arguments[0], ListValue) else ()
    if not modern:
        _same_types(items)
    return listed(sorted_by(items, items, down=down))


def _same_types(items: Sequence[Value]) -> None:
    for before, item in pairwise(items):
        if named(item) != named(items[0]):
            types = " and ".join("interface {}" if one is None else named(one) for one in (item, items[0]))
            raise RunError(f"cannot sort array of different types ({types})")
        if not number(before) and not isinstance(before, str):
            raise RunError(f"sort: unsupported type {kind(before)}")


# rooms


_PAIR: Final = 2
_WORD: Final = 64
_MASK: Final = 2**64 - 1


def _len(value: Value, *, modern: bool) -> Value:
    if isinstance(value, str):
        return len(value) if modern else len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, ListValue):
        return len(value.items)
    if isinstance(value, MapValue):
        return len(value.entries)
    raise RunError(f"invalid argument for len (type {named(value)})")


def _type(value: Value) -> Value:
    if value is None:
        return "nil"
    if isinstance(value, Time | Duration):
        return named(value)
    kinds = ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"), (ListValue, "array"), (MapValue, "map"))
    return next(word for kind, word in kinds if isinstance(value, kind))


def _abs(value: Value) -> Value:
    if not number(value):
        raise RunError(f"invalid argument for abs (type {named(value)})")
    return negate(value) if value < 0 else value


def _rounded(name: str, operation: Callable[[float], float]) -> Callable[[Sequence[Value]], Value]:
    def function(arguments: Sequence[Value]) -> Value:
        if not number(arguments[0]):
            raise RunError(f"invalid argument for {name} (type {named(arguments[0])})")
        value = as_float(arguments[0])
        return operation(value) if math.isfinite(value) else value

    return function


def _away(value: float) -> float:
    """Round half away from zero, as Go does."""
    below = math.floor(abs(value))
    return math.copysign(below + (abs(value) - below >= 0.5), value)  # noqa: PLR2004 - a half


def _signed(operation: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: math.copysign(float(operation(value)), value)


def _take(arguments: Sequence[Value]) -> Value:
    items, many = arguments
    if not isinstance(items, ListValue):
        raise RunError(f"cannot take from {kind(items)}")
    if not whole(many):
        raise RunError(f"cannot take {kind(many)} elements")
    if as_int(many) < 0:
        raise RunError("reflect.Value.Slice: slice index out of bounds")
    return ListValue(items.name, items.items[: as_int(many)])


def _table(word: str, value: Value) -> MapValue:
    if not isinstance(value, MapValue):
        raise RunError(word.format(kind(value)))
    return value


def _from_pairs(value: Value) -> Value:
    if not isinstance(value, ListValue):
        raise RunError("cannot transform from pairs")
    entries: dict[Value, Value] = {}
    for pair in value.items:
        if not isinstance(pair, ListValue):
            raise RunError(f"invalid pair {format_value(pair)}")
        if len(pair.items) != _PAIR:
            raise RunError(f"invalid pair length {format_value(pair)}")
        entries[key_of(MapValue(ANY_TABLE, {}), pair.items[0])] = pair.items[1]
    return MapValue(ANY_TABLE, entries)


def _items_of(word: str, value: Value) -> list[Value]:
    if not isinstance(value, ListValue):
        raise RunError(f"cannot {word} {kind(value)}")
    return list(value.items)


def _uniq(value: Value) -> Value:
    kept: list[Value] = []
    for item in _items_of("uniq", value):
        if not any(equal(item, one, modern=True) for one in kept):
            kept.append(item)
    return listed(kept)


def _flatten(value: Value) -> list[Value]:
    flat: list[Value] = []
    for item in _items_of("flatten", value):
        flat += _flatten(item) if isinstance(item, ListValue) else [item]
    return flat


def _bit_numbers(name: str, arguments: Sequence[Value]) -> list[int]:
    for argument in arguments:
        if not whole(argument):
            raise RunError(f"cannot use {named(argument)} as argument (type int) to call {name}")
    return [as_int(argument) for argument in arguments]


def _bits(name: str, operation: Callable[[int, int], int], arguments: Sequence[Value]) -> Value:
    one, other = _bit_numbers(name, arguments)
    if name.startswith(("bitsh", "bitush")) and other < 0:
        raise RunError(f"invalid operation: negative shift count {other} (type int)")
    return wrapped(operation(one, other))


_BITS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "bitand": lambda a, b: a & b,
    "bitor": lambda a, b: a | b,
    "bitxor": lambda a, b: a ^ b,
    "bitnand": lambda a, b: a & ~b,
    "bitshl": lambda a, b: a << b if b < _WORD else 0,
    "bitshr": lambda a, b: a >> min(b, _WORD),
    "bitushr": lambda a, b: (a & _MASK) >> b,
}


def lists(*, modern: bool) -> Mapping[str, Callable[[Sequence[Value]], Value]]:
    """Return the functions by their names; each raises RunError for what it cannot take."""
    both: dict[str, Callable[[Sequence[Value]], Value]] = {
        "len": lambda given: _len(given[0], modern=modern),
        "type": lambda given: _type(given[0]),
        "abs": lambda given: _abs(given[0]),
        "ceil": _rounded("ceil", _signed(math.ceil)),
        "floor": _rounded("floor", _signed(math.floor)),
        "round": _rounded("round", _away),
        "max": partial(extreme, "max", "<", modern=modern),
        "min": partial(extreme, "min", ">", modern=modern),
        "sum": lambda given: old_sum(given[0]),
        "mean": partial(mean, modern=modern),
        "median": partial(median, modern=modern),
        "first": lambda given: quiet([given[0], 0]),
        "last": lambda given: quiet([given[0], -1]),
        "get": get if modern else quiet,
        "take": _take,
        "keys": lambda given: listed(list(_table("cannot get keys from {}", given[0]).entries)),
        "values": lambda given: listed(list(_table("cannot get values from {}", given[0]).entries.values())),
        "toPairs": lambda given: ListValue(
            "[][2]interface {}",
            tuple(
                ListValue("[2]interface {}", pair)
                for pair in _table("cannot transform {} to pairs", given[0]).entries.items()
            ),
        ),
        "fromPairs": lambda given: _from_pairs(given[0]),
        "sort": partial(sort, modern=modern),
        "reverse": lambda given: listed(_items_of("reverse", given[0])[::-1]),
        "uniq": lambda given: _uniq(given[0]),
        "flatten": lambda given: listed(_flatten(given[0])),
        "concat": lambda given: listed([item for one in given for item in _items_of("concat", one)]),
        "bitnot": lambda given: ~_bit_numbers("bitnot", given)[0],
    }
    return both | {name: partial(_bits, name, operation) for name, operation in _BITS.items()}
