"""The table of functions that conditions can call: name, signature, first release, implementation.

To add a function, add a row to `_ROWS`.
"""

from __future__ import annotations

import math
import operator
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.expr import builtins_collections as collections
from exporter.gate.expr import builtins_numbers as numbers
from exporter.gate.expr import builtins_strings as strings
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.gate.expr.syntax import Binary, Builtin, Engine, Integer, Node, Unary
from exporter.gate.expr.types import (
    ANY,
    ANY_KEYED,
    BOOL,
    DURATION,
    FLOAT,
    FLOATS,
    GROUPS,
    INT,
    INT64,
    INTS,
    LIST,
    STRING,
    STRINGS,
    TIME,
    PredicateScope,
    Type,
    TypeContext,
    TypeKind,
    integer_kinds,
    is_assignable,
    list_of,
    reflected_type,
    unknown,
)
from exporter.gate.expr.values import Time, Value, as_bytes, as_text, format_value, get, get_or_nil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.gate.expr.values import EvalContext

_NUMBERS: Final = {TypeKind.INT, TypeKind.INT64, TypeKind.FLOAT, TypeKind.DURATION, TypeKind.ANY}
_COUNTS: Final = {TypeKind.INT, TypeKind.INT64, TypeKind.DURATION, TypeKind.ANY}
_SIZED: Final = {TypeKind.SLICE, TypeKind.MAP, TypeKind.STRING, TypeKind.ANY}
_LISTS: Final = {TypeKind.SLICE, TypeKind.ANY}
_MAPS: Final = {TypeKind.MAP, TypeKind.ANY}
_TEXTS: Final = {TypeKind.STRING, TypeKind.ANY}


class ArgumentMismatchError(ConditionError):
    """Arguments that a signature does not accept, with the engine's message."""


# Signatures. Each has `check(context, call)`, which returns the type of a call or raises ConditionError.


@dataclass(frozen=True, slots=True)
class Overloads:
    """Alternative parameter lists, tried in order; the error of the last is reported."""

    returns: Type
    parameters: tuple[tuple[Type, ...], ...]

    def check(self, context: TypeContext, call: Builtin) -> Type:
        """Return the type of a call. Raises ConditionError."""
        mismatch: ArgumentMismatchError | None = None
        for parameters in self.parameters:
            try:
                _check_arguments(context, call, parameters)
            except ArgumentMismatchError as error:
                mismatch = error
            else:
                return self.returns
        assert mismatch is not None
        raise ConditionError(mismatch.message, mismatch.position)


def _check_arguments(context: TypeContext, call: Builtin, parameters: tuple[Type, ...]) -> None:
    if len(call.arguments) != len(parameters):
        if context.engine.v117:
            # 1.17 checks the arguments first, so an error in one of them is reported instead.
            for argument in call.arguments:
                context.visit(argument)
        count = "too many" if len(call.arguments) > len(parameters) else "not enough"
        raise ArgumentMismatchError(f"{count} arguments to call {call.name}", call.start)
    for argument, parameter in zip(call.arguments, parameters, strict=True):
        _check_argument(context, call.name, argument, parameter)


def _check_argument(context: TypeContext, name: str, argument: Node, parameter: Type) -> None:
    actual = context.visit(argument)
    integers = integer_kinds(context.engine)
    if actual.kind in integers and parameter.kind is TypeKind.FLOAT:
        _mark_as_floats(context, argument)
        return
    if actual.is_any or (actual.kind in integers and parameter.kind in integers):
        return
    if actual.is_nil:
        if not context.engine.v117 or parameter.is_any:
            return
        raise ArgumentMismatchError(
            f"cannot use nil as argument (type {parameter.name}) to call {name}", argument.start
        )
    if not is_assignable(actual, parameter, context.engine):
        # The space at the end is the engine's.
        message = f"cannot use {actual.name} as argument (type {parameter.name}) to call {name} "
        raise ArgumentMismatchError(message, argument.start)


def _mark_as_floats(context: TypeContext, node: Node) -> None:
    """Mark the integer literals that the engine converts to floats, as deep as it looks for them."""
    if isinstance(node, Integer):
        context.float_literals.add(id(node))
    elif isinstance(node, Unary):
        _mark_as_floats(context, node.operand)
    elif isinstance(node, Binary) and node.operator in {"+", "-", "*"}:
        _mark_as_floats(context, node.left)
        _mark_as_floats(context, node.right)


