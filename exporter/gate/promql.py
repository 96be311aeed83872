"""Static analysis of PromQL: parses queries with `{{args.name}}` in them, and derives what their result can be.

Text → `parse` → `Query` → questions about its syntax tree: selectors and ranges, the type and labels of the result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, product
from typing import TYPE_CHECKING, Final

import promql_parser as ast

from exporter.gate import metricsql
from exporter.gate.arguments import PLACEHOLDER
from exporter.gate.dialect import StoreKind
from exporter.gate.duration_expressions import QUOTED, replace_expressions

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER, DURATION, NAME = "1", metricsql.UNKNOWN_RANGE, "stand_in"
"""What replaces a placeholder before parsing. The duration is a prime, so that it is recognised in the tree."""
UNKNOWN_RANGE_SECONDS: Final = float(DURATION.removesuffix("s"))
"""DURATION as the parser returns it: a range whose length an argument decides."""
MAX_CANDIDATES: Final = 243
"""Three replacements for each of five placeholders; the number of combinations grows exponentially with them."""
MAX_DEPTH: Final = 100
"""Nested brackets; with many more the parser crashes the process, or hangs."""
MAX_OPERATORS: Final = 200
"""Operators of a query: each may nest what is left of it one level deeper."""
_MATCHERS: Final = re.compile(r"\{[^{}]*\}")
_OPERATOR: Final = re.compile(r"[-+*/%^]|[=!<>]=?|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
SERIES_SELECTING: Final = {"topk", "bottomk", "limitk", "limit_ratio"}
"""Aggregations that return input series unchanged."""
TWO_SAMPLE_FUNCTIONS: Final = {"rate", "irate", "increase", "delta", "idelta", "deriv"}
"""Functions that return nothing for a range with fewer than two samples."""
ANY_LABELS: Final = frozenset({"*"})
"""The labels of a single series that are unknown: different from those of any other series."""
ERROR_NAME: Final = re.compile(r"err|fail|5xx", re.IGNORECASE)
"""Counters of failures by their usual names: a part of all requests although another metric."""
_NAN_FUNCTIONS: Final = {"histogram_quantile", "scalar"} | metricsql.NAN_TRANSFORMS
"""Functions that return NaN for some number, or for an empty vector."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query that parses; `has_unknown_name` if a placeholder is a name, so that the result is unknown.

    The expression of a MetricsQL query is PromQL of the same shape, and its NaNs become gaps (`drops_nan`).
    """

    expression: ast.Expr
    has_unknown_name: bool
    drops_nan: bool = False

    @property
    def may_be_empty(self) -> bool:
        """Return whether the result may have no series."""
        return may_be_empty(self.expression, drops_nan=self.drops_nan)


class PromQLError(ValueError):
    """A text that is not PromQL, or not MetricsQL, whatever the values of its arguments are."""

    @property
    def unknown_function(self) -> str:
        """Return the name of a function that is unknown here, "" if the text has another error."""
        match = _UNKNOWN_FUNCTION.search(str(self))
        return match[1] if match else ""


_UNKNOWN_FUNCTION: Final = re.compile(r"unknown function with name '([^']*)'")
_MATCHER_OR: Final = re.compile(r"[\"'`]\s*\bor\b", re.IGNORECASE)
"""What joins label matchers in MetricsQL only; the parser library accepts it."""


def parse(text: str, store: StoreKind = StoreKind.PROMETHEUS) -> Query:
    """Parse a query; each placeholder is replaced by anything with which it parses. Raises PromQLError."""
    _check_size(text)
    message = "it is empty"
    is_metricsql = store is StoreKind.METRICSQL
    for candidate, has_unknown_name in islice(_candidates(text), MAX_CANDIDATES):
        try:
            promql = metricsql.to_promql(candidate) if is_metricsql else _plain_promql(candidate)
            return Query(_parse(promql), has_unknown_name, drops_nan=is_metricsql)
        except ValueError as error:
            # An error about the replacement of a name would mislead.
            message = message if has_unknown_name else " ".join(str(error).split())
    raise PromQLError(message)


def _plain_promql(text: str) -> str:
    """Return what the parser library takes of PromQL. Raises ValueError."""
    matchers = (match[0] for match in _MATCHERS.finditer(QUOTED.sub('""', text)))
    if any(_MATCHER_OR.search(part) for part in matchers):
        raise ValueError("label matchers cannot be joined by or")
    return replace_expressions(text, DURATION)


def _parse(text: str) -> ast.Expr:
    """Parse PromQL. Raises ValueError."""
    try:
        return ast.parse(text)
    except BaseException as error:
        # How a panic of the parser arrives, for instance of a duration that overflows; its type cannot be imported.
        if type(error).__name__ == "PanicException":
            raise ValueError("a number in it is out of range") from None
        raise


def _check_size(text: str) -> None:
    """Raise PromQLError for a query that the parser's stack, or Python's, is too small for."""
    unquoted = QUOTED.sub('""', text)
    if _bracket_depth(unquoted) > MAX_DEPTH:
        raise PromQLError(f"brackets are nested more than {MAX_DEPTH} deep; split the query")
    if len(_OPERATOR.findall(_MATCHERS.sub("{}", unquoted))) > MAX_OPERATORS:
        raise PromQLError(f"it has more than {MAX_OPERATORS} operators; split the query")


def _candidates(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text with every combination of replacements, and whether one of them is a name outside of quotes."""
    if PLACEHOLDER.fullmatch(text.strip()):
        yield NAME, True
        return
    parts = PLACEHOLDER.split(text)[::2]  # every second part is the inside of a placeholder
    prefixes = ["".join(parts[: index + 1]) for index in range(len(parts) - 1)]
    choices = [_replacements(prefix) for prefix in prefixes]
    for replacements in product(*choices):
        candidate = "".join(part + value for part, value in zip(parts, (*replacements, ""), strict=True))
        unknown = (value == NAME for options, value in zip(choices, replacements, strict=True) if len(options) > 1)
        yield candidate, any(unknown)


