"""The text of a condition → its tree, as the engine's parser builds it: also its slips, which users rely on."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from exporter.gate.expr.grammar import BINARY, COMPARISONS, NEGATED, RIGHT, UNARY, Argument, functions, loops
from exporter.gate.expr.lexer import Kind, Stream, Token, number, wordy
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
    Identifier,
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

# The parts that operators join: literals, names, calls, lists, maps, and what follows them in dots and brackets.


_KEY: Final = (
    "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses "
    "(unexpected token {})"
)


class Parts(Stream):
    """Reads one part; what joins parts is read by whoever extends it."""

    _depth = 0
    """Inside how many closures."""

    @abstractmethod
    def expression(self, tightness: int) -> Node:
        """Read an expression of operators that bind at least so tightly."""

    @abstractmethod
    def sequence(self) -> Node:
        """Read expressions with semicolons between them."""

    def several(self) -> Node:
        """Read what may be a sequence where the engine has them."""
        return self.sequence() if self.modern else self.expression(0)

    def primary(self) -> Node:
        """Read one part with all that follows it."""
        token = self.now
        if token.kind is Kind.OPERATOR and token.text in UNARY:
            self.next()
            operand = self.expression(UNARY[token.text])
            return self._after(self.made(Unary(token.start, self.end, token.text, operand)))
        if self.bracket("("):
            self.next()
            node = self.several()
            self.expect(Kind.BRACKET, ")")
            return self._after(node)
        if self.operator("#") or self.operator("."):
            return self._pointer(token)
        if self.modern and self.operator("::"):
            self.next()
            return self._after(self.call(self.expect(Kind.IDENTIFIER)))
        return self._secondary(token)

    def _pointer(self, token: Token) -> Node:
        if not self._depth:
            if self.modern:
                raise self.unexpected()
            raise self.refused("cannot use pointer accessor outside closure")
        name = ""
        if token.text == "#":
            self.next()
            if self.now.is_(Kind.IDENTIFIER):
                name = self.next().text
        return self._after(self.made(Pointer(token.start, max(self.end, token.start), name)))

    def _secondary(self, token: Token) -> Node:
        if token.kind is Kind.IDENTIFIER:
            self.next()
            return self._word(token)
        if token.kind is Kind.NUMBER:
            self.next()
            return self.made(number(token, modern=self.modern))
        if token.kind is Kind.STRING:
            self.next()
            text = self.made(String(token.start, token.end, token.text))
            return self._after(text) if self.modern else text
        if self.bracket("["):
            return self._after(self._array())
        if self.bracket("{"):
            return self._after(self._map())
        raise self.unexpected()

    def _word(self, token: Token) -> Node:
        if token.text == "nil":
            return self.made(Nil(token.start, token.end))
        if token.text in {"true", "false"}:
            return self.made(Bool(token.start, token.end, token.text == "true"))
        if self.bracket("("):
            return self._after(self.call(token))
        return self._after(self.made(Identifier(token.start, token.end, token.text)))

    def _array(self) -> Node:
        start = self.expect(Kind.BRACKET, "[").start
        items: list[Node] = []
        while not self.bracket("]"):
            if items:
                self.expect(Kind.OPERATOR, ",")
                if self.bracket("]"):
                    break
            items.append(self.expression(0))
        self.expect(Kind.BRACKET, "]")
        return self.made(Array(start, self.end, tuple(items)))

    def _map(self) -> Node:
        start = self.expect(Kind.BRACKET, "{").start
        keys: list[Node] = []
        values: list[Node] = []
        while not self.bracket("}"):
            if keys:
                self.expect(Kind.OPERATOR, ",")
                if self.bracket("}"):
                    break
                if self.operator(","):
                    raise self.unexpected()
            keys.append(self._key())
            self.expect(Kind.OPERATOR, ":")
            values.append(self.expression(0))
            self.made(keys[-1])  # the pair counts as a node
        self.expect(Kind.BRACKET, "}")
        return self.made(Map(start, self.end, tuple(keys), tuple(values)))

    def _key(self) -> Node:
        if self.now.kind in {Kind.NUMBER, Kind.STRING, Kind.IDENTIFIER}:
            token = self.next()
            return self.made(String(token.start, token.end, token.text))
        if self.bracket("("):
            return self.expression(0)
        raise self.refused(_KEY.format(self.now))

    def call(self, name: Token, piped: Node | None = None) -> Node:
        """Read the arguments of a call; `piped` is what stands before a `|`, the first of them."""
        first = () if piped is None else (piped,)
        start = name.start if piped is None else piped.start
        loop = loops(self.engine).get(name.text)
        if loop:
            arguments = first + self._loop(loop[len(first) :])
            return self.made(Builtin(start, self.end, name.text, arguments))
        if name.text in functions(self.engine):
            arguments = first + self._arguments()
            return self.made(Builtin(start, self.end, name.text, arguments))
        callee = self.made(Identifier(name.start, name.end, name.text))
        arguments = first + self._arguments()
        return self.made(Call(start, self.end, callee, arguments))

    def _loop(self, wanted: tuple[Argument, ...]) -> tuple[Node, ...]:
        self.expect(Kind.BRACKET, "(")
        read: list[Node] = []
        for place, argument in enumerate(wanted):
            if self.bracket(")") and argument.optional:
                break
            if self.bracket(")") and self.modern:
                raise self.refused(f"expected at least {len(wanted)} arguments")
            if argument.optional and not self.modern and not self.operator(","):
                break
            if place:
                self.expect(Kind.OPERATOR, ",")
            read.append(self._closure() if argument.closure else self.expression(0))
        if self.modern and self.operator(","):
            self.next()
        self.expect(Kind.BRACKET, ")")
        return tuple(read)

    def _arguments(self) -> tuple[Node, ...]:
        self.expect(Kind.BRACKET, "(")
        read: list[Node] = []
        while not self.bracket(")"):
            if read:
                self.expect(Kind.OPERATOR, ",")
                if self.modern and self.bracket(")"):
                    break
            read.append(self.expression(0))
        self.expect(Kind.BRACKET, ")")
        return tuple(read)

    def _closure(self) -> Node:
        start = self.now.start
        braced = self.bracket("{")
        if braced:
            self.next()
        self._depth += 1
        body = self.several() if braced else self.expression(0)
        if self.modern and not braced and self.operator(";"):
            raise self.refused("wrap predicate with brackets { and }")
        self._depth -= 1
        if braced:
            self.expect(Kind.BRACKET, "}")
        return self.made(Predicate(start, self.end, body))

    def _after(self, node: Node) -> Node:
        """Read all the dots and brackets that follow a part."""
        while True:
            if self.operator(".") or self.operator("?."):
                node = self._dotted(node, optional=self.operator("?."))
            elif self.bracket("["):
                node = self._indexed(node, optional=False)
            else:
                return node

    def _dotted(self, node: Node, *, optional: bool) -> Node:
        self.next()
        if self.modern and optional and self.bracket("["):
            return self._indexed(node, optional=True)
        name = self.next()
        if name.kind is not Kind.IDENTIFIER and not (name.kind is Kind.OPERATOR and _identifier(name.text)):
            raise self.refused("expected name")
        chained = isinstance(node, OptionalChain)
        base = node.link if isinstance(node, OptionalChain) else node
        key = self.made(String(name.start, name.end, name.text))
        called = self.bracket("(")
        link: Node = self.made(Member(base.start, self.end, base, key, optional, called))
        if called:
            arguments = self._arguments()
            link = self.made(Call(base.start, self.end, link, arguments))
        return self.made(OptionalChain(base.start, self.end, link)) if chained or optional else link

    def _indexed(self, node: Node, *, optional: bool) -> Node:
        self.next()
        low = None if self.operator(":") else self.expression(0)
        if not self.operator(":"):
            assert low is not None
            self.expect(Kind.BRACKET, "]")
            member = self.made(Member(node.start, self.end, node, low, optional))
            return self.made(OptionalChain(node.start, self.end, member)) if optional else member
        self.next()
        high = None if self.bracket("]") else self.expression(0)
        self.expect(Kind.BRACKET, "]")
        return self.made(Slice(node.start, self.end, node, low, high))


def _identifier(text: str) -> bool:
    return all(map(wordy, text)) and not text[0].isdigit()


# rooms


class Parser(Parts):
    """Parses one condition, once."""

    def parse(self) -> Node:
        """Return the tree. Raises ConditionError."""
        node = self.several()
        if not self.now.is_(Kind.EOF):
            raise self.unexpected()
        return node

    def sequence(self) -> Node:
        """Read expressions with semicolons between them."""
        nodes = [self.expression(0)]
        while self.operator(";"):
            self.next()
            if self.now.is_(Kind.EOF):
                break
            nodes.append(self.expression(0))
        return nodes[0] if len(nodes) == 1 else self.made(Sequence(nodes[0].start, self.end, tuple(nodes)))

    def expression(self, tightness: int) -> Node:
        """Read an expression of operators that bind at least so tightly."""
        if tightness:
            return self._operations(self.primary(), tightness)
        if self.operator("let"):
            return self._let()
        if self.modern and self.operator("if"):
            return self._if()
        return self._conditional(self._operations(self.primary(), 0))

    def _operations(self, left: Node, tightness: int) -> Node:
        before = ""
        while self.now.kind is Kind.OPERATOR:
            negated = self._negation(tightness)
            token = self.now
            if token.kind is not Kind.OPERATOR or BINARY.get(token.text, -1) < tightness:
                break
            self.next()
            left = self._operation(left, token, before, negated=negated)
            before = token.text
        return left

    def _negation(self, tightness: int) -> bool:
        """Step over the `not` of `x not in y`; the older engine does so, and forgets it, even where it then stops."""
        if not self.operator("not"):
            return False
        negation = self.next()
        if self.modern and self.now.text not in NEGATED:
            raise self.unexpected()
        if self.modern and BINARY[self.now.text] < tightness:
            self.back_to(negation)
        return True

    def _operation(self, left: Node, token: Token, before: str, *, negated: bool) -> Node:
        if token.text == "|":
            return self.call(self.expect(Kind.IDENTIFIER), left)
        if before == "??" and token.text != "??":
            raise self.refused(
                f"Operator ({token.text}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses.",
                token,
            )
        if self.modern and token.text in COMPARISONS:
            return self._comparison(left, token)
        right = self.expression(BINARY[token.text] + (token.text not in RIGHT))
        node: Node = self.made(Binary(left.start, self.end, token.text, left, right))
        return self.made(Unary(left.start, self.end, "not", node)) if negated else node

    def _comparison(self, left: Node, token: Token) -> Node:
        """Read `a < b < c`, which means a < b && b < c."""
        whole: Node | None = None
        while True:
            right = self.expression(BINARY[token.text] + 1)
            link = self.made(Binary(left.start, self.end, token.text, left, right))
            whole = link if whole is None else self.made(Binary(whole.start, self.end, "&&", whole, link))
            left, token = right, self.now
            if token.kind is not Kind.OPERATOR or token.text not in COMPARISONS:
                return whole
            self.next()

    def _let(self) -> Node:
        start = self.next().start
        name = self.expect(Kind.IDENTIFIER).text
        self.expect(Kind.OPERATOR, "=")
        value = self.expression(0)
        self.expect(Kind.OPERATOR, ";")
        body = self.several()
        return self.made(Let(start, self.end, name, value, body))

    def _if(self) -> Node:
        start = self.next().start
        test = self.expression(0)
        then = self._block()
        self.expect(Kind.OPERATOR, "else")
        otherwise = self._if() if self.operator("if") else self._block()
        return Conditional(start, self.end, test, then, otherwise)

    def _block(self) -> Node:
        self.expect(Kind.BRACKET, "{")
        node = self.sequence()
        self.expect(Kind.BRACKET, "}")
        return node

    def _conditional(self, node: Node) -> Node:
        while self.operator("?"):
            self.next()
            then = node if self.operator(":") else self.expression(0)
            self.expect(Kind.OPERATOR, ":")
            otherwise = self.expression(0)
            node = self.made(Conditional(node.start, self.end, node, then, otherwise))
        return node
