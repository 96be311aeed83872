"""What moves through the tokens of a condition, and says where they are not what they must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from exporter.gate.condition.faults import ConditionError
from exporter.gate.condition.grammar import MOST_NODES
from exporter.gate.condition.syntax import Node
from exporter.gate.condition.tokens import Kind, Lexer, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.condition.engine import Engine

N = TypeVar("N", bound=Node)


class Stream:
    """The token at hand (`now`), where the last one ended (`end`), and the step to the next."""

    def __init__(self, text: str, engine: Engine) -> None:
        self.engine = engine
        self.modern = engine.modern
        lexer = iter(Lexer(text, engine))
        self._tokens: Iterator[Token] = lexer if self.modern else iter(list(lexer))
        self._held: Token | None = None
        self._nodes = 0
        self.end = 0
        self.now = next(self._tokens)

    def next(self) -> Token:
        """Step over the token at hand and return it."""
        passed, self.end = self.now, self.now.end
        if self._held is not None:
            self.now, self._held = self._held, None
            return passed
        following = next(self._tokens, None)
        if following is None:
            raise self.refused("unexpected end of expression")
        self.now = following
        return passed

    def back_to(self, token: Token) -> None:
        """Step back to the token before the one at hand."""
        self._held, self.now = self.now, token

    def expect(self, kind: Kind, text: str | None = None) -> Token:
        """Step over a token that must be of a kind, and have this text."""
        if not self.now.is_(kind, text):
            raise self.unexpected()
        return self.next()

    def operator(self, text: str) -> bool:
        """Say whether this operator is at hand."""
        return self.now.is_(Kind.OPERATOR, text)

    def bracket(self, text: str) -> bool:
        """Say whether this bracket is at hand."""
        return self.now.is_(Kind.BRACKET, text)

    def made(self, node: N) -> N:
        """Count a node; the newer engine allows only so many."""
        self._nodes += 1
        if self.modern and self._nodes > MOST_NODES:
            raise self.refused("compilation failed: expression exceeds maximum allowed nodes")
        return node

    def refused(self, message: str, token: Token | None = None) -> ConditionError:
        """Return the refusal of a condition at a token, by default the one at hand."""
        return ConditionError(message, (token or self.now).start)

    def unexpected(self) -> ConditionError:
        """Return the refusal of the token at hand."""
        return self.refused(f"unexpected token {self.now}")
