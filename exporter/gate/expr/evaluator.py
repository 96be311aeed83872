"""Evaluates a checked tree on a result; what makes the engine panic is raised as EvaluationError."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from exporter.gate.expr import operators, syntax, types, values
from exporter.gate.expr.builtins import BUILTINS, CONTROLLER_FUNCTIONS, Iteration
from exporter.gate.expr.builtins_collections import length
from exporter.gate.expr.errors import EvaluationError, UnsupportedError
from exporter.gate.expr.optimizer import LITERAL_TYPES, is_filter, literal_set
from exporter.gate.expr.syntax import Binary, Builtin, Call, Identifier, Integer, Member, Node, Pointer, Slice, Unary
from exporter.gate.expr.types import Type, TypeKind
from exporter.gate.expr.values import IterationScope, ListValue, MapValue, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.gate.expr.builtins import Function
    from exporter.gate.expr.syntax import Engine

_MEMORY_BUDGET: Final = 1_000_000
"""The engine's limit of list elements in an evaluation; it reports more with its own message."""
_MAX_STEPS: Final = 300_000
"""Our limit of steps, for which the engine has none. A gate's condition on 10,000 series takes a tenth of it."""


class NilShortCircuitError(Exception):
    """A `?.` whose base is nil, which ends the entire chain."""


@dataclass(frozen=True, slots=True)
class Step:
    """A sub-expression with its value; `elements` are the indexes of its predicates, outermost first."""

    node: Node
    value: Value
    elements: tuple[int, ...]