def _check_count(call: Builtin, *expected: int) -> None:
    if len(call.arguments) not in expected:
        counts = " or ".join(map(str, expected))
        message = f"invalid number of arguments (expected {counts}, got {len(call.arguments)})"
        raise ConditionError(message, call.start)


@dataclass(frozen=True, slots=True)
class TypeRule:
    """A function from the types of the arguments to that of the call; it raises ArgumentMismatchError.

    `counts` are the numbers of arguments that a call can have; empty: the function checks it.
    """

    rule: Callable[[Engine, Sequence[Type]], Type]
    counts: Sequence[int] = ()

    def check(self, context: TypeContext, call: Builtin) -> Type:
        """Return the type of a call. Raises ConditionError."""
        arguments = [context.visit(argument) for argument in call.arguments]
        if self.counts:
            _check_count(call, *self.counts)
        try:
            returns = self.rule(context.engine, [ANY if argument.is_any else argument for argument in arguments])
        except ArgumentMismatchError as mismatch:
            raise ConditionError(mismatch.message, call.start) from None
        return reflected_type(returns, context.engine)


@dataclass(frozen=True, slots=True)
class NodeRule:
    """A function that checks the nodes of a call itself."""

    check: Callable[[TypeContext, Builtin], Type]


@dataclass(frozen=True, slots=True)
class Iteration:
    """A function of a list, a predicate and perhaps a third argument; its implementation takes their nodes, not values.

    `returns` gives the type of the call from those of the list and the predicate; `boolean`: the predicate must be one;
    `pointers`: the names beside `#` that the predicate can use.
    """

    returns: Callable[[Type, Type, Engine], Type]
    min_arguments: int = 2
    max_arguments: int = 2
    boolean: bool = True
    pointers: tuple[str, ...] = ()

    def check(self, context: TypeContext, call: Builtin) -> Type:
        """Return the type of a call. Raises ConditionError."""
        source = call.arguments[0]
        collection = context.visit(source)
        if not collection.is_list and not collection.is_any:
            raise ConditionError(f"builtin {call.name} takes only array (got {collection.name})", source.start)
        if len(call.arguments) == 1:
            return INT if call.name == "count" else _element(collection, ANY, context.engine)
        predicate = self._check_predicate(context, call, collection)
        if self.boolean and not predicate.is_any and predicate.kind is not TypeKind.BOOL:
            message = f"predicate should return boolean (got {predicate.name})"
            raise ConditionError(message, call.arguments[1].start)
        return self.returns(collection, predicate, context.engine)

    def _check_predicate(self, context: TypeContext, call: Builtin, collection: Type) -> Type:
        """Check the predicate and the argument after it, and return the predicate's type."""
        _, body, *rest = call.arguments
        pointers = {"index": INT, "acc": unknown(context.engine)}
        context.scopes.append(PredicateScope(collection, {name: pointers[name] for name in self.pointers}))
        predicate = context.visit(body)
        if predicate.is_nil and not context.engine.v117:
            raise ConditionError("closure cannot be nil", body.start)
        context.scopes.pop()
        for argument in rest:
            context.visit(argument)
        if predicate.is_nil and call.name == "sum":
            raise UnsupportedError("a sum of nils is not supported", call.start)
        if predicate.is_nil:
            inputs = "two" if call.name == "reduce" else "one"
            raise ConditionError(f"predicate should has {inputs} input and one output param", body.start)  # sic
        return predicate


Signature = Overloads | TypeRule | NodeRule | Iteration


@dataclass(frozen=True, slots=True)
class Function:
    """A row of the table. A later row of the same name replaces the earlier one from its release on.

    `implementation` takes the context and the values of the arguments (of an Iteration: their nodes); it may assume
    that their number is right, and raises EvaluationError for wrong types.
    """

    name: str
    signature: Signature
    since: Engine
    implementation: Callable[..., Value]


# Rules that signatures are made of


def _accepts(returns: Type, *parameters: tuple[Type, ...]) -> Overloads:
    return Overloads(returns, parameters)


