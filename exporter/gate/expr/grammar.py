"""The tables of the grammar: how tightly operators bind, and which functions there are."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.expr.engine import Engine

UNARY: Final[Mapping[str, int]] = {"not": 50, "!": 50, "-": 90, "+": 90}
BINARY: Final[Mapping[str, int]] = {
    "|": 0,
    "or": 10, "||": 10,
    "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25,
    "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60,
    "**": 100, "^": 100,
    "??": 500,
}  # fmt: skip
"""How tightly each operator binds."""
RIGHT: Final = {"**", "^"}
COMPARISONS: Final = {"<", ">", ">=", "<="}
NEGATED: Final = {"contains", "matches", "startsWith", "endsWith", "in"}
MOST_NODES: Final = 10_000


class Argument(Enum):
    """What stands in a place of a call of a function that goes through a list."""

    PLAIN = auto()
    CLOSURE = auto()
    MAYBE_PLAIN = auto()
    MAYBE_CLOSURE = auto()

    @property
    def optional(self) -> bool:
        """Say whether it may be left out."""
        return self in {Argument.MAYBE_PLAIN, Argument.MAYBE_CLOSURE}

    @property
    def closure(self) -> bool:
        """Say whether it is evaluated for each element."""
        return self in {Argument.CLOSURE, Argument.MAYBE_CLOSURE}


_EACH: Final = (Argument.PLAIN, Argument.CLOSURE)
_BOTH: Final = {
    **dict.fromkeys(
        ("all", "none", "any", "one", "filter", "map", "count", "find", "findIndex", "findLast", "findLastIndex"),
        _EACH,
    ),
    "groupBy": _EACH,
    "reduce": (*_EACH, Argument.MAYBE_PLAIN),
}
_MODERN: Final = {
    **_BOTH,
    "count": (Argument.PLAIN, Argument.MAYBE_CLOSURE),
    "sum": (Argument.PLAIN, Argument.MAYBE_CLOSURE),
    "sortBy": (*_EACH, Argument.MAYBE_PLAIN),
}
_PLAIN: Final = frozenset(
    [
        "len",
        "type",
        "abs",
        "ceil",
        "floor",
        "round",
        "int",
        "float",
        "string",
        "trim",
        "trimPrefix",
        "trimSuffix",
        "upper",
        "lower",
        "split",
        "splitAfter",
        "replace",
        "repeat",
        "join",
        "indexOf",
        "lastIndexOf",
        "hasPrefix",
        "hasSuffix",
        "max",
        "min",
        "mean",
        "median",
        "toJSON",
        "fromJSON",
        "toBase64",
        "fromBase64",
        "now",
        "duration",
        "date",
        "first",
        "last",
        "get",
        "take",
        "keys",
        "values",
        "toPairs",
        "fromPairs",
        "sort",
    ]
)
_OLD_PLAIN: Final = _PLAIN | {"sum", "sortBy"}
_MODERN_PLAIN: Final = _PLAIN | frozenset(
    [
        "timezone",
        "reverse",
        "uniq",
        "concat",
        "flatten",
        "bitand",
        "bitor",
        "bitxor",
        "bitnand",
        "bitshl",
        "bitshr",
        "bitushr",
        "bitnot",
    ]
)


def loops(engine: Engine) -> Mapping[str, tuple[Argument, ...]]:
    """Return the functions that go through a list, with their arguments."""
    return _MODERN if engine.v117 else _BOTH


def functions(engine: Engine) -> frozenset[str]:
    """Return the names of the engine's other functions."""
    return _MODERN_PLAIN if engine.v117 else _OLD_PLAIN
