"""Which arguments the engine's functions take, and what they give, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.types import (
    ANY,
    BOOL,
    DURATION,
    FLOAT,
    FLOATS,
    INT,
    INT64,
    INTS,
    LIST,
    PAIRS,
    STRING,
    STRINGS,
    TIME,
    Sort,
    Type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.gate.expr.engine import Engine

_NUMBERS: Final = {Sort.INT, Sort.INT64, Sort.FLOAT, Sort.DURATION, Sort.ANY}
_COUNTS: Final = {Sort.INT, Sort.INT64, Sort.DURATION, Sort.ANY}
_SIZED: Final = {Sort.SLICE, Sort.MAP, Sort.STRING, Sort.ANY}
_LISTS: Final = {Sort.SLICE, Sort.ANY}
_MAPS: Final = {Sort.MAP, Sort.ANY}
_TEXTS: Final = {Sort.STRING, Sort.ANY}


class RefusedError(Exception):
    """Arguments that a function does not take; the message is the engine's."""


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function: the types it takes and the one it gives."""

    takes: tuple[Type, ...]
    gives: Type


def _ways(gives: Type, *takes: tuple[Type, ...]) -> tuple[Overload, ...]:
    return tuple(Overload(one, gives) for one in takes)


_S: Final = STRING
OVERLOADS: Final[Mapping[str, tuple[Overload, ...]]] = {
    "type": _ways(STRING, (ANY,)),
    "string": _ways(STRING, (ANY,)),
    "trim": _ways(STRING, (_S,), (_S, _S)),
    "trimPrefix": _ways(STRING, (_S, _S), (_S,)),
    "trimSuffix": _ways(STRING, (_S, _S), (_S,)),
    "upper": _ways(STRING, (_S,)),
    "lower": _ways(STRING, (_S,)),
    "split": _ways(STRINGS, (_S, _S), (_S, _S, INT)),
    "splitAfter": _ways(STRINGS, (_S, _S), (_S, _S, INT)),
    "replace": _ways(STRING, (_S, _S, _S, INT), (_S, _S, _S)),
    "repeat": _ways(STRING, (_S, INT)),
    "join": _ways(STRING, (STRINGS, _S), (LIST, _S), (LIST,), (STRINGS, _S), (STRINGS,)),
    "indexOf": _ways(INT, (_S, _S)),
    "lastIndexOf": _ways(INT, (_S, _S)),
    "hasPrefix": _ways(BOOL, (_S, _S)),
    "hasSuffix": _ways(BOOL, (_S, _S)),
    "toJSON": _ways(STRING, (ANY,)),
    "fromJSON": _ways(ANY, (_S,)),
    "toBase64": _ways(STRING, (_S,)),
    "fromBase64": _ways(STRING, (_S,)),
    "now": _ways(TIME, ()),
    "duration": _ways(DURATION, (_S,)),
    "bitnot": _ways(INT, (INT,)),
    **dict.fromkeys(("bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr"), _ways(INT, (INT, INT))),
}
SORTS: Final = _ways(LIST, (LIST, _S), (INTS, _S), (FLOATS, _S), (STRINGS, _S), (LIST,), (FLOATS,), (STRINGS,), (INTS,))
"""The ways to call the newer engine's `sort`."""
CONTROLLER: Final[Mapping[str, Overload]] = {
    "asInt": Overload((ANY,), INT64),
    "asFloat": Overload((ANY,), FLOAT),
    "isNaN": Overload((FLOAT,), BOOL),
    "isInf": Overload((FLOAT,), BOOL),
    "isNil": Overload((ANY,), BOOL),
    "default": Overload((ANY, ANY), ANY),
}
"""What the controller gives to every condition beside `result`, and to the times of a range query isNaN and isInf."""


def overloads(name: str, engine: Engine) -> tuple[Overload, ...]:
    """Return the ways to call one of the engine's functions; none for those with rules of their own."""
    return SORTS if name == "sort" and engine.v117 else OVERLOADS.get(name, ())


def _one(arguments: Sequence[Type]) -> Type:
    if len(arguments) != 1:
        raise RefusedError(f"invalid number of arguments (expected 1, got {len(arguments)})")
    return arguments[0]


def _takes_one(sorts: set[Sort], gives: Type | None, refusal: str) -> Callable[[Sequence[Type], Engine], Type]:
    """Make the rule of a function of one argument; `gives` None: what it was given."""

    def rule(arguments: Sequence[Type], _engine: Engine) -> Type:
        argument = _one(arguments)
        if argument.sort not in sorts:
            raise RefusedError(refusal.format(_named(argument)))
        return gives or argument

    return rule


def _named(argument: Type) -> str:
    return "%!s(<nil>)" if argument.nil else argument.name


