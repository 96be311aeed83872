"""Sorting, as the engine does it."""

from __future__ import annotations

from functools import cmp_to_key
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.arithmetic import order
from exporter.gate.condition.faults import RunError
from exporter.gate.condition.values import List, Value, as_text, kind, listed, named, number

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    items = arguments[0].items if isinstance(arguments[0], List) else ()
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
