"""Checks calls: of the controller's functions, of the engine's, and of those that go through a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.gate.condition.faults import ConditionError, UnsupportedError
from exporter.gate.condition.grammar import functions, loops
from exporter.gate.condition.library import RULES, Overload, RefusedError, overloads
from exporter.gate.condition.loops import check_loop
from exporter.gate.condition.syntax import Binary, Builtin, Call, Identifier, Integer, Member, Node, String, Unary
from exporter.gate.condition.types import ANY, Sort, Type, assignable, bare, integers, unknown

if TYPE_CHECKING:
    from exporter.gate.condition.check import Checker
    from exporter.gate.condition.engine import Engine

NOT_JUDGED: Final = {"date", "timezone", "toJSON", "fromJSON", "fromBase64"}
"""Functions that are the engine's, but not judged here; nor is the older engine's sortBy, which sorts by fields."""
_PAIR: Final = 2


class MisfitError(ConditionError):
    """Arguments that do not fit one way to call a function."""


def own(name: str, engine: Engine) -> bool:
    """Say whether a name is one of the engine's functions."""
    return name in functions(engine) or name in loops(engine)


def call(checker: Checker, node: Call) -> Type:
    """Check a call of one of the controller's functions, or of what is none."""
    if isinstance(node.callee, Identifier) and node.callee.name not in checker.lets:
        way = checker.functions.get(node.callee.name)
        if way is not None:
            return _overloaded(checker, node.callee.name, node, node.arguments, (way,))
    callee = checker.visit(node.callee)
    if callee.any:
        return unknown(checker.engine)
    if callee.nil:
        raise checker.refused(node, f"{_called(node.callee)} is nil; cannot call nil as function")
    raise checker.refused(node, f"{callee.name} is not callable")


def _called(callee: Node) -> str:
    if isinstance(callee, Identifier):
        return callee.name
    if isinstance(callee, Member) and isinstance(callee.key, String):
        return callee.key.value
    return "function"


def builtin(checker: Checker, node: Builtin) -> Type:
    """Check a call of one of the engine's functions."""
    if node.name in NOT_JUDGED or (node.name == "sortBy" and not checker.engine.modern):
        raise UnsupportedError(f"the function {node.name} is not judged here", node.start)
    if node.name in loops(checker.engine):
        return check_loop(checker, node)
    if node.name == "get":
        return _get(checker, node)
    if ways := overloads(node.name, checker.engine):
        if node.name == "now" and node.arguments and checker.engine.modern:
            told = f"invalid number of arguments (expected 0, got {len(node.arguments)})"
            raise checker.refused(node, told)
        return _overloaded(checker, node.name, node, node.arguments, ways)
    try:
        given = [checker.visit(argument) for argument in node.arguments]
        return bare(RULES[node.name]([ANY if one.any else one for one in given], checker.engine), checker.engine)
    except RefusedError as refusal:
        raise checker.refused(node, str(refusal)) from None


def _overloaded(
    checker: Checker, name: str, node: Node, arguments: tuple[Node, ...], ways: tuple[Overload, ...]
) -> Type:
    """Return what the first way gives that fits; the last one's misfit is what the engine tells."""
    last: MisfitError | None = None
    for way in ways:
        try:
            return _fit(checker, name, way, node, arguments)
        except MisfitError as misfit:
            last = misfit
    assert last is not None
    raise ConditionError(last.message, last.at)


def _fit(checker: Checker, name: str, way: Overload, node: Node, arguments: tuple[Node, ...]) -> Type:
    if len(arguments) != len(way.takes):
        if checker.engine.modern:
            for argument in arguments:
                checker.visit(argument)
        much = "too many" if len(arguments) > len(way.takes) else "not enough"
        raise MisfitError(f"{much} arguments to call {name}", node.start)
    for argument, wanted in zip(arguments, way.takes, strict=True):
        _fit_one(checker, name, argument, wanted)
    return way.gives


def _fit_one(checker: Checker, name: str, argument: Node, wanted: Type) -> None:
    given = checker.visit(argument)
    whole = integers(checker.engine)
    if given.sort in whole and wanted.sort is Sort.FLOAT:
        _as_floats(checker, argument)
        return
    if given.any or (given.sort in whole and wanted.sort in whole):
        return
    if given.nil:
        if not checker.engine.modern or wanted.any:
            return
        raise MisfitError(f"cannot use nil as argument (type {wanted.name}) to call {name}", argument.start)
    if not assignable(given, wanted, checker.engine):
        told = f"cannot use {given.name} as argument (type {wanted.name}) to call {name} "
        raise MisfitError(told, argument.start)


def _as_floats(checker: Checker, node: Node) -> None:
    """Have whole numbers stand for floats, as deep as the engine looks."""
    if isinstance(node, Integer):
        checker.floats.add(id(node))
    elif isinstance(node, Unary):
        _as_floats(checker, node.operand)
    elif isinstance(node, Binary) and node.operator in {"+", "-", "*"}:
        _as_floats(checker, node.left)
        _as_floats(checker, node.right)


def _get(checker: Checker, node: Builtin) -> Type:
    if len(node.arguments) != _PAIR:
        raise checker.refused(node, f"invalid number of arguments (expected 2, got {len(node.arguments)})")
    base = checker.visit(node.arguments[0])
    indexable = base.listed or base.sort is Sort.MAP
    if checker.engine.modern or indexable:
        key = checker.visit(node.arguments[1])
    if base.any:
        return unknown(checker.engine)
    if base.listed:
        if key.nil and not checker.engine.modern:
            raise checker.refused(node.arguments[1], "cannot use nil as slice index")
        if not key.any and key.sort not in integers(checker.engine):
            raise checker.refused(node.arguments[1], f"non-integer slice index {key.name}")
        return base.element or ANY
    if base.sort is Sort.MAP:
        return _get_of_map(checker, node, base, key)
    raise checker.refused(node.arguments[0], f"type {base.name} does not support indexing")


def _get_of_map(checker: Checker, node: Builtin, base: Type, key: Type) -> Type:
    assert base.key is not None
    if key.nil and not checker.engine.modern:
        raise checker.refused(node.arguments[1], "cannot use nil as map index")
    if not key.any and not assignable(key, base.key, checker.engine):
        raise checker.refused(node.arguments[1], f"cannot use {key.name} to get an element from {base.name}")
    return base.element or ANY
