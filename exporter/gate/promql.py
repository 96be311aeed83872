"""Parses queries with `{{args.name}}` in them, and finds the parts of a syntax tree: selectors, ranges, operators."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, product
from typing import TYPE_CHECKING, Final

import promql_parser
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

from exporter.gate.arguments import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER, DURATION, NAME = "1", "7919s", "stand_in"
"""What replaces a placeholder before parsing. The duration is a prime, so that it is recognised in the tree."""
UNKNOWN_RANGE_SECONDS: Final = 7919.0
MAX_CANDIDATES: Final = 243
"""Three replacements for each of five placeholders."""
MAX_DEPTH: Final = 100
"""Nested brackets; with more the parser would run out of stack."""
SERIES_SELECTING: Final = {"topk", "bottomk", "limitk", "limit_ratio"}
"""Aggregations that return input series unchanged."""
_RANGE_FUNCTIONS: Final = {"rate", "irate", "increase", "delta", "idelta", "deriv"}
_COMPARISONS: Final = {"==", "!=", ">", "<", ">=", "<="}


@dataclass(frozen=True, slots=True)
class Query:
    """A query that parses; `has_unknown_name` if a placeholder stands for a name, so that the result is unknown."""

    expression: Expr
    has_unknown_name: bool


class PromQLError(ValueError):
    """A text that is not PromQL, whatever the values of its arguments are."""


def parse(text: str) -> Query:
    """Parse a query; each placeholder may be anything with which it parses. Raises PromQLError."""
    if _bracket_depth(text) > MAX_DEPTH:
        raise PromQLError(f"brackets are nested more than {MAX_DEPTH} deep")
    message = "it is empty"
    for candidate, has_unknown_name in islice(_candidates(text), MAX_CANDIDATES):
        try:
            return Query(promql_parser.parse(candidate), has_unknown_name)
        except ValueError as error:
            message = message if has_unknown_name else " ".join(str(error).split())
    raise PromQLError(message)


def _candidates(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text with every combination of replacements, and whether one of them is a name outside of quotes."""
    if PLACEHOLDER.fullmatch(text.strip()):
        yield NAME, True
        return
    parts = PLACEHOLDER.split(text)[::2]
    prefixes = ["".join(parts[: index + 1]) for index in range(len(parts) - 1)]
    choices = [_replacements(prefix) for prefix in prefixes]
    for replacements in product(*choices):
        candidate = "".join(part + value for part, value in zip(parts, (*replacements, ""), strict=True))
        unknown = (value == NAME for options, value in zip(choices, replacements, strict=True) if len(options) > 1)
        yield candidate, any(unknown)


def _replacements(prefix: str) -> tuple[str, ...]:
    """Return what a placeholder after a text may stand for, the likeliest first."""
    if _in_quotes(prefix):
        return (NAME,)
    is_duration = prefix.rstrip().endswith(("[", ":", "offset"))
    return (DURATION, NUMBER, NAME) if is_duration else (NUMBER, DURATION, NAME)


def _in_quotes(prefix: str) -> bool:
    """Return whether a text ends inside of a string."""
    quote, escaped = "", False
    for char in prefix:
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\" and quote != "`"
            quote = "" if char == quote else quote
        elif char in "\"'`":
            quote = char
    return bool(quote)


def _bracket_depth(text: str) -> int:
    depth = max_depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        max_depth = max(max_depth, depth)
    return max_depth


class ResultType(StrEnum):
    """The type of an instant query's result."""

    SCALAR = "scalar"
    STRING = "string"
    MATRIX = "matrix"
    VECTOR = "vector"


def result_type(node: Expr) -> ResultType:
    """Return the type of a query's result."""
    match node:
        case NumberLiteral():
            return ResultType.SCALAR
        case StringLiteral():
            return ResultType.STRING
        case MatrixSelector() | SubqueryExpr():
            return ResultType.MATRIX
        case ParenExpr() | UnaryExpr():
            return result_type(node.expr)
        case Call():
            return ResultType.SCALAR if node.func.name in {"scalar", "time", "pi"} else ResultType.VECTOR
        case BinaryExpr():
            operands = {result_type(node.lhs), result_type(node.rhs)}
            return ResultType.SCALAR if operands == {ResultType.SCALAR} else ResultType.VECTOR
        case _:
            return ResultType.VECTOR


def fixed_labels(node: Expr) -> frozenset[str]:
    """Return the labels that every selector of a query fixes to one value."""
    labels = [
        frozenset(matcher.name for matcher in selector.matchers.matchers if matcher.op == MatchOp.Equal)
        for selector in selectors(node)
    ]
    return frozenset.intersection(*labels) if labels else frozenset()


def ranges(node: Expr) -> Iterator[tuple[str, float]]:
    """Yield every known range of a query: the function around it ("" for none) and its seconds."""
    for part, function in _parts(node, ""):
        if isinstance(part, MatrixSelector):
            seconds = part.range.total_seconds()
            if seconds != UNKNOWN_RANGE_SECONDS:
                yield function, seconds


def needs_two_samples(function: str) -> bool:
    """Return whether a function returns nothing for a range with fewer than two samples."""
    return function in _RANGE_FUNCTIONS


def loses_le_label(node: Expr) -> bool:
    """Return whether an aggregation below a histogram_quantile drops the label le."""
    return any(
        isinstance(part, Call) and part.func.name == "histogram_quantile" and _drops_le(part.args[1])
        for part, _ in _parts(node, "")
    )


def _drops_le(node: Expr) -> bool:
    if isinstance(node, ParenExpr):
        return _drops_le(node.expr)
    if not isinstance(node, AggregateExpr) or str(node.op) in SERIES_SELECTING:
        return False
    drops = node.modifier is None or (("le" in node.modifier.labels) == (node.modifier.type == AggModifierType.Without))
    return drops and any((selector.name or "").endswith("_bucket") for selector in selectors(node))


def selectors(node: Expr) -> Iterator[VectorSelector]:
    """Yield every vector selector of a query."""
    for part, _ in _parts(node, ""):
        if isinstance(part, VectorSelector):
            yield part
        elif isinstance(part, MatrixSelector):
            yield part.vector_selector


def _parts(node: Expr, function: str) -> Iterator[tuple[Expr, str]]:
    """Yield every node of a query, with the function or aggregation directly around it."""
    yield node, function
    match node:
        case Call():
            for argument in node.args:
                yield from _parts(argument, node.func.name)
        case BinaryExpr():
            yield from _parts(node.lhs, function)
            yield from _parts(node.rhs, function)
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield from _parts(node.expr, function)
        case AggregateExpr():
            yield from _parts(node.expr, str(node.op))


def operator(node: BinaryExpr) -> str:
    """Return a binary operator without its `bool`."""
    return str(node.op).split()[0]


def is_filter(node: BinaryExpr) -> bool:
    """Return whether a comparison drops series, instead of returning 0 or 1."""
    return (
        operator(node) in _COMPARISONS
        and not (node.modifier and node.modifier.return_bool)
        and ResultType.VECTOR in {result_type(node.lhs), result_type(node.rhs)}
    )
