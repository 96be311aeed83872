"""Implementations of the functions on strings and their conversions, and Go's regular expressions."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from exporter.gate import go_format
from exporter.gate.expr.errors import ConditionError, EvaluationError, UnsupportedError
from exporter.gate.expr.values import (
    Duration,
    Int64,
    ListValue,
    Value,
    as_float,
    as_int,
    as_text,
    format_value,
    is_number,
    truncate,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


# Conversions


# strconv's decimal forms. int() and float() take more: 1_000, outer spaces, digits of other scripts.
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NON_FINITE: Final = re.compile(r"[+-]?(inf|infinity)|nan", re.IGNORECASE)
_INT64: Final = range(-(2**63), 2**63)
_MAX_UINT64: Final = 2**64 - 1
_MAX_DIGITS: Final = 20
"""Digits of the largest uint64; int() refuses more than 4,300."""


def _parse_int(text: str) -> int | None:
    """Parse a 64-bit integer as strconv does; None if the text is not one."""
    if not _INTEGER.fullmatch(text) or len(_digits(text)) > _MAX_DIGITS:
        return None
    return int(text) if int(text) in _INT64 else None


def _digits(text: str) -> str:
    """Return the digits that a text begins with, without sign and zeros."""
    match = _INTEGER.match(text)
    return match[0].lstrip("+-").lstrip("0") if match else ""


def _overflows(text: str) -> bool:
    """Return whether strconv reports a text that is no int64 as out of range: it stops where a uint64 overflows."""
    digits = _digits(text)
    return bool(_INTEGER.fullmatch(text)) or len(digits) > _MAX_DIGITS or int(digits or "0") > _MAX_UINT64


def _parse_float(text: str) -> float | None:
    """Parse a number as strconv does; None if the text is not one. Raises UnsupportedError for hexadecimal forms."""
    if _DECIMAL.fullmatch(text) or _NON_FINITE.fullmatch(text):
        number = float(text)
        # 1e400 is infinite to float(), and out of range to strconv.
        return None if math.isinf(number) and _DECIMAL.fullmatch(text) else number
    if text[:3].lower().lstrip("+-").startswith("0x"):
        raise UnsupportedError(f"the number {text!r} is not supported")
    return None


def to_int(value: Value, *, v117: bool) -> Value:
    """Return int(value). Raises EvaluationError."""
    if v117 and value is None:
        raise EvaluationError("reflect: call of reflect.Value.Type on zero Value")
    if v117 and isinstance(value, Duration):
        return value.nanoseconds
    if isinstance(value, str):
        number = _parse_int(value)
        if number is None:
            raise EvaluationError(f"invalid operation: int({value})")
        return number
    return as_int(value)


def to_float(value: Value) -> Value:
    """Return float(value). Raises EvaluationError."""
    if isinstance(value, str):
        number = _parse_float(value)
        if number is None:
            raise EvaluationError(f"invalid operation: float({value})")
        return number
    return as_float(value)


def to_duration(value: Value) -> Value:
    """Return duration(value), such as of "1h30m". Raises EvaluationError."""
    try:
        return Duration(go_format.parse_duration(as_text(value)))
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def controller_as_int(value: Value) -> Value:
    """Return the controller's asInt(value). Raises EvaluationError."""
    if is_number(value):
        return Int64(truncate(value))
    if isinstance(value, str):
        number = _parse_int(value)
        if number is None:
            raise _parse_error("ParseInt", value, out_of_range=_overflows(value))
        return Int64(number)
    raise EvaluationError(f"asInt() not supported on {type_name(value)} {format_value(value)}")


def controller_as_float(value: Value) -> Value:
    """Return the controller's asFloat(value). Raises EvaluationError."""
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        number = _parse_float(value)
        if number is None:
            # Of all decimal forms, only those that overflow have no value.
            raise _parse_error("ParseFloat", value, out_of_range=bool(_DECIMAL.fullmatch(value)))
        return number
    raise EvaluationError(f"asFloat() not supported on {type_name(value)} {format_value(value)}")


def _parse_error(parser: str, text: str, *, out_of_range: bool) -> EvaluationError:
    reason = "value out of range" if out_of_range else "invalid syntax"
    return EvaluationError(f"strconv.{parser}: parsing {go_format.quote(text)}: {reason}")


# Strings