def _end(which: str) -> Callable[[Sequence[Type], Engine], Type]:
    def rule(arguments: Sequence[Type], _engine: Engine) -> Type:
        argument = _one(arguments)
        if argument.sort not in _LISTS:
            raise RefusedError(f"cannot get {which} element from {_named(argument)}")
        return _go_element(argument)

    return rule


def _go_element(argument: Type) -> Type:
    """Return what Go knows of an element: nothing in a list of anything, whatever the engine remembers."""
    return argument.element if argument.element and argument.name != LIST.name else ANY


def _round(name: str) -> Callable[[Sequence[Type], Engine], Type]:
    def rule(arguments: Sequence[Type], engine: Engine) -> Type:
        said = "floor" if name == "round" and not engine.v117 else name  # as the older engine says it
        return _takes_one(_NUMBERS, FLOAT, f"invalid argument for {said} (type {{}})")(arguments, engine)

    return rule


def _extreme(name: str) -> Callable[[Sequence[Type], Engine], Type]:
    def rule(arguments: Sequence[Type], engine: Engine) -> Type:
        if not arguments:
            raise RefusedError(f"not enough arguments to call {name}")
        for argument in arguments:
            if argument.any or (engine.v117 and argument.listed):
                return ANY
            if argument.sort not in _NUMBERS:
                raise RefusedError(f"invalid argument for {name} (type {_named(argument)})")
        return arguments[0]

    return rule


def _mean(name: str, old: str) -> Callable[[Sequence[Type], Engine], Type]:
    def rule(arguments: Sequence[Type], engine: Engine) -> Type:
        if engine.v117:
            return _extreme(name)(arguments, engine)
        return _takes_one(_LISTS, FLOAT, f"cannot {old} {{}}")(arguments, engine)

    return rule


def _take(arguments: Sequence[Type], _engine: Engine) -> Type:
    if len(arguments) != 2:  # noqa: PLR2004 - a list and how many
        raise RefusedError(f"invalid number of arguments (expected 2, got {len(arguments)})")
    if arguments[0].sort not in _LISTS:
        raise RefusedError(f"cannot take from {_named(arguments[0])}")
    if arguments[1].sort not in _COUNTS:
        raise RefusedError(f"cannot take {_named(arguments[1])} elements")
    return arguments[0]


def _concat(arguments: Sequence[Type], _engine: Engine) -> Type:
    if not arguments:
        raise RefusedError("invalid number of arguments (expected at least 1, got 0)")
    for argument in arguments:
        if argument.sort not in _LISTS:
            raise RefusedError(f"cannot concat {_named(argument)}")
    return LIST


def _sort(arguments: Sequence[Type], _engine: Engine) -> Type:
    if len(arguments) not in {1, 2}:
        raise RefusedError(f"invalid number of arguments (expected 1 or 2, got {len(arguments)})")
    if arguments[0].sort not in _LISTS:
        raise RefusedError(f"cannot sort {_named(arguments[0])}")
    if arguments[1:] and arguments[1].sort not in _TEXTS:
        raise RefusedError(f"invalid argument for sort (expected string, got {_named(arguments[1])})")
    return LIST


RULES: Final[Mapping[str, Callable[[Sequence[Type], Engine], Type]]] = {
    "len": _takes_one(_SIZED, INT, "invalid argument for len (type {})"),
    "abs": _takes_one(_NUMBERS, None, "invalid argument for abs (type {})"),
    "ceil": _round("ceil"),
    "floor": _round("floor"),
    "round": _round("round"),
    "int": _takes_one(_NUMBERS | {Sort.STRING}, INT, "invalid argument for int (type {})"),
    "float": _takes_one(_NUMBERS | {Sort.STRING}, FLOAT, "invalid argument for float (type {})"),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "sum": _takes_one(_LISTS, ANY, "cannot sum {}"),
    "mean": _mean("mean", "avg"),
    "median": _mean("median", "median"),
    "first": _end("first"),
    "last": _end("last"),
    "take": _take,
    "keys": _takes_one(_MAPS, LIST, "cannot get keys from {}"),
    "values": _takes_one(_MAPS, LIST, "cannot get values from {}"),
    "toPairs": _takes_one(_MAPS, LIST, "cannot transform {} to pairs"),
    "fromPairs": _takes_one(_LISTS, PAIRS, "cannot transform {} from pairs"),
    "sort": _sort,
    "reverse": _takes_one(_LISTS, LIST, "cannot reverse {}"),
    "uniq": _takes_one(_LISTS, LIST, "cannot uniq {}"),
    "flatten": _takes_one(_LISTS, LIST, "cannot flatten {}"),
    "concat": _concat,
}
"""The functions with rules of their own."""
