"""Go's regular expressions, as far as Python's mean the same: for `matches`, and for names that rules match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.gate.condition.faults import ConditionError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def compiled(text: str, at: int = 0) -> re.Pattern[str]:
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
