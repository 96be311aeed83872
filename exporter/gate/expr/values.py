"""The values of a running condition: how Go names and prints their types, and how they are indexed and converted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard

from exporter.gate.expr.errors import EvaluationError, UnsupportedError
from exporter.gate.expr.types import GROUPS, LIST
from exporter.gate.go_format import format_general

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.gate.expr.syntax import Node

_INT64_SPAN: Final = 2**64
_INT64_END: Final = 2**63
_INT64_MIN: Final = -_INT64_END


class Int64(int):
    """What asInt returns: an integer whose Go type is int64 and not int."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ListValue:
    """A slice: the Go name of its type, and its items."""

    name: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class MapValue:
    """A map: the Go name of its type, and its entries."""

    name: str
    entries: Mapping[Value, Value]


@dataclass(frozen=True, slots=True)
class Duration:
    """A time span, in nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Time:
    """A point in time, in nanoseconds since 1970."""

    nanoseconds: int


Value = None | bool | int | float | str | ListValue | MapValue | Duration | Time
Number = int | float


@dataclass(slots=True)
class IterationScope:
    """The position of a predicate in its list, for `#`, `#index` and `#acc`."""

    items: tuple[Value, ...]
    index: int = 0
    accumulator: Value = None

    def element(self) -> Value:
        """Return the current element."""
        if self.index >= len(self.items):
            raise EvaluationError("reflect: slice index out of range")
        return self.items[self.index]


class EvalContext(Protocol):
    """What the implementation of a function sees of the evaluation that calls it."""

    v117: bool
    now: int | None
    """The current time in nanoseconds since 1970; None in a condition, where now() is not supported."""
    scopes: list[IterationScope]
    """The predicates that are being evaluated, innermost last."""

    @property
    def result(self) -> Value:
        """The query result that the condition tests."""

    def value(self, node: Node) -> Value:
        """Evaluate a node. Raises EvaluationError."""

    def grow(self, size: int) -> None:
        """Count list elements against the engine's memory budget. Raises EvaluationError beyond it."""


# Types and conversions


def is_number(value: Value) -> TypeGuard[Number]:
    """Return whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Value) -> TypeGuard[int]:
    """Return whether a value is an integer; booleans are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def type_name(value: Value) -> str:
    """Return the name of a value's type, as Go's %T prints it."""
    match value:
        case None:
            return "<nil>"
        case ListValue() | MapValue():
            return value.name
        case _:
            return _TYPE_NAMES[type(value)]


_TYPE_NAMES: Final[Mapping[type, str]] = {
    bool: "bool",
    Int64: "int64",
    int: "int",
    float: "float64",
    str: "string",
    Duration: "time.Duration",
    Time: "time.Time",
}


def kind_name(value: Value) -> str:
    """Return the name that Go's reflection gives to the kind of a value."""
    if isinstance(value, ListValue | MapValue):
        return "slice" if isinstance(value, ListValue) else "map"
    return "invalid" if value is None else type_name(value)


def wrap_int64(value: int) -> int:
    """Return an integer after 64-bit overflow."""
    return (value + _INT64_END) % _INT64_SPAN - _INT64_END


def truncate(value: Number) -> int:
    """Convert a number to int64 as amd64 does: NaN, Inf and values out of range become the minimum."""
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value) or not _INT64_MIN <= value < _INT64_END:
        return _INT64_MIN
    return int(value)


def as_bool(value: Value) -> bool:
    """Return a value that must be a boolean. Raises EvaluationError."""
    if isinstance(value, bool):
        return value
    raise conversion_error(value, "bool")


def as_text(value: Value) -> str:
    """Return a value that must be a string. Raises EvaluationError."""
    if isinstance(value, str):
        return value
    raise conversion_error(value, "string")


def as_bytes(value: Value) -> bytes:
    """Return the bytes of a value that must be a string, as Go holds it. Raises EvaluationError."""
    return as_text(value).encode("utf-8", "surrogateescape")


def conversion_error(value: Value, expected: str) -> EvaluationError:
    """Return Go's panic for a value that is not of the expected type."""
    actual = "nil" if value is None else type_name(value)
    return EvaluationError(f"interface conversion: interface {{}} is {actual}, not {expected}")


def as_int(value: Value) -> int:
    """Convert a number to an integer. Raises EvaluationError."""
    if is_number(value):
        return truncate(value)
    raise EvaluationError(f"invalid operation: int({type_name(value)})")


def as_float(value: Value) -> float:
    """Convert a number to a float. Raises EvaluationError."""
    if is_number(value):
        return float(value)
    raise EvaluationError(f"invalid operation: float({type_name(value)})")


def list_value(items: Sequence[Value]) -> ListValue:
    """Return the `[]interface {}` that the engine builds from items."""
    return ListValue(LIST.name, tuple(items))


def format_value(value: Value) -> str:
    """Format a value as Go's %v does."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return format_general(value)
        case ListValue():
            return f"[{' '.join(map(format_value, value.items))}]"
        case MapValue():
            # Go prints maps sorted by key.
            entries = sorted(value.entries.items(), key=lambda entry: (str(type(entry[0])), format_value(entry[0])))
            return f"map[{' '.join(f'{format_value(key)}:{format_value(item)}' for key, item in entries)}]"
        case Duration() | Time():
            raise UnsupportedError("formatting a time or a duration is not supported")
        case _:
            return str(value)


# Indexing


def fetch(base: Value, key: Value, out_of_range: Callable[[int, int], str]) -> Value:
    """Return base[key]. Raises EvaluationError; `out_of_range` words it from the index and the length."""
    if isinstance(base, ListValue):
        index = from_start(base, key)
        if not 0 <= index < len(base.items):
            raise EvaluationError(out_of_range(index, len(base.items)))
        return base.items[index]
    if isinstance(base, MapValue):
        # A group that does not exist is Go's nil slice, which prints as [].
        return base.entries.get(map_key(base, key), list_value(()) if base.name == GROUPS.name else None)
    raise EvaluationError(f"cannot fetch {format_value(key)} from {type_name(base)}")


def from_start(base: ListValue, key: Value) -> int:
    """Return an index counted from the start; a negative one counts from the end."""
    index = as_int(key)
    return len(base.items) + index if index < 0 else index


def map_key(base: MapValue, key: Value) -> Value:
    """Return a key as a map looks it up: nil becomes the zero value. Raises EvaluationError for an invalid key."""
    if key is None:
        return None if base.name.startswith("map[interface") else ""
    if base.name.startswith("map[string]") and not isinstance(key, str):
        raise EvaluationError(
            f"reflect.Value.MapIndex: value of type {type_name(key)} is not assignable to type string"
        )
    if isinstance(key, ListValue | MapValue):
        raise EvaluationError(f"runtime error: hash of unhashable type {type_name(key)}")
    return key


def get_or_nil(base: Value, key: Value) -> Value:
    """Return base[key], or nil for a missing element or an invalid base or key."""
    try:
        return fetch(base, key, lambda *_: "")
    except EvaluationError:
        return None


def get(base: Value, key: Value) -> Value:
    """Return base[key] as `get` of 1.17 does: nil for a missing element, but an error for an invalid key."""
    if isinstance(base, ListValue):
        index = from_start(base, key)
        return base.items[index] if 0 <= index < len(base.items) else None
    return fetch(base, key, lambda *_: "") if isinstance(base, MapValue) else None
