"""Checks a tree against the type of `result`, as the engine does before it runs: what fails here never runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.expr.builtins import RULES, Overload, RefusedError, overloads
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.gate.expr.grammar import functions, loops
from exporter.gate.expr.operators import outcome, signatures
from exporter.gate.expr.syntax import (
    Array,
    Binary,
    Bool,
    Builtin,
    Call,
    OptionalChain,
    Predicate,
    Conditional,
    Slice,
    Float,
    Identifier,
    Integer,
    Let,
    Map,
    Member,
    Nil,
    Node,
    Pointer,
    Sequence,
    String,
    Unary,
)
from exporter.gate.expr.types import (
    ANY,
    BOOL,
    FLOAT,
    GROUPS,
    INT,
    LIST,
    STRING,
    TABLE,
    Sort,
    Type,
    assignable,
    bare,
    comparable,
    go_kind,
    integers,
    list_of,
    nil,
    numbers,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.gate.expr.builtins import Overload
    from exporter.gate.expr.engine import Engine


# Checks the functions that go through a list: all, any, filter, map, reduce and their like.


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
    if body.nil and not checker.engine.v117:
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


# Checks calls: of the controller's functions, of the engine's, and of those that go through a list.


# rooms


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
    if node.name in NOT_JUDGED or (node.name == "sortBy" and not checker.engine.v117):
        raise UnsupportedError(f"the function {node.name} is not judged here", node.start)
    if node.name in loops(checker.engine):
        return check_loop(checker, node)
    if node.name == "get":
        return _get(checker, node)
    if ways := overloads(node.name, checker.engine):
        if node.name == "now" and node.arguments and checker.engine.v117:
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
    raise ConditionError(last.message, last.position)


def _fit(checker: Checker, name: str, way: Overload, node: Node, arguments: tuple[Node, ...]) -> Type:
    if len(arguments) != len(way.takes):
        if checker.engine.v117:
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
        if not checker.engine.v117 or wanted.any:
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
    if checker.engine.v117 or indexable:
        key = checker.visit(node.arguments[1])
    if base.any:
        return unknown(checker.engine)
    if base.listed:
        if key.nil and not checker.engine.v117:
            raise checker.refused(node.arguments[1], "cannot use nil as slice index")
        if not key.any and key.sort not in integers(checker.engine):
            raise checker.refused(node.arguments[1], f"non-integer slice index {key.name}")
        return base.element or ANY
    if base.sort is Sort.MAP:
        return _get_of_map(checker, node, base, key)
    raise checker.refused(node.arguments[0], f"type {base.name} does not support indexing")


def _get_of_map(checker: Checker, node: Builtin, base: Type, key: Type) -> Type:
    assert base.key is not None
    if key.nil and not checker.engine.v117:
        raise checker.refused(node.arguments[1], "cannot use nil as map index")
    if not key.any and not assignable(key, base.key, checker.engine):
        raise checker.refused(node.arguments[1], f"cannot use {key.name} to get an element from {base.name}")
    return base.element or ANY


# rooms


_ENDLESS: Final = {Sort.STRING, Sort.SLICE}


@dataclass(frozen=True, slots=True)
class Checked:
    """A tree whose types are known, by the identity of its nodes; `floats` are integers that stand for floats."""

    type: Type
    types: dict[int, Type]
    floats: set[int]


@dataclass(slots=True)
class Checker:
    """Checks one tree, once. `variables` are the names it knows, `functions` those it can call."""

    engine: Engine
    variables: dict[str, Type]
    functions: Mapping[str, Overload]
    types: dict[int, Type] = field(default_factory=dict)
    floats: set[int] = field(default_factory=set)
    scopes: list[Scope] = field(default_factory=list)
    lets: dict[str, Type] = field(default_factory=dict)

    def check(self, root: Node) -> Checked:
        """Return the types. Raises ConditionError."""
        return Checked(self.visit(root), self.types, self.floats)

    def visit(self, node: Node) -> Type:
        """Return the type of a node, and keep it."""
        found = VISITORS[type(node)](self, node)
        self.types[id(node)] = found
        return found

    def refused(self, node: Node, message: str) -> ConditionError:
        """Return the refusal of a node."""
        return ConditionError(message, node.start)

    # The smallest parts

    def identifier(self, node: Identifier) -> Type:
        """Look a name up."""
        if node.name in self.lets:
            return self.lets[node.name]
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name == "$env" or node.name in self.functions or own(node.name, self.engine):
            raise UnsupportedError(f"{node.name} as a value is not judged here", node.start)
        raise self.refused(node, f"unknown name {node.name}")

    def pointer(self, node: Pointer) -> Type:
        """Return the type of the element at hand, or of #index and #acc."""
        if not self.scopes:
            raise self.refused(
                node, f"cannot use pointer accessor outside {'predicate' if self.engine.v117 else 'closure'}"
            )
        scope = self.scopes[-1]
        if not node.name:
            return scope.collection.element or unknown(self.engine)
        if node.name not in scope.names:
            raise self.refused(node, f"unknown pointer #{node.name}")
        return scope.names[node.name]

    # Operators

    def unary(self, node: Unary) -> Type:
        """Check a sign or a negation."""
        operand = self.visit(node.operand)
        if node.operator in {"!", "not"} and (operand.any or operand.sort is Sort.BOOL):
            return BOOL
        if node.operator in {"+", "-"} and (operand.any or operand.sort in numbers(self.engine)):
            return unknown(self.engine) if operand.any else operand
        raise self.refused(node, f"invalid operation: {node.operator} (mismatched type {operand.name})")

    def binary(self, node: Binary) -> Type:
        """Check an operator between two sides."""
        left, right = self.visit(node.left), self.visit(node.right)
        match node.operator:
            case "==" | "!=":
                found = BOOL if comparable(left, right, self.engine) else None
            case "in":
                found = self._in(node, left, right)
            case "??":
                found = self._coalesced(left, right)
            case _:
                if node.operator == "matches" and isinstance(node.right, String):
                    compile_regex(node.right.value, node.right.start)
                found = outcome(signatures(self.engine)[node.operator], left, right, self.engine)
        if found is None:
            raise self.refused(
                node, f"invalid operation: {node.operator} (mismatched types {left.name} and {right.name})"
            )
        return found

    def _in(self, node: Binary, left: Type, right: Type) -> Type | None:
        if right.sort is Sort.MAP:
            key = right.key
            assert key is not None
            loose = left.any or (left.nil and not self.engine.v117)
            if not loose and not assignable(left, key, self.engine):
                raise self.refused(node, f"cannot use {left.name} as type {key.name} in map key")
            return BOOL
        if right.listed:
            for element in (right.element, right.hint):
                if element is not None and not comparable(left, element, self.engine):
                    raise self.refused(node, f"cannot use {left.name} as type {element.name} in array")
            return BOOL
        return BOOL if right.any or (left.any and right.sort in {Sort.STRING, Sort.TIME}) else None

    def _coalesced(self, left: Type, right: Type) -> Type:
        if left.nil or right.nil:
            return left if right.nil else right
        return left if assignable(right, left, self.engine) else unknown(self.engine)

    def conditional(self, node: Conditional) -> Type:
        """Check `test ? then : otherwise`."""
        test = self.visit(node.test)
        if not test.any and test.sort is not Sort.BOOL:
            raise self.refused(node.test, f"non-bool expression (type {test.name}) used as condition")
        then, otherwise = self.visit(node.then), self.visit(node.otherwise)
        if then.nil or otherwise.nil:
            return _bare(then if otherwise.nil else otherwise)
        if not assignable(then, otherwise, self.engine):
            return unknown(self.engine)
        if self.engine.v117 and then.listed and otherwise.listed and then.element != otherwise.element:
            return LIST
        return _bare(then)

    # Members, parts of lists, calls

    def member(self, node: Member) -> Type:
        """Check `base[key]` and `base.name`."""
        base, key = self.visit(node.base), self.visit(node.key)
        if base.any:
            return unknown(self.engine)
        if base.sort in {Sort.TIME, Sort.DURATION} and isinstance(node.key, String):
            raise UnsupportedError(f"the fields and methods of {base.name} are not judged here", node.start)
        if base.nil and isinstance(node.key, String):
            raise self.refused(node, f"type {'nil' if self.engine.v117 else base.name} has no field {node.key.value}")
        if base.sort is Sort.MAP:
            return self._of_map(node, base, key)
        if base.listed:
            if not key.any and key.sort not in integers(self.engine):
                raise self.refused(node.key, f"array elements can only be selected using an integer (got {key.name})")
            return base.element or unknown(self.engine)
        if self.engine.v117 and isinstance(node.key, String):
            raise self.refused(node, f"type {base.name} has no {'method' if node.method else 'field'} {node.key.value}")
        raise self.refused(node, f"type {base.name}[{key.name}] is undefined")

    def _of_map(self, node: Member, base: Type, key: Type) -> Type:
        assert base.key is not None
        loose = key.any or (key.nil and not self.engine.v117)
        if not loose and not assignable(key, base.key, self.engine):
            raise self.refused(node.key, f"cannot use {key.name} to get an element from {base.name}")
        return base.element or unknown(self.engine)

    def cut(self, node: Slice) -> Type:
        """Check `base[low:high]`."""
        base = self.visit(node.base)
        if base.any and self.engine.v117:
            return unknown(self.engine)
        if not base.any and base.sort not in _ENDLESS:
            raise self.refused(node, f"cannot slice {base.name}")
        for bound in (node.low, node.high):
            if bound is not None:
                found = self.visit(bound)
                if not found.any and found.sort not in integers(self.engine):
                    raise self.refused(bound, f"non-integer slice index {found.name}")
        return _bare(base)

    # What binds names, and what is made of several

    def let(self, node: Let) -> Type:
        """Check `let name = value; body`."""
        if node.name in self.variables or node.name in self.functions:
            raise self.refused(node, f"cannot redeclare {node.name}")
        if own(node.name, self.engine):
            raise self.refused(node, f"cannot redeclare builtin {node.name}")
        if node.name in self.lets:
            raise self.refused(node, f"cannot redeclare variable {node.name}")
        self.lets[node.name] = self.visit(node.value)
        body = self.visit(node.body)
        del self.lets[node.name]
        return body

    def sequence(self, node: Sequence) -> Type:
        """Check `a; b`."""
        return [self.visit(one) for one in node.nodes][-1]

    def array(self, node: Array) -> Type:
        """Check a list, and remember of what it is when all is of one kind."""
        items = [self.visit(item) for item in node.items]
        alike = len({go_kind(item.sort) for item in items}) <= 1
        if self.engine.v117:
            return list_of(items[-1] if items else unknown(self.engine), self.engine) if alike else LIST
        return replace(LIST, hint=items[-1]) if items and alike and not items[-1].nil else LIST

    def map(self, node: Map) -> Type:
        """Check a map; its keys are found to be no text only when it is made."""
        for key, value in zip(node.keys, node.values, strict=True):
            self.visit(key)
            self.visit(value)
        return TABLE


def _bare(found: Type) -> Type:
    """Forget what the older engine remembers of a list only right where it was made."""
    return replace(found, hint=None)


VISITORS: Final[Mapping[type[Node], Callable[[Checker, Any], Type]]] = {
    Nil: lambda checker, _: nil(checker.engine),
    Bool: lambda _, __: BOOL,
    Integer: lambda _, __: INT,
    Float: lambda _, __: FLOAT,
    String: lambda _, __: STRING,
    Identifier: Checker.identifier,
    Pointer: Checker.pointer,
    Unary: Checker.unary,
    Binary: Checker.binary,
    OptionalChain: lambda checker, node: checker.visit(node.link),
    Member: Checker.member,
    Slice: Checker.cut,
    Call: call,
    Builtin: builtin,
    Predicate: lambda checker, node: checker.visit(node.body),
    Let: Checker.let,
    Sequence: Checker.sequence,
    Conditional: Checker.conditional,
    Array: Checker.array,
    Map: Checker.map,
}
"""How each kind of node is checked."""
