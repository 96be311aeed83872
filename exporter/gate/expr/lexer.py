"""The text of a condition → its tokens, as the engine's lexer splits it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.errors import ConditionError
from exporter.gate.go_format import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.gate.expr.syntax import Engine


# String literals


_HEX: Final = "[0-9a-fA-F]"
_VALID_ESCAPES: Final = rf"[abfnrtv\\\\]|[0-7]{{3}}|x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}"
_ESCAPE: Final = re.compile(r"\\(?:x(..)|u\{(.*?)\}|u(....)|U(.{8})|([0-7]{3})|(.))")
_SIMPLE_ESCAPES: Final[Mapping[str, str]] = {
    **dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)),
    **{char: char for char in "\\'\"`?"},
}
_MAX_BYTE: Final = 0xFF
_MAX_RUNE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def read_string(text: str, start: int, *, v117: bool) -> tuple[str, int]:
    """Return the text of the literal whose quote is at `start`, and where it ends. Raises ConditionError."""
    quote = text[start]
    # The engine checks a literal's escapes first and unescapes it later, so there are errors of both steps.
    braced = rf"|u\{{{_HEX}{{1,6}}\}}" if v117 else ""
    literal = re.compile(rf"(?:[^\\\n{quote}]|\\(?:{_VALID_ESCAPES}|{quote}{braced}))*")
    body = literal.match(text, start + 1)
    assert body is not None
    end = body.end()
    match text[end : end + 1]:
        case "\\":
            raise ConditionError("invalid char escape", end)
        case "" | "\n":
            raise ConditionError("literal not terminated", end)
    raw = body[0].replace("\r\n", "\n").replace("\r", "\n")  # as the engine normalizes line breaks
    return _ESCAPE.sub(lambda escape: _unescape(escape, start), raw), end + 1


def _unescape(escape: re.Match[str], position: int) -> str:
    *hexadecimal, octal, char = escape.groups()
    if char:
        return _SIMPLE_ESCAPES[char]
    code = int(octal, 8) if octal else int(next(filter(None, hexadecimal)), 16)
    if code > (_MAX_BYTE if octal else _MAX_RUNE):
        raise ConditionError("unable to unescape string", position)
    return "\ufffd" if code in _SURROGATES else chr(code)  # Go replaces a lone surrogate


# Tokens


_DIGITS: Final = "0123456789_"
_BASES: Final = (("xX", "0123456789abcdefABCDEF_"), ("oO", "01234567_"), ("bB", "01_"))
NEGATABLE: Final = {"in", "matches", "contains", "startsWith", "endsWith"}
"""The operators that can follow `not`."""
_WORD_OPERATORS: Final = NEGATABLE | {"or", "and", "let", "not"}
_SINGLE_CHAR_OPERATORS: Final = ",;%+-^"
_DOUBLED_OPERATORS: Final = "&!=*<>"
_SPACES: Final = "\t\n\v\f\r \x85\xa0"


class TokenKind(StrEnum):
    """The kind of a token; the values appear in the engine's messages."""

    IDENTIFIER = "Identifier"
    NUMBER = "Number"
    STRING = "String"
    OPERATOR = "Operator"
    BRACKET = "Bracket"
    EOF = "EOF"


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its kind, its text (unescaped if a string) and its characters, from `start` to before `end`."""

    kind: TokenKind
    text: str
    start: int
    end: int

    def matches(self, kind: TokenKind, text: str | None = None) -> bool:
        """Return whether the token is of a kind, and has this text if one is given."""
        return self.kind is kind and (text is None or text == self.text)

    def __str__(self) -> str:
        return f"{self.kind}({quote(self.text)})" if self.text else str(self.kind)


def is_identifier_char(char: str) -> bool:
    """Return whether a character can be part of a name; digits are, though not at the start."""
    category = unicodedata.category(char) if char else ""
    return char in {"_", "$"} or category == "Nd" or category.startswith("L")


class Lexer:
    """Iterates over the tokens of one condition. Raises ConditionError for text that is not of the language."""

    def __init__(self, text: str, engine: Engine) -> None:
        self._text = text
        self._v117 = engine.v117
        self._start = self._offset = 0

    def __iter__(self) -> Iterator[Token]:
        while self._offset < len(self._text):
            self._start = self._offset
            yield from self._next()
        # The engine places the end at the last character.
        yield Token(TokenKind.EOF, "", max(len(self._text) - 1, 0), len(self._text))

    def _peek(self) -> str:
        return self._text[self._offset : self._offset + 1]

    def _accept(self, valid: str) -> bool:
        char = self._peek()
        if char and char in valid:
            self._offset += 1
            return True
        return False

    def _accept_run(self, valid: str) -> None:
        while self._accept(valid):
            pass

    def _token(self, kind: TokenKind, text: str | None = None) -> Token:
        token = Token(kind, self._word() if text is None else text, self._start, self._offset)
        self._start = self._offset
        return token

    def _word(self) -> str:
        return self._text[self._start : self._offset]

    def _error(self, message: str) -> ConditionError:
        return ConditionError(message, max(self._offset - 1, 0))  # at the character read last

    def _next(self) -> Iterator[Token]:
        char = self._peek()
        self._offset += 1
        if char in _SPACES or unicodedata.category(char) in {"Zs", "Zl", "Zp"}:
            return
        for first_chars, read in self._readers():
            if char in first_chars:
                yield from read(char)
                return
        if not is_identifier_char(char):
            printed = f" '{char}'" if char.isprintable() else ""
            raise self._error(f"unrecognized character: U+{ord(char):04X}{printed}")
        yield from self._name()

    def _readers(self) -> tuple[tuple[str, Callable[[str], Iterator[Token]]], ...]:
        return (
            ("'\"", self._string),
            ("`" if self._v117 else "", self._raw_string),
            ("0123456789", self._number),
            ("?", lambda _: self._operator(".?")),
            ("/", self._slash),
            ("#", self._pointer),
            ("|", lambda _: self._operator("|")),
            (":", lambda _: self._operator(":" if self._v117 else "")),
            ("([{)]}", lambda _: iter([self._token(TokenKind.BRACKET)])),
            (_SINGLE_CHAR_OPERATORS, lambda _: self._operator("")),
            (_DOUBLED_OPERATORS, lambda _: self._operator("&=*")),
            (".", self._dot),
        )

    def _operator(self, second_chars: str) -> Iterator[Token]:
        self._accept(second_chars)
        yield self._token(TokenKind.OPERATOR)

    def _dot(self, _char: str) -> Iterator[Token]:
        if (following := self._peek()) and following in "0123456789":
            return self._number(".")
        return self._operator(".")

    def _slash(self, _char: str) -> Iterator[Token]:
        if self._accept("/"):
            end = self._text.find("\n", self._offset)
            self._offset = len(self._text) if end < 0 else end + 1
        elif self._accept("*"):
            end = self._text.find("*/", self._offset)
            if end < 0:
                self._offset = len(self._text)
                raise self._error("unclosed comment")
            self._offset = end + 2
        else:
            yield self._token(TokenKind.OPERATOR)

    def _number(self, first: str) -> Iterator[Token]:
        if first != ".":  # read again from the first digit on, which may begin a prefix
            self._offset = self._start
        if not self._scan_number():
            raise self._error(f"bad number syntax: {quote(self._word())}")
        yield self._token(TokenKind.NUMBER)

    def _scan_number(self) -> bool:
        digits = _DIGITS
        if self._accept("0"):
            digits = next((allowed for prefix, allowed in _BASES if self._accept(prefix)), _DIGITS)
        self._accept_run(digits)
        before_dot = self._offset
        if self._accept("."):
            if self._peek() == ".":  # 1..2 is a range
                self._offset = before_dot
                return True
            self._accept_run(digits)
        if self._accept("eE"):
            self._accept("+-")
            self._accept_run(digits)
        if is_identifier_char(self._peek()):
            self._offset += 1
            return False
        return True

    def _name(self) -> Iterator[Token]:
        self._scan_name()
        word = self._word()
        operators = _WORD_OPERATORS | {"if", "else"} if self._v117 else _WORD_OPERATORS
        yield self._token(TokenKind.OPERATOR if word in operators else TokenKind.IDENTIFIER)
        if word == "not":
            yield from self._negated_operator()

    def _negated_operator(self) -> Iterator[Token]:
        """Yield the operator of `not in` and its like, if one follows `not`; else step back."""
        self._accept_run(" ")
        self._start = after_spaces = self._offset
        self._scan_name()
        if self._word() in NEGATABLE:
            yield self._token(TokenKind.OPERATOR)
        else:
            self._offset = after_spaces

    def _scan_name(self) -> None:
        while is_identifier_char(self._peek()):
            self._offset += 1

    def _pointer(self, _char: str) -> Iterator[Token]:
        self._accept("#")
        yield self._token(TokenKind.OPERATOR)
        self._scan_name()
        if self._word():
            yield self._token(TokenKind.IDENTIFIER)

    def _string(self, _quote: str) -> Iterator[Token]:
        text, self._offset = read_string(self._text, self._start, v117=self._v117)
        yield self._token(TokenKind.STRING, text)

    def _raw_string(self, quote: str) -> Iterator[Token]:
        chars = []
        while True:
            char = self._peek()
            self._offset += 1
            if not char:
                raise self._error("literal not terminated")
            if char == quote and not self._accept(quote):  # a doubled quote means one
                break
            chars.append(char)
        yield self._token(TokenKind.STRING, "".join(chars))
