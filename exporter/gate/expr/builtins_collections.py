"""Implementations of the functions on lists and maps, with and without a predicate."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.errors import EvaluationError, UnsupportedError
from exporter.gate.expr.operators import add, compare, equal
from exporter.gate.expr.optimizer import is_literal_array
from exporter.gate.expr.syntax import Array, Builtin, Node
from exporter.gate.expr.types import ANY_KEYED, GROUPS
from exporter.gate.expr.values import (
    IterationScope,
    ListValue,
    MapValue,
    Value,
    as_bool,
    as_int,
    as_text,
    format_value,
    is_integer,
    is_number,
    kind_name,
    list_value,
    map_key,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.gate.expr.values import EvalContext


# Lists and maps


_PAIR_LENGTH: Final = 2


def length(value: Value, *, v117: bool) -> Value:
    """Return the number of items, or of a string's bytes (1.15) or characters (1.17)."""
    if isinstance(value, str):
        return len(value) if v117 else len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, ListValue):
        return len(value.items)
    if isinstance(value, MapValue):
        return len(value.entries)
    raise EvaluationError(f"invalid argument for len (type {type_name(value)})")


# Where type() has a name of its own, not that of Go's kind.
_TYPES: Final = {"invalid": "nil", "int64": "int", "float64": "float", "slice": "array"}


def type_of(value: Value) -> Value:
    """Return type(value)."""
    name = kind_name(value)
    return _TYPES.get(name, name)


def take(items: Value, count: Value) -> Value:
    """Return the first `count` items."""
    if not isinstance(items, ListValue):
        raise EvaluationError(f"cannot take from {kind_name(items)}")
    if not is_integer(count):
        raise EvaluationError(f"cannot take {kind_name(count)} elements")
    if as_int(count) < 0:
        raise EvaluationError("reflect.Value.Slice: slice index out of bounds")
    return ListValue(items.name, items.items[: as_int(count)])


def _entries(message: str, value: Value) -> list[tuple[Value, Value]]:
    if not isinstance(value, MapValue):
        raise EvaluationError(message.format(kind_name(value)))
    return list(value.entries.items())


def keys(value: Value) -> Value:
    """Return the keys of a map."""
    return list_value([key for key, _ in _entries("cannot get keys from {}", value)])


def values(value: Value) -> Value:
    """Return the values of a map."""
    return list_value([item for _, item in _entries("cannot get values from {}", value)])


def to_pairs(value: Value) -> Value:
    """Return a map as a list of [key, value]."""
    pairs = _entries("cannot transform {} to pairs", value)
    return ListValue("[][2]interface {}", tuple(ListValue("[2]interface {}", pair) for pair in pairs))


def from_pairs(value: Value) -> Value:
    """Return a list of [key, value] as a map."""
    if not isinstance(value, ListValue):
        raise EvaluationError("cannot transform from pairs")
    entries: dict[Value, Value] = {}
    for pair in value.items:
        if not isinstance(pair, ListValue):
            raise EvaluationError(f"invalid pair {format_value(pair)}")
        if len(pair.items) != _PAIR_LENGTH:
            raise EvaluationError(f"invalid pair length {format_value(pair)}")
        entries[map_key(MapValue(ANY_KEYED.name, {}), pair.items[0])] = pair.items[1]
    return MapValue(ANY_KEYED.name, entries)


def _list_items(name: str, value: Value) -> list[Value]:
    if not isinstance(value, ListValue):
        raise EvaluationError(f"cannot {name} {kind_name(value)}")
    return list(value.items)


def reverse(value: Value) -> Value:
    """Return a list in reverse order."""
    return list_value(_list_items("reverse", value)[::-1])


def uniq(value: Value) -> Value:
    """Return the distinct items of a list, compared with ==."""
    distinct: list[Value] = []
    for item in _list_items("uniq", value):
        if not any(equal(item, other, v117=True) for other in distinct):
            distinct.append(item)
    return list_value(distinct)


