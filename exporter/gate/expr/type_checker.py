"""Checks a tree against the type of `result`, as the engine does before it runs: what fails here never runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.condition.calls import builtin, call, own
from exporter.gate.condition.faults import ConditionError, UnsupportedError
from exporter.gate.condition.operators import outcome, signatures
from exporter.gate.condition.patterns import compiled
from exporter.gate.condition.syntax import (
    Array,
    Binary,
    Bool,
    Builtin,
    Call,
    Chain,
    Closure,
    Conditional,
    Cut,
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
from exporter.gate.condition.types import (
    BOOL,
    FLOAT,
    INT,
    LIST,
    STRING,
    TABLE,
    Sort,
    Type,
    assignable,
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

    from exporter.gate.condition.engine import Engine
    from exporter.gate.condition.library import Overload
    from exporter.gate.condition.loops import Scope

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
                node, f"cannot use pointer accessor outside {'predicate' if self.engine.modern else 'closure'}"
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
                    compiled(node.right.value, node.right.start)
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
            loose = left.any or (left.nil and not self.engine.modern)
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
        if self.engine.modern and then.listed and otherwise.listed and then.element != otherwise.element:
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
            raise self.refused(node, f"type {'nil' if self.engine.modern else base.name} has no field {node.key.value}")
        if base.sort is Sort.MAP:
            return self._of_map(node, base, key)
        if base.listed:
            if not key.any and key.sort not in integers(self.engine):
                raise self.refused(node.key, f"array elements can only be selected using an integer (got {key.name})")
            return base.element or unknown(self.engine)
        if self.engine.modern and isinstance(node.key, String):
            raise self.refused(node, f"type {base.name} has no {'method' if node.method else 'field'} {node.key.value}")
        raise self.refused(node, f"type {base.name}[{key.name}] is undefined")

    def _of_map(self, node: Member, base: Type, key: Type) -> Type:
        assert base.key is not None
        loose = key.any or (key.nil and not self.engine.modern)
        if not loose and not assignable(key, base.key, self.engine):
            raise self.refused(node.key, f"cannot use {key.name} to get an element from {base.name}")
        return base.element or unknown(self.engine)

    def cut(self, node: Cut) -> Type:
        """Check `base[low:high]`."""
        base = self.visit(node.base)
        if base.any and self.engine.modern:
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
        if self.engine.modern:
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
    Chain: lambda checker, node: checker.visit(node.link),
    Member: Checker.member,
    Cut: Checker.cut,
    Call: call,
    Builtin: builtin,
    Closure: lambda checker, node: checker.visit(node.body),
    Let: Checker.let,
    Sequence: Checker.sequence,
    Conditional: Checker.conditional,
    Array: Checker.array,
    Map: Checker.map,
}
"""How each kind of node is checked."""
