"""What can be told of a query's answer without asking: how many series, whether nothing or NaN, whether a share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
)

from exporter.gate.promql.ast import FLAT, Shape, filters, operator, pinned, selectors, shape

if TYPE_CHECKING:
    from promql_parser import Expr

_BAD: Final = re.compile(r"err|fail|5xx", re.IGNORECASE)
_UNDEFINED: Final = {"histogram_quantile", "scalar", "sqrt", "ln", "log2", "log10", "acos", "asin", "acosh", "atanh"}


def single(node: Expr) -> frozenset[str] | None:
    """Return the label names of the one series that a query answers with at most; None if there may be several."""
    match node:
        case NumberLiteral() | StringLiteral():
            return frozenset()
        case ParenExpr() | UnaryExpr():
            return single(node.expr)
        case AggregateExpr():
            return _aggregated(node)
        case Call():
            return _called(node)
        case BinaryExpr():
            return _joined(node)
        case _:
            return None


def _aggregated(node: AggregateExpr) -> frozenset[str] | None:
    if str(node.op) in FLAT:
        one = isinstance(node.param, NumberLiteral) and node.param.val == 1 and not node.modifier
        return frozenset({"*"}) if one and str(node.op) != "limit_ratio" else None
    if str(node.op) == "count_values":
        return None
    if node.modifier is None:
        return frozenset()
    if node.modifier.type == AggModifierType.Without:
        return None
    labels = frozenset(node.modifier.labels)
    return labels if labels <= pinned(node.expr) or single(node.expr) is not None else None


def _called(node: Call) -> frozenset[str] | None:
    name = node.func.name
    if name in {"vector", "time", "scalar", "pi", "absent", "absent_over_time"}:
        return frozenset()
    if name == "histogram_quantile":
        return _without_le(node.args[1])
    inner = [single(one) for one in node.args if shape(one) is Shape.VECTOR]
    return frozenset() if not node.args else inner[0] if len(inner) == 1 else None


def _without_le(node: Expr) -> frozenset[str] | None:
    """Say what remains of a histogram once its buckets have become a quantile."""
    if isinstance(node, ParenExpr):
        return _without_le(node.expr)
    if isinstance(node, AggregateExpr) and node.modifier and node.modifier.type == AggModifierType.By:
        labels = frozenset(node.modifier.labels) - {"le"}
        return labels if labels <= pinned(node.expr) else None
    return single(node)


def _joined(node: BinaryExpr) -> frozenset[str] | None:
    left, right = single(node.lhs), single(node.rhs)
    does = operator(node)
    if does == "or":
        return left if left is not None and left == right else None
    if does in {"and", "unless"} or shape(node.rhs) is Shape.SCALAR:
        return left
    if shape(node.lhs) is Shape.SCALAR:
        return right
    card = node.modifier.card if node.modifier else VectorMatchCardinality.OneToOne
    if card == VectorMatchCardinality.ManyToOne:
        return left
    if card == VectorMatchCardinality.OneToMany:
        return right
    return left if left is not None else right


def may_be_empty(node: Expr) -> bool:
    """Say whether a query may answer with nothing at all."""
    match node:
        case NumberLiteral() | StringLiteral():
            return False
        case ParenExpr() | UnaryExpr() | AggregateExpr():
            return may_be_empty(node.expr)
        case Call():
            if node.func.name in {"vector", "scalar", "time", "pi"} or not node.args:
                return False
            return node.func.name.startswith("absent") or any(may_be_empty(one) for one in node.args)
        case BinaryExpr():
            left, right = may_be_empty(node.lhs), may_be_empty(node.rhs)
            if operator(node) == "or":
                return left and right
            return left or right or filters(node) or operator(node) in {"and", "unless"}
        case _:
            return True


def may_be_nan(node: Expr) -> bool:
    """Say whether a query may answer NaN although no sample is NaN: 0/0, a quantile of nothing."""
    match node:
        case ParenExpr() | UnaryExpr() | AggregateExpr() | SubqueryExpr():
            return may_be_nan(node.expr)
        case Call():
            return node.func.name in _UNDEFINED or any(may_be_nan(one) for one in node.args)
        case BinaryExpr():
            return _joined_nan(node)
        case NumberLiteral():
            return bool(node.val != node.val)
        case _:
            return False


def _joined_nan(node: BinaryExpr) -> bool:
    does = operator(node)
    if filters(node) and does != "!=":
        return False
    if does in {"and", "unless"}:
        return may_be_nan(node.lhs)
    zero = does in {"/", "%"} and not _never_zero(node.rhs)
    return zero or may_be_nan(node.lhs) or may_be_nan(node.rhs)


def _never_zero(node: Expr) -> bool:
    match node:
        case ParenExpr():
            return _never_zero(node.expr)
        case NumberLiteral():
            return bool(node.val)
        case BinaryExpr():
            return filters(node) and operator(node) in {">", "!="}
        case Call():
            return node.func.name == "clamp_min" and _never_zero(node.args[1])
        case _:
            return False


def is_share(node: Expr) -> bool:
    """Say whether a query answers with a share: some of a metric, or its errors, divided by all of it."""
    match node:
        case ParenExpr():
            return is_share(node.expr)
        case BinaryExpr():
            if operator(node) == "or":
                return is_share(node.lhs)
            return operator(node) == "/" and _part_of(node.lhs, node.rhs)
        case _:
            return False


def _part_of(some: Expr, whole: Expr) -> bool:
    above, below = _names(some), _names(whole)
    return bool(above and below) and all(name in below or _BAD.search(name) for name in above)


def _names(node: Expr) -> set[str]:
    return {selector.name for selector in selectors(node) if selector.name}
