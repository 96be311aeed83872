"""What the engine's functions on text give."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from exporter.gate import go_format
from exporter.gate.expr.errors import ConditionError, RunError, UnsupportedError
from exporter.gate.expr.values import Duration, ListValue, Value, as_int, as_text, named, format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
MOST: Final = 1_000_000
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_UNBOUNDED: Final = re.compile(r"[+-]?(inf|infinity)|nan", re.IGNORECASE)
_RANGE: Final = range(-(2**63), 2**63)


def read_int(text: str) -> int | None:
    """Read a whole number of 64 bits as strconv does; None: it is none."""
    return int(text) if _WHOLE.fullmatch(text) and int(text) in _RANGE else None


def read_float(text: str) -> float | None:
    """Read a number as strconv does; None: it is none. Raises UnsupportedError for its rarer forms."""
    if _DECIMAL.fullmatch(text) or _UNBOUNDED.fullmatch(text):
        found = float(text)
        return None if found in {float("inf"), float("-inf")} and _DECIMAL.fullmatch(text) else found
    if text[:3].lower().lstrip("+-").startswith("0x"):
        raise UnsupportedError(f"the number {text!r} is not judged here")
    return None


def _all(arguments: Sequence[Value]) -> list[str]:
    return [as_text(argument) for argument in arguments]


def _cased(text: str, change: Callable[[str], str]) -> str:
    """Change each character by itself, as Go does, where Python may make two of it."""
    return "".join(changed if len(changed := change(char)) == 1 else char for char in text)


def _trim(arguments: Sequence[Value]) -> Value:
    text, *cutset = _all(arguments)
    return text.strip(cutset[0] if cutset else SPACES) if not cutset or cutset[0] else text


def _split(arguments: Sequence[Value], *, after: bool) -> Value:
    text, separator = _all(arguments[:2])
    most = as_int(arguments[2]) if arguments[2:] else -1
    if most == 0:
        return ListValue("[]string", ())
    if separator:
        parts = text.split(separator, most - 1 if most > 0 else -1)
    else:
        parts = list(text) if most < 0 or most >= len(text) else [*text[: most - 1], text[most - 1 :]]
    if after and separator:
        parts = [part + separator for part in parts[:-1]] + parts[-1:]
    return ListValue("[]string", tuple(parts))


def _replace(arguments: Sequence[Value]) -> Value:
    text, old, new = _all(arguments[:3])
    return text.replace(old, new, as_int(arguments[3]) if arguments[3:] else -1)


def _repeat(arguments: Sequence[Value], *, modern: bool) -> Value:
    times = as_int(arguments[1])
    if times > MOST:
        raise RunError("memory budget exceeded")
    if times < 0:
        old = "strings: negative Repeat count"
        new = f"invalid argument for repeat (expected positive integer, got {times})"
        raise RunError(new if modern else old)
    text = as_text(arguments[0])
    if len(text) * times > MOST:
        raise UnsupportedError("so long a text is not judged here")
    return text * times


def _join(arguments: Sequence[Value]) -> Value:
    glue = as_text(arguments[1]) if arguments[1:] else ""
    pieces = arguments[0]
    if isinstance(pieces, ListValue) and pieces.name in {"[]string", "[]interface {}"}:
        return glue.join(_all(pieces.items))
    raise RunError(f"invalid argument for join (type {named(pieces)})")


def _index(arguments: Sequence[Value], *, last: bool) -> Value:
    text, sought = (one.encode("utf-8", "surrogateescape") for one in _all(arguments))
    return text.rfind(sought) if last else text.find(sought)


def _int(value: Value, *, modern: bool) -> Value:
    if modern and value is None:
        raise RunError("reflect: call of reflect.Value.Type on zero Value")
    if modern and isinstance(value, Duration):
        return value.nanoseconds
    if isinstance(value, str):
        found = read_int(value)
        if found is None:
            raise RunError(f"invalid operation: int({value})")
        return found
    return as_int(value)


def _float(value: Value) -> Value:
    if isinstance(value, str):
        found = read_float(value)
        if found is None:
            raise RunError(f"invalid operation: float({value})")
        return found
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise RunError(f"invalid operation: float({named(value)})")


def _duration(value: Value) -> Value:
    try:
        return Duration(go_format.duration(as_text(value)))
    except ValueError as error:
        raise RunError(str(error)) from None


def texts(*, modern: bool) -> Mapping[str, Callable[[Sequence[Value]], Value]]:
    """Return the functions by their names; each raises RunError for what it cannot take."""
    return {
        "string": lambda given: format_value(given[0]),
        "int": lambda given: _int(given[0], modern=modern),
        "float": lambda given: _float(given[0]),
        "duration": lambda given: _duration(given[0]),
        "trim": _trim,
        "trimPrefix": lambda given: as_text(given[0]).removeprefix(as_text(given[1]) if given[1:] else " "),
        "trimSuffix": lambda given: as_text(given[0]).removesuffix(as_text(given[1]) if given[1:] else " "),
        "upper": lambda given: _cased(as_text(given[0]), str.upper),
        "lower": lambda given: _cased(as_text(given[0]), str.lower),
        "split": lambda given: _split(given, after=False),
        "splitAfter": lambda given: _split(given, after=True),
        "replace": _replace,
        "repeat": lambda given: _repeat(given, modern=modern),
        "join": _join,
        "indexOf": lambda given: _index(given, last=False),
        "lastIndexOf": lambda given: _index(given, last=True),
        "hasPrefix": lambda given: as_text(given[0]).startswith(as_text(given[1])),
        "hasSuffix": lambda given: as_text(given[0]).endswith(as_text(given[1])),
        "toBase64": lambda given: base64.b64encode(as_text(given[0]).encode()).decode(),
    }


# Go's regular expressions, as far as Python's mean the same: for `matches`, and for names that rules match.


_PIECE: Final = re.compile(
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
_MEANT: Final[Mapping[str, str]] = {"end": r"\Z", "start": r"\A"}
_MOST: Final = 1000


def compile_regex(text: str, at: int = 0) -> re.Pattern[str]:
    """Return the pattern, for `search`. Raises ConditionError where Go refuses it, UnsupportedError when unsure."""
    pieces = _pieces(text)
    if text and not pieces:
        raise UnsupportedError(f"the regular expression {text!r} is not judged here", at)
    before = ""
    for kind, piece in pieces:
        if kind == "repeat" and before in {"", "group", "other|"}:
            raise ConditionError(f"error parsing regexp: missing argument to repetition operator: `{piece}`", at)
        if kind == "repeat" and before == "repeat":
            raise UnsupportedError(f"the regular expression {text!r} is not judged here", at)
        before = kind + (piece if kind == "other" else "")
    try:
        return re.compile("".join(_MEANT.get(kind, piece) for kind, piece in pieces), re.ASCII)
    except (re.error, OverflowError):
        raise UnsupportedError(f"the regular expression {text!r} is not judged here", at) from None


def _pieces(text: str) -> list[tuple[str, str]]:
    """Cut a pattern into what Go and Python read alike; empty where something else is among it."""
    pieces: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None or found.lastgroup is None or _too_often(found[0]):
            return []
        pieces.append((found.lastgroup, found[0]))
        at = found.end()
    return pieces


def _too_often(piece: str) -> bool:
    return piece.startswith("{") and any(int(number) > _MOST for number in re.findall(r"[0-9]+", piece))
