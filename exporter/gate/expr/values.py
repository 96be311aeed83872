"""The values of a running condition, each of which knows how Go names its type and prints it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeGuard

from exporter.gate.expr.errors import RunError, UnsupportedError
from exporter.gate.go_format import general

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD: Final = 2**64
_HALF: Final = 2**63
_LOWEST: Final = -_HALF
FLOATS: Final = "[]float64"
ANYTHING: Final = "[]interface {}"
TEXT_TABLE: Final = "map[string]interface {}"
ANY_TABLE: Final = "map[interface {}]interface {}"
GROUPS: Final = "map[interface {}][]interface {}"


class Int64(int):
    """What asInt gives: a whole number that Go calls int64 and not int."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ListValue:
    """A slice: Go's name for its type, and its items."""

    name: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class MapValue:
    """A map: Go's name for its type, and its entries."""

    name: str
    entries: Mapping[Value, Value]


@dataclass(frozen=True, slots=True)
class Duration:
    """A span of time, in nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Time:
    """A moment, in nanoseconds since 1970."""

    nanoseconds: int


Value = None | bool | int | float | str | ListValue | MapValue | Duration | Time
Number = int | float


def number(value: Value) -> TypeGuard[Number]:
    """Say whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: Value) -> TypeGuard[int]:
    """Say whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def named(value: Value) -> str:
    """Return the name of a value's type, as %T prints it."""
    match value:
        case None:
            return "<nil>"
        case ListValue() | MapValue():
            return value.name
        case _:
            return _NAMES[type(value)]


_NAMES: Final[Mapping[type, str]] = {
    bool: "bool",
    Int64: "int64",
    int: "int",
    float: "float64",
    str: "string",
    Duration: "time.Duration",
    Time: "time.Time",
}


def kind(value: Value) -> str:
    """Return what Go's reflection calls the kind of a value."""
    if isinstance(value, ListValue | MapValue):
        return "slice" if isinstance(value, ListValue) else "map"
    return "invalid" if value is None else named(value)


def wrapped(value: int) -> int:
    """Return a whole number as 64 bits hold it."""
    return (value + _HALF) % _WORD - _HALF


def truncated(value: Number) -> int:
    """Turn a number into a whole one as amd64 does: NaN, Inf and what is too large become the lowest there is."""
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value) or not _LOWEST <= value < _HALF:
        return _LOWEST
    return int(value)


def as_bool(value: Value) -> bool:
    """Return a value that must be true or false. Raises RunError."""
    if isinstance(value, bool):
        return value
    raise conversion(value, "bool")


def as_text(value: Value) -> str:
    """Return a value that must be text. Raises RunError."""
    if isinstance(value, str):
        return value
    raise conversion(value, "string")


def conversion(value: Value, wanted: str) -> RunError:
    """Return Go's panic of a value that is not of the type it must be."""
    found = "nil" if value is None else named(value)
    return RunError(f"interface conversion: interface {{}} is {found}, not {wanted}")


def as_int(value: Value) -> int:
    """Turn a number into a whole one. Raises RunError."""
    if number(value):
        return truncated(value)
    raise RunError(f"invalid operation: int({named(value)})")


def as_float(value: Value) -> float:
    """Turn a number into a float. Raises RunError."""
    if number(value):
        return float(value)
    raise RunError(f"invalid operation: float({named(value)})")


def listed(items: list[Value]) -> ListValue:
    """Return the list that the engine makes of items."""
    return ListValue(ANYTHING, tuple(items))


def format_value(value: Value) -> str:
    """Print a value as %v does."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return general(value)
        case ListValue():
            return f"[{' '.join(map(format_value, value.items))}]"
        case MapValue():
            entries = sorted(value.entries.items(), key=lambda entry: (str(type(entry[0])), format_value(entry[0])))
            return f"map[{' '.join(f'{format_value(key)}:{format_value(one)}' for key, one in entries)}]"
        case Duration() | Time():
            raise UnsupportedError("printing a time or a duration is not judged here")
        case _:
            return str(value)
