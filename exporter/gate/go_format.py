"""How Go formats and parses numbers, strings and durations: the values of a measurement must match to the character."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


_ESCAPES: Final[Mapping[str, str]] = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_FIRST_NON_ASCII: Final = 0x80
_SURROGATE_ESCAPES: Final = range(0xDC80, 0xDD00)
"""How Python represents bytes that are not UTF-8 (surrogateescape)."""
_FIRST_ASTRAL: Final = 0x10000
"""From here on Go writes a character as \\U and eight digits."""
# strconv decides on an exponent as if the precision were 6 when it formats with the fewest digits.
_MIN_PLAIN_EXPONENT: Final = -4
_MIN_LARGE_EXPONENT: Final = 6
"""From this power of ten on `format_general` writes an exponent; below -4, too."""
# As in Go: with both micro signs, U+00B5 and U+03BC, and without a unit for days.
_NANOSECONDS: Final[Mapping[str, int]] = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_NUMBER: Final = re.compile(r"([0-9]*)(\.[0-9]*)?")
_UNIT: Final = re.compile(r"[^.0-9]+")
_MAX_DIGITS: Final = 30
"""Of a number: far beyond both an int64 and a nanosecond."""
_MAX_NANOSECONDS: Final = 2**63
"""time.Duration is an int64; only a negative duration may reach this."""


def quote(text: str) -> str:
    """Return text in double quotes, as strconv.Quote does."""
    return f'"{"".join(map(_quote_char, text))}"'


def _quote_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code in _SURROGATE_ESCAPES:
        return f"\\x{code - _SURROGATE_ESCAPES.start + _FIRST_NON_ASCII:02x}"
    if code < _FIRST_NON_ASCII:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _FIRST_ASTRAL else f"\\U{code:08x}"


def format_plain(number: float) -> str:
    """Format a number as the value of a sample: no exponent, NaN, +Inf, -Inf."""
    if not math.isfinite(number):
        return _format_non_finite(number)
    # repr() has the fewest digits that give the number back, as Go; Decimal writes them without an exponent.
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def format_general(number: float) -> str:
    """Format a number with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(number):
        return _format_non_finite(number)
    exponent = Decimal(repr(number)).adjusted() if number else 0
    if _MIN_PLAIN_EXPONENT <= exponent < _MIN_LARGE_EXPONENT:
        return format_plain(number)
    digits = "".join(map(str, Decimal(repr(number)).normalize().as_tuple().digits))
    mantissa = f"{digits[0]}.{digits[1:]}" if digits[1:] else digits
    return f"{'-' if number < 0 else ''}{mantissa}e{exponent:+03d}"


def _format_non_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def parse_duration(text: str) -> int:
    """Parse a duration such as 1h30m into nanoseconds. Raises ValueError with the text of time.ParseDuration."""
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":  # the only number that needs no unit
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total = 0
    while rest:
        nanoseconds, length = _parse_part(text, rest)
        total += nanoseconds
        rest = rest[length:]
        if total > _MAX_NANOSECONDS:
            raise ValueError(f"time: invalid duration {quote(text)}")
    if total == _MAX_NANOSECONDS and not text.startswith("-"):
        raise ValueError(f"time: invalid duration {quote(text)}")
    return -total if text.startswith("-") else total


def _parse_part(text: str, rest: str) -> tuple[int, int]:
    """Parse one number with its unit; return its nanoseconds and how many characters it has."""
    number = _NUMBER.match(rest)
    assert number is not None
    if not number[1] and not (number[2] or "")[1:]:
        raise ValueError(f"time: invalid duration {quote(text)}")
    unit = _UNIT.match(rest, number.end())
    if unit is None:
        raise ValueError(f"time: missing unit in duration {quote(text)}")
    if unit[0] not in _NANOSECONDS:
        raise ValueError(f"time: unknown unit {quote(unit[0])} in duration {quote(text)}")
    if len(number[1].lstrip("0")) > _MAX_DIGITS:  # int() refuses more than 4,300, and Go what exceeds an int64
        raise ValueError(f"time: invalid duration {quote(text)}")
    digits = Fraction(f"{number[1] or '0'}.{(number[2] or '.')[1 : _MAX_DIGITS + 1] or '0'}")
    return int(digits * _NANOSECONDS[unit[0]]), unit.end()  # Go drops fractions of a nanosecond


def format_duration(seconds: float) -> str:
    """Format seconds such as 150 as 2m30s, which Go and PromQL both parse; fractions become milliseconds."""
    total = int(seconds)
    if total != seconds:
        return f"{round(seconds * 1000)}ms"
    parts = ((total // 3600, "h"), (total % 3600 // 60, "m"), (total % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
