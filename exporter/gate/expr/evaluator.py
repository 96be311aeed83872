"""Runs a checked tree on a result; what the engine would panic with is raised as RunError."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.expr import arithmetic, syntax
from exporter.gate.expr.access import fetch
from exporter.gate.expr.arithmetic import add
from exporter.gate.expr.builtins_collections import descending, lists, sorted_by
from exporter.gate.expr.builtins_strings import texts
from exporter.gate.expr.constant_folding import constant, filtered, keys
from exporter.gate.expr.controller_functions import CALLS
from exporter.gate.expr.errors import RunError, UnsupportedError
from exporter.gate.expr.membership import found, looked_up, within
from exporter.gate.expr.syntax import (
    Array,
    Binary,
    Builtin,
    Call,
    Slice,
    Identifier,
    Integer,
    Member,
    Node,
    Pointer,
    Unary,
)
from exporter.gate.expr.types import INT, STRING, Sort, Type
from exporter.gate.expr.values import (
    GROUPS,
    TEXT_TABLE,
    ListValue,
    MapValue,
    Time,
    Value,
    as_bool,
    as_int,
    as_text,
    conversion,
    listed,
    named,
    format_value,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from exporter.gate.expr.engine import Engine


# Runs the functions that go through a list, with the engine's scopes for `#`, #index and #acc.


_FOLDED: Final = 2


@dataclass(slots=True)
class Scope:
    """Where a closure is in its list."""

    items: tuple[Value, ...]
    index: int = 0
    accumulated: Value = None

    def element(self) -> Value:
        """Return the element at hand."""
        if self.index >= len(self.items):
            raise RunError("reflect: slice index out of range")
        return self.items[self.index]


class Loop:
    """One going through a list; use it with `with`."""

    def __init__(self, run: Evaluation, collection: Value) -> None:
        self._run = run
        self.scope = Scope(_items(collection))

    def __enter__(self) -> Self:
        self._run.scopes.append(self.scope)
        return self

    def __exit__(self, *_: object) -> None:
        self._run.scopes.pop()

    def bodies(self, body: Node, *, backwards: bool = False) -> Iterator[Value]:
        """Yield the closure's value for each element from the present index on."""
        places = range(self.scope.index, len(self.scope.items))
        for self.scope.index in reversed(places) if backwards else places:
            yield self._run.value(body)


def _items(collection: Value) -> tuple[Value, ...]:
    if isinstance(collection, ListValue):
        return collection.items
    if isinstance(collection, str | MapValue):
        raise UnsupportedError(f"going through a {named(collection)} is not judged here")
    found = "zero" if collection is None else named(collection)
    raise RunError(f"reflect: call of reflect.Value.Len on {found} Value")


def _every(run: Evaluation, node: Builtin, *, wanted: bool) -> Value:
    with Loop(run, run.value(node.arguments[0])) as loop:
        return all(as_bool(value) is wanted for value in loop.bodies(node.arguments[1]))


def _any(run: Evaluation, node: Builtin) -> Value:
    with Loop(run, run.value(node.arguments[0])) as loop:
        return any(as_bool(value) for value in loop.bodies(node.arguments[1]))


def _count(run: Evaluation, node: Builtin) -> int:
    with Loop(run, run.value(node.arguments[0])) as loop:
        if len(node.arguments) == 1:
            return sum(as_bool(item) for item in loop.scope.items)
        return sum(as_bool(value) for value in loop.bodies(node.arguments[1]))


def _filter(run: Evaluation, node: Builtin, then: Node | None = None) -> Value:
    """Keep elements; `then` is evaluated right where an element is kept, as the engine does for a map of a filter."""
    with Loop(run, run.value(node.arguments[0])) as loop:
        kept = [
            loop.scope.element() if then is None else run.value(then)
            for value in loop.bodies(node.arguments[1])
            if as_bool(value)
        ]
    run.grow(len(kept))
    return listed(kept)


def _map(run: Evaluation, node: Builtin) -> Value:
    source, body = node.arguments
    if isinstance(source, Builtin) and source.name == "filter":
        return _filter(run, source, body)
    with Loop(run, run.value(source)) as loop:
        mapped = list(loop.bodies(body))
    run.grow(len(mapped))
    return listed(mapped)


