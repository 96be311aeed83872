"""How Go writes and reads numbers, strings and durations: what stands in a measurement must be the same to a letter."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


_ESCAPED: Final[Mapping[str, str]] = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_BYTE: Final = 0x80
_STRAY_BYTES: Final = range(0xDC80, 0xDD00)
"""How Python holds bytes that are no UTF-8 (surrogateescape)."""
_PLANE: Final = 0x10000
_FIRST_EXPONENT: Final = 6
_LAST_EXPONENT: Final = -4
_NANOSECONDS: Final[Mapping[str, int]] = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PART: Final = re.compile(r"([0-9]*)(\.[0-9]*)?")
_UNIT: Final = re.compile(r"[^.0-9]+")
_LONGEST: Final = 2**63


def quoted(text: str) -> str:
    """Return text in double quotes as strconv.Quote does."""
    return f'"{"".join(map(_quoted_char, text))}"'


def _quoted_char(char: str) -> str:
    if char in _ESCAPED:
        return _ESCAPED[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code in _STRAY_BYTES:
        return f"\\x{code - _STRAY_BYTES.start + _BYTE:02x}"
    if code < _BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _PLANE else f"\\U{code:08x}"


def plain(number: float) -> str:
    """Write a number as a sample's value is written: no exponent, NaN, +Inf, -Inf."""
    if not math.isfinite(number):
        return _unbounded(number)
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def general(number: float) -> str:
    """Write a number as fmt's %v does: an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(number):
        return _unbounded(number)
    exponent = Decimal(repr(number)).adjusted() if number else 0
    if _LAST_EXPONENT <= exponent < _FIRST_EXPONENT:
        return plain(number)
    digits = "".join(map(str, Decimal(repr(number)).normalize().as_tuple().digits))
    mantissa = f"{digits[0]}.{digits[1:]}" if digits[1:] else digits
    return f"{'-' if number < 0 else ''}{mantissa}e{exponent:+03d}"


def _unbounded(number: float) -> str:
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def duration(text: str) -> int:
    """Read a duration, such as 1h30m, into nanoseconds. Raises ValueError in the words of time.ParseDuration."""
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    total = 0
    while rest:
        length, part = _part(text, rest)
        total += length
        rest = rest[part:]
        if total > _LONGEST:
            raise ValueError(f"time: invalid duration {quoted(text)}")
    if total == _LONGEST and not text.startswith("-"):
        raise ValueError(f"time: invalid duration {quoted(text)}")
    return -total if text.startswith("-") else total


def _part(text: str, rest: str) -> tuple[int, int]:
    """Read one number with its unit: its nanoseconds, and how many characters it takes."""
    number = _PART.match(rest)
    assert number is not None
    if not number[1] and not (number[2] or "")[1:]:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    unit = _UNIT.match(rest, number.end())
    if unit is None:
        raise ValueError(f"time: missing unit in duration {quoted(text)}")
    if unit[0] not in _NANOSECONDS:
        raise ValueError(f"time: unknown unit {quoted(unit[0])} in duration {quoted(text)}")
    digits = Fraction(f"{number[1] or '0'}.{(number[2] or '.')[1:] or '0'}")
    return int(digits * _NANOSECONDS[unit[0]]), unit.end()


# Seconds → a duration that Go and PromQL both read.


def written(seconds: float) -> str:
    """Write seconds such as 150 as 2m30s."""
    whole = int(seconds)
    if whole != seconds:
        return f"{round(seconds * 1000)}ms"
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