class Evaluation:
    """Evaluates one tree, once. `steps` are the values of its nodes, in the order of evaluation."""

    def __init__(
        self, engine: Engine, types: Mapping[int, Type], variables: Mapping[str, Value], now: int | None
    ) -> None:
        self.v117 = engine.v117
        self.now = now
        self.scopes: list[IterationScope] = []
        self.steps: list[Step] = []
        self._variables = dict(variables)
        self._types = types
        self._builtins = BUILTINS[engine]
        self._memory_used = 0

    @property
    def result(self) -> Value:
        """The query result that the condition tests."""
        return self._variables.get("result")

    def value(self, node: Node) -> Value:
        """Evaluate a node. Raises EvaluationError."""
        value = self._visitors[type(node)](self, node)
        if len(self.steps) >= _MAX_STEPS:
            raise UnsupportedError(f"an evaluation of more than {_MAX_STEPS} steps is not supported")
        self.steps.append(Step(node, value, tuple(scope.index for scope in self.scopes)))
        return value

    def grow(self, size: int) -> None:
        """Count list elements against the engine's memory budget. Raises EvaluationError beyond it."""
        self._memory_used += size
        if self._memory_used >= _MEMORY_BUDGET:
            raise EvaluationError("memory budget exceeded")

    def _type(self, node: Node) -> Type | None:
        return LITERAL_TYPES.get(type(node)) or self._types.get(id(node))

    # Names

    def _identifier(self, node: Identifier) -> Value:
        if node.name not in self._variables:  # only below a node that the engine does not check
            raise UnsupportedError(f"{node.name} as a value is not supported", node.start)
        return self._variables[node.name]

    def _pointer(self, node: Pointer) -> Value:
        """Return the current element, #index or #acc."""
        scope = self.scopes[-1]
        if node.name:
            return scope.index if node.name == "index" else scope.accumulator
        return scope.element()

    def _let(self, node: syntax.Let) -> Value:
        self._variables[node.name] = self.value(node.value)
        return self.value(node.body)

    # Members and slices

    def _member(self, node: Member) -> Value:
        base = self.value(node.base)
        if node.optional and base is None:
            raise NilShortCircuitError
        key = self.value(node.key)
        if isinstance(base, str):
            raise UnsupportedError("indexing a string is not supported")
        return values.fetch(base, key, self._out_of_range_message(node))

    def _out_of_range_message(self, node: Member) -> Callable[[int, int], str]:
        # the optimizer of 1.17 turns the first or last element of a filter into a loop, which fails as 1.15 does
        is_end = isinstance(node.key, Integer) and node.key.value in {0, -1} and not node.optional
        if self.v117 and not (is_end and is_filter(node.base)):
            return lambda index, size: f"index out of range: {index} (array length is {size})"
        return lambda *_: "reflect: slice index out of range"

    def _optional_chain(self, node: syntax.OptionalChain) -> Value:
        """Evaluate a chain of `?.`: nil if one of its bases is."""
        try:
            return self.value(node.link)
        except NilShortCircuitError:
            return None

    def _slice(self, node: Slice) -> Value:
        """Evaluate base[low:high]; a string is sliced by bytes."""
        base = self.value(node.base)
        # length() of 1.15 counts bytes, as slices do in both releases.
        high = length(base, v117=False) if node.high is None else self.value(node.high)
        low = 0 if node.low is None else self.value(node.low)
        if isinstance(base, str):
            raw = values.as_bytes(base)
            return raw[_bounds(low, high, len(raw))].decode("utf-8", "surrogateescape")
        if isinstance(base, ListValue):
            return ListValue(base.name, base.items[_bounds(low, high, len(base.items))])
        raise EvaluationError(f"cannot slice {values.format_value(low)}")

    # Operators

    def _unary(self, node: Unary) -> Value:
        operand = self.value(node.operand)
        match node.operator:
            case "!" | "not":
                return not values.as_bool(operand)
            case "-":
                return operators.negate(operand)
        return operand

    def _binary(self, node: Binary) -> Value:
        match node.operator:
            case "and" | "&&":
                left = self.value(node.left)
                return self.value(node.right) if values.as_bool(left) else left
            case "or" | "||":
                left = self.value(node.left)
                return left if values.as_bool(left) else self.value(node.right)
            case "??":
                return self._coalesce(node)
            case "in" if (literals := literal_set(node.right, self._type(node.left))) is not None:
                return operators.is_in_literals(self.value(node.left), literals)
        return self._operation(node, self.value(node.left), self.value(node.right))

    def _coalesce(self, node: Binary) -> Value:
        try:
            left = self.value(node.left)
        except NilShortCircuitError:
            left = None
        return self.value(node.right) if left is None else left

    def _operation(self, node: Binary, left: Value, right: Value) -> Value:
        match node.operator:
            case "==":
                return self._equal(node, left, right)
            case "!=" if self.v117:
                return not self._equal(node, left, right)
            case "!=":  # 1.15 specializes only == for integers and strings
                return not operators.equal(left, right, v117=False)
            case "<" | ">" | "<=" | ">=":
                return operators.compare(node.operator, left, right)
            case "in":
                return operators.is_member(left, right, v117=self.v117)
            case "..":
                return self._range(node, values.as_int(left), values.as_int(right))
            case "matches" | "contains" | "startsWith" | "endsWith":
                return operators.matches(node.operator, left, right, v117=self.v117)
        return operators.ARITHMETIC[node.operator](left, right)

    def _equal(self, node: Binary, left: Value, right: Value) -> bool:
        """Compare; two operands that are integers, or strings, to the type checker make the engine panic if nil."""
        kinds = {node_type.kind if node_type else None for node_type in (self._type(node.left), self._type(node.right))}
        for value in (left, right):
            if kinds == {TypeKind.INT} and type(value) is not int:
                raise values.conversion_error(value, "int")
            if kinds == {TypeKind.STRING} and not isinstance(value, str):
                raise values.conversion_error(value, "string")
        return operators.equal(left, right, v117=self.v117)

    def _range(self, node: Binary, low: int, high: int) -> Value:
        size = max(values.wrap_int64(high - low + 1), 0)
        is_literal = isinstance(node.left, Integer) and isinstance(node.right, Integer)
        if self.v117 or not is_literal or size > _MEMORY_BUDGET:  # 1.15 folds a literal range, which costs no memory
            self.grow(size)
        return ListValue("[]int", tuple(range(low, low + size)))

    def _conditional(self, node: syntax.Conditional) -> Value:
        return self.value(node.then if values.as_bool(self.value(node.test)) else node.otherwise)

    # Calls

    def _call(self, node: Call) -> Value:
        arguments = [self.value(argument) for argument in node.arguments]
        if not isinstance(node.callee, Identifier) or node.callee.name not in CONTROLLER_FUNCTIONS:
            callee = self.value(node.callee)
            if self.v117:
                description = "nil" if callee is None else f"non-function of type {values.type_name(callee)}"
                raise EvaluationError(f"invalid operation: cannot call {description}")
            raise UnsupportedError("calling a value that is not a function is not supported", node.start)
        return self._invoke(CONTROLLER_FUNCTIONS[node.callee.name], node, arguments)

    def _builtin(self, node: Builtin) -> Value:
        function = self._builtins[node.name]
        if isinstance(function.signature, Iteration):
            return self._invoke(function, node, node.arguments)
        return self._invoke(function, node, [self.value(argument) for argument in node.arguments])

    def _invoke(self, function: Function, node: Node, arguments: Sequence[Value | Node]) -> Value:
        """Call an implementation. Raises UnsupportedError for a wrong number of arguments.

        The type checker finds that first, except where the engine checks nothing: in `x[low:high]` of an unknown x.
        """
        if id(node) in self._types:
            return function.implementation(self, *arguments)
        try:
            return function.implementation(self, *arguments)
        except TypeError:
            raise UnsupportedError(f"these arguments of {function.name} are not supported", node.start) from None

    # Lists and maps

    def _array(self, node: syntax.Array) -> Value:
        items = [self.value(item) for item in node.items]
        self.grow(len(items))
        return values.list_value(items)

    def _map(self, node: syntax.Map) -> Value:
        """Evaluate a map; of equal keys the first wins, since the engine pops the pairs off its stack."""
        pairs = [(self.value(key), self.value(value)) for key, value in zip(node.keys, node.values, strict=True)]
        self.grow(len(pairs))
        return MapValue(types.STRING_KEYED.name, {values.as_text(key): value for key, value in reversed(pairs)})

    # The method of each kind of node

    _visitors: ClassVar[Mapping[type[Node], Callable[[Any, Any], Value]]] = {
        **dict.fromkeys((syntax.Bool, syntax.Integer, syntax.Float, syntax.String), lambda _, node: node.value),
        syntax.Nil: lambda *_: None,
        syntax.Identifier: _identifier,
        syntax.Pointer: _pointer,
        syntax.Unary: _unary,
        syntax.Binary: _binary,
        syntax.OptionalChain: _optional_chain,
        syntax.Member: _member,
        syntax.Slice: _slice,
        syntax.Call: _call,
        syntax.Builtin: _builtin,
        syntax.Predicate: lambda evaluation, node: evaluation.value(node.body),
        syntax.Let: _let,
        syntax.Sequence: lambda evaluation, node: [evaluation.value(part) for part in node.nodes][-1],
        syntax.Conditional: _conditional,
        syntax.Array: _array,
        syntax.Map: _map,
    }


def _bounds(low: Value, high: Value, size: int) -> slice:
    # The engine moves bounds that are out of range to the ends.
    start, end = (max(size + index if index < 0 else index, 0) for index in (values.as_int(low), values.as_int(high)))
    return slice(min(start, end, size), min(end, size))