def _name(argument: Type) -> str:
    return "%!s(<nil>)" if argument.is_nil else argument.name  # the engine formats a nil reflect.Type with %s


def _of_kinds(
    returns: Type | Callable[[Type], Type], *parameters: tuple[set[TypeKind], str], optional: int = 0
) -> TypeRule:
    """Return the rule of a function whose parameters are of these kinds, with the message for each other argument.

    `returns` is the type of a call, or a function of the first argument's type.
    """

    def rule(_engine: Engine, arguments: Sequence[Type]) -> Type:
        for argument, (kinds, message) in zip(arguments, parameters, strict=False):
            if argument.kind not in kinds:
                raise ArgumentMismatchError(message.format(_name(argument)))
        return returns if isinstance(returns, Type) else returns(arguments[0])

    return TypeRule(rule, range(len(parameters) - optional, len(parameters) + 1))


def _argument(name: str, kinds: set[TypeKind], returns: Type) -> TypeRule:
    return _of_kinds(returns, (kinds, f"invalid argument for {name} (type {{}})"))


def _list_element(argument: Type) -> Type:
    # Go's reflection does not know the elements of []interface {}, even where the engine does
    return argument.element if argument.element and argument.name != LIST.name else ANY


def _extreme(name: str) -> TypeRule:
    def rule(engine: Engine, arguments: Sequence[Type]) -> Type:
        if not arguments:
            raise ArgumentMismatchError(f"not enough arguments to call {name}")
        for argument in arguments:
            if argument.is_any or (engine.v117 and argument.is_list):
                return ANY
            if argument.kind not in _NUMBERS:
                raise ArgumentMismatchError(f"invalid argument for {name} (type {_name(argument)})")
        return arguments[0]

    return TypeRule(rule)


def _concat(_engine: Engine, arguments: Sequence[Type]) -> Type:
    if not arguments:
        raise ArgumentMismatchError("invalid number of arguments (expected at least 1, got 0)")
    for argument in arguments:
        if argument.kind not in _LISTS:
            raise ArgumentMismatchError(f"cannot concat {_name(argument)}")
    return LIST


def _filtered(collection: Type, _predicate: Type, engine: Engine) -> Type:
    return LIST if collection.is_any else list_of(collection.element or ANY, engine)


def _element(collection: Type, _predicate: Type, engine: Engine) -> Type:
    return unknown(engine) if collection.is_any else collection.element or ANY


def _now_v117(_context: TypeContext, call: Builtin) -> Type:
    _check_count(call, 0)
    return TIME


def _get(context: TypeContext, call: Builtin) -> Type:
    _check_count(call, 2)
    engine, (source, index) = context.engine, call.arguments
    base = context.visit(source)
    is_indexable = base.is_list or base.key is not None
    if engine.v117 or is_indexable:
        key = context.visit(index)
    if base.is_any:
        return unknown(engine)
    if not is_indexable:
        raise ConditionError(f"type {base.name} does not support indexing", source.start)
    if key.is_nil and not engine.v117:
        raise ConditionError(f"cannot use nil as {'slice' if base.is_list else 'map'} index", index.start)
    if base.is_list and not key.is_any and key.kind not in integer_kinds(engine):
        raise ConditionError(f"non-integer slice index {key.name}", index.start)
    if base.key is not None and not key.is_any and not is_assignable(key, base.key, engine):
        raise ConditionError(f"cannot use {key.name} to get an element from {base.name}", index.start)
    return base.element or ANY


def _refuse(_context: TypeContext, call: Builtin) -> Type:
    raise UnsupportedError(f"the function {call.name} is not supported", call.start)


# Adapters of implementations


def _pure(function: Callable[..., Value]) -> Callable[..., Value]:
    """Return an implementation that needs nothing of the context."""
    return lambda _context, *arguments: function(*arguments)


def _versioned(function: Callable[..., Value]) -> Callable[..., Value]:
    """Return an implementation that depends on the release."""
    return lambda context, *arguments: function(*arguments, v117=context.v117)


def _now(context: EvalContext) -> Value:
    if context.now is None:
        raise UnsupportedError("now() is not supported in a condition")
    return Time(context.now)


