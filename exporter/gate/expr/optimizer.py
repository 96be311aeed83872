"""What the engine's optimizer does to a checked tree before it runs, and an engine bug that is rejected here.

Constant folding is visible: `x && false` becomes false without evaluating x.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.gate.expr.operators import ARITHMETIC
from exporter.gate.expr.syntax import (
    Array,
    Binary,
    Bool,
    Builtin,
    Call,
    Float,
    Integer,
    Map,
    Member,
    Node,
    Predicate,
    Slice,
    String,
    Unary,
    children,
    walk,
)
from exporter.gate.expr.types import FLOAT, INT, STRING, NodeTypes, Type, TypeKind
from exporter.gate.expr.values import wrap_int64

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Constant folding


_NUMBERS: Final = (Integer, Float)
LITERAL_TYPES: Final[Mapping[type[Node], Type]] = {Integer: INT, Float: FLOAT, String: STRING}


class ConstantFolder:
    """Folds the constants of one tree, and records the types of the nodes that it creates in the tree's table."""

    def __init__(self, node_types: NodeTypes) -> None:
        self._types = node_types.types
        self._float_literals = node_types.float_literals

    def fold(self, node: Node) -> Node:
        """Return the folded tree. Raises ConditionError for an integer division by zero."""
        if isinstance(node, Integer) and id(node) in self._float_literals:
            return self._typed(Float(node.start, node.end, float(node.value)), FLOAT)
        rebuilt = self._fold_children(node)
        folded = rebuilt
        if isinstance(rebuilt, Unary):
            folded = _fold_unary(rebuilt)
        elif isinstance(rebuilt, Binary):
            folded = _fold_binary(rebuilt)
        literal_type = LITERAL_TYPES.get(type(folded))
        return self._typed(folded, literal_type) if folded is not rebuilt and literal_type else folded

    def _typed(self, node: Node, node_type: Type) -> Node:
        self._types[id(node)] = node_type
        return node

    def _fold_children(self, node: Node) -> Node:
        changes: dict[str, object] = {}
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
                changes[field.name] = folded
        # The same node if nothing changed, since the tables find types by identity.
        if not changes:
            return node
        rebuilt: Node = replace(node, **changes)  # type: ignore[arg-type]
        return self._typed(rebuilt, self._types[id(node)]) if id(node) in self._types else rebuilt


def _fold_unary(node: Unary) -> Node:
    operand = node.operand
    match node.operator, operand:
        case "-", Integer(value=value):
            return Integer(node.start, node.end, wrap_int64(-value))
        case "-", Float(value=number):
            return Float(node.start, node.end, -number)
        case "+", Integer() | Float():
            return replace(operand, start=node.start)
        case (("!" | "not"), Bool(value=truth)):
            return Bool(node.start, node.end, not truth)
    return node


def _fold_binary(node: Binary) -> Node:
    left, right = node.left, node.right
    match node.operator:
        case "and" | "&&":
            return _fold_logic(node, neutral=True)
        case "or" | "||":
            return _fold_logic(node, neutral=False)
        case "==":
            if type(left) is type(right) and isinstance(left, Integer | String | Bool):
                return Bool(node.start, node.end, left.value == right.value)  # type: ignore[attr-defined]
        case "+" if isinstance(left, String) and isinstance(right, String):
            return String(node.start, node.end, left.value + right.value)
        case "%" if isinstance(left, Integer) and isinstance(right, Integer):
            if not right.value:
                raise ConditionError("integer divide by zero", node.start)
            return _fold_numbers(node, left.value, right.value)
        case "+" | "-" | "*" | "/" | "**" | "^" if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            return _fold_numbers(node, left.value, right.value)
    return node


def _fold_numbers(node: Binary, left: float, right: float) -> Node:
    value = ARITHMETIC[node.operator](left, right)
    if isinstance(value, float):
        return Float(node.start, node.end, value)
    assert isinstance(value, int)
    return Integer(node.start, node.end, value)


def _fold_logic(node: Binary, *, neutral: bool) -> Node:
    """Fold `and` (neutral: true) or `or` (neutral: false) if one side is constant, even if the other would fail."""
    left, right = node.left, node.right
    if isinstance(left, Bool) and left.value is neutral:
        return right
    if isinstance(right, Bool) and right.value is neutral:
        return left
    if isinstance(left, Bool) or isinstance(right, Bool):
        return Bool(node.start, node.end, not neutral)
    return node


# Rewrites that the evaluator has to imitate


def is_literal_array(node: Node) -> bool:
    """Return whether a node is a list of literals only."""
    return isinstance(node, Array) and all(isinstance(item, Integer | Float | String | Bool) for item in node.items)


def literal_set(node: Node, left: Type | None) -> Mapping[object, object] | None:
    """Return the literals of `x in [...]` if the engine looks x up in a Go map instead of comparing items.

    Each is mapped to the zero value that the lookup converts nil to.
    """
    if not isinstance(node, Array) or not node.items:
        return None
    if left is not None and left.kind is TypeKind.INT and all(isinstance(item, Integer) for item in node.items):
        return {item.value: 0 for item in node.items if isinstance(item, Integer)}
    if all(isinstance(item, String) for item in node.items):
        return {item.value: "" for item in node.items if isinstance(item, String)}
    return None


def is_filter(node: Node) -> bool:
    """Return whether a node is a filter, or a map of one, which the optimizer fuses into one loop."""
    if not isinstance(node, Builtin):
        return False
    return node.name == "filter" or (node.name == "map" and is_filter(node.arguments[0]))


# An engine bug: the loops of findLast and findLastIndex leave compared values on the stack, where an enclosing
# operation takes them for its operand. `1 < findLast(…)` compares true with the result. A use to the left of an
# operator or as the first argument is correct.


_LEAKING: Final = {"findLast", "findLastIndex"}
_ACCUMULATING: Final = {"filter", "map"}
_SHORT_CIRCUIT: Final = {"and", "&&", "or", "||", "??"}


def refuse_stack_leaks(root: Node) -> None:
    """Raise UnsupportedError if the bug would corrupt an operand."""
    for node in walk(root):
        for operand in _late_operands(node):
            leaking = next(filter(_leaks, walk(operand)), None)
            if leaking is not None:
                raise UnsupportedError(
                    "the last element of a filter, evaluated while another operand waits, triggers a bug of the engine;"
                    " put it first",
                    leaking.start,
                )


def _leaks(node: Node) -> bool:
    """Return whether a node is such a function, or becomes one: the optimizer rewrites the last element of a filter."""
    if isinstance(node, Member):
        return isinstance(node.key, Integer) and node.key.value == -1 and not node.optional and is_filter(node.base)
    if not isinstance(node, Builtin):
        return False
    return node.name in _LEAKING or (node.name == "last" and is_filter(node.arguments[0]))


def _late_operands(node: Node) -> Sequence[Node]:
    """Return the children of a node that are evaluated while others wait on the stack."""
    match node:
        case Binary():
            return () if node.operator in _SHORT_CIRCUIT else (node.right,)
        case Builtin() if node.name not in _ACCUMULATING:  # these keep elements on the stack during the predicate, too
            return [argument for argument in node.arguments[1:] if not isinstance(argument, Predicate)]
        case Builtin() | Call():
            return node.arguments[1:]
        case Member() | Slice() | Array() | Map():
            return list(children(node))[1:]
    return ()
