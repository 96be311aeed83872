"""Sample text before its value → the one Series that it names.

A known series costs one dictionary look-up; only one never seen is parsed. Texts that differ in blanks or in the
order of labels name the same Series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from sys import intern
from typing import TYPE_CHECKING, Final, overload

from isal import isal_zlib

from exporter.metrics import Labels, MetricType, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping

    from exporter.metrics import MetricFamily

MOST_LABELS: Final = 64
_BLANK: Final = rb"[ \t]*+"
_NAME: Final = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL: Final = _BLANK + rb"([a-zA-Z_][a-zA-Z0-9_]*+)" + _BLANK + rb"=" + _BLANK + rb'"((?:[^"\\]++|\\.)*+)"' + _BLANK
_LABELS: Final = re.compile(_LABEL.decode())
SERIES: Final = (
    _BLANK
    + rb"(" + _NAME + rb")" + _BLANK
    + rb"(?:\{((?:" + _LABEL + rb"(?:," + _LABEL + rb")*+,?)?)" + _BLANK + rb"\})?"
    + _BLANK
)  # fmt: skip # a grammar reads best in its own lines
_SERIES: Final = re.compile(SERIES.decode())
_SERIES_BYTES: Final = re.compile(SERIES)
_ESCAPE: Final = re.compile(r"\\([\\n\"])")
_HELP_ESCAPE: Final = re.compile(r"\\([\\n])")
_UNESCAPED: Final = {"\\": "\\", "n": "\n", '"': '"'}
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_SUFFIXES: Final = {
    MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"),
    MetricType.SUMMARY: ("", "_sum", "_count"),
}


class MalformedError(ValueError):
    """A line that is no sample; the message is the reason, from a small fixed set."""


def unescape(text: str, *, quoted: bool = True) -> str:
    r"""Undo `\\`, `\n` and, between quotes, `\"`; any other escape stays as it stands, as Prometheus leaves it."""
    escape = _ESCAPE if quoted else _HELP_ESCAPE
    return escape.sub(lambda match: _UNESCAPED[match[1]], text) if "\\" in text else text


class Scraped(Series):
    """A series as a page spells it."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """How a page spells it."""
        text: bytes = self._labels
        return text.decode()

    @property
    def labels(self) -> Labels:
        """All labels, read anew."""
        text = self.text
        return _told(_LABELS.findall(text, text.find("{") + 1 or len(text)))


class Lines(Sequence[Series]):
    """The series of some lines, made whenever they are looked at: of a family that is read once and never said."""

    __slots__ = ("_many", "_packed")

    def __init__(self, text: bytes, many: int) -> None:
        self._packed = isal_zlib.compress(text, 1)
        self._many = many

    def __len__(self) -> int:
        return self._many

    def __iter__(self) -> Iterator[Series]:
        for line in isal_zlib.decompress(self._packed).splitlines():
            text = line[: line.rindex(b" ")]
            yield Scraped(text.partition(b"{")[0].strip().decode(), text)

    @overload
    def __getitem__(self, place: int) -> Series: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Series]: ...
    def __getitem__(self, place: int | slice) -> Series | Sequence[Series]:
        return list(self)[place]


class Texts:
    """The series of one family by their text; `find` is the hot look-up, `learn` the cold one.

    `kept`: they are said, so that each has to be the same object for as long as any page shows it.
    """

    __slots__ = ("_by_text", "_names", "_spelled", "find", "kept")

    def __init__(self, name: str, kind: MetricType, *, kept: bool) -> None:
        self.kept = kept
        self._by_text: dict[bytes, Series] = {}
        self._spelled: dict[int, Series] = {}
        self._names = {name + suffix: name + suffix for suffix in _SUFFIXES.get(kind, ("",))}
        self.find: Callable[[bytes], Series | None] = self._by_text.get

    def learn(self, text: bytes) -> Series | None:
        """Return the series that `text` names, None when it belongs to another family.

        Raises MalformedError: `syntax`, `utf8`, `repeated_label`, `too_many_labels`.
        """
        told = _decoded(text)
        match = _SERIES.fullmatch(told)
        if match is None:
            raise MalformedError("syntax")
        name = self._names.get(match[1])
        if name is None:
            return None
        spelling = _spelling(name, told, _LABELS.findall(match[2] or ""))
        if not self.kept:
            return Scraped(name, text)
        series = self._by_text.get(spelling.encode()) or self._by_spelling(spelling)
        if series is None:
            series = Scraped(name, text)
            if spelling is not told:
                self._spelled[hash(spelling)] = series
        self._by_text[text] = series
        return series

    def _by_spelling(self, spelling: str) -> Series | None:
        """Return a series that was first spelled otherwise; hashes do, since hardly any text is ever asked for here."""
        series = self._spelled.get(hash(spelling))
        if series is None or _spelled(series.name, [*map(_escaped, series.labels)]) != spelling:
            return None
        return series

    def sweep(self, alive: set[Series]) -> None:
        """Forget the texts of series that are not alive, once they are the larger part."""
        if len(self._by_text) > 4 * len(alive) + 64:
            self._by_text = {text: series for text, series in self._by_text.items() if series in alive}
            self.find = self._by_text.get
            self._spelled = {key: series for key, series in self._spelled.items() if series in alive}


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        if _SERIES_BYTES.fullmatch(text) is None:
            raise MalformedError("syntax") from None
        raise MalformedError("utf8") from None


def _told(pairs: list[tuple[str, str]]) -> Labels:
    """Return what pairs of a page mean; strings are shared, since pods and rollouts are named in many series."""
    return tuple(
        [
            (intern(name), intern(unescape(value) if "\\" in value else value))
            for name, value in pairs
            if value and name != "__name__"
        ]
    )


def _spelling(name: str, text: str, pairs: list[tuple[str, str]]) -> str:
    """Return the one spelling of a series: labels sorted, `le` last, as client libraries write them.

    It is the text itself, if that is spelled so. Raises MalformedError.
    """
    if len(pairs) > MOST_LABELS:
        raise MalformedError("too_many_labels")
    values = dict(pairs)
    if len(values) < len(pairs):
        raise MalformedError("repeated_label")
    if "\\" in text or "" in values.values() or "__name__" in values:
        pairs = [*map(_escaped, _told(pairs))]
    spelling = _spelled(name, pairs)
    return text if spelling == text else spelling


def _spelled(name: str, pairs: list[tuple[str, str]]) -> str:
    inside = ",".join([f'{key}="{value}"' for key, value in sorted(pairs, key=_rank)])
    return f"{name}{{{inside}}}" if pairs else name


def _escaped(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0], pair[1].translate(_ESCAPED)


def _rank(pair: tuple[str, str]) -> tuple[bool, str]:
    return pair[0] == "le", pair[0]


class ScrapeCache:
    """All series of all pages of one process, by family; shared by every parser, so that leaders share identity.

    `said` tells by name whose series are said again, and so are kept; of others only what is read from them is.
    """

    def __init__(self, said: Callable[[str], bool] = lambda _: True) -> None:
        self._said = said
        self._families: dict[tuple[str, MetricType], Texts] = {}
        self._pages: dict[Hashable, Mapping[str, MetricFamily]] = {}

    def former(self, who: Hashable) -> Mapping[str, MetricFamily]:
        """Return the families of a target's last whole page."""
        return self._pages.get(who, {})

    def keep(self, who: Hashable, families: Mapping[str, MetricFamily]) -> None:
        """Remember the families of a target's whole page for its next one."""
        self._pages[who] = families

    def texts(self, name: str, kind: MetricType) -> Texts:
        """Return the series of one family; its kind says which sample names are its own."""
        texts = self._families.get((name, kind))
        if texts is None:
            texts = self._families[name, kind] = Texts(name, kind, kept=self._said(name))
        return texts

    def sweep(self, known: Collection[Hashable]) -> None:
        """Forget the pages of targets that are not known any more, and series that no page is left to show."""
        self._pages = {who: families for who, families in self._pages.items() if who in known}
        alive: dict[tuple[str, MetricType], set[Series]] = {}
        shown = chain.from_iterable(families.values() for families in self._pages.values())
        for family in filter(lambda one: self._said(one.name), shown):
            alive.setdefault((family.name, family.type), set()).update(family.series)
        for key, texts in self._families.items():
            texts.sweep(alive.get(key, set()))