def _replacements(prefix: str) -> tuple[str, ...]:
    """Return what a placeholder after a text may be replaced by, the likeliest first."""
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
            escaped = char == "\\" and quote != "`"  # in backticks a backslash is a character
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


def result_type(node: ast.Expr) -> ResultType:
    """Return the type of a query's result."""
    match node:
        case ast.NumberLiteral():
            return ResultType.SCALAR
        case ast.StringLiteral():
            return ResultType.STRING
        case ast.MatrixSelector() | ast.SubqueryExpr():
            return ResultType.MATRIX
        case ast.ParenExpr() | ast.UnaryExpr():
            return result_type(node.expr)
        case ast.Call():
            return ResultType.SCALAR if node.func.name in {"scalar", "time", "pi"} else ResultType.VECTOR
        case ast.BinaryExpr():
            operands = {result_type(node.lhs), result_type(node.rhs)}
            return ResultType.SCALAR if operands == {ResultType.SCALAR} else ResultType.VECTOR
        case _:
            return ResultType.VECTOR


def _fixed_labels(node: ast.Expr) -> frozenset[str]:
    """Return the labels that every selector of a query fixes to one value."""
    labels = [
        frozenset(matcher.name for matcher in selector.matchers.matchers if matcher.op == ast.MatchOp.Equal)
        for selector in selectors(node)
    ]
    return frozenset.intersection(*labels) if labels else frozenset()


def ranges(node: ast.Expr) -> Iterator[tuple[str, float]]:
    """Yield every known range of a query: the function around it ("" for none) and its seconds."""
    for part, function in _parts(node, ""):
        if isinstance(part, ast.MatrixSelector):
            seconds = part.range.total_seconds()
            if seconds != UNKNOWN_RANGE_SECONDS:
                yield function, seconds


def loses_le_label(node: ast.Expr) -> bool:
    """Return whether an aggregation below a histogram_quantile drops the label le."""
    return any(
        isinstance(part, ast.Call) and part.func.name == "histogram_quantile" and _drops_le(part.args[1])
        for part, _ in _parts(node, "")
    )


def _drops_le(node: ast.Expr) -> bool:
    if isinstance(node, ast.ParenExpr):
        return _drops_le(node.expr)
    if not isinstance(node, ast.AggregateExpr) or str(node.op) in SERIES_SELECTING:
        return False
    modifier = node.modifier
    drops = not modifier or (("le" in modifier.labels) == (modifier.type == ast.AggModifierType.Without))
    return drops and any((selector.name or "").endswith("_bucket") for selector in selectors(node))


