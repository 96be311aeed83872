"""What a query's result can be, without a server: one series or several, empty, NaN, a share."""

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

from exporter.gate.promql.query import (
    SERIES_SELECTING,
    ResultType,
    fixed_labels,
    is_filter,
    operator,
    result_type,
    selectors,
)

if TYPE_CHECKING:
    from promql_parser import Expr

ANY_LABELS: Final = frozenset({"*"})
"""The labels of a single series that are unknown: different from those of any other series."""
_ERROR_NAME: Final = re.compile(r"err|fail|5xx", re.IGNORECASE)
_NAN_FUNCTIONS: Final = {
    "histogram_quantile",
    "scalar",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "acos",
    "asin",
    "acosh",
    "atanh",
}
"""Functions that return NaN for some number, or for an empty vector."""


def single_series_labels(node: Expr) -> frozenset[str] | None:
    """Return the label names of a query's series if it returns at most one, None if it may return several."""
    match node:
        case NumberLiteral() | StringLiteral():
            return frozenset()
        case ParenExpr() | UnaryExpr():
            return single_series_labels(node.expr)
        case AggregateExpr():
            return _labels_of_aggregation(node)
        case Call():
            return _labels_of_call(node)
        case BinaryExpr():
            return _labels_of_binary(node)
        case _:
            return None


def _labels_of_aggregation(node: AggregateExpr) -> frozenset[str] | None:
    if str(node.op) in SERIES_SELECTING:
        is_one = isinstance(node.param, NumberLiteral) and node.param.val == 1 and not node.modifier
        return ANY_LABELS if is_one and str(node.op) != "limit_ratio" else None
    if str(node.op) == "count_values":
        return None
    if node.modifier is None:
        return frozenset()
    if node.modifier.type == AggModifierType.Without:
        return None
    labels = frozenset(node.modifier.labels)
    return labels if labels <= fixed_labels(node.expr) or single_series_labels(node.expr) is not None else None


def _labels_of_call(node: Call) -> frozenset[str] | None:
    name = node.func.name
    if name in {"vector", "time", "scalar", "pi", "absent", "absent_over_time"}:
        return frozenset()
    if name == "histogram_quantile":
        return _labels_of_quantile(node.args[1])
    vectors = [single_series_labels(argument) for argument in node.args if result_type(argument) is ResultType.VECTOR]
    return frozenset() if not node.args else vectors[0] if len(vectors) == 1 else None


def _labels_of_quantile(node: Expr) -> frozenset[str] | None:
    """Return the labels of a histogram once its buckets have become a quantile."""
    if isinstance(node, ParenExpr):
        return _labels_of_quantile(node.expr)
    if isinstance(node, AggregateExpr) and node.modifier and node.modifier.type == AggModifierType.By:
        labels = frozenset(node.modifier.labels) - {"le"}
        return labels if labels <= fixed_labels(node.expr) else None
    return single_series_labels(node)


def _labels_of_binary(node: BinaryExpr) -> frozenset[str] | None:
    left, right = single_series_labels(node.lhs), single_series_labels(node.rhs)
    if operator(node) == "or":
        return left if left is not None and left == right else None
    if operator(node) in {"and", "unless"} or result_type(node.rhs) is ResultType.SCALAR:
        return left
    if result_type(node.lhs) is ResultType.SCALAR:
        return right
    cardinality = node.modifier.card if node.modifier else VectorMatchCardinality.OneToOne
    if cardinality == VectorMatchCardinality.ManyToOne:
        return left
    if cardinality == VectorMatchCardinality.OneToMany:
        return right
    return left if left is not None else right


def may_be_empty(node: Expr) -> bool:
    """Return whether a query may return no series."""
    match node:
        case NumberLiteral() | StringLiteral():
            return False
        case ParenExpr() | UnaryExpr() | AggregateExpr():
            return may_be_empty(node.expr)
        case Call():
            if node.func.name in {"vector", "scalar", "time", "pi"} or not node.args:
                return False
            return node.func.name.startswith("absent") or any(may_be_empty(argument) for argument in node.args)
        case BinaryExpr():
            left, right = may_be_empty(node.lhs), may_be_empty(node.rhs)
            if operator(node) == "or":
                return left and right
            return left or right or is_filter(node) or operator(node) in {"and", "unless"}
        case _:
            return True


def may_be_nan(node: Expr) -> bool:
    """Return whether a query may return NaN although no sample is NaN: 0/0, a quantile of nothing."""
    match node:
        case ParenExpr() | UnaryExpr() | AggregateExpr() | SubqueryExpr():
            return may_be_nan(node.expr)
        case Call():
            return node.func.name in _NAN_FUNCTIONS or any(may_be_nan(argument) for argument in node.args)
        case BinaryExpr():
            return _binary_may_be_nan(node)
        case NumberLiteral():
            return bool(node.val != node.val)
        case _:
            return False


def _binary_may_be_nan(node: BinaryExpr) -> bool:
    if is_filter(node) and operator(node) != "!=":
        return False  # a comparison with NaN is false, except !=
    if operator(node) in {"and", "unless"}:
        return may_be_nan(node.lhs)
    may_divide_by_zero = operator(node) in {"/", "%"} and not _is_never_zero(node.rhs)
    return may_divide_by_zero or may_be_nan(node.lhs) or may_be_nan(node.rhs)


def _is_never_zero(node: Expr) -> bool:
    match node:
        case ParenExpr():
            return _is_never_zero(node.expr)
        case NumberLiteral():
            return bool(node.val)
        case BinaryExpr():
            return is_filter(node) and operator(node) in {">", "!="}
        case Call():
            return node.func.name == "clamp_min" and _is_never_zero(node.args[1])
        case _:
            return False


def is_share(node: Expr) -> bool:
    """Return whether a query returns a share: a part of a metric, or its errors, divided by all of it."""
    match node:
        case ParenExpr():
            return is_share(node.expr)
        case BinaryExpr():
            if operator(node) == "or":
                return is_share(node.lhs)
            return operator(node) == "/" and _is_part_of(node.lhs, node.rhs)
        case _:
            return False


def _is_part_of(part: Expr, total: Expr) -> bool:
    part_names, total_names = _metric_names(part), _metric_names(total)
    return bool(part_names and total_names) and all(
        name in total_names or _ERROR_NAME.search(name) for name in part_names
    )


def _metric_names(node: Expr) -> set[str]:
    return {selector.name for selector in selectors(node) if selector.name}
