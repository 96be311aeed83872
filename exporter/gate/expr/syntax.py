"""The language of conditions: its releases, and the tree of frozen nodes that the engine and the lint rules walk."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Engine(StrEnum):
    """Which release of expr a controller's go.mod names."""

    EXPR_1_15 = "expr 1.15"
    """antonmedv/expr 1.15: Argo Rollouts 1.6 to 1.9."""
    EXPR_1_17 = "expr 1.17"
    """expr-lang/expr 1.17: Argo Rollouts 1.10 and later."""

    @property
    def v117(self) -> bool:
        """True for 1.17, which adds raw strings, `if`, sequences, `?.[`, chained comparisons and builtins."""
        return self is Engine.EXPR_1_17


@dataclass(frozen=True, slots=True)
class Node:
    """The base of all nodes: its characters in the condition, from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Nil(Node):
    """`nil`."""


@dataclass(frozen=True, slots=True)
class Bool(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Integer(Node):
    """An integer literal, such as 5 or 0x1f."""

    value: int


@dataclass(frozen=True, slots=True)
class Float(Node):
    """A number with a decimal point or an exponent."""

    value: float


@dataclass(frozen=True, slots=True)
class String(Node):
    """A string literal; also the name in `a.name`."""

    value: str


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """A name: `result`, or a variable of `let`."""

    name: str


@dataclass(frozen=True, slots=True)
class Pointer(Node):
    """`#`, the current element of a predicate (name ""), or `#index` and `#acc`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x`, `+x`, `!x` or `not x`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class OptionalChain(Node):
    """The extent of `?.`: a nil base anywhere in it makes the entire chain nil."""

    link: Node


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`base[key]`, and `base.name` whose key is a String."""

    base: Node
    key: Node
    optional: bool = False
    method: bool = False


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`base[low:high]`."""

    base: Node
    low: Node | None
    high: Node | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`callee(arguments)`: a function of the controller, such as isNaN, or an unknown one."""

    callee: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Builtin(Node):
    """A call of a builtin function of the engine, such as len or all."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Predicate(Node):
    """An expression that is evaluated for each element: `{# < 0.05}`."""

    body: Node


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """`a; b`: its value is that of the last."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`test ? then : otherwise`, and `if test {then} else {otherwise}`."""

    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Array(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Map(Node):
    """`{a: 1}`: `values[i]` belongs to `keys[i]`."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]


def children(node: Node) -> Iterator[Node]:
    """Yield the direct children of a node in source order."""
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from value


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all its descendants, parents first."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending += reversed(list(children(current)))
