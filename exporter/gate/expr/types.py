"""The static types of a condition's nodes, with the names that Go gives them, and how they relate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.expr.syntax import Engine, Node


class TypeKind(StrEnum):
    """The part of a type that most rules look at."""

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


Kinds = frozenset[TypeKind]


@dataclass(frozen=True, slots=True)
class Type:
    """A type: its name in messages, and the types of a list's or map's elements and keys.

    `hint` is the element type that 1.15 remembers of a list literal beside its declared type.
    """

    kind: TypeKind
    name: str
    element: Type | None = None
    key: Type | None = None
    hint: Type | None = None

    @property
    def is_any(self) -> bool:
        """Whether the type is only known at run time."""
        return self.kind is TypeKind.ANY

    @property
    def is_nil(self) -> bool:
        """Whether it is the type of nil."""
        return self.kind is TypeKind.NIL

    @property
    def is_list(self) -> bool:
        """Whether it is a list type."""
        return self.kind is TypeKind.SLICE


ANY: Final = Type(TypeKind.ANY, "interface {}")
# The names of 1.17; 1.15 calls an unknown type interface {}.
UNKNOWN: Final = Type(TypeKind.ANY, "unknown")
NIL: Final = Type(TypeKind.NIL, "<nil>")
NIL_UNKNOWN: Final = Type(TypeKind.NIL, "unknown")
BOOL: Final = Type(TypeKind.BOOL, "bool")
INT: Final = Type(TypeKind.INT, "int")
INT64: Final = Type(TypeKind.INT64, "int64")
FLOAT: Final = Type(TypeKind.FLOAT, "float64")
STRING: Final = Type(TypeKind.STRING, "string")
TIME: Final = Type(TypeKind.TIME, "time.Time")
DURATION: Final = Type(TypeKind.DURATION, "time.Duration")
LIST: Final = Type(TypeKind.SLICE, "[]interface {}", ANY)
FLOATS: Final = Type(TypeKind.SLICE, "[]float64", FLOAT)
INTS: Final = Type(TypeKind.SLICE, "[]int", INT)
STRINGS: Final = Type(TypeKind.SLICE, "[]string", STRING)
STRING_KEYED: Final = Type(TypeKind.MAP, "map[string]interface {}", ANY, STRING)
ANY_KEYED: Final = Type(TypeKind.MAP, "map[interface {}]interface {}", ANY, ANY)
GROUPS: Final = Type(TypeKind.MAP, "map[interface {}][]interface {}", LIST, ANY)

_INTEGERS: Final = frozenset({TypeKind.INT, TypeKind.INT64})


@dataclass(frozen=True, slots=True)
class NodeTypes:
    """The types of a tree's nodes by `id(node)`, and the integer literals that the engine converts to floats."""

    # By identity, since the hash of a node is that of its entire subtree.
    types: dict[int, Type]
    float_literals: set[int]


@dataclass(frozen=True, slots=True)
class PredicateScope:
    """The meaning of `#` in a predicate: the list's type, and the types of pointers such as #index."""

    collection: Type
    pointers: Mapping[str, Type]


class TypeContext(Protocol):
    """What the signature of a function sees of the type checker that applies it."""

    engine: Engine
    float_literals: set[int]
    scopes: list[PredicateScope]
    """The predicates that are being checked, innermost last."""

    def visit(self, node: Node) -> Type:
        """Return the type of a node. Raises ConditionError."""


def integer_kinds(engine: Engine) -> Kinds:
    """Return the integer kinds; 1.15 counts a duration, an int64 in Go, among them."""
    return _INTEGERS if engine.v117 else _INTEGERS | {TypeKind.DURATION}


def number_kinds(engine: Engine) -> Kinds:
    """Return the kinds of numbers."""
    return integer_kinds(engine) | {TypeKind.FLOAT}


def unknown(engine: Engine) -> Type:
    """Return the type of an expression whose type is not known."""
    return UNKNOWN if engine.v117 else ANY


def nil(engine: Engine) -> Type:
    """Return the type of nil."""
    return NIL_UNKNOWN if engine.v117 else NIL


def list_of(element: Type, engine: Engine) -> Type:
    """Return the type of a list that the engine builds; 1.17 names every such list `[]interface {}`."""
    if engine.v117:
        return Type(TypeKind.SLICE, LIST.name, element)
    return Type(TypeKind.SLICE, f"[]{element.name}", element)


def reflected_type(declared: Type, engine: Engine) -> Type:
    """Return a type as Go's reflection knows it: without the element type of a list that 1.17 built."""
    if engine.v117 and declared.is_any:
        return ANY
    return LIST if engine.v117 and declared.name == LIST.name else declared


def reflected_kind(kind: TypeKind) -> TypeKind:
    """Return the kind in Go's reflection, where a duration is an int64."""
    return TypeKind.INT64 if kind is TypeKind.DURATION else kind


def is_assignable(source: Type, target: Type, engine: Engine) -> bool:
    """Return whether a value of one type can be assigned to another."""
    if engine.v117 and source.is_nil:
        return target.kind in {TypeKind.MAP, TypeKind.SLICE, TypeKind.FUNCTION} or target is ANY
    if engine.v117 and (source is UNKNOWN or target is UNKNOWN):
        return False
    return target.is_any or source.name == target.name


def is_comparable(left: Type, right: Type, engine: Engine) -> bool:
    """Return whether == and != accept two types."""
    if left.is_nil or right.is_nil or left.is_any or right.is_any:
        return True
    if left.kind in number_kinds(engine) and right.kind in number_kinds(engine):
        return True
    if engine.v117:
        return (left.is_list and right.is_list) or is_assignable(left, right, engine)
    return reflected_kind(left.kind) == reflected_kind(right.kind)


def common_type(left: Type, right: Type, engine: Engine) -> Type:
    """Return the type of an arithmetic result of two numbers."""
    if not engine.v117 and reflected_kind(left.kind) is reflected_kind(right.kind):
        return left
    return FLOAT if TypeKind.FLOAT in {left.kind, right.kind} else INT