def _sum(run: Evaluation, node: Builtin) -> Value:
    source = node.arguments[0]
    if len(node.arguments) == 1 and isinstance(source, Array) and len(source.items) >= _FOLDED and not constant(source):
        return _summed([run.value(item) for item in source.items])
    total: Value = 0
    with Loop(run, run.value(source)) as loop:
        for value in loop.bodies(node.arguments[1]) if node.arguments[1:] else iter(loop.scope.items):
            total = add(value, total)
    return total


def _summed(items: list[Value]) -> Value:
    """Add up from the end, as the engine does for a list written out."""
    *first, total = items
    for item in reversed(first):
        total = add(item, total)
    return total


def _find(run: Evaluation, node: Builtin, *, backwards: bool, index: bool) -> Value:
    with Loop(run, run.value(node.arguments[0])) as loop:
        for value in loop.bodies(node.arguments[1], backwards=backwards):
            if as_bool(value):
                return loop.scope.index if index else loop.scope.element()
    return None


def _group(run: Evaluation, node: Builtin) -> Value:
    groups: dict[Value, list[Value]] = {}
    with Loop(run, run.value(node.arguments[0])) as loop:
        for key in loop.bodies(node.arguments[1]):
            if isinstance(key, ListValue | MapValue):
                raise RunError(unhashable(key, modern=run.modern))
            groups.setdefault(key, []).append(loop.scope.element())
    return MapValue(GROUPS, {key: listed(items) for key, items in groups.items()})


def _sort_by(run: Evaluation, node: Builtin) -> Value:
    with Loop(run, run.value(node.arguments[0])) as loop:
        way = run.value(node.arguments[2]) if node.arguments[2:] else "asc"
        down = descending(way, "unknown order, use asc or desc")
        values = list(loop.bodies(node.arguments[1]))
    run.grow(len(values))
    return listed(sorted_by(loop.scope.items, values, down=down))


def _reduce(run: Evaluation, node: Builtin) -> Value:
    with Loop(run, run.value(node.arguments[0])) as loop:
        scope = loop.scope
        if node.arguments[2:]:
            scope.accumulated = run.value(node.arguments[2])
        else:
            scope.accumulated = scope.element()
            scope.index = 1
        for value in loop.bodies(node.arguments[1]):
            scope.accumulated = value
    return scope.accumulated


def unhashable(key: Value, *, modern: bool) -> str:
    """Word Go's panic, which later releases of Go word otherwise."""
    return (
        f"hash of unhashable type: {named(key)}" if modern else f"runtime error: hash of unhashable type {named(key)}"
    )


LOOPS: Final[Mapping[str, Callable[[Evaluation, Builtin], Value]]] = {
    "all": lambda run, node: _every(run, node, wanted=True),
    "none": lambda run, node: _every(run, node, wanted=False),
    "any": _any,
    "one": lambda run, node: _count(run, node) == 1,
    "filter": _filter,
    "map": _map,
    "count": _count,
    "sum": _sum,
    "find": lambda run, node: _find(run, node, backwards=False, index=False),
    "findLast": lambda run, node: _find(run, node, backwards=True, index=False),
    "findIndex": lambda run, node: _find(run, node, backwards=False, index=True),
    "findLastIndex": lambda run, node: _find(run, node, backwards=True, index=True),
    "groupBy": _group,
    "sortBy": _sort_by,
    "reduce": _reduce,
}


# rooms


BUDGET: Final = 1_000_000
"""How many elements the engine makes in all; one more is its own fault, told in its own words."""
MOST_STEPS: Final = 300_000
"""How many steps are taken here, where the engine has no bound: a gate's condition on 10,000 series takes a tenth."""
_LITERALS: Final[Mapping[type[Node], Type]] = {syntax.Integer: INT, syntax.String: STRING}


class CutShortError(Exception):
    """A chain of `?.` that met nil."""


@dataclass(frozen=True, slots=True)
class Step:
    """One sub-expression with its value; `elements` are the indexes of the closures it stands in, outermost first."""

    node: Node
    value: Value
    elements: tuple[int, ...]


