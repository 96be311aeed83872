"""A number in a condition → its value, refused where the engine refuses it."""

from __future__ import annotations

import re
from math import isinf
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.faults import ConditionError
from exporter.gate.condition.syntax import Float, Integer
from exporter.gate.gotext import quoted

if TYPE_CHECKING:
    from exporter.gate.condition.tokens import Token

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
