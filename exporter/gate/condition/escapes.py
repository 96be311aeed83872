"""A string literal of a condition → the text it stands for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.faults import ConditionError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
