"""The tokens of a condition → its tree, as the engine's parser builds it, with the bugs that conditions rely on."""

from __future__ import annotations

import re
from math import isinf
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.gate.expr import syntax
from exporter.gate.expr.builtins import BUILTINS, Iteration
from exporter.gate.expr.errors import ConditionError
from exporter.gate.expr.lexer import NEGATABLE, Lexer, Token, TokenKind
from exporter.gate.expr.syntax import Binary, Builtin, Float, Integer, Member, Node, OptionalChain, String, Unary
from exporter.gate.go_format import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.expr.syntax import Engine

# The engine's numbers: `not` binds tighter than comparisons, so `not a == b` is `(not a) == b`.
_UNARY_PRECEDENCE: Final[Mapping[str, int]] = {"not": 50, "!": 50, "-": 90, "+": 90}
_BINARY_PRECEDENCE: Final[Mapping[str, int]] = {
    "|": 0,
    "or": 10, "||": 10,
    "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25,
    "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60,
    "**": 100, "^": 100,
    "??": 500,
}  # fmt: skip
_RIGHT_ASSOCIATIVE: Final = {"**", "^"}
_COMPARISONS: Final = {"<", ">", ">=", "<="}
_MAX_NODES: Final = 10_000
"""The default of 1.17's option MaxNodes; 1.15 has no limit."""
_MAP_KEY: Final = (
    "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses "
    "(unexpected token {})"
)

N = TypeVar("N", bound=Node)


# Tokens


class TokenStream:
    """The current token, the end of the previous one, and the step to the next."""

    def __init__(self, text: str, engine: Engine) -> None:
        self.v117 = engine.v117
        self.builtins = BUILTINS[engine]
        lexer = iter(Lexer(text, engine))
        # 1.15 splits the entire text first, so an invalid character anywhere comes before any parser error
        self._tokens: Iterator[Token] = lexer if self.v117 else iter(list(lexer))
        self._pushed_back: Token | None = None
        self._node_count = 0
        self.previous_end = 0
        self.current = next(self._tokens)

    def next(self) -> Token:
        """Step over the current token and return it."""
        token, self.previous_end = self.current, self.current.end
        if self._pushed_back is not None:
            self.current, self._pushed_back = self._pushed_back, None
            return token
        following = next(self._tokens, None)
        if following is None:
            raise self.error("unexpected end of expression")
        self.current = following
        return token

    def step_back_to(self, token: Token) -> None:
        """Make the token before the current one the current one again."""
        self._pushed_back, self.current = self.current, token

    def expect(self, kind: TokenKind, text: str | None = None) -> Token:
        """Step over a token that must be of a kind, and have this text if one is given."""
        if not self.current.matches(kind, text):
            raise self.unexpected_token()
        return self.next()

    def at_operator(self, text: str) -> bool:
        """Return whether the current token is this operator."""
        return self.current.matches(TokenKind.OPERATOR, text)

    def at_bracket(self, text: str) -> bool:
        """Return whether the current token is this bracket."""
        return self.current.matches(TokenKind.BRACKET, text)

    def counted(self, node: N) -> N:
        """Count a new node against the limit of 1.17."""
        self._node_count += 1
        if self.v117 and self._node_count > _MAX_NODES:
            raise self.error("compilation failed: expression exceeds maximum allowed nodes")
        return node

    def error(self, message: str, token: Token | None = None) -> ConditionError:
        """Return an error at a token, by default the current one."""
        return ConditionError(message, (token or self.current).start)

    def unexpected_token(self) -> ConditionError:
        """Return the error for the current token."""
        return self.error(f"unexpected token {self.current}")


# Numbers


_MAX_INT64: Final = 2**63 - 1
_MAX_DIGITS: Final = 4000
_FLOAT: Final = re.compile(r"[0-9]*\.?[0-9]*([eE][+-]?[0-9]+)?")
_BASES: Final = {"x": ("hex", 16), "b": ("binary", 2), "o": ("octal", 8)}


def parse_number(token: Token, *, v117: bool) -> Integer | Float:
    """Parse a number. Raises ConditionError for one that is malformed or out of range."""
    text = token.text.replace("_", "")
    prefix = _base_prefix(text, v117=v117)
    if prefix:
        kind, base = _BASES[prefix]
        return _parse_integer(text, kind, base, token)
    if any(char in text for char in ".eE"):
        return Float(token.start, token.end, _parse_float(text, token))
    return _parse_integer(text, "integer", 10, token)


def _base_prefix(text: str, *, v117: bool) -> str:
    """Return the letter of a base, "" for a decimal number; 1.15 accepts only `x`, but anywhere in the text."""
    if v117:
        letter = text[1:2].lower()
        return letter if letter in _BASES and text.startswith("0") else ""
    return "x" if "x" in text else ""


