"""Checks the functions that go through a list: all, any, filter, map, reduce and their like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.faults import UnsupportedError
from exporter.gate.condition.types import ANY, BOOL, GROUPS, INT, LIST, Sort, Type, bare, list_of, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.gate.condition.check import Checker
    from exporter.gate.condition.engine import Engine
    from exporter.gate.condition.syntax import Builtin

_SEEDED: Final = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """What `#` means in a closure: the list, and the names such as #index."""

    collection: Type
    names: Mapping[str, Type]


@dataclass(frozen=True, slots=True)
class Loop:
    """One function: what it gives of a list's and the closure's type, and whether the closure must tell true or false.

    `names` are the pointers beside `#` that its closure knows.
    """

    gives: Callable[[Type, Type, Engine], Type]
    predicate: bool = True
    names: tuple[str, ...] = ()


def _filtered(collection: Type, _body: Type, engine: Engine) -> Type:
    return LIST if collection.any else list_of(collection.element or ANY, engine)


def _element(collection: Type, _body: Type, engine: Engine) -> Type:
    return unknown(engine) if collection.any else collection.element or ANY


LOOPS: Final[Mapping[str, Loop]] = {
    **dict.fromkeys(("all", "none", "any", "one"), Loop(lambda *_: BOOL)),
    "filter": Loop(_filtered),
    "map": Loop(lambda _, body, engine: list_of(body, engine), predicate=False, names=("index",)),
    "count": Loop(lambda *_: INT),
    "sum": Loop(lambda _, body, engine: bare(body, engine), predicate=False),
    **dict.fromkeys(("find", "findLast"), Loop(_element)),
    **dict.fromkeys(("findIndex", "findLastIndex"), Loop(lambda *_: INT)),
    "groupBy": Loop(lambda *_: GROUPS, predicate=False),
    "sortBy": Loop(lambda collection, *_: collection, predicate=False),
    "reduce": Loop(lambda _, body, __: body, predicate=False, names=("index", "acc")),
}


def check_loop(checker: Checker, node: Builtin) -> Type:
    """Return what the function gives. Raises ConditionError."""
    loop = LOOPS[node.name]
    collection = checker.visit(node.arguments[0])
    if not collection.listed and not collection.any:
        raise checker.refused(node.arguments[0], f"builtin {node.name} takes only array (got {collection.name})")
    if len(node.arguments) == 1:
        return INT if node.name == "count" else _element(collection, ANY, checker.engine)
    body = _body(checker, node, collection, loop)
    if loop.predicate and not body.any and body.sort is not Sort.BOOL:
        raise checker.refused(node.arguments[1], f"predicate should return boolean (got {body.name})")
    return loop.gives(collection, body, checker.engine)


def _body(checker: Checker, node: Builtin, collection: Type, loop: Loop) -> Type:
    """Check the closure, and what follows it, and return the closure's type."""
    known = {"index": INT, "acc": unknown(checker.engine)}
    checker.scopes.append(Scope(collection, {name: known[name] for name in loop.names}))
    body = checker.visit(node.arguments[1])
    if body.nil and not checker.engine.modern:
        raise checker.refused(node.arguments[1], "closure cannot be nil")
    checker.scopes.pop()
    if len(node.arguments) == _SEEDED:
        checker.visit(node.arguments[2])
    if body.nil and node.name == "sum":
        raise UnsupportedError("a sum of nils is not judged here", node.start)
    if body.nil:
        inputs = "two" if node.name == "reduce" else "one"
        raise checker.refused(node.arguments[1], f"predicate should has {inputs} input and one output param")
    return body
