"""Runs the functions that go through a list, with the engine's scopes for `#`, #index and #acc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.arithmetic import add
from exporter.gate.condition.faults import RunError, UnsupportedError
from exporter.gate.condition.fold import constant
from exporter.gate.condition.sorting import descending, sorted_by
from exporter.gate.condition.syntax import Array, Builtin, Node
from exporter.gate.condition.values import GROUPS, List, Table, Value, as_bool, listed, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from exporter.gate.condition.evaluate import Evaluation

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
    if isinstance(collection, List):
        return collection.items
    if isinstance(collection, str | Table):
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
            if isinstance(key, List | Table):
                raise RunError(unhashable(key, modern=run.modern))
            groups.setdefault(key, []).append(loop.scope.element())
    return Table(GROUPS, {key: listed(items) for key, items in groups.items()})


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
