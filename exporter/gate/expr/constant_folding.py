"""What the engine reckons before it runs, as far as it can be seen: `x && false` never looks at x."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.arithmetic import ARITHMETIC
from exporter.gate.expr.errors import ConditionError
from exporter.gate.expr.syntax import Array, Binary, Bool, Builtin, Float, Integer, Node, String, Unary
from exporter.gate.expr.types import FLOAT, INT, STRING, Sort, Type
from exporter.gate.expr.values import wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.gate.expr.type_checker import Checked

_NUMBERS: Final = (Integer, Float)
_LITERAL: Final[Mapping[type[Node], Type]] = {Integer: INT, Float: FLOAT, String: STRING}


class Folder:
    """Folds one checked tree; the types of what it makes anew go into the same table."""

    def __init__(self, checked: Checked) -> None:
        self._checked = checked

    def fold(self, node: Node) -> Node:
        """Return the tree with all that is constant reckoned. Raises ConditionError for a division by zero."""
        if isinstance(node, Integer) and id(node) in self._checked.floats:
            return self._keep(Float(node.start, node.end, float(node.value)), FLOAT)
        rebuilt = self._below(node)
        reckoned = FOLDS[type(rebuilt)](rebuilt) if type(rebuilt) in FOLDS else None
        if reckoned is None:
            return rebuilt
        known = _LITERAL.get(type(reckoned))
        return self._keep(reckoned, known) if known else reckoned

    def _keep(self, node: Node, found: Type) -> Node:
        self._checked.types[id(node)] = found
        return node

    def _below(self, node: Node) -> Node:
        """Fold what is below a node, and make the node anew where that changed."""
        changed: dict[str, object] = {}
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, Node):
                folded: object = self.fold(value)
            elif isinstance(value, tuple):
                folded = tuple(map(self.fold, value))
                folded = value if all(a is b for a, b in zip(folded, value, strict=True)) else folded
            else:
                continue
            if folded is not value:
                changed[field.name] = folded
        if not changed:
            return node
        rebuilt: Node = replace(node, **changed)  # type: ignore[arg-type]
        return self._keep(rebuilt, self._checked.types[id(node)]) if id(node) in self._checked.types else rebuilt


def _unary(node: Node) -> Node | None:
    assert isinstance(node, Unary)
    operand = node.operand
    match node.operator, operand:
        case "-", Integer(value=value):
            return Integer(node.start, node.end, wrapped(-value))
        case "-", Float(value=number):
            return Float(node.start, node.end, -number)
        case "+", Integer() | Float():
            return replace(operand, start=node.start)
        case (("!" | "not"), Bool(value=truth)):
            return Bool(node.start, node.end, not truth)
    return None


def _binary(node: Node) -> Node | None:
    assert isinstance(node, Binary)
    left, right = node.left, node.right
    match node.operator:
        case "and" | "&&":
            return _logic(node, left, right, neutral=True)
        case "or" | "||":
            return _logic(node, left, right, neutral=False)
        case "==":
            if type(left) is type(right) and isinstance(left, Integer | String | Bool):
                return Bool(node.start, node.end, left.value == right.value)  # type: ignore[attr-defined]
        case "+" if isinstance(left, String) and isinstance(right, String):
            return String(node.start, node.end, left.value + right.value)
        case "%" if isinstance(left, Integer) and isinstance(right, Integer):
            if not right.value:
                raise ConditionError("integer divide by zero", node.start)
            return _reckoned(node, left.value, right.value)
        case "+" | "-" | "*" | "/" | "**" | "^" if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            return _reckoned(node, left.value, right.value)
    return None


def _reckoned(node: Binary, left: float, right: float) -> Node:
    value = ARITHMETIC[node.operator](left, right)
    if isinstance(value, float):
        return Float(node.start, node.end, value)
    assert isinstance(value, int)
    return Integer(node.start, node.end, value)


def _logic(node: Binary, left: Node, right: Node, *, neutral: bool) -> Node | None:
    """Reckon `and` (neutral: true) or `or` (neutral: false) where one side is constant, whatever the other may do."""
    if isinstance(left, Bool) and left.value is neutral:
        return right
    if isinstance(right, Bool) and right.value is neutral:
        return left
    if isinstance(left, Bool) or isinstance(right, Bool):
        return Bool(node.start, node.end, not neutral)
    return None


FOLDS: Final[Mapping[type[Node], Callable[[Node], Node | None]]] = {Unary: _unary, Binary: _binary}
"""What of each kind of node is reckoned; None: nothing."""


def constant(node: Node) -> bool:
    """Say whether a list is made of literals alone."""
    return isinstance(node, Array) and all(isinstance(item, Integer | Float | String | Bool) for item in node.items)


def keys(node: Node, left: Type | None) -> Mapping[object, object] | None:
    """Return the literals of `x in [...]` where the engine looks x up in a set instead, with what nil is taken for."""
    if not isinstance(node, Array) or not node.items:
        return None
    if left is not None and left.sort is Sort.INT and all(isinstance(item, Integer) for item in node.items):
        return {item.value: 0 for item in node.items if isinstance(item, Integer)}
    if all(isinstance(item, String) for item in node.items):
        return {item.value: "" for item in node.items if isinstance(item, String)}
    return None


def filtered(node: Node) -> bool:
    """Say whether a node is a filter, or a map of one, which the engine makes into one loop."""
    if not isinstance(node, Builtin):
        return False
    return node.name == "filter" or (node.name == "map" and filtered(node.arguments[0]))