def _default(context: EvalContext, _value: Value, fallback: Value) -> Value:
    return fallback if context.result is None else context.result


def _refuse_call(*_: object) -> Value:
    raise UnsupportedError("a function is called that is not supported")


# The tables


_S: Final = STRING
_V115, _V117 = Engine.EXPR_1_15, Engine.EXPR_1_17
_UNSUPPORTED: Final = NodeRule(_refuse)
_ONE_STRING: Final = _accepts(STRING, (_S,))
_STRING_TEST: Final = _accepts(BOOL, (_S, _S))
_POSITION: Final = _accepts(INT, (_S, _S))
_BITS: Final = _accepts(INT, (INT, INT))
_SAME_NUMBER: Final = _of_kinds(lambda number: number, (_NUMBERS, "invalid argument for abs (type {})"))
_FIRST: Final = _of_kinds(_list_element, (_LISTS, "cannot get first element from {}"))
_LAST: Final = _of_kinds(_list_element, (_LISTS, "cannot get last element from {}"))
_TAKE: Final = _of_kinds(lambda items: items, (_LISTS, "cannot take from {}"), (_COUNTS, "cannot take {} elements"))
_FROM_PAIRS: Final = _of_kinds(ANY_KEYED, (_LISTS, "cannot transform {} from pairs"))
_SORT_V115: Final = _of_kinds(
    LIST, (_LISTS, "cannot sort {}"), (_TEXTS, "invalid argument for sort (expected string, got {})"), optional=1
)
# Overloads are in the engine's order, repetitions included: the error of the last one is reported.
_TRIM_END: Final = _accepts(STRING, (_S, _S), (_S,))
_SPLIT: Final = _accepts(STRINGS, (_S, _S), (_S, _S, INT))
_SORT: Final = _accepts(
    LIST, (LIST, _S), (INTS, _S), (FLOATS, _S), (STRINGS, _S), (LIST,), (FLOATS,), (STRINGS,), (INTS,)
)
_JOIN: Final = _accepts(STRING, (STRINGS, _S), (LIST, _S), (LIST,), (STRINGS, _S), (STRINGS,))
_ROUND: Final = _pure(numbers.rounding("round", numbers.round_half_away))
_TEST: Final = Iteration(lambda *_: BOOL)
_FIND: Final = Iteration(_element)
_FIND_INDEX: Final = Iteration(lambda *_: INT)
_MAP: Final = Iteration(lambda _, predicate, engine: list_of(predicate, engine), boolean=False, pointers=("index",))
_REDUCE: Final = Iteration(lambda _, result, __: result, max_arguments=3, boolean=False, pointers=("index", "acc"))
_SORT_BY: Final = Iteration(lambda collection, *_: collection, max_arguments=3, boolean=False)
_SUM: Final = Iteration(lambda _, predicate, engine: reflected_type(predicate, engine), min_arguments=1, boolean=False)


