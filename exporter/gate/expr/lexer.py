"""The text of a condition → its tokens, as the engine's lexer cuts it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.escapes import read_string
from exporter.gate.condition.faults import ConditionError
from exporter.gate.gotext import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.gate.condition.engine import Engine

_DIGITS: Final = "0123456789_"
_BASES: Final = (("xX", "0123456789abcdefABCDEF_"), ("oO", "01234567_"), ("bB", "01_"))
_WORD_OPERATORS: Final = {"in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "not"}
_NEGATED: Final = {"in", "matches", "contains", "startsWith", "endsWith"}
_ALONE: Final = ",;%+-^"
_DOUBLED: Final = "&!=*<>"
_SPACES: Final = "\t\n\v\f\r \x85\xa0"


class Kind(StrEnum):
    """What a token is, in the engine's own words."""

    IDENTIFIER = "Identifier"
    NUMBER = "Number"
    STRING = "String"
    OPERATOR = "Operator"
    BRACKET = "Bracket"
    EOF = "EOF"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind, its text (of a string: what it stands for) and its characters, `start` to before `end`."""

    kind: Kind
    text: str
    start: int
    end: int

    def is_(self, kind: Kind, text: str | None = None) -> bool:
        """Say whether it is of a kind, and has this very text where one is given."""
        return self.kind is kind and (text is None or text == self.text)

    def __str__(self) -> str:
        return f"{self.kind}({quoted(self.text)})" if self.text else str(self.kind)


def wordy(char: str) -> bool:
    """Say whether a character can be part of a name."""
    return char in {"_", "$"} or (char != "" and (unicodedata.category(char)[0] == "L" or _digit(char)))


def _digit(char: str) -> bool:
    return unicodedata.category(char) == "Nd"


def _space(char: str) -> bool:
    return char in _SPACES or unicodedata.category(char) in {"Zs", "Zl", "Zp"}


class Lexer:
    """Cuts one condition; iterate over it. Raises ConditionError where the text is none of the language."""

    def __init__(self, text: str, engine: Engine) -> None:
        self._text = text
        self._modern = engine.modern
        self._start = self._at = 0

    def __iter__(self) -> Iterator[Token]:
        while self._at < len(self._text):
            self._start = self._at
            yield from self._next()
        yield Token(Kind.EOF, "", max(len(self._text) - 1, 0), len(self._text))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _accept(self, valid: str) -> bool:
        found = self._peek()
        if found and found in valid:
            self._at += 1
            return True
        return False

    def _run(self, valid: str) -> None:
        while self._accept(valid):
            pass

    def _token(self, kind: Kind, text: str | None = None) -> Token:
        token = Token(kind, self._word() if text is None else text, self._start, self._at)
        self._start = self._at
        return token

    def _word(self) -> str:
        return self._text[self._start : self._at]

    def _fail(self, message: str) -> ConditionError:
        return ConditionError(message, max(self._at - 1, 0))

    def _next(self) -> Iterator[Token]:
        char = self._peek()
        self._at += 1
        if _space(char):
            return
        for valid, read in self._readers():
            if char in valid:
                yield from read(char)
                return
        if not wordy(char):
            raise self._fail(f"unrecognized character: U+{ord(char):04X}{_shown(char)}")
        yield from self._name()

    def _readers(self) -> tuple[tuple[str, Callable[[str], Iterator[Token]]], ...]:
        return (
            ("'\"", self._string),
            ("`" if self._modern else "", self._raw),
            ("0123456789", self._number),
            ("?", lambda _: self._operator(".?")),
            ("/", self._slash),
            ("#", self._pointer),
            ("|", lambda _: self._operator("|")),
            (":", lambda _: self._operator(":" if self._modern else "")),
            ("([{)]}", lambda _: iter([self._token(Kind.BRACKET)])),
            (_ALONE, lambda _: self._operator("")),
            (_DOUBLED, lambda _: self._operator("&=*")),
            (".", self._dot),
        )

    def _operator(self, more: str) -> Iterator[Token]:
        self._accept(more)
        yield self._token(Kind.OPERATOR)

    def _dot(self, _char: str) -> Iterator[Token]:
        if (following := self._peek()) and following in "0123456789":
            return self._number_on()
        return self._operator(".")

    def _slash(self, _char: str) -> Iterator[Token]:
        if self._accept("/"):
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end + 1
        elif self._accept("*"):
            end = self._text.find("*/", self._at)
            if end < 0:
                self._at = len(self._text)
                raise self._fail("unclosed comment")
            self._at = end + 2
        else:
            yield self._token(Kind.OPERATOR)

    def _number(self, _char: str) -> Iterator[Token]:
        self._at = self._start
        return self._number_on()

    def _number_on(self) -> Iterator[Token]:
        if not self._scan_number():
            raise self._fail(f"bad number syntax: {quoted(self._word())}")
        yield self._token(Kind.NUMBER)

    def _scan_number(self) -> bool:
        digits = _DIGITS
        if self._accept("0"):
            digits = next((allowed for prefix, allowed in _BASES if self._accept(prefix)), _DIGITS)
        self._run(digits)
        before = self._at
        if self._accept("."):
            if self._peek() == ".":  # 1..2 is a range
                self._at = before
                return True
            self._run(digits)
        if self._accept("eE"):
            self._accept("+-")
            self._run(digits)
        if wordy(self._peek()):
            self._at += 1
            return False
        return True

    def _name(self) -> Iterator[Token]:
        self._word_on()
        word = self._word()
        operators = _WORD_OPERATORS | {"if", "else"} if self._modern else _WORD_OPERATORS
        yield self._token(Kind.OPERATOR if word in operators else Kind.IDENTIFIER)
        if word == "not":
            yield from self._negated()

    def _negated(self) -> Iterator[Token]:
        """Read what may follow `not`: another operator, or nothing yet."""
        self._run(" ")
        self._start = before = self._at
        self._word_on()
        if self._word() in _NEGATED:
            yield self._token(Kind.OPERATOR)
        else:
            self._at = before

    def _word_on(self) -> None:
        while wordy(self._peek()):
            self._at += 1

    def _pointer(self, _char: str) -> Iterator[Token]:
        self._accept("#")
        yield self._token(Kind.OPERATOR)
        self._word_on()
        if self._word():
            yield self._token(Kind.IDENTIFIER)

    def _string(self, _quote: str) -> Iterator[Token]:
        text, self._at = read_string(self._text, self._start, modern=self._modern)
        yield self._token(Kind.STRING, text)

    def _raw(self, quote: str) -> Iterator[Token]:
        read = []
        while True:
            char = self._peek()
            self._at += 1
            if not char:
                raise self._fail("literal not terminated")
            if char == quote and not self._accept(quote):  # a doubled one stands for itself
                break
            read.append(char)
        yield self._token(Kind.STRING, "".join(read))


def _shown(char: str) -> str:
    return f" '{char}'" if char.isprintable() else ""
