"""The parts that operators join: literals, names, calls, lists, maps, and what follows them in dots and brackets."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from exporter.gate.condition.grammar import UNARY, Argument, functions, loops
from exporter.gate.condition.numbers import number
from exporter.gate.condition.stream import Stream
from exporter.gate.condition.syntax import (
    Array,
    Bool,
    Builtin,
    Call,
    Chain,
    Closure,
    Cut,
    Identifier,
    Map,
    Member,
    Nil,
    Node,
    Pointer,
    String,
    Unary,
)
from exporter.gate.condition.tokens import Kind, Token, wordy

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
        return self.made(Closure(start, self.end, body))

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
        chained = isinstance(node, Chain)
        base = node.link if isinstance(node, Chain) else node
        key = self.made(String(name.start, name.end, name.text))
        called = self.bracket("(")
        link: Node = self.made(Member(base.start, self.end, base, key, optional, called))
        if called:
            arguments = self._arguments()
            link = self.made(Call(base.start, self.end, link, arguments))
        return self.made(Chain(base.start, self.end, link)) if chained or optional else link

    def _indexed(self, node: Node, *, optional: bool) -> Node:
        self.next()
        low = None if self.operator(":") else self.expression(0)
        if not self.operator(":"):
            assert low is not None
            self.expect(Kind.BRACKET, "]")
            member = self.made(Member(node.start, self.end, node, low, optional))
            return self.made(Chain(node.start, self.end, member)) if optional else member
        self.next()
        high = None if self.bracket("]") else self.expression(0)
        self.expect(Kind.BRACKET, "]")
        return self.made(Cut(node.start, self.end, node, low, high))


def _identifier(text: str) -> bool:
    return all(map(wordy, text)) and not text[0].isdigit()
