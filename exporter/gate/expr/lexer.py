"""The text of a condition → its tokens, as the engine's lexer cuts it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from math import isinf
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.gate.expr.errors import ConditionError
from exporter.gate.expr.grammar import MOST_NODES
from exporter.gate.expr.syntax import Float, Integer, Node
from exporter.gate.go_format import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.gate.expr.engine import Engine


# A string literal of a condition → the text it stands for.


_HEX: Final = "[0-9a-fA-F]"
_ESCAPES: Final = rf"[abfnrtv\\\\]|[0-7]{{3}}|x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}"
_PLAIN: Final[Mapping[str, str]] = {**dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)), **{c: c for c in "\\'\"`?"}}
_LAST_RUNE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def read_string(text: str, start: int, *, modern: bool) -> tuple[str, int]:
    """Read the literal whose quote is at `start`; return its text and where it ends. Raises ConditionError."""
    quote = text[start]
    braces = rf"|u\{{{_HEX}{{1,6}}\}}" if modern else ""
    body = re.compile(rf"(?:[^\\\n{quote}]|\\(?:{_ESCAPES}|{quote}{braces}))*")
    found = body.match(text, start + 1)
    assert found is not None
    end = found.end()
    match text[end : end + 1]:
        case "\\":
            raise ConditionError("invalid char escape", end)
        case "" | "\n":
            raise ConditionError("literal not terminated", end)
    plain = found[0].replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"\\(u\{.*?\}|[xuU0-7][0-9a-fA-F]*|.)", lambda escape: _meant(escape[1], start), plain), end + 1


def _meant(escape: str, at: int) -> str:
    """Return what one escape stands for, and whatever followed it."""
    kind = escape[0]
    if kind in _PLAIN:
        return _PLAIN[kind] + escape[1:]
    if kind in "4567":
        raise ConditionError("unable to unescape string", at)
    if kind in "0123":
        return _rune(int(escape[:3], 8), at) + escape[3:]
    if escape[1:2] == "{":
        return _rune(int(escape[2:-1], 16), at)
    width = {"x": 2, "u": 4, "U": 8}[kind]
    return _rune(int(escape[1 : 1 + width], 16), at) + escape[1 + width :]


def _rune(code: int, at: int) -> str:
    if code > _LAST_RUNE:
        raise ConditionError("unable to unescape string", at)
    return "\ufffd" if code in _SURROGATES else chr(code)


# rooms


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
        self._modern = engine.v117
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


# What moves through the tokens of a condition, and says where they are not what they must be.


# rooms


N = TypeVar("N", bound=Node)


class Stream:
    """The token at hand (`now`), where the last one ended (`end`), and the step to the next."""

    def __init__(self, text: str, engine: Engine) -> None:
        self.engine = engine
        self.modern = engine.v117
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


# A number in a condition → its value, refused where the engine refuses it.


_LARGEST: Final = 2**63 - 1
_FLOAT: Final = re.compile(r"[0-9]*\.?[0-9]*([eE][+-]?[0-9]+)?")
_KINDS: Final = {"x": ("hex", 16), "b": ("binary", 2), "o": ("octal", 8)}


def number(token: Token, *, modern: bool) -> Integer | Float:
    """Read a number. Raises ConditionError, as of one that is too large."""
    text = token.text.replace("_", "")
    prefix = _prefix(text, modern=modern)
    if prefix:
        kind, base = _KINDS[prefix]
        return _integer(text, kind, base, token)
    if any(char in text for char in ".eE"):
        return Float(token.start, token.end, _float(text, token))
    return _integer(text, "integer", 10, token)


def _prefix(text: str, *, modern: bool) -> str:
    """Return the letter of a base; the older engine knows only `x`, and that anywhere."""
    if modern:
        letter = text[1:2].lower()
        return letter if letter in _KINDS and text.startswith("0") else ""
    return "x" if "x" in text else ""


def _integer(text: str, kind: str, base: int, token: Token) -> Integer:
    try:
        value = int(text, base)
    except ValueError:
        raise _refused(kind, "ParseInt", text, "invalid syntax", token) from None
    if value > _LARGEST:
        raise _refused(kind, "ParseInt", text, "value out of range", token)
    return Integer(token.start, token.end, value)


def _float(text: str, token: Token) -> float:
    if not _FLOAT.fullmatch(text):
        raise _refused("float", "ParseFloat", text, "invalid syntax", token)
    value = float(text)
    if isinf(value):
        raise _refused("float", "ParseFloat", text, "value out of range", token)
    return value


def _refused(kind: str, reader: str, text: str, why: str, token: Token) -> ConditionError:
    return ConditionError(f"invalid {kind} literal: strconv.{reader}: parsing {quoted(text)}: {why}", token.start)