def nodes(node: ast.Expr) -> Iterator[ast.Expr]:
    """Yield every node of a query."""
    return (part for part, _ in _parts(node, ""))


def selectors(node: ast.Expr) -> Iterator[ast.VectorSelector]:
    """Yield every vector selector of a query."""
    for part, _ in _parts(node, ""):
        if isinstance(part, ast.VectorSelector):
            yield part
        elif isinstance(part, ast.MatrixSelector):
            yield part.vector_selector


def _parts(node: ast.Expr, function: str) -> Iterator[tuple[ast.Expr, str]]:
    """Yield every node of a query, with the function or aggregation directly around it."""
    yield node, function
    match node:
        case ast.Call():
            for argument in node.args:
                yield from _parts(argument, node.func.name)
        case ast.BinaryExpr():
            yield from _parts(node.lhs, function)
            yield from _parts(node.rhs, function)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            yield from _parts(node.expr, function)
        case ast.AggregateExpr():
            yield from _parts(node.expr, str(node.op))


def operator(node: ast.BinaryExpr) -> str:
    """Return a binary operator without its `bool`."""
    return str(node.op).split()[0]


def is_filter(node: ast.BinaryExpr) -> bool:
    """Return whether a comparison drops series, instead of returning 0 or 1."""
    return (
        # Two scalars can only be compared with `bool`.
        operator(node) in metricsql.COMPARISONS
        and not (node.modifier and node.modifier.return_bool)
        and ResultType.VECTOR in {result_type(node.lhs), result_type(node.rhs)}
    )


# What the result can be


def single_series_labels(node: ast.Expr) -> frozenset[str] | None:
    """Return the label names of a query's series if it returns at most one, None if it may return several."""
    match node:
        case ast.NumberLiteral() | ast.StringLiteral():
            return frozenset()
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return single_series_labels(node.expr)
        case ast.AggregateExpr():
            return _labels_of_aggregation(node)
        case ast.Call():
            return _labels_of_call(node)
        case ast.BinaryExpr():
            return _labels_of_binary(node)
        case _:
            return None


def _labels_of_aggregation(node: ast.AggregateExpr) -> frozenset[str] | None:
    if str(node.op) in SERIES_SELECTING:
        is_one = isinstance(node.param, ast.NumberLiteral) and node.param.val == 1 and not node.modifier
        return ANY_LABELS if is_one and str(node.op) != "limit_ratio" else None  # limit_ratio(1, …) returns all series
    if str(node.op) == "count_values":
        return None
    if node.modifier is None:
        return frozenset()
    if node.modifier.type == ast.AggModifierType.Without:
        return None
    labels = frozenset(node.modifier.labels)
    # Grouped by labels that have one value only, there is one group.
    return labels if labels <= _fixed_labels(node.expr) or single_series_labels(node.expr) is not None else None


def _labels_of_call(node: ast.Call) -> frozenset[str] | None:
    name = node.func.name
    if name in {"vector", "time", "scalar", "pi", "absent", "absent_over_time"}:
        return frozenset()
    if name == "histogram_quantile":
        return _labels_of_quantile(node.args[1])
    vectors = [single_series_labels(argument) for argument in node.args if _has_series(argument)]
    return frozenset() if not node.args else vectors[0] if len(vectors) == 1 else None


def _has_series(node: ast.Expr) -> bool:
    """Return whether the series of an argument become those of the call: a vector's, or a subquery's."""
    return result_type(node) is ResultType.VECTOR or isinstance(node, ast.SubqueryExpr)


def _labels_of_quantile(node: ast.Expr) -> frozenset[str] | None:
    """Return the labels of a histogram once its buckets have become a quantile."""
    if isinstance(node, ast.ParenExpr):
        return _labels_of_quantile(node.expr)
    if isinstance(node, ast.AggregateExpr) and node.modifier and node.modifier.type == ast.AggModifierType.By:
        labels = frozenset(node.modifier.labels) - {"le"}
        return labels if labels <= _fixed_labels(node.expr) else None
    return single_series_labels(node)


