"""A condition as a tree of frozen nodes, for whoever walks it: the judge, the explanation, the rules of lint."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Node:
    """What all nodes have: which characters of the condition they are, from `start` to before `end`."""

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
    """A whole number, such as 5 or 0x1f."""

    value: int


@dataclass(frozen=True, slots=True)
class Float(Node):
    """A number with a point or an exponent."""

    value: float


@dataclass(frozen=True, slots=True)
class String(Node):
    """Text in quotes; also the name in `a.name`."""

    value: str


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """A name: `result`, or a variable of `let`."""

    name: str


@dataclass(frozen=True, slots=True)
class Pointer(Node):
    """`#`, the element at hand (name ""), or `#index` and `#acc`."""

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
    """What `?.` cuts short: nil in its course is the nil of all of it."""

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
    """`callee(arguments)`: one of the controller's own functions, such as isNaN, or an unknown one."""

    callee: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Builtin(Node):
    """A call of one of the engine's own functions, such as len or all."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Predicate(Node):
    """What is evaluated for each element: `{# < 0.05}`."""

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
    """`{a: 1}`: keys and values by turns."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes right below a node, in the order of the text."""
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from value


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, parents first."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        yield at
        waiting += reversed(list(children(at)))
