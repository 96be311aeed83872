"""PromQL → what can be told of its answer without asking: its shape, how many series, whether nothing or NaN."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, product
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
    VectorMatchCardinality,
    VectorSelector,
    parse,
)

from exporter.gate.tag import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER, DURATION, NAME = "1", "7919s", "stand_in"
UNKNOWN_RANGE: Final = 7919.0
"""What stands for an argument whose value is not known: a number, a duration (a prime, so that it is known again)."""
MOST_TRIES: Final = 243
DEEPEST: Final = 100
"""More brackets within brackets than this are not read: the parser would run out of stack."""

_COUNTERS: Final = {"rate", "irate", "increase", "delta", "idelta", "deriv"}
_FLAT: Final = {"topk", "bottomk", "limitk", "limit_ratio"}
_UNDEFINED: Final = {"histogram_quantile", "scalar", "sqrt", "ln", "log2", "log10", "acos", "asin", "acosh", "atanh"}
_COMPARISONS: Final = {"==", "!=", ">", "<", ">=", "<="}


class Shape(StrEnum):
    """What an instant query answers with."""

    SCALAR = "scalar"
    TEXT = "string"
    MATRIX = "matrix"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Query:
    """A query that parses; `guessed` when a name stands in it for an argument whose value is not known."""

    expression: Expr
    guessed: bool


class PromQLError(ValueError):
    """A text that is no PromQL, whatever its arguments are."""


def read(text: str) -> Query:
    """Parse a query. Arguments without a known value may be anything with which it parses."""
    if _depth(text) > DEEPEST:
        raise PromQLError(f"brackets stand more than {DEEPEST} deep")
    why = "it is empty"
    for candidate, guessed in islice(_candidates(text), MOST_TRIES):
        try:
            return Query(parse(candidate), guessed)
        except ValueError as error:
            why = why if guessed else " ".join(str(error).split())
    raise PromQLError(why)


def _candidates(text: str) -> Iterator[tuple[str, bool]]:
    """Return the text with every choice of what the arguments may be; inside of quotes any text will do."""
    if TAG.fullmatch(text.strip()):
        yield NAME, True
        return
    parts = TAG.split(text)
    before, tags = parts[::2], len(parts) // 2
    quoted = ["".join(before[: at + 1]) for at in range(tags)]
    choices = [_choices(one) for one in quoted]
    for chosen in product(*choices):
        filled = "".join(f"{one}{two}" for one, two in zip(before, (*chosen, ""), strict=True))
        yield filled, any(len(one) > 1 and two == NAME for one, two in zip(choices, chosen, strict=True))


def _choices(before: str) -> tuple[str, ...]:
    """Return what may stand in a query behind a text, the likeliest first."""
    if _in_quotes(before):
        return (NAME,)
    times = before.rstrip().endswith(("[", ":", "offset"))
    return (DURATION, NUMBER, NAME) if times else (NUMBER, DURATION, NAME)


def _in_quotes(text: str) -> bool:
    """Say whether a place in a query is inside of a string."""
    quote, escaped = "", False
    for letter in text:
        if escaped:
            escaped = False
        elif quote:
            escaped = letter == "\\" and quote != "`"
            quote = "" if letter == quote else quote
        elif letter in "\"'`":
            quote = letter
    return bool(quote)


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    return deepest


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
    if str(node.op) in _FLAT:
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
    operator = _operator(node)
    if operator == "or":
        return left if left is not None and left == right else None
    if operator in {"and", "unless"} or shape(node.rhs) is Shape.SCALAR:
        return left
    if shape(node.lhs) is Shape.SCALAR:
        return right
    card = node.modifier.card if node.modifier else VectorMatchCardinality.OneToOne
    if card == VectorMatchCardinality.ManyToOne:
        return left
    if card == VectorMatchCardinality.OneToMany:
        return right
    return left if left is not None else right


def pinned(node: Expr) -> frozenset[str]:
    """Return the labels that every selector inside of a query holds to one value."""
    found = [
        frozenset(one.name for one in selector.matchers.matchers if one.op == MatchOp.Equal)
        for selector in selectors(node)
    ]
    return frozenset.intersection(*found) if found else frozenset()


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
            if _operator(node) == "or":
                return left and right
            return left or right or _filters(node) or _operator(node) in {"and", "unless"}
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
    operator = _operator(node)
    if _filters(node) and operator != "!=":
        return False
    if operator in {"and", "unless"}:
        return may_be_nan(node.lhs)
    zero = operator in {"/", "%"} and not _never_zero(node.rhs)
    return zero or may_be_nan(node.lhs) or may_be_nan(node.rhs)


def _never_zero(node: Expr) -> bool:
    match node:
        case ParenExpr():
            return _never_zero(node.expr)
        case NumberLiteral():
            return bool(node.val)
        case BinaryExpr():
            return _filters(node) and _operator(node) in {">", "!="}
        case Call():
            return node.func.name == "clamp_min" and _never_zero(node.args[1])
        case _:
            return False


def is_ratio(node: Expr) -> bool:
    """Say whether a query answers with a share: a division of one sum by another."""
    match node:
        case ParenExpr():
            return is_ratio(node.expr)
        case BinaryExpr():
            if _operator(node) == "or":
                return is_ratio(node.lhs)
            vectors = {shape(node.lhs), shape(node.rhs)} == {Shape.VECTOR}
            return _operator(node) == "/" and vectors
        case _:
            return False


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
    if not isinstance(node, AggregateExpr) or str(node.op) in _FLAT:
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


def _operator(node: BinaryExpr) -> str:
    """Return a binary operator without its `bool`."""
    return str(node.op).split()[0]


def _filters(node: BinaryExpr) -> bool:
    """Say whether a comparison drops series instead of answering 0 or 1."""
    return (
        _operator(node) in _COMPARISONS
        and not (node.modifier and node.modifier.return_bool)
        and Shape.VECTOR in {shape(node.lhs), shape(node.rhs)}
    )