def _labels_of_binary(node: ast.BinaryExpr) -> frozenset[str] | None:
    left, right = single_series_labels(node.lhs), single_series_labels(node.rhs)
    if operator(node) == "or":
        return left if left is not None and left == right else None
    if operator(node) in {"and", "unless"} or result_type(node.rhs) is ResultType.SCALAR:
        return left
    if result_type(node.lhs) is ResultType.SCALAR:
        return right
    # With group_left the result has the series of the left side, with group_right those of the right.
    cardinality = node.modifier.card if node.modifier else ast.VectorMatchCardinality.OneToOne
    if cardinality == ast.VectorMatchCardinality.ManyToOne:
        return left
    if cardinality == ast.VectorMatchCardinality.OneToMany:
        return right
    return left if left is not None else right


def may_be_empty(node: ast.Expr, *, drops_nan: bool = False) -> bool:
    """Return whether a query may return no series; with `drops_nan` at a store that drops NaN."""
    match node:
        case ast.NumberLiteral() | ast.StringLiteral():
            return drops_nan and may_be_nan(node)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.AggregateExpr() | ast.SubqueryExpr():
            return may_be_empty(node.expr, drops_nan=drops_nan)
        case ast.Call():
            # scalar() of an empty vector is NaN.
            if node.func.name in {"scalar", "time", "pi"} or not node.args:
                return False
            is_gap = node.func.name.startswith("absent") or (drops_nan and node.func.name in _NAN_FUNCTIONS)
            return is_gap or any(may_be_empty(argument, drops_nan=drops_nan) for argument in node.args)
        case ast.BinaryExpr():
            return _binary_may_be_empty(node, drops_nan=drops_nan)
        case _:
            return True


def _binary_may_be_empty(node: ast.BinaryExpr, *, drops_nan: bool) -> bool:
    left, right = (may_be_empty(part, drops_nan=drops_nan) for part in (node.lhs, node.rhs))
    if operator(node) == "or":
        return left and right
    if left or right or is_filter(node) or operator(node) in {"and", "unless"}:
        return True
    return drops_nan and may_be_nan(node)


def may_be_nan(node: ast.Expr) -> bool:
    """Return whether a query may return NaN although no sample is NaN: 0/0, a quantile of nothing."""
    match node:
        case ast.ParenExpr() | ast.UnaryExpr() | ast.AggregateExpr() | ast.SubqueryExpr():
            return may_be_nan(node.expr)
        case ast.Call():
            return node.func.name in _NAN_FUNCTIONS or any(may_be_nan(argument) for argument in node.args)
        case ast.BinaryExpr():
            return _binary_may_be_nan(node)
        case ast.NumberLiteral():
            return bool(node.val != node.val)  # NaN is the number that differs from itself
        case _:
            return False


def _binary_may_be_nan(node: ast.BinaryExpr) -> bool:
    if is_filter(node) and operator(node) != "!=":
        return False  # a comparison with NaN is false, except !=
    if operator(node) in {"and", "unless"}:
        return may_be_nan(node.lhs)
    may_divide_by_zero = operator(node) in {"/", "%"} and not _is_never_zero(node.rhs)
    return may_divide_by_zero or may_be_nan(node.lhs) or may_be_nan(node.rhs)


def _is_never_zero(node: ast.Expr) -> bool:
    match node:
        case ast.ParenExpr():
            return _is_never_zero(node.expr)
        case ast.NumberLiteral():
            return bool(node.val)
        case ast.BinaryExpr():
            return is_filter(node) and operator(node) in {">", "!="}
        case ast.Call():
            return node.func.name == "clamp_min" and _is_never_zero(node.args[1])
        case _:
            return False


def is_share(node: ast.Expr) -> bool:
    """Return whether a query returns a share: a part of a metric, or its errors, divided by all of it."""
    match node:
        case ast.ParenExpr():
            return is_share(node.expr)
        case ast.BinaryExpr():
            if operator(node) == "or":
                return is_share(node.lhs)
            return operator(node) == "/" and _is_part_of(node.lhs, node.rhs)
        case _:
            return False


def _is_part_of(part: ast.Expr, total: ast.Expr) -> bool:
    names, total_names = _metric_names(part), _metric_names(total)
    return bool(names and total_names) and all(name in total_names or ERROR_NAME.search(name) for name in names)


def _metric_names(node: ast.Expr) -> set[str]:
    return {selector.name for selector in selectors(node) if selector.name}