_ROWS: Final = (
    # with a predicate
    Function("all", _TEST, _V115, collections.test(all)),
    Function("none", _TEST, _V115, collections.test(lambda results: not any(results))),
    Function("any", _TEST, _V115, collections.test(any)),
    Function("one", _TEST, _V115, lambda context, *nodes: collections.count_matches(context, *nodes) == 1),
    Function("filter", Iteration(_filtered), _V115, collections.filter_items),
    Function("map", _MAP, _V115, collections.map_items),
    Function("count", Iteration(lambda *_: INT), _V115, collections.count_matches),
    Function("count", Iteration(lambda *_: INT, min_arguments=1), _V117, collections.count_matches),
    Function("find", _FIND, _V115, collections.find()),
    Function("findLast", _FIND, _V115, collections.find(backwards=True)),
    Function("findIndex", _FIND_INDEX, _V115, collections.find(index=True)),
    Function("findLastIndex", _FIND_INDEX, _V115, collections.find(backwards=True, index=True)),
    Function("groupBy", Iteration(lambda *_: GROUPS, boolean=False), _V115, collections.group_by),
    Function("reduce", _REDUCE, _V115, collections.reduce),
    Function("sortBy", _UNSUPPORTED, _V115, _refuse_call),  # 1.15 sorts by the name of a field
    Function("sortBy", _SORT_BY, _V117, collections.sort_by),
    # on lists and maps
    Function("len", _argument("len", _SIZED, INT), _V115, _versioned(collections.length)),
    Function("first", _FIRST, _V115, lambda _, value: get_or_nil(value, 0)),
    Function("last", _LAST, _V115, lambda _, value: get_or_nil(value, -1)),
    Function("get", NodeRule(_get), _V115, _pure(get_or_nil)),
    Function("get", NodeRule(_get), _V117, _pure(get)),
    Function("take", _TAKE, _V115, _pure(collections.take)),
    Function("keys", _of_kinds(LIST, (_MAPS, "cannot get keys from {}")), _V115, _pure(collections.keys)),
    Function("values", _of_kinds(LIST, (_MAPS, "cannot get values from {}")), _V115, _pure(collections.values)),
    Function("toPairs", _of_kinds(LIST, (_MAPS, "cannot transform {} to pairs")), _V115, _pure(collections.to_pairs)),
    Function("fromPairs", _FROM_PAIRS, _V115, _pure(collections.from_pairs)),
    Function("sort", _SORT_V115, _V115, _versioned(collections.sort)),
    Function("sort", _SORT, _V117, _versioned(collections.sort)),
    Function("reverse", _of_kinds(LIST, (_LISTS, "cannot reverse {}")), _V117, _pure(collections.reverse)),
    Function("uniq", _of_kinds(LIST, (_LISTS, "cannot uniq {}")), _V117, _pure(collections.uniq)),
    Function("flatten", _of_kinds(LIST, (_LISTS, "cannot flatten {}")), _V117, _pure(collections.flatten)),
    Function("concat", TypeRule(_concat), _V117, _pure(collections.concat)),
    # on numbers
    Function("abs", _SAME_NUMBER, _V115, _pure(numbers.absolute)),
    Function("ceil", _argument("ceil", _NUMBERS, FLOAT), _V115, _pure(numbers.rounding("ceil", math.ceil))),
    Function("floor", _argument("floor", _NUMBERS, FLOAT), _V115, _pure(numbers.rounding("floor", math.floor))),
    # 1.15 names floor in the message of round
    Function("round", _argument("floor", _NUMBERS, FLOAT), _V115, _ROUND),
    Function("round", _argument("round", _NUMBERS, FLOAT), _V117, _ROUND),
    Function("max", _extreme("max"), _V115, _versioned(numbers.extreme("max", "<"))),
    Function("min", _extreme("min"), _V115, _versioned(numbers.extreme("min", ">"))),
    Function("sum", _of_kinds(ANY, (_LISTS, "cannot sum {}")), _V115, _pure(numbers.sum_v115)),
    Function("sum", _SUM, _V117, collections.sum_items),
    Function("mean", _of_kinds(FLOAT, (_LISTS, "cannot avg {}")), _V115, _versioned(numbers.mean)),
    Function("mean", _extreme("mean"), _V117, _versioned(numbers.mean)),
    Function("median", _of_kinds(FLOAT, (_LISTS, "cannot median {}")), _V115, _versioned(numbers.median)),
    Function("median", _extreme("median"), _V117, _versioned(numbers.median)),
    Function("bitand", _BITS, _V117, _pure(numbers.bitwise("bitand", operator.and_))),
    Function("bitor", _BITS, _V117, _pure(numbers.bitwise("bitor", operator.or_))),
    Function("bitxor", _BITS, _V117, _pure(numbers.bitwise("bitxor", operator.xor))),
    Function("bitnand", _BITS, _V117, _pure(numbers.bitwise("bitnand", lambda a, b: a & ~b))),
    Function("bitshl", _BITS, _V117, _pure(numbers.bit_shift("bitshl", lambda a, n: a << n))),
    Function("bitshr", _BITS, _V117, _pure(numbers.bit_shift("bitshr", lambda a, n: a >> n))),
    Function("bitushr", _BITS, _V117, _pure(numbers.bit_shift("bitushr", lambda a, n: (a % 2**64) >> n))),
    Function("bitnot", _accepts(INT, (INT,)), _V117, _pure(numbers.bit_not)),
    # on strings, and conversions
    Function("type", _accepts(STRING, (ANY,)), _V115, _pure(collections.type_of)),
    Function("string", _accepts(STRING, (ANY,)), _V115, _pure(format_value)),
    Function("int", _argument("int", _NUMBERS | _TEXTS, INT), _V115, _versioned(strings.to_int)),
    Function("float", _argument("float", _NUMBERS | _TEXTS, FLOAT), _V115, _pure(strings.to_float)),
    Function("trim", _accepts(STRING, (_S,), (_S, _S)), _V115, _pure(strings.trim)),
    Function("trimPrefix", _TRIM_END, _V115, lambda _, text, end=" ": as_text(text).removeprefix(as_text(end))),
    Function("trimSuffix", _TRIM_END, _V115, lambda _, text, end=" ": as_text(text).removesuffix(as_text(end))),
    Function("upper", _ONE_STRING, _V115, lambda _, text: strings.map_case(as_text(text), str.upper)),
    Function("lower", _ONE_STRING, _V115, lambda _, text: strings.map_case(as_text(text), str.lower)),
    Function("split", _SPLIT, _V115, _pure(strings.split)),
    Function("splitAfter", _SPLIT, _V115, _pure(strings.split_after)),
    Function("replace", _accepts(STRING, (_S, _S, _S, INT), (_S, _S, _S)), _V115, _pure(strings.replace)),
    Function("repeat", _accepts(STRING, (_S, INT)), _V115, _versioned(strings.repeat)),
    Function("join", _JOIN, _V115, _pure(strings.join)),
    Function("indexOf", _POSITION, _V115, lambda _, text, part: as_bytes(text).find(as_bytes(part))),
    Function("lastIndexOf", _POSITION, _V115, lambda _, text, part: as_bytes(text).rfind(as_bytes(part))),
    Function("hasPrefix", _STRING_TEST, _V115, lambda _, text, end: as_text(text).startswith(as_text(end))),
    Function("hasSuffix", _STRING_TEST, _V115, lambda _, text, end: as_text(text).endswith(as_text(end))),
    Function("toBase64", _ONE_STRING, _V115, lambda _, text: b64encode(as_text(text).encode()).decode()),
    Function("fromBase64", _UNSUPPORTED, _V115, _refuse_call),
    Function("toJSON", _UNSUPPORTED, _V115, _refuse_call),
    Function("fromJSON", _UNSUPPORTED, _V115, _refuse_call),
    # on times
    Function("now", _accepts(TIME, ()), _V115, _now),
    Function("now", NodeRule(_now_v117), _V117, _now),
    Function("duration", _accepts(DURATION, (_S,)), _V115, _pure(strings.to_duration)),
    Function("date", _UNSUPPORTED, _V115, _refuse_call),
    Function("timezone", _UNSUPPORTED, _V117, _refuse_call),
)

