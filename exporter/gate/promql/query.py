"""The parts of a query: its selectors and ranges, and what an operator does."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from exporter.gate.promql.parse import UNKNOWN_RANGE

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAT: Final = {"topk", "bottomk", "limitk", "limit_ratio"}
"""Aggregations that keep the series as they are."""
_COUNTERS: Final = {"rate", "irate", "increase", "delta", "idelta", "deriv"}
_COMPARISONS: Final = {"==", "!=", ">", "<", ">=", "<="}


class Shape(StrEnum):
    """What an instant query answers with."""

    SCALAR = "scalar"
    TEXT = "string"
    MATRIX = "matrix"
    VECTOR = "vector"


def shape(node: Expr) -> Shape:
    """Say what a query answers with."""
    match node:
        case NumberLiteral():
            return Shape.SCALAR
        case StringLiteral():
            return Shape.TEXT
        case MatrixSelector() | SubqueryExpr():
            return Shape.MATRIX
        case ParenExpr() | UnaryExpr():
            return shape(node.expr)
        case Call():
            return Shape.SCALAR if node.func.name in {"scalar", "time", "pi"} else Shape.VECTOR
        case BinaryExpr():
            both = {shape(node.lhs), shape(node.rhs)}
            return Shape.SCALAR if both == {Shape.SCALAR} else Shape.VECTOR
        case _:
            return Shape.VECTOR


def pinned(node: Expr) -> frozenset[str]:
    """Return the labels that every selector inside of a query holds to one value."""
    found = [
        frozenset(one.name for one in selector.matchers.matchers if one.op == MatchOp.Equal)
        for selector in selectors(node)
    ]
    return frozenset.intersection(*found) if found else frozenset()


def ranges(node: Expr) -> Iterator[tuple[str, float]]:
    """Return every range that is known: the function over it ("" for none) and its seconds."""
    for one, outer in _nodes(node, ""):
        if isinstance(one, MatrixSelector):
            seconds = one.range.total_seconds()
            if seconds != UNKNOWN_RANGE:
                yield outer, seconds


def counts_up(function: str) -> bool:
    """Say whether a function wants two samples in its range."""
    return function in _COUNTERS


def lost_buckets(node: Expr) -> bool:
    """Say whether a histogram_quantile has an aggregation below it that drops the label le."""
    return any(
        isinstance(one, Call) and one.func.name == "histogram_quantile" and _drops_le(one.args[1])
        for one, _ in _nodes(node, "")
    )


def _drops_le(node: Expr) -> bool:
    if isinstance(node, ParenExpr):
        return _drops_le(node.expr)
    if not isinstance(node, AggregateExpr) or str(node.op) in FLAT:
        return False
    if node.modifier is None:
        return any((selector.name or "").endswith("_bucket") for selector in selectors(node))
    without = node.modifier.type == AggModifierType.Without
    return ("le" in node.modifier.labels) == without and any(
        (one.name or "").endswith("_bucket") for one in selectors(node)
    )


def selectors(node: Expr) -> Iterator[VectorSelector]:
    """Return every vector selector."""
    for one, _ in _nodes(node, ""):
        if isinstance(one, VectorSelector):
            yield one
        elif isinstance(one, MatrixSelector):
            yield one.vector_selector


def _nodes(node: Expr, outer: str) -> Iterator[tuple[Expr, str]]:
    """Return every part of a query, with the function or aggregation straight around it."""
    yield node, outer
    match node:
        case Call():
            for one in node.args:
                yield from _nodes(one, node.func.name)
        case BinaryExpr():
            yield from _nodes(node.lhs, outer)
            yield from _nodes(node.rhs, outer)
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield from _nodes(node.expr, outer)
        case AggregateExpr():
            yield from _nodes(node.expr, str(node.op))


def operator(node: BinaryExpr) -> str:
    """Return a binary operator without its `bool`."""
    return str(node.op).split()[0]


def filters(node: BinaryExpr) -> bool:
    """Say whether a comparison drops series instead of answering 0 or 1."""
    return (
        operator(node) in _COMPARISONS
        and not (node.modifier and node.modifier.return_bool)
        and Shape.VECTOR in {shape(node.lhs), shape(node.rhs)}
    )
