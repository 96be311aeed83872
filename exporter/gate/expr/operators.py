"""Which types an operator takes, and what it gives: the engine's rules, a row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.types import (
    BOOL,
    DURATION,
    FLOAT,
    INT,
    INTS,
    STRING,
    TIME,
    Sort,
    Type,
    go_kind,
    integers,
    list_of,
    numbers,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.expr.engine import Engine

Sorts = frozenset[Sort]


@dataclass(frozen=True, slots=True)
class Rule:
    """`left operator right` gives a type; None: the wider of the two numbers."""

    left: Sorts
    right: Sorts
    gives: Type | None


@dataclass(frozen=True, slots=True)
class Signature:
    """An operator's rules; beside a value of which nothing is known, one of `beside` will do and gives `unsure`."""

    rules: tuple[Rule, ...]
    beside: Sorts
    unsure: Type


_BOOLS: Final = frozenset({Sort.BOOL})
_STRINGS: Final = frozenset({Sort.STRING})
_TIMES: Final = frozenset({Sort.TIME})
_SPANS: Final = frozenset({Sort.DURATION})


def _alike(sorts: Sorts, gives: Type | None) -> Rule:
    return Rule(sorts, sorts, gives)


def signatures(engine: Engine) -> Mapping[str, Signature]:
    """Return every operator that has rules of this kind; ==, != , in and ?? have their own."""
    whole, number = integers(engine), numbers(engine)
    logic = Signature((_alike(_BOOLS, BOOL),), _BOOLS, BOOL)
    text = Signature((_alike(_STRINGS, BOOL),), _STRINGS, BOOL)
    power = Signature((_alike(number, FLOAT),), number, FLOAT)
    order = _order(engine, number)
    return {
        **dict.fromkeys(("or", "||", "and", "&&"), logic),
        **dict.fromkeys(("matches", "contains", "startsWith", "endsWith"), text),
        **dict.fromkeys(("<", ">", ">=", "<="), order),
        **dict.fromkeys(("/", "**", "^"), power),
        "+": _plus(engine, number),
        "-": _minus(engine, number),
        "*": _times(engine, number),
        "%": _modulo(engine, whole),
        "..": Signature((_alike(whole, range_type(engine)),), whole, range_type(engine)),
    }


def range_type(engine: Engine) -> Type:
    """Return the type of `1..3`."""
    return list_of(INT, engine) if engine.v117 else INTS


def _spans(engine: Engine) -> Sorts:
    """Return durations where the engine's rule names them."""
    return _SPANS if engine.v117 else frozenset()


def _order(engine: Engine, number: Sorts) -> Signature:
    sorts = (number, _STRINGS, _TIMES, _spans(engine))
    return Signature(tuple(_alike(one, BOOL) for one in sorts), frozenset().union(*sorts), BOOL)


def _plus(engine: Engine, number: Sorts) -> Signature:
    return Signature(
        (
            _alike(number, None),
            _alike(_STRINGS, STRING),
            Rule(_TIMES, _SPANS, TIME),
            Rule(_SPANS, _TIMES, TIME),
            _alike(_spans(engine), DURATION),
        ),
        number | _STRINGS | _TIMES | _SPANS,
        unknown(engine),
    )


def _minus(engine: Engine, number: Sorts) -> Signature:
    return Signature(
        (
            _alike(number, None),
            _alike(_TIMES, DURATION),
            Rule(_TIMES, _SPANS, TIME),
            _alike(_spans(engine), DURATION),
        ),
        number | _TIMES | _spans(engine),
        unknown(engine),
    )


def _times(engine: Engine, number: Sorts) -> Signature:
    spans = _spans(engine)
    return Signature(
        (_alike(number, None), Rule(number, spans, DURATION), Rule(spans, number | spans, DURATION)),
        number | spans,
        unknown(engine),
    )


def _modulo(engine: Engine, whole: Sorts) -> Signature:
    gives = INT if engine.v117 else None
    return Signature((_alike(whole, gives),), whole, INT if engine.v117 else unknown(engine))


def outcome(signature: Signature, left: Type, right: Type, engine: Engine) -> Type | None:
    """Return what an operator gives of two types, None where it does not take them."""
    for rule in signature.rules:
        if left.sort in rule.left and right.sort in rule.right:
            return rule.gives or wider(left, right, engine)
    if (left.any and (right.any or right.sort in signature.beside)) or (right.any and left.sort in signature.beside):
        return signature.unsure
    return None


def wider(left: Type, right: Type, engine: Engine) -> Type:
    """Return the type of a sum of two numbers."""
    if not engine.v117 and go_kind(left.sort) is go_kind(right.sort):
        return left
    return FLOAT if Sort.FLOAT in {left.sort, right.sort} else INT