def flatten(value: Value) -> Value:
    """Return the items of nested lists as one list."""
    return list_value(_flat_items(value))


def _flat_items(value: Value) -> list[Value]:
    flat: list[Value] = []
    for item in _list_items("flatten", value):
        flat += _flat_items(item) if isinstance(item, ListValue) else [item]
    return flat


def concat(*lists: Value) -> Value:
    """Return the items of all lists as one list."""
    return list_value([item for argument in lists for item in _list_items("concat", argument)])


# Sorting


_MAX_INSERTION_SORT: Final = 12
"""Go's sort.Sort uses insertion sort up to this length; the difference shows when NaN makes the order inconsistent."""


def sort(value: Value, order: Value = "asc", *, v117: bool) -> Value:
    """Return a sorted list."""
    v115_message = 'invalid argument for sort (expected "asc" or "desc", got "{}")'
    descending = _is_descending(order, "invalid order {}, expected asc or desc" if v117 else v115_message)
    items = value.items if isinstance(value, ListValue) else ()
    if not v117:
        _check_same_types(items)
    return list_value(_sorted_by(items, items, descending=descending))


def _is_descending(order: Value, message: str) -> bool:
    text = as_text(order)
    if text not in {"asc", "desc"}:
        raise EvaluationError(message.format(text))
    return text == "desc"


def _sorted_by(items: Sequence[Value], sort_values: Sequence[Value], *, descending: bool) -> list[Value]:
    """Sort items by the values that belong to them, with the algorithms of Go."""

    def less(left: tuple[Value, Value], right: tuple[Value, Value]) -> bool:
        return compare("<", right[0], left[0]) if descending else compare("<", left[0], right[0])

    def compare_pairs(left: tuple[Value, Value], right: tuple[Value, Value]) -> int:
        return less(right, left) - less(left, right)

    pairs = list(zip(sort_values, items, strict=True))
    if len(pairs) > _MAX_INSERTION_SORT:
        return [item for _, item in sorted(pairs, key=functools.cmp_to_key(compare_pairs))]
    for end in range(1, len(pairs)):
        index = end
        while index > 0 and less(pairs[index], pairs[index - 1]):
            pairs[index], pairs[index - 1] = pairs[index - 1], pairs[index]
            index -= 1
    return [item for _, item in pairs]


def _check_same_types(items: Sequence[Value]) -> None:
    for previous, item in pairwise(items):
        if type_name(item) != type_name(items[0]):
            types = " and ".join("interface {}" if value is None else type_name(value) for value in (item, items[0]))
            raise EvaluationError(f"cannot sort array of different types ({types})")
        if not is_number(previous) and not isinstance(previous, str):
            raise EvaluationError(f"sort: unsupported type {kind_name(previous)}")


# Functions with a predicate. They take the nodes of their arguments and evaluate the predicate for each element.


@contextmanager
def _iteration(context: EvalContext, source: Node) -> Iterator[IterationScope]:
    """Open the scope of a predicate on the list that `source` evaluates to."""
    scope = IterationScope(_iterable_items(context.value(source)))
    context.scopes.append(scope)
    try:
        yield scope
    finally:
        context.scopes.pop()


def _iterable_items(collection: Value) -> tuple[Value, ...]:
    if isinstance(collection, ListValue):
        return collection.items
    if isinstance(collection, str | MapValue):
        raise UnsupportedError(f"iterating over a {type_name(collection)} is not supported")
    actual = "zero" if collection is None else type_name(collection)
    raise EvaluationError(f"reflect: call of reflect.Value.Len on {actual} Value")


def _evaluated(context: EvalContext, body: Node, *, backwards: bool = False) -> Iterator[Value]:
    """Yield the predicate's value for each element, from the scope's current index on."""
    scope = context.scopes[-1]
    indexes = range(scope.index, len(scope.items))
    for scope.index in reversed(indexes) if backwards else indexes:
        yield context.value(body)