def _parse_integer(text: str, kind: str, base: int, token: Token) -> Integer:
    if kind == "integer" and text.isdigit() and len(text) > _MAX_DIGITS:  # int() refuses more than 4,300
        raise _number_error(kind, "ParseInt", text, "value out of range", token)
    try:
        value = int(text, base)
    except ValueError:
        raise _number_error(kind, "ParseInt", text, "invalid syntax", token) from None
    if value > _MAX_INT64:
        raise _number_error(kind, "ParseInt", text, "value out of range", token)
    return Integer(token.start, token.end, value)


def _parse_float(text: str, token: Token) -> float:
    if not _FLOAT.fullmatch(text):
        raise _number_error("float", "ParseFloat", text, "invalid syntax", token)
    value = float(text)
    if isinf(value):
        raise _number_error("float", "ParseFloat", text, "value out of range", token)
    return value


def _number_error(kind: str, function: str, text: str, reason: str, token: Token) -> ConditionError:
    return ConditionError(f"invalid {kind} literal: strconv.{function}: parsing {quote(text)}: {reason}", token.start)


class Parser(TokenStream):
    """Parses one condition, once."""

    _predicate_depth = 0

    def parse(self) -> Node:
        """Return the tree. Raises ConditionError."""
        node = self._body()
        if not self.current.matches(TokenKind.EOF):
            raise self.unexpected_token()
        return node

    def _body(self) -> Node:
        """Parse a sequence, which 1.15 does not have: there, an expression."""
        return self._sequence() if self.v117 else self._expression(0)

    # Operands: literals, names, calls, lists, maps, and the dots and brackets that follow them

    def _operand(self) -> Node:
        """Parse an operand with all that follows it."""
        token = self.current
        if token.kind is TokenKind.OPERATOR and token.text in _UNARY_PRECEDENCE:
            self.next()
            operand = self._expression(_UNARY_PRECEDENCE[token.text])
            return self._postfix(self.counted(Unary(token.start, self.previous_end, token.text, operand)))
        if self.at_bracket("("):
            self.next()
            node = self._body()
            self.expect(TokenKind.BRACKET, ")")
            return self._postfix(node)
        if self.at_operator("#") or self.at_operator("."):
            return self._pointer(token)
        if self.v117 and self.at_operator("::"):
            self.next()
            return self._postfix(self._call(self.expect(TokenKind.IDENTIFIER)))
        return self._primary(token)

    def _pointer(self, token: Token) -> Node:
        if not self._predicate_depth:
            if self.v117:
                raise self.unexpected_token()
            raise self.error("cannot use pointer accessor outside closure")
        name = ""
        if token.text == "#":  # a lone dot is `#` before `.name`
            self.next()
            if self.current.matches(TokenKind.IDENTIFIER):
                name = self.next().text
        return self._postfix(self.counted(syntax.Pointer(token.start, max(self.previous_end, token.start), name)))

    def _primary(self, token: Token) -> Node:
        if token.kind is TokenKind.IDENTIFIER:
            self.next()
            return self._name(token)
        if token.kind is TokenKind.NUMBER:
            self.next()
            return self.counted(parse_number(token, v117=self.v117))
        if token.kind is TokenKind.STRING:
            self.next()
            string = self.counted(String(token.start, token.end, token.text))
            return self._postfix(string) if self.v117 else string
        if self.at_bracket("["):
            return self._postfix(self._array())
        if self.at_bracket("{"):
            return self._postfix(self._map())
        raise self.unexpected_token()

    def _name(self, token: Token) -> Node:
        if token.text == "nil":
            return self.counted(syntax.Nil(token.start, token.end))
        if token.text in {"true", "false"}:
            return self.counted(syntax.Bool(token.start, token.end, token.text == "true"))
        if self.at_bracket("("):
            return self._postfix(self._call(token))
        return self._postfix(self.counted(syntax.Identifier(token.start, token.end, token.text)))

    def _array(self) -> Node:
        start = self.expect(TokenKind.BRACKET, "[").start
        items = tuple([self._expression(0) for _ in self._separated("]")])
        return self.counted(syntax.Array(start, self.previous_end, items))

    def _map(self) -> Node:
        start = self.expect(TokenKind.BRACKET, "{").start
        keys: list[Node] = []
        values: list[Node] = []
        for _ in self._separated("}"):
            if keys and self.at_operator(","):
                raise self.unexpected_token()
            keys.append(self._map_key())
            self.expect(TokenKind.OPERATOR, ":")
            values.append(self._expression(0))
            self.counted(keys[-1])  # the engine has a node for the pair
        return self.counted(syntax.Map(start, self.previous_end, tuple(keys), tuple(values)))

    def _map_key(self) -> Node:
        if self.current.kind in {TokenKind.NUMBER, TokenKind.STRING, TokenKind.IDENTIFIER}:
            token = self.next()
            return self.counted(String(token.start, token.end, token.text))
        if self.at_bracket("("):
            return self._expression(0)
        raise self.error(_MAP_KEY.format(self.current))

    def _call(self, name: Token, piped: Node | None = None) -> Node:
        """Parse the arguments of a call; `piped` is the operand before a `|`, which is the first argument."""
        first = () if piped is None else (piped,)
        start = name.start if piped is None else piped.start
        function = self.builtins.get(name.text)
        if function and isinstance(function.signature, Iteration):
            arguments = first + self._iteration_arguments(function.signature, len(first))
            return self.counted(Builtin(start, self.previous_end, name.text, arguments))
        if function:
            arguments = first + self._arguments()
            return self.counted(Builtin(start, self.previous_end, name.text, arguments))
        callee = self.counted(syntax.Identifier(name.start, name.end, name.text))
        arguments = first + self._arguments()
        return self.counted(syntax.Call(start, self.previous_end, callee, arguments))

    def _iteration_arguments(self, signature: Iteration, first: int) -> tuple[Node, ...]:
        """Parse the arguments of a function with a predicate, from the argument of this index on."""
        self.expect(TokenKind.BRACKET, "(")
        arguments: list[Node] = []
        for index in range(first, signature.max_arguments):
            is_optional = index >= signature.min_arguments
            if self.at_bracket(")") and is_optional:
                break
            if self.at_bracket(")") and self.v117:
                raise self.error(f"expected at least {signature.max_arguments - first} arguments")
            if is_optional and not self.v117 and not self.at_operator(","):
                break
            if arguments:
                self.expect(TokenKind.OPERATOR, ",")
            arguments.append(self._predicate() if index == 1 else self._expression(0))
        if self.v117 and self.at_operator(","):
            self.next()
        self.expect(TokenKind.BRACKET, ")")
        return tuple(arguments)

    def _arguments(self) -> tuple[Node, ...]:
        self.expect(TokenKind.BRACKET, "(")
        return tuple([self._expression(0) for _ in self._separated(")", trailing_comma=self.v117)])

    def _separated(self, closing: str, *, trailing_comma: bool = True) -> Iterator[None]:
        """Step over the commas between items and over the closing bracket; yield where an item begins."""
        is_first = True
        while not self.at_bracket(closing):
            if not is_first:
                self.expect(TokenKind.OPERATOR, ",")
                if trailing_comma and self.at_bracket(closing):
                    break
            yield
            is_first = False
        self.expect(TokenKind.BRACKET, closing)

    def _predicate(self) -> Node:
        start = self.current.start
        braced = self.at_bracket("{")
        if braced:
            self.next()
        self._predicate_depth += 1
        body = self._body() if braced else self._expression(0)
        if self.v117 and not braced and self.at_operator(";"):
            raise self.error("wrap predicate with brackets { and }")
        self._predicate_depth -= 1
        if braced:
            self.expect(TokenKind.BRACKET, "}")
        return self.counted(syntax.Predicate(start, self.previous_end, body))

    def _postfix(self, node: Node) -> Node:
        """Parse all the dots and brackets that follow an operand."""
        while True:
            if self.at_operator(".") or self.at_operator("?."):
                node = self._dotted(node, optional=self.at_operator("?."))
            elif self.at_bracket("["):
                node = self._indexed(node, optional=False)
            else:
                return node

    def _dotted(self, node: Node, *, optional: bool) -> Node:
        self.next()
        if self.v117 and optional and self.at_bracket("["):
            return self._indexed(node, optional=True)
        name = self.next()
        is_name = name.kind is TokenKind.IDENTIFIER or (name.kind is TokenKind.OPERATOR and name.text.isalpha())
        if not is_name:
            raise self.error("expected name")
        is_chained = isinstance(node, OptionalChain)
        base = node.link if isinstance(node, OptionalChain) else node
        key = self.counted(String(name.start, name.end, name.text))
        is_method = self.at_bracket("(")
        link: Node = self.counted(Member(base.start, self.previous_end, base, key, optional, is_method))
        if is_method:
            arguments = self._arguments()
            link = self.counted(syntax.Call(base.start, self.previous_end, link, arguments))
        if is_chained or optional:
            return self.counted(OptionalChain(base.start, self.previous_end, link))
        return link

    def _indexed(self, node: Node, *, optional: bool) -> Node:
        self.next()
        low = None if self.at_operator(":") else self._expression(0)
        if not self.at_operator(":"):
            assert low is not None
            self.expect(TokenKind.BRACKET, "]")
            member = self.counted(Member(node.start, self.previous_end, node, low, optional))
            return self.counted(OptionalChain(node.start, self.previous_end, member)) if optional else member
        self.next()
        high = None if self.at_bracket("]") else self._expression(0)
        self.expect(TokenKind.BRACKET, "]")
        return self.counted(syntax.Slice(node.start, self.previous_end, node, low, high))

    # Operators, `let`, `if` and `?:`

    def _sequence(self) -> Node:
        """Parse expressions separated by semicolons."""
        nodes = [self._expression(0)]
        while self.at_operator(";"):
            self.next()
            if self.current.matches(TokenKind.EOF):
                break
            nodes.append(self._expression(0))
        if len(nodes) == 1:
            return nodes[0]
        return self.counted(syntax.Sequence(nodes[0].start, self.previous_end, tuple(nodes)))

    def _expression(self, min_precedence: int) -> Node:
        """Parse an expression of operators with at least this precedence."""
        if min_precedence:
            return self._operations(self._operand(), min_precedence)
        if self.at_operator("let"):
            return self._let()
        if self.v117 and self.at_operator("if"):
            return self._if()
        return self._conditional(self._operations(self._operand(), 0))

    def _operations(self, left: Node, min_precedence: int) -> Node:
        previous_operator = ""
        while self.current.kind is TokenKind.OPERATOR:
            is_negated = self._negation(min_precedence)
            token = self.current
            # An operator that is not binary, such as a comma, ends the operation.
            if token.kind is not TokenKind.OPERATOR or _BINARY_PRECEDENCE.get(token.text, -1) < min_precedence:
                break
            self.next()
            left = self._operation(left, token, previous_operator, is_negated=is_negated)
            previous_operator = token.text
        return left

    def _negation(self, min_precedence: int) -> bool:
        """Step over the `not` of `x not in y`, and return whether there was one.

        1.15 steps over it even if the operator after it binds too loosely, and so loses it: 1 + x not in y is
        1 + x in y.
        """
        if not self.at_operator("not"):
            return False
        negation = self.next()
        if self.v117 and self.current.text not in NEGATABLE:
            raise self.unexpected_token()
        if self.v117 and _BINARY_PRECEDENCE[self.current.text] < min_precedence:
            self.step_back_to(negation)
        return True

    def _operation(self, left: Node, token: Token, previous_operator: str, *, is_negated: bool) -> Node:
        if token.text == "|":
            return self._call(self.expect(TokenKind.IDENTIFIER), left)
        if previous_operator == "??" and token.text != "??":
            raise self.error(
                f"Operator ({token.text}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses.",
                token,
            )
        if self.v117 and token.text in _COMPARISONS:
            return self._comparison(left, token)
        right = self._expression(_BINARY_PRECEDENCE[token.text] + (token.text not in _RIGHT_ASSOCIATIVE))
        node: Node = self.counted(Binary(left.start, self.previous_end, token.text, left, right))
        return self.counted(Unary(left.start, self.previous_end, "not", node)) if is_negated else node

    def _comparison(self, left: Node, token: Token) -> Node:
        """Parse `a < b < c`, which means a < b && b < c."""
        chain: Node | None = None
        while True:
            right = self._expression(_BINARY_PRECEDENCE[token.text] + 1)
            link = self.counted(Binary(left.start, self.previous_end, token.text, left, right))
            chain = link if chain is None else self.counted(Binary(chain.start, self.previous_end, "&&", chain, link))
            left, token = right, self.current
            if token.kind is not TokenKind.OPERATOR or token.text not in _COMPARISONS:
                return chain
            self.next()

    def _let(self) -> Node:
        start = self.next().start
        name = self.expect(TokenKind.IDENTIFIER).text
        self.expect(TokenKind.OPERATOR, "=")
        value = self._expression(0)
        self.expect(TokenKind.OPERATOR, ";")
        body = self._body()
        return self.counted(syntax.Let(start, self.previous_end, name, value, body))

    def _if(self) -> Node:
        start = self.next().start
        test = self._expression(0)
        then = self._block()
        self.expect(TokenKind.OPERATOR, "else")
        otherwise = self._if() if self.at_operator("if") else self._block()
        return syntax.Conditional(start, self.previous_end, test, then, otherwise)

    def _block(self) -> Node:
        self.expect(TokenKind.BRACKET, "{")
        node = self._sequence()
        self.expect(TokenKind.BRACKET, "}")
        return node

    def _conditional(self, node: Node) -> Node:
        while self.at_operator("?"):
            self.next()
            then = node if self.at_operator(":") else self._expression(0)
            self.expect(TokenKind.OPERATOR, ":")
            otherwise = self._expression(0)
            node = self.counted(syntax.Conditional(node.start, self.previous_end, node, then, otherwise))
        return node
