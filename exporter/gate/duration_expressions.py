"""Duration expressions of PromQL, such as `[5m * 2]`, `[5m + step()]` and `offset -(1h)`, replaced by durations.

Valid since Prometheus 3.14; the parser library rejects them. Read from its promql/parser/generated_parser.y.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNKNOWN: Final = math.nan
"""The value of an expression that depends on the step or range of the request."""
QUOTED: Final = re.compile(r"""\"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`[^`]*`?|#[^\n]*""")
"""Strings and comments, in which no bracket or operator counts."""
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")
_PLAIN: Final = re.compile(r"\s*(?:(?:\d+(?:ms|[smhdwy]))+|\d+(?:\.\d+)?)?\s*")
_OFFSET: Final = re.compile(r"\boffset\s*(?=[-+]?\s*(?:\(|(?:step|range|min_of|max_of)\s*\())", re.IGNORECASE)
_TOKEN: Final = re.compile(r"\s*((?:\d+(?:ms|[smhdwy]))+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\w+|[-+*/%^(),])")
_PART: Final = re.compile(r"(\d+)(ms|[smhdwy])")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_OPERATORS: Final[Mapping[str, tuple[int, Callable[[float, float], float]]]] = {
    "+": (1, operator.add),
    "-": (1, operator.sub),
    "*": (2, operator.mul),
    "/": (2, operator.truediv),
    "%": (2, math.fmod),
    "^": (3, math.pow),
}
"""Priority and function of each."""
_CHOICES: Final[Mapping[str, Callable[[float, float], float]]] = {"min_of": min, "max_of": max}


def replace_expressions(text: str, unknown: str) -> str:
    """Return a query with its duration expressions computed; `unknown` replaces those that the request decides.

    Raises ValueError for an expression that is not valid.
    """
    masked = QUOTED.sub(lambda match: " " * len(match[0]), text)
    changes: list[tuple[int, int, str]] = []
    for match in _BRACKETS.finditer(masked):
        start = match.start(1)
        for part in match[1].split(":"):
            # Names of arguments have no place here: they have been replaced before.
            if not _PLAIN.fullmatch(part):
                changes.append((start, start + len(part), _computed(part, unknown)))
            start += len(part) + 1
    for match in _OFFSET.finditer(masked):
        expression = DurationParser(masked[match.end() :])
        seconds = expression.unary()
        changes.append((match.end(), match.end() + expression.position, _offset(seconds, unknown)))
    for start, end, duration in sorted(changes, reverse=True):
        text = text[:start] + duration + text[end:]
    return text


def _computed(text: str, unknown: str) -> str:
    expression = DurationParser(text)
    seconds = expression.expression()
    expression.expect_end()
    if math.isnan(seconds):
        return unknown
    if seconds <= 0:
        raise ValueError("duration must be greater than 0")
    return _format(seconds)


def _offset(seconds: float, unknown: str) -> str:
    return f" {unknown} " if math.isnan(seconds) else f" {'-' if seconds < 0 else ''}{_format(abs(seconds))} "


def _format(seconds: float) -> str:
    if not math.isfinite(seconds):
        raise ValueError("duration out of range")
    return f"{max(round(seconds * 1000), 1)}ms"


class DurationParser:
    """A parser of one expression, in seconds; `position` is the end of what was read. Raises ValueError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0

    def expression(self, priority: int = 1) -> float:
        """Parse operators of at least this priority."""
        value = self.unary()
        while self._peek() in _OPERATORS and _OPERATORS[self._peek()][0] >= priority:
            symbol = self._next()
            level, compute = _OPERATORS[symbol]
            right = self.expression(level + (symbol != "^"))
            if symbol in {"/", "%"} and right == 0:
                raise ValueError("division by zero" if symbol == "/" else "modulo by zero")
            try:
                value = compute(value, right)
            except (OverflowError, ValueError):
                raise ValueError("duration out of range") from None
        return value

    def unary(self) -> float:
        """Parse a value with its signs."""
        if self._peek() not in {"-", "+"}:
            return self._value()
        sign = -1.0 if self._next() == "-" else 1.0
        # -2^2 is -4, and -2 * 2 the product of -2.
        return sign * self._power(self.unary())

    def expect_end(self) -> None:
        """Raise ValueError if there is more text."""
        if self._text[self.position :].strip():
            raise ValueError(f"unexpected {self._text[self.position :].strip()!r} in a duration")

    def _power(self, base: float) -> float:
        if self._peek() != "^":
            return base
        self._next()
        return math.pow(base, self.expression(_OPERATORS["^"][0]))

    def _value(self) -> float:
        word = self._next()
        if word == "(":
            value = self.expression()
            self._expect(")")
            return value
        if word.lower() in {"step", "range"}:
            self._expect("(")
            self._expect(")")
            return UNKNOWN
        if word.lower() in _CHOICES:
            return self._choice(_CHOICES[word.lower()])
        if _PART.match(word):
            return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(word))
        return float(word)  # raises ValueError for a name

    def _choice(self, choose: Callable[[float, float], float]) -> float:
        self._expect("(")
        first = self.expression()
        self._expect(",")
        second = self.expression()
        self._expect(")")
        return UNKNOWN if math.isnan(first) or math.isnan(second) else choose(first, second)

    def _peek(self) -> str:
        match = _TOKEN.match(self._text, self.position)
        return match[1] if match else ""

    def _next(self) -> str:
        match = _TOKEN.match(self._text, self.position)
        if not match:
            rest = self._text[self.position :].strip()
            raise ValueError(f"unexpected {rest[:1]!r} in a duration" if rest else "unexpected end of a duration")
        self.position = match.end()
        return match[1]

    def _expect(self, symbol: str) -> None:
        if self._next() != symbol:
            raise ValueError(f"expected {symbol!r} in a duration")
