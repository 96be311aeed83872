"""Checks a tree against the type of `result`, as the engine does before it runs: what fails here never runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from exporter.gate.expr import syntax, types
from exporter.gate.expr.builtins import BUILTINS
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.gate.expr.operators import operator_type
from exporter.gate.expr.syntax import Builtin, Identifier, Member, Node, String
from exporter.gate.expr.types import NodeTypes, PredicateScope, Type, TypeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.gate.expr.builtins import Function
    from exporter.gate.expr.syntax import Engine


@dataclass(slots=True)
class TypeChecker:
    """Checks one tree, once. `variables` and `functions` are the names that the tree can use."""

    engine: Engine
    variables: Mapping[str, Type]
    functions: Mapping[str, Function]
    types: dict[int, Type] = field(default_factory=dict)
    float_literals: set[int] = field(default_factory=set)
    scopes: list[PredicateScope] = field(default_factory=list)
    let_variables: dict[str, Type] = field(default_factory=dict)

    def check(self, root: Node) -> NodeTypes:
        """Return the types of all nodes. Raises ConditionError."""
        self.visit(root)
        return NodeTypes(self.types, self.float_literals)

    def visit(self, node: Node) -> Type:
        """Return the type of a node, and store it."""
        node_type = self._visitors[type(node)](self, node)
        self.types[id(node)] = node_type
        return node_type

    # Names

    def _identifier(self, node: Identifier) -> Type:
        if node.name in self.let_variables:
            return self.let_variables[node.name]
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name == "$env" or node.name in self.functions or node.name in BUILTINS[self.engine]:
            raise UnsupportedError(f"{node.name} as a value is not supported", node.start)
        raise ConditionError(f"unknown name {node.name}", node.start)

    def _pointer(self, node: syntax.Pointer) -> Type:
        """Return the type of the current element, or of #index and #acc."""
        if not self.scopes:
            place = "predicate" if self.engine.v117 else "closure"
            raise ConditionError(f"cannot use pointer accessor outside {place}", node.start)
        scope = self.scopes[-1]
        if not node.name:
            return scope.collection.element or types.unknown(self.engine)
        if node.name not in scope.pointers:
            raise ConditionError(f"unknown pointer #{node.name}", node.start)
        return scope.pointers[node.name]

    def _let(self, node: syntax.Let) -> Type:
        if node.name in self.variables or node.name in self.functions:
            raise ConditionError(f"cannot redeclare {node.name}", node.start)
        if node.name in BUILTINS[self.engine]:
            raise ConditionError(f"cannot redeclare builtin {node.name}", node.start)
        if node.name in self.let_variables:
            raise ConditionError(f"cannot redeclare variable {node.name}", node.start)
        self.let_variables[node.name] = self.visit(node.value)
        body = self.visit(node.body)
        del self.let_variables[node.name]
        return body

    # Operators

    def _unary(self, node: syntax.Unary) -> Type:
        operand = self.visit(node.operand)
        if node.operator in {"!", "not"} and (operand.is_any or operand.kind is TypeKind.BOOL):
            return types.BOOL
        if node.operator in {"+", "-"} and (operand.is_any or operand.kind in types.number_kinds(self.engine)):
            return types.unknown(self.engine) if operand.is_any else operand
        message = f"invalid operation: {node.operator} (mismatched type {operand.name})"
        raise ConditionError(message, node.start)

    def _binary(self, node: syntax.Binary) -> Type:
        left, right = self.visit(node.left), self.visit(node.right)
        match node.operator:
            case "==" | "!=":
                result = types.BOOL if types.is_comparable(left, right, self.engine) else None
            case "in":
                result = self._in(node, left, right)
            case "??":
                result = self._coalesce(left, right)
            case _:
                if node.operator == "matches" and isinstance(node.right, String):
                    # A constant pattern is compiled with the condition: an invalid one never runs.
                    compile_regex(node.right.value, node.right.start)
                result = operator_type(node.operator, left, right, self.engine)
        if result is None:
            message = f"invalid operation: {node.operator} (mismatched types {left.name} and {right.name})"
            raise ConditionError(message, node.start)
        return result

    def _in(self, node: syntax.Binary, left: Type, right: Type) -> Type | None:
        if right.key is not None:
            if not self._is_key(left, right.key):
                raise ConditionError(f"cannot use {left.name} as type {right.key.name} in map key", node.start)
            return types.BOOL
        if right.is_list:
            for element in (right.element, right.hint):
                if element is not None and not types.is_comparable(left, element, self.engine):
                    raise ConditionError(f"cannot use {left.name} as type {element.name} in array", node.start)
            return types.BOOL
        return types.BOOL if right.is_any or (left.is_any and right.kind in {TypeKind.STRING, TypeKind.TIME}) else None

    def _is_key(self, node_type: Type, key: Type) -> bool:
        """Return whether a value of a type can be a map's key; 1.15 accepts nil."""
        is_any_or_nil = node_type.is_any or (node_type.is_nil and not self.engine.v117)
        return is_any_or_nil or types.is_assignable(node_type, key, self.engine)

    def _coalesce(self, left: Type, right: Type) -> Type:
        if left.is_nil or right.is_nil:
            return left if right.is_nil else right
        return left if types.is_assignable(right, left, self.engine) else types.unknown(self.engine)

    def _conditional(self, node: syntax.Conditional) -> Type:
        test = self.visit(node.test)
        if not test.is_any and test.kind is not TypeKind.BOOL:
            raise ConditionError(f"non-bool expression (type {test.name}) used as condition", node.test.start)
        then, otherwise = self.visit(node.then), self.visit(node.otherwise)
        if then.is_nil or otherwise.is_nil:
            return _strip_hint(then if otherwise.is_nil else otherwise)
        if not types.is_assignable(then, otherwise, self.engine):
            return types.unknown(self.engine)
        if self.engine.v117 and then.is_list and otherwise.is_list and then.element != otherwise.element:
            return types.LIST
        return _strip_hint(then)

    # Members, slices, calls

    def _member(self, node: Member) -> Type:
        base, key = self.visit(node.base), self.visit(node.key)
        name = node.key.value if isinstance(node.key, String) else None
        if base.is_any:
            return types.unknown(self.engine)
        if base.kind in {TypeKind.TIME, TypeKind.DURATION} and name is not None:
            raise UnsupportedError(f"fields and methods of {base.name} are not supported", node.start)
        if base.is_nil and name is not None:
            raise ConditionError(f"type {'nil' if self.engine.v117 else base.name} has no field {name}", node.start)
        if base.key is not None:
            if not self._is_key(key, base.key):
                raise ConditionError(f"cannot use {key.name} to get an element from {base.name}", node.key.start)
            return base.element or types.unknown(self.engine)
        if base.is_list:
            if not key.is_any and key.kind not in types.integer_kinds(self.engine):
                message = f"array elements can only be selected using an integer (got {key.name})"
                raise ConditionError(message, node.key.start)
            return base.element or types.unknown(self.engine)
        if self.engine.v117 and name is not None:
            message = f"type {base.name} has no {'method' if node.method else 'field'} {name}"
            raise ConditionError(message, node.start)
        raise ConditionError(f"type {base.name}[{key.name}] is undefined", node.start)

    def _slice(self, node: syntax.Slice) -> Type:
        base = self.visit(node.base)
        if base.is_any and self.engine.v117:
            return types.unknown(self.engine)
        if not base.is_any and base.kind not in {TypeKind.STRING, TypeKind.SLICE}:
            raise ConditionError(f"cannot slice {base.name}", node.start)
        for bound in (node.low, node.high):
            if bound is not None:
                index = self.visit(bound)
                if not index.is_any and index.kind not in types.integer_kinds(self.engine):
                    raise ConditionError(f"non-integer slice index {index.name}", bound.start)
        return _strip_hint(base)

    def _call(self, node: syntax.Call) -> Type:
        """Check a call of one of the controller's functions, or of something that is not a function."""
        callee_node = node.callee
        if isinstance(callee_node, Identifier) and callee_node.name not in self.let_variables:
            function = self.functions.get(callee_node.name)
            if function is not None:
                call = Builtin(node.start, node.end, callee_node.name, node.arguments)
                return function.signature.check(self, call)
        callee = self.visit(callee_node)
        if callee.is_any:
            return types.unknown(self.engine)
        if callee.is_nil:
            raise ConditionError(f"{_callee_name(callee_node)} is nil; cannot call nil as function", node.start)
        raise ConditionError(f"{callee.name} is not callable", node.start)

    # Lists and maps

    def _array(self, node: syntax.Array) -> Type:
        """Check a list; its element type is that of the last item if all are of the same kind."""
        items = [self.visit(item) for item in node.items]
        is_uniform = len({types.reflected_kind(item.kind) for item in items}) <= 1
        if self.engine.v117:
            return (
                types.list_of(items[-1] if items else types.unknown(self.engine), self.engine)
                if is_uniform
                else types.LIST
            )
        return replace(types.LIST, hint=items[-1]) if items and is_uniform and not items[-1].is_nil else types.LIST

    def _map(self, node: syntax.Map) -> Type:
        """Check a map; a key that is not a string fails only at run time."""
        for key, value in zip(node.keys, node.values, strict=True):
            self.visit(key)
            self.visit(value)
        return types.STRING_KEYED

    # The method of each kind of node

    _visitors: ClassVar[Mapping[type[Node], Callable[[Any, Any], Type]]] = {
        syntax.Nil: lambda checker, _: types.nil(checker.engine),
        syntax.Bool: lambda _, __: types.BOOL,
        syntax.Integer: lambda _, __: types.INT,
        syntax.Float: lambda _, __: types.FLOAT,
        String: lambda _, __: types.STRING,
        Identifier: _identifier,
        syntax.Pointer: _pointer,
        syntax.Unary: _unary,
        syntax.Binary: _binary,
        syntax.OptionalChain: lambda checker, node: checker.visit(node.link),
        Member: _member,
        syntax.Slice: _slice,
        syntax.Call: _call,
        Builtin: lambda checker, node: BUILTINS[checker.engine][node.name].signature.check(checker, node),
        syntax.Predicate: lambda checker, node: checker.visit(node.body),
        syntax.Let: _let,
        syntax.Sequence: lambda checker, node: [checker.visit(part) for part in node.nodes][-1],
        syntax.Conditional: _conditional,
        syntax.Array: _array,
        syntax.Map: _map,
    }


def _strip_hint(node_type: Type) -> Type:
    """Return a type without the element type that 1.15 remembers only directly after a list literal."""
    return replace(node_type, hint=None)


def _callee_name(callee: Node) -> str:
    if isinstance(callee, Identifier):
        return callee.name
    if isinstance(callee, Member) and isinstance(callee.key, String):
        return callee.key.value
    return "function"