BUILTINS: Final[Mapping[Engine, Mapping[str, Function]]] = {
    _V115: {row.name: row for row in _ROWS if row.since is _V115},
    _V117: {row.name: row for row in _ROWS},
}
"""The functions of each engine by name."""
CONTROLLER_FUNCTIONS: Final[Mapping[str, Function]] = {
    row.name: row
    for row in (
        Function("asInt", _accepts(INT64, (ANY,)), _V115, _pure(strings.controller_as_int)),
        Function("asFloat", _accepts(FLOAT, (ANY,)), _V115, _pure(strings.controller_as_float)),
        Function("isNaN", _accepts(BOOL, (FLOAT,)), _V115, lambda _, value: math.isnan(numbers.only_float(value))),
        Function("isInf", _accepts(BOOL, (FLOAT,)), _V115, lambda _, value: math.isinf(numbers.only_float(value))),
        # these two look at the result, not at their argument (the controller's utils/evaluate)
        Function("isNil", _accepts(BOOL, (ANY,)), _V115, lambda context, _: context.result is None),
        Function("default", _accepts(ANY, (ANY, ANY)), _V115, _default),
    )
}
"""The functions that the controller itself adds to conditions."""
TIME_FUNCTIONS: Final = {name: CONTROLLER_FUNCTIONS[name] for name in ("isNaN", "isInf")}
"""Those that it adds to the start and end of a range query."""