_SPACES: Final = (  # unicode.IsSpace of Go; str.strip() would also remove \x1c to \x1f
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_MAX_REPEAT: Final = 1_000_000
"""The engine's own limit of `repeat`; also our limit of the resulting length, for which the engine has none."""


def trim(text: Value, characters: Value = _SPACES) -> Value:
    """Return text without leading and trailing characters of a set."""
    return as_text(text).strip(as_text(characters))


def map_case(text: str, convert: Callable[[str], str]) -> str:
    """Convert each character on its own, as Go does: Python turns some, such as "ß", into two."""
    return "".join(converted if len(converted := convert(char)) == 1 else char for char in text)


def split(text: Value, separator: Value, limit: Value = -1) -> Value:
    """Return the parts of text between separators; a positive limit is the maximum number of parts."""
    return ListValue("[]string", tuple(_split(as_text(text), as_text(separator), as_int(limit))))


def split_after(text: Value, separator: Value, limit: Value = -1) -> Value:
    """Return the parts of text, each with the separator that follows it."""
    parts = _split(as_text(text), as_text(separator), as_int(limit))
    return ListValue("[]string", tuple([part + as_text(separator) for part in parts[:-1]] + parts[-1:]))


def _split(text: str, separator: str, limit: int) -> list[str]:
    # As strings.SplitN: 0 parts are none, a negative limit is no limit.
    if limit == 0:
        return []
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    return list(text) if limit < 0 or limit >= len(text) else [*text[: limit - 1], text[limit - 1 :]]


def replace(text: Value, old: Value, new: Value, count: Value = -1) -> Value:
    """Return text with the first `count` occurrences replaced, or all of them."""
    return as_text(text).replace(as_text(old), as_text(new), as_int(count))


def repeat(text: Value, count: Value, *, v117: bool) -> Value:
    """Return text repeated. Raises EvaluationError for a count out of range."""
    times = as_int(count)
    if times > _MAX_REPEAT:
        raise EvaluationError("memory budget exceeded")
    if times < 0:
        v115_message = "strings: negative Repeat count"
        raise EvaluationError(
            f"invalid argument for repeat (expected positive integer, got {times})" if v117 else v115_message
        )
    unit = as_text(text)
    if len(unit) * times > _MAX_REPEAT:
        raise UnsupportedError(f"a string of more than {_MAX_REPEAT} characters is not supported")
    return unit * times


def join(items: Value, separator: Value = "") -> Value:
    """Return the items of a list of strings as one string."""
    glue = as_text(separator)
    if isinstance(items, ListValue) and items.name in {"[]string", "[]interface {}"}:
        return glue.join([as_text(item) for item in items.items])
    raise EvaluationError(f"invalid argument for join (type {type_name(items)})")


# Regular expressions: the subset of RE2 that Python's `re` matches identically. Conditions match with it, and the
# controller matches metric names in `dryRun` and `measurementRetention` with it.


_REGEX_TOKEN: Final = re.compile(
    r"""
    (?P<escape>\\[dDwWsSbB]|\\[^\sA-Za-z0-9]|\\[nrtfv])
    |(?P<end>\$|\\z) | (?P<start>\\A)
    |(?P<set>\[\^?\]?(?:\\[dDwWsSnrtfv]|\\[^A-Za-z0-9]|(?!\[:)[^\]\\])*\])
    |(?P<group>\(\?:|\(\?P<[A-Za-z_]\w*>|\((?!\?))
    |(?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\})\??)
    |(?P<plain>[^\\()\[\]*+?{}$|\ud800-\udfff])
    |(?P<other>[|)\]{}])
    """,
    re.VERBOSE,
)
_PYTHON_SYNTAX: Final[Mapping[str, str]] = {"end": r"\Z", "start": r"\A"}
"""Go's $ is the end of the text only; Python's also matches before a final line break."""
_MAX_REPETITIONS: Final = 1000
"""RE2 rejects a larger count in {n,m}."""


def compile_regex(text: str, position: int = 0) -> re.Pattern[str]:
    """Return a Go pattern, for `search`.

    Raises ConditionError where Go rejects it, and UnsupportedError where Python may match otherwise.
    """
    unsupported = UnsupportedError(f"the regular expression {text!r} is not supported", position)
    tokens = _regex_tokens(text)
    if text and not tokens:
        raise unsupported
    previous = ""
    for kind, token in tokens:
        if kind == "repeat" and previous in {"", "group", "other|"}:
            raise ConditionError(f"error parsing regexp: missing argument to repetition operator: `{token}`", position)
        # Python takes the second one of a*+ as possessive.
        if kind == "repeat" and previous == "repeat":
            raise unsupported
        previous = kind + (token if kind == "other" else "")
    try:
        # RE2's \d, \w, \s and \b are of ASCII.
        return re.compile("".join(_PYTHON_SYNTAX.get(kind, token) for kind, token in tokens), re.ASCII)
    except (re.error, OverflowError):
        raise unsupported from None


def _regex_tokens(text: str) -> list[tuple[str, str]]:
    """Split a pattern into tokens that Go and Python read alike; empty if it contains anything else."""
    tokens: list[tuple[str, str]] = []
    offset = 0
    while offset < len(text):
        match = _REGEX_TOKEN.match(text, offset)
        if match is None or match.lastgroup is None or _repeats_too_often(match[0]):
            return []
        tokens.append((match.lastgroup, match[0]))
        offset = match.end()
    return tokens


def _repeats_too_often(token: str) -> bool:
    return token.startswith("{") and any(int(number) > _MAX_REPETITIONS for number in re.findall(r"[0-9]+", token))
