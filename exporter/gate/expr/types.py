"""What the engine knows of a value before it runs: its type, named as Go names it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exporter.gate.expr.engine import Engine


class Sort(StrEnum):
    """What rules look at in a type."""

    NIL = "nil"
    ANY = "any"
    BOOL = "bool"
    INT = "int"
    INT64 = "int64"
    FLOAT = "float"
    STRING = "string"
    SLICE = "slice"
    MAP = "map"
    FUNCTION = "function"
    TIME = "time"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Type:
    """One type: its name in messages, and of a list or map what its elements and keys are.

    `hint` is what the older engine remembers of a list's elements next to its type.
    """

    sort: Sort
    name: str
    element: Type | None = None
    key: Type | None = None
    hint: Type | None = None

    @property
    def any(self) -> bool:
        """Say whether nothing is known of it."""
        return self.sort is Sort.ANY

    @property
    def nil(self) -> bool:
        """Say whether it is nil's."""
        return self.sort is Sort.NIL

    @property
    def listed(self) -> bool:
        """Say whether it is a list's."""
        return self.sort is Sort.SLICE


ANY: Final = Type(Sort.ANY, "interface {}")
UNKNOWN: Final = Type(Sort.ANY, "unknown")
NIL: Final = Type(Sort.NIL, "<nil>")
NIL_UNKNOWN: Final = Type(Sort.NIL, "unknown")
BOOL: Final = Type(Sort.BOOL, "bool")
INT: Final = Type(Sort.INT, "int")
INT64: Final = Type(Sort.INT64, "int64")
FLOAT: Final = Type(Sort.FLOAT, "float64")
STRING: Final = Type(Sort.STRING, "string")
TIME: Final = Type(Sort.TIME, "time.Time")
DURATION: Final = Type(Sort.DURATION, "time.Duration")
LIST: Final = Type(Sort.SLICE, "[]interface {}", ANY)
FLOATS: Final = Type(Sort.SLICE, "[]float64", FLOAT)
INTS: Final = Type(Sort.SLICE, "[]int", INT)
STRINGS: Final = Type(Sort.SLICE, "[]string", STRING)
TABLE: Final = Type(Sort.MAP, "map[string]interface {}", ANY, STRING)
PAIRS: Final = Type(Sort.MAP, "map[interface {}]interface {}", ANY, ANY)
GROUPS: Final = Type(Sort.MAP, "map[interface {}][]interface {}", LIST, ANY)

INTEGERS: Final = frozenset({Sort.INT, Sort.INT64})
NUMBERS: Final = INTEGERS | {Sort.FLOAT}


def integers(engine: Engine) -> frozenset[Sort]:
    """Return what counts as a whole number; to the older engine a duration, an int64 in Go, is one."""
    return INTEGERS if engine.v117 else INTEGERS | {Sort.DURATION}


def numbers(engine: Engine) -> frozenset[Sort]:
    """Return what counts as a number."""
    return integers(engine) | {Sort.FLOAT}


def unknown(engine: Engine) -> Type:
    """Return the type of which nothing is known."""
    return UNKNOWN if engine.v117 else ANY


def nil(engine: Engine) -> Type:
    """Return the type of nil."""
    return NIL_UNKNOWN if engine.v117 else NIL


def list_of(element: Type, engine: Engine) -> Type:
    """Return the type of a list that the engine makes of such elements."""
    if engine.v117:
        return Type(Sort.SLICE, LIST.name, element)
    return Type(Sort.SLICE, f"[]{element.name}", element)


def bare(one: Type, engine: Engine) -> Type:
    """Return a type as far as Go's reflection knows it: of a list that the newer engine made, not of what."""
    if engine.v117 and one.any:
        return ANY
    return LIST if engine.v117 and one.name == LIST.name else one


def go_kind(sort: Sort) -> Sort:
    """Return what Go's reflection calls the kind: a duration is an int64."""
    return Sort.INT64 if sort is Sort.DURATION else sort


def assignable(one: Type, to: Type, engine: Engine) -> bool:
    """Say whether a value of one type can be assigned to another."""
    if engine.v117 and one.nil:
        return to.sort in {Sort.MAP, Sort.SLICE, Sort.FUNCTION} or to is ANY
    if engine.v117 and (one is UNKNOWN or to is UNKNOWN):
        return False
    return to.any or one.name == to.name


def comparable(one: Type, other: Type, engine: Engine) -> bool:
    """Say whether == and != may stand between two types."""
    if one.nil or other.nil or one.any or other.any:
        return True
    if one.sort in numbers(engine) and other.sort in numbers(engine):
        return True
    if engine.v117:
        return (one.listed and other.listed) or assignable(one, other, engine)
    return go_kind(one.sort) == go_kind(other.sort)
