"""Sample text before its value → the one Series that it names.

A known series costs one dictionary look-up; only one never seen is parsed. Texts that differ in blanks or in the
order of labels name the same Series.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.family import Kind, Labels, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.family import Family

MOST_LABELS: Final = 64
_PAIRS_KEPT: Final = 200_000
_BLANK: Final = rb"[ \t]*+"
_NAME: Final = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL: Final = _BLANK + rb"([a-zA-Z_][a-zA-Z0-9_]*+)" + _BLANK + rb"=" + _BLANK + rb'"((?:[^"\\]++|\\.)*+)"' + _BLANK
_LABELS: Final = re.compile(_LABEL)
SERIES: Final = (
    _BLANK
    + rb"(" + _NAME + rb")" + _BLANK
    + rb"(?:\{((?:" + _LABEL + rb"(?:," + _LABEL + rb")*+,?)?)" + _BLANK + rb"\})?"
    + _BLANK
)  # fmt: skip # a grammar reads best in its own lines
_SERIES: Final = re.compile(SERIES)
_ESCAPE: Final = re.compile(r"\\([\\n\"])")
_HELP_ESCAPE: Final = re.compile(r"\\([\\n])")
_UNESCAPED: Final = {"\\": "\\", "n": "\n", '"': '"'}
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_SUFFIXES: Final = {
    Kind.HISTOGRAM: ("_bucket", "_sum", "_count"),
    Kind.SUMMARY: ("", "_sum", "_count"),
}


class MalformedError(ValueError):
    """A line that is no sample; the message is the reason, from a small fixed set."""


def unescape(text: str, *, quoted: bool = True) -> str:
    r"""Undo `\\`, `\n` and, between quotes, `\"`; any other escape stays as it stands, as Prometheus leaves it."""
    escape = _ESCAPE if quoted else _HELP_ESCAPE
    return escape.sub(lambda match: _UNESCAPED[match[1]], text) if "\\" in text else text


class Texts:
    """The series of one family by their text; `find` is the hot look-up, `learn` the cold one."""

    __slots__ = ("_by_text", "_names", "_pairs", "find")

    def __init__(self, name: str, kind: Kind, pairs: dict[tuple[bytes, bytes], tuple[str, str]]) -> None:
        self._by_text: dict[bytes, Series] = {}
        self._names = frozenset(name + suffix for suffix in _SUFFIXES.get(kind, ("",)))
        self._pairs = pairs
        self.find: Callable[[bytes], Series | None] = self._by_text.get

    def learn(self, text: bytes) -> Series | None:
        """Return the series that `text` names, None when it belongs to another family.

        Raises MalformedError: `syntax`, `utf8`, `repeated_label`, `too_many_labels`.
        """
        match = _SERIES.fullmatch(text)
        if match is None:
            raise MalformedError("syntax")
        name = match[1].decode()
        if name not in self._names:
            return None
        labels = self._labels(match[2] or b"")
        series = self._canonical(name, labels)
        self._by_text[text] = series
        return series

    def _labels(self, text: bytes) -> Labels:
        pairs = self._pairs
        found = _LABELS.findall(text)
        if len(found) > MOST_LABELS:
            raise MalformedError("too_many_labels")
        if len(pairs) > _PAIRS_KEPT:
            pairs.clear()
        labels = []
        for raw in found:
            pair = pairs.get(raw)
            if pair is None:
                pair = pairs[raw] = _pair(raw)
            labels.append(pair)
        if len({key for key, _ in labels}) < len(labels):
            raise MalformedError("repeated_label")
        return tuple(pair for pair in labels if pair[1] and pair[0] != "__name__")

    def _canonical(self, name: str, labels: Labels) -> Series:
        """Find the series under its one spelling: labels sorted, `le` last, as client libraries write them."""
        ordered = sorted(labels, key=lambda pair: (pair[0] == "le", pair[0]))
        text = _spelling(name, ordered)
        series = self._by_text.get(text)
        if series is None:
            series = self._by_text[text] = Series(name, labels)
        return series

    def sweep(self, alive: set[Series]) -> None:
        """Forget the texts of series that are not alive, once they are the larger part."""
        if len(self._by_text) > 4 * len(alive) + 64:
            self._by_text = {text: series for text, series in self._by_text.items() if series in alive}
            self.find = self._by_text.get


def _spelling(name: str, labels: list[tuple[str, str]]) -> bytes:
    pairs = ",".join([f'{key}="{value.translate(_ESCAPED)}"' for key, value in labels])
    return (f"{name}{{{pairs}}}" if pairs else name).encode()


def _pair(raw: tuple[bytes, bytes]) -> tuple[str, str]:
    try:
        return raw[0].decode(), unescape(raw[1].decode())
    except UnicodeDecodeError:
        raise MalformedError("utf8") from None


class Interner:
    """All series of all pages of one process, by family; shared by every parser, so that leaders share identity."""

    def __init__(self) -> None:
        self._families: dict[tuple[str, Kind], Texts] = {}
        self._pairs: dict[tuple[bytes, bytes], tuple[str, str]] = {}

    def texts(self, name: str, kind: Kind) -> Texts:
        """Return the series of one family; its kind says which sample names are its own."""
        texts = self._families.get((name, kind))
        if texts is None:
            texts = self._families[name, kind] = Texts(name, kind, self._pairs)
        return texts

    def sweep(self, families: Iterable[Family]) -> None:
        """Forget series that are in none of `families`, the latest pages of every target."""
        alive: dict[tuple[str, Kind], set[Series]] = {}
        for family in families:
            alive.setdefault((family.name, family.kind), set()).update(family.series)
        for key, texts in self._families.items():
            texts.sweep(alive.get(key, set()))