def test(combine: Callable[[Iterator[bool]], bool]) -> Callable[[EvalContext, Node, Node], Value]:
    """Return a function that combines the predicate's results, of as many elements as `combine` takes."""

    def function(context: EvalContext, source: Node, body: Node) -> Value:
        with _iteration(context, source):
            return combine(map(as_bool, _evaluated(context, body)))

    return function


def count_matches(context: EvalContext, source: Node, body: Node | None = None) -> int:
    """Return the number of elements for which the predicate is true, or of elements that are true."""
    with _iteration(context, source) as scope:
        return sum(as_bool(value) for value in (_evaluated(context, body) if body else scope.items))


def filter_items(context: EvalContext, source: Node, body: Node, mapping: Node | None = None) -> Value:
    """Return the elements for which the predicate is true, each mapped as soon as it is selected."""
    with _iteration(context, source) as scope:
        selected = [
            scope.element() if mapping is None else context.value(mapping)
            for value in _evaluated(context, body)
            if as_bool(value)
        ]
    context.grow(len(selected))
    return list_value(selected)


def map_items(context: EvalContext, source: Node, body: Node) -> Value:
    """Return the predicate's values; the engine's optimizer fuses a map of a filter into one loop."""
    if isinstance(source, Builtin) and source.name == "filter":
        filtered, predicate = source.arguments
        return filter_items(context, filtered, predicate, mapping=body)
    with _iteration(context, source):
        mapped = list(_evaluated(context, body))
    context.grow(len(mapped))
    return list_value(mapped)


def sum_items(context: EvalContext, source: Node, body: Node | None = None) -> Value:
    """Return the sum of the elements, or of the predicate's values."""
    if body is None and isinstance(source, Array) and len(source.items) > 1 and not is_literal_array(source):
        # the optimizer rewrites sum([a, b, c]) to a + (b + c)
        items = [context.value(item) for item in source.items]
        return functools.reduce(lambda total, item: add(item, total), reversed(items))
    total: Value = 0
    with _iteration(context, source) as scope:
        for value in _evaluated(context, body) if body else scope.items:
            total = add(value, total)
    return total


def find(*, backwards: bool = False, index: bool = False) -> Callable[[EvalContext, Node, Node], Value]:
    """Return a function that finds the first or last element for which the predicate is true, or its index."""

    def function(context: EvalContext, source: Node, body: Node) -> Value:
        with _iteration(context, source) as scope:
            for value in _evaluated(context, body, backwards=backwards):
                if as_bool(value):
                    return scope.index if index else scope.element()
        return None

    return function


def group_by(context: EvalContext, source: Node, body: Node) -> Value:
    """Return the elements as a map of lists, by the predicate's value."""
    groups: dict[Value, list[Value]] = {}
    with _iteration(context, source) as scope:
        for key in _evaluated(context, body):
            if isinstance(key, ListValue | MapValue):
                prefix, name = "runtime error: hash of unhashable type", type_name(key)
                # 1.17 hashes with a later release of Go, which words the panic otherwise
                raise EvaluationError(f"hash of unhashable type: {name}" if context.v117 else f"{prefix} {name}")
            groups.setdefault(key, []).append(scope.element())
    return MapValue(GROUPS.name, {key: list_value(items) for key, items in groups.items()})


def sort_by(context: EvalContext, source: Node, body: Node, order: Node | None = None) -> Value:
    """Return the elements sorted by the predicate's values."""
    with _iteration(context, source) as scope:
        direction = context.value(order) if order else "asc"
        descending = _is_descending(direction, "unknown order, use asc or desc")
        sort_values = list(_evaluated(context, body))
    context.grow(len(sort_values))
    return list_value(_sorted_by(scope.items, sort_values, descending=descending))


def reduce(context: EvalContext, source: Node, body: Node, initial: Node | None = None) -> Value:
    """Return the last value of a predicate that sees its previous value as #acc."""
    with _iteration(context, source) as scope:
        if initial:
            scope.accumulator = context.value(initial)
        else:
            scope.accumulator = scope.element()
            scope.index = 1
        for value in _evaluated(context, body):
            scope.accumulator = value
    return scope.accumulator