class Evaluation:
    """Runs one tree, once. `steps` are what it came by, in the order they were known."""

    def __init__(
        self, engine: Engine, types: Mapping[int, Type], variables: Mapping[str, Value], now: int | None
    ) -> None:
        self.modern = engine.v117
        self.engine = engine
        self.scopes: list[Scope] = []
        self.steps: list[Step] = []
        self.names = dict(variables)
        self.now = now
        self._types = types
        self._functions = {**lists(modern=self.modern), **texts(modern=self.modern)}
        self._memory = 0

    def value(self, node: Node) -> Value:
        """Return the value of a node. Raises RunError."""
        value = VALUES[type(node)](self, node)
        if len(self.steps) >= MOST_STEPS:
            raise UnsupportedError("what takes so many steps is not judged here")
        self.steps.append(Step(node, value, tuple(scope.index for scope in self.scopes)))
        return value

    def grow(self, size: int) -> None:
        """Count what lists take; the engine allows only so much."""
        self._memory += size
        if self._memory >= BUDGET:
            raise RunError("memory budget exceeded")

    def known(self, node: Node) -> Type | None:
        """Return the type of a node."""
        return _LITERALS.get(type(node)) or self._types.get(id(node))

    # Parts

    def pointer(self, node: Pointer) -> Value:
        """Return the element at hand, #index or #acc."""
        scope = self.scopes[-1]
        if node.name:
            return scope.index if node.name == "index" else scope.accumulated
        return scope.element()

    def member(self, node: Member) -> Value:
        """Return base[key]."""
        base = self.value(node.base)
        if node.optional and base is None:
            raise CutShortError
        key = self.value(node.key)
        if isinstance(base, str):
            raise UnsupportedError("a character of text is not judged here")
        return fetch(base, key, self._outside(node))

    def _outside(self, node: Member) -> Callable[[int, int], str]:
        ends = isinstance(node.key, Integer) and node.key.value in {0, -1} and not node.optional
        if self.modern and not (ends and filtered(node.base)):
            return lambda index, length: f"index out of range: {index} (array length is {length})"
        return lambda *_: "reflect: slice index out of range"

    def chain(self, node: syntax.OptionalChain) -> Value:
        """Return the value of a chain, nil where it was cut short."""
        try:
            return self.value(node.link)
        except CutShortError:
            return None

    def cut(self, node: Slice) -> Value:
        """Return base[low:high]."""
        base = self.value(node.base)
        high = self._length(base) if node.high is None else self.value(node.high)
        low = 0 if node.low is None else self.value(node.low)
        if isinstance(base, str):
            raw = base.encode("utf-8", "surrogateescape")
            return raw[_span(low, high, len(raw))].decode("utf-8", "surrogateescape")
        if isinstance(base, ListValue):
            return ListValue(base.name, base.items[_span(low, high, len(base.items))])
        raise RunError(f"cannot slice {format_value(low)}")

    def _length(self, base: Value) -> Value:
        if isinstance(base, str):
            return len(base.encode("utf-8", "surrogateescape"))
        return self._functions["len"]([base])

    def unary(self, node: Unary) -> Value:
        """Return the value of a sign or a negation."""
        operand = self.value(node.operand)
        match node.operator:
            case "!" | "not":
                return not as_bool(operand)
            case "-":
                return arithmetic.negate(operand)
        return operand

    # Operators

    def binary(self, node: Binary) -> Value:
        """Return the value of an operator between two sides."""
        match node.operator:
            case "and" | "&&":
                left = self.value(node.left)
                return self.value(node.right) if as_bool(left) else left
            case "or" | "||":
                left = self.value(node.left)
                return left if as_bool(left) else self.value(node.right)
            case "??":
                return self._coalesced(node)
            case "in" if (allowed := keys(node.right, self.known(node.left))) is not None:
                return looked_up(self.value(node.left), allowed)
        return self._operation(node, self.value(node.left), self.value(node.right))

    def _coalesced(self, node: Binary) -> Value:
        try:
            left = self.value(node.left)
        except CutShortError:
            left = None
        return self.value(node.right) if left is None else left

    def _operation(self, node: Binary, left: Value, right: Value) -> Value:
        match node.operator:
            case "==":
                return self._equal(node, left, right)
            case "!=":
                strict = self.modern  # the older engine looks no closer here
                return not (self._equal(node, left, right) if strict else arithmetic.equal(left, right, modern=False))
            case "<" | ">" | "<=" | ">=":
                return arithmetic.order(node.operator, left, right)
            case "in":
                return within(left, right, modern=self.modern)
            case "..":
                return self._range(node, as_int(left), as_int(right))
            case "matches" | "contains" | "startsWith" | "endsWith":
                return found(node.operator, left, right, modern=self.modern)
        return arithmetic.ARITHMETIC[node.operator](left, right)

    def _equal(self, node: Binary, left: Value, right: Value) -> bool:
        """Compare; what must be two whole numbers, or two texts, and is nil makes the engine panic."""
        sorts = {known.sort if known else None for known in (self.known(node.left), self.known(node.right))}
        for value in (left, right):
            if sorts == {Sort.INT} and type(value) is not int:
                raise conversion(value, "int")
            if sorts == {Sort.STRING} and not isinstance(value, str):
                raise conversion(value, "string")
        return arithmetic.equal(left, right, modern=self.modern)

    def _range(self, node: Binary, low: int, high: int) -> Value:
        size = max(wrapped(high - low + 1), 0)
        literal = isinstance(node.left, Integer) and isinstance(node.right, Integer)
        if self.modern or not literal or size > BUDGET:
            self.grow(size)
        return ListValue("[]int", tuple(range(low, low + size)))

    def call(self, node: Call) -> Value:
        """Return what one of the controller's functions gives."""
        arguments = [self.value(argument) for argument in node.arguments]
        if not isinstance(node.callee, Identifier) or node.callee.name not in CALLS:
            callee = self.value(node.callee)
            if self.modern:
                told = "nil" if callee is None else f"non-function of type {named(callee)}"
                raise RunError(f"invalid operation: cannot call {told}")
            raise UnsupportedError("a call of what is no function is not judged here", node.start)
        return CALLS[node.callee.name](arguments, self.names.get("result"))

    def builtin(self, node: Builtin) -> Value:
        """Return what one of the engine's functions gives."""
        if node.name in LOOPS and (self.modern or node.name != "sum"):
            return LOOPS[node.name](self, node)
        if node.name == "now":
            if self.now is None:
                raise UnsupportedError("now() is not judged here")
            return Time(self.now)
        return self._functions[node.name]([self.value(argument) for argument in node.arguments])

    def let(self, node: syntax.Let) -> Value:
        """Return the value of `let name = value; body`."""
        self.names[node.name] = self.value(node.value)
        return self.value(node.body)

    def array(self, node: syntax.Array) -> Value:
        """Return a list."""
        items = [self.value(item) for item in node.items]
        self.grow(len(items))
        return listed(items)

    def map(self, node: syntax.Map) -> Value:
        """Return a map."""
        pairs = [(self.value(key), self.value(one)) for key, one in zip(node.keys, node.values, strict=True)]
        self.grow(len(pairs))
        return MapValue(TEXT_TABLE, {as_text(key): one for key, one in reversed(pairs)})

    def conditional(self, node: syntax.Conditional) -> Value:
        """Return the value of the side that the test chooses."""
        return self.value(node.then if as_bool(self.value(node.test)) else node.otherwise)


