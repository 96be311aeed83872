"""The text of a condition → its tree, as the engine's parser builds it: also its slips, which users rely on."""

from __future__ import annotations

from exporter.gate.condition.grammar import BINARY, COMPARISONS, NEGATED, RIGHT
from exporter.gate.condition.parts import Parts
from exporter.gate.condition.syntax import Binary, Conditional, Let, Node, Sequence, Unary
from exporter.gate.condition.tokens import Kind, Token


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
