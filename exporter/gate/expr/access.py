"""Where an index or a key points in a list or a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.gate.expr.errors import RunError
from exporter.gate.expr.values import ANYTHING, GROUPS, ListValue, MapValue, Value, as_int, named, format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def fetch(base: Value, key: Value, outside: Callable[[int, int], str]) -> Value:
    """Return base[key]; `outside` words an index out of range. Raises RunError."""
    if isinstance(base, ListValue):
        return base.items[place(len(base.items), key, outside)]
    if isinstance(base, MapValue):
        return base.entries.get(key_of(base, key), ListValue(ANYTHING, ()) if base.name == GROUPS else None)
    raise RunError(f"cannot fetch {format_value(key)} from {named(base)}")


def key_of(base: MapValue, key: Value) -> Value:
    """Return a key as a map looks it up: nil is its zero. Raises RunError for one that it cannot have."""
    if key is None:
        return None if base.name.startswith("map[interface") else ""
    if base.name.startswith("map[string]") and not isinstance(key, str):
        raise RunError(f"reflect.Value.MapIndex: value of type {named(key)} is not assignable to type string")
    if isinstance(key, ListValue | MapValue):
        raise RunError(f"runtime error: hash of unhashable type {named(key)}")
    return key


def has(table: MapValue, key: Value) -> bool:
    """Say whether a map has a key. Raises RunError for one that it cannot have."""
    return key_of(table, key) in table.entries


def place(length: int, key: Value, outside: Callable[[int, int], str]) -> int:
    """Return where in a list an index points; a negative one counts from the end."""
    index = as_int(key)
    index = length + index if index < 0 else index
    if not 0 <= index < length:
        raise RunError(outside(index, length))
    return index


def quiet(arguments: Sequence[Value]) -> Value:
    """Return base[key], nil for whatever is not there."""
    try:
        return fetch(arguments[0], arguments[1], lambda *_: "")
    except RunError:
        return None


def get(arguments: Sequence[Value]) -> Value:
    """Return base[key] as the newer engine's `get` does."""
    base, key = arguments
    if isinstance(base, ListValue):
        index = as_int(key)
        index = len(base.items) + index if index < 0 else index
        return base.items[index] if 0 <= index < len(base.items) else None
    return fetch(base, key, lambda *_: "") if isinstance(base, MapValue) else None