def _span(low: Value, high: Value, length: int) -> slice:
    start, end = (max(length + one if one < 0 else one, 0) for one in (as_int(low), as_int(high)))
    return slice(min(start, end, length), min(end, length))


VALUES: Final[Mapping[type[Node], Callable[[Evaluation, Any], Value]]] = {
    syntax.Nil: lambda *_: None,
    syntax.Bool: lambda _, node: node.value,
    syntax.Integer: lambda _, node: node.value,
    syntax.Float: lambda _, node: node.value,
    syntax.String: lambda _, node: node.value,
    syntax.Identifier: lambda run, node: run.names[node.name],
    syntax.Pointer: Evaluation.pointer,
    syntax.Unary: Evaluation.unary,
    syntax.Binary: Evaluation.binary,
    syntax.OptionalChain: Evaluation.chain,
    syntax.Member: Evaluation.member,
    syntax.Slice: Evaluation.cut,
    syntax.Call: Evaluation.call,
    syntax.Builtin: Evaluation.builtin,
    syntax.Predicate: lambda run, node: run.value(node.body),
    syntax.Let: Evaluation.let,
    syntax.Sequence: lambda run, node: [run.value(one) for one in node.nodes][-1],
    syntax.Conditional: Evaluation.conditional,
    syntax.Array: Evaluation.array,
    syntax.Map: Evaluation.map,
}
"""How each kind of node gets its value."""
