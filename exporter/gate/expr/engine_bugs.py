"""A slip of both engines, refused: findLast and findLastIndex leave values behind where later ones are looked for.

Their loop never takes back what it compares, so `1 < findLast(…)` compares true with what was found. To the left of an
operator, or as the first argument, they are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.gate.expr.constant_folding import filtered
from exporter.gate.expr.errors import UnsupportedError
from exporter.gate.expr.syntax import (
    Array,
    Binary,
    Builtin,
    Call,
    Predicate,
    Slice,
    Integer,
    Map,
    Member,
    Node,
    children,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LEAKY: Final = {"findLast", "findLastIndex"}
_PILING: Final = {"filter", "map"}
_LAZY: Final = {"and", "&&", "or", "||", "??"}


def refuse_leaks(root: Node) -> None:
    """Raise UnsupportedError where such a function would spoil what another one looks for."""
    for node in walk(root):
        pending = PENDING.get(type(node))
        for late in pending(node) if pending else ():
            found = next(filter(_leaks, walk(late)), None)
            if found is not None:
                told = "the last of a filter where other values wait runs into a slip of the engine; put it first"
                raise UnsupportedError(told, found.start)


def _leaks(node: Node) -> bool:
    """Say whether a node is such a function, or what the engine makes into one: the last element of a filter."""
    if isinstance(node, Member):
        return isinstance(node.key, Integer) and node.key.value == -1 and not node.optional and filtered(node.base)
    if not isinstance(node, Builtin):
        return False
    return node.name in _LEAKY or (node.name == "last" and filtered(node.arguments[0]))


def _binary(node: Node) -> Sequence[Node]:
    assert isinstance(node, Binary)
    return () if node.operator in _LAZY else (node.right,)


def _builtin(node: Node) -> Sequence[Node]:
    """Return all but the first argument; a closure only where elements pile up meanwhile."""
    assert isinstance(node, Builtin)
    if node.name in _PILING:
        return node.arguments[1:]
    return [one for one in node.arguments[1:] if not isinstance(one, Predicate)]


def _arguments(node: Node) -> Sequence[Node]:
    assert isinstance(node, Call)
    return node.arguments[1:]


def _after_first(node: Node) -> Sequence[Node]:
    return list(children(node))[1:]


PENDING: Final[Mapping[type[Node], Callable[[Node], Sequence[Node]]]] = {
    Binary: _binary,
    Builtin: _builtin,
    Call: _arguments,
    Member: _after_first,
    Slice: _after_first,
    Array: _after_first,
    Map: _after_first,
}
"""The nodes below one that are evaluated while others wait."""
