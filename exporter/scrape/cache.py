"""The scrape cache: series by their text, and the families of each target's previous page.

Nearly all series have regular texts: these are checked, and packed batch by batch. Others are interned; texts that
differ in white space or in the order of labels are the same `Series`.

The frame of a text is what is left of it without the label values: `x{a="",b=""}` of `x{a="1",b="2"}`. All lines of a
family have one of a few frames, and whether a text is valid, and canonical, depends on its frame alone, unless a value
has an escape or is empty. So the grammar is applied to frames; texts are only split at their quotation marks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from sys import intern
from typing import TYPE_CHECKING, Final, overload

from exporter.metrics import SAMPLE_SUFFIXES, Labels, MetricType, Series
from exporter.packed import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping

    from exporter.metrics import MetricFamily

MAX_LABELS: Final = 64
"""Labels of a series: a bound for the cost of one line. Prometheus has no such limit unless it is configured."""
_MAX_INTERNED_LENGTH: Final = 100
"""Characters of a label value that is interned: longer ones are ids of images and the like. Those of series that are
only read end with the page, and each leaves a hole in Python's table of interned strings, which grows by 2 MB."""
_TEXTS_PER_SERIES: Final = 4
_SPARE_TEXTS: Final = 64
"""The texts that a family may hold before dead ones are evicted: a number for each live series, and a constant. So
rebuilding its table costs little for each series that was added since, and small families are left alone."""
_SPARE_FAMILIES: Final = 1000
"""Families beyond twice the live ones that may be cached, so that the search for dead ones is rare."""
_MAX_FRAMES: Final = 1024
"""Frames that are remembered: a page may have a new one in each line, and then each costs as much as a text."""
# Possessive quantifiers (`*+`, `++`) never backtrack: a line that does not match costs its length, no more.
_BLANK: Final = rb"[ \t]*+"
_NAME: Final = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL: Final = _BLANK + rb"([a-zA-Z_][a-zA-Z0-9_]*+)" + _BLANK + rb"=" + _BLANK + rb'"((?:[^"\\]++|\\.)*+)"' + _BLANK
_LABELS: Final = re.compile(_LABEL.decode())
SERIES_PATTERN: Final = (
    _BLANK
    + rb"(?P<name>" + _NAME + rb")" + _BLANK
    + rb"(?:\{(?P<labels>(?:" + _LABEL + rb"(?:," + _LABEL + rb")*+,?)?)" + _BLANK + rb"\})?"
    + _BLANK
)  # fmt: skip # a grammar reads best on lines of its own
_SERIES: Final = re.compile(SERIES_PATTERN.decode())
_SERIES_BYTES: Final = re.compile(SERIES_PATTERN)
_ESCAPE: Final = re.compile(r"\\([\\n\"])")
_HELP_ESCAPE: Final = re.compile(r"\\([\\n])")
_UNESCAPED: Final = {"\\": "\\", "n": "\n", '"': '"'}
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class LineError(ValueError):
    """A line that is not a sample; the message is the reason, one of a small fixed set."""


def unescape(text: str, *, quoted: bool = True) -> str:
    r"""Decode `\\`, `\n` and, between quotes, `\"`; any other escape is left as it is, as Prometheus does."""
    escape = _ESCAPE if quoted else _HELP_ESCAPE
    return escape.sub(lambda match: _UNESCAPED[match[1]], text) if "\\" in text else text


class ScrapedSeries(Series):
    """A series that holds its text on the page instead of its name and labels, which takes less memory."""

    __slots__ = ()

    def __init__(self, text: bytes) -> None:
        self._labels = text

    def __reduce__(self) -> tuple[type[ScrapedSeries], tuple[bytes]]:
        return ScrapedSeries, (self._labels,)

    @property
    def name(self) -> str:  # type: ignore[override] # read at each call, and seldom
        """The name of its samples."""
        text: bytes = self._labels
        return text.partition(b"{")[0].strip().decode()

    @property
    def exposition(self) -> str:
        """The text of the series on the page."""
        text: bytes = self._labels
        return text.decode()

    @property
    def key(self) -> int:
        """The hash of the canonical text."""
        pairs = [*map(_escape_label, self.labels)]
        return hash(_format_series(self.name, pairs).encode())

    @property
    def labels(self) -> Labels:
        """All labels, parsed at each call."""
        text = self._labels.decode()
        pieces = text.split('"')
        frame, values = '""'.join(pieces[::2]), pieces[1::2]
        names = _frame_labels(frame)
        if "\\" in text or "" in values or "__name__" in names:
            return _parse_labels(_find_labels(text))
        # Nearly always all values together are short. A call of `_shared` for each would take as long as all the rest.
        share = intern if len(text) - len(frame) <= _MAX_INTERNED_LENGTH else _shared
        return tuple(zip(names, map(share, values), strict=True))


class PackedSeries(Sequence[Series]):
    """The series of some lines as packed text; each is created at each access.

    A fleet has hundreds of thousands of them, and nearly all are only compared, by the hash of their batch.
    """

    __slots__ = ("_count", "_packed", "first_text")

    def __init__(self, text: bytes, texts: Sequence[bytes]) -> None:
        self._packed = pack(text)
        self._count = len(texts)
        self.first_text = texts[0]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Series]:
        # Regular lines only: the parser makes packed series of what has the form `<series> <value>`. Not splitlines,
        # since a label may hold a carriage return.
        for line in filter(None, unpack(self._packed).split(b"\n")):
            yield ScrapedSeries(line[: line.rindex(b" ")])

    @overload
    def __getitem__(self, index: int) -> Series: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Series]: ...
    def __getitem__(self, index: int | slice) -> Series | Sequence[Series]:
        return list(self)[index]


class SeriesCache:
    """The series of one family by their text; `get` is the quick look-up, `intern` the slow one for a new text.

    `retained`: the family passes through. Its series of irregular texts are the same objects for as long as a page has
    them; regular ones are packed, and those of other families are only read.
    """

    __slots__ = ("_by_canonical_text", "_by_text", "_frames", "_sample_names", "get", "retained")

    def __init__(self, name: str, metric_type: MetricType, *, retained: bool) -> None:
        self.retained = retained
        self._by_text: dict[bytes, Series] = {}
        self._by_canonical_text: dict[int, Series] = {}
        self._sample_names = {name + suffix: name + suffix for suffix in SAMPLE_SUFFIXES[metric_type]}
        # Valid frames with the name of the sample; only canonical ones if the family is retained.
        self._frames: dict[bytes, str] = {}
        # The bound method, so that the parser looks up a column of texts without Python code per line.
        self.get: Callable[[bytes], Series | None] = self._by_text.get

    def are_regular(self, texts: Iterable[bytes]) -> bool:
        """Return whether the texts are valid, and canonical if the family is retained, as nearly all are.

        Raises LineError.
        """
        return all(map(self._is_regular, texts))

    def _is_regular(self, text: bytes) -> bool:
        pieces = text.split(b'"')
        frame = b'""'.join(pieces[::2])
        has_escape, is_closed = b"\\" in text, len(pieces) % 2 == 1
        if has_escape or not is_closed or not text.isascii() or (self.retained and not all(pieces[1::2])):
            return False
        if frame not in self._frames and len(self._frames) < _MAX_FRAMES:
            self._intern_by_grammar(text, frame)
        return frame in self._frames

    def intern(self, text: bytes) -> Series | None:
        """Return the series of a text, None if it belongs to another family.

        Raises LineError: `syntax`, `utf8`, `repeated_label`, `too_many_labels`.
        """
        pieces = text.split(b'"')
        frame = b'""'.join(pieces[::2])
        name = self._frames.get(frame)
        has_escape, is_closed = b"\\" in text, len(pieces) % 2 == 1
        if name is None or has_escape or not is_closed or not text.isascii():
            return self._intern_by_grammar(text, frame)
        if not self.retained:
            return ScrapedSeries(text)
        if self._by_canonical_text or not all(pieces[1::2]):
            return self._intern_by_grammar(text, frame)
        series = self._by_text.get(text)
        if series is None:
            series = self._by_text[text] = ScrapedSeries(text)
        return series

    def _intern_by_grammar(self, text: bytes, frame: bytes) -> Series | None:
        """Do the same for a text of any form, and remember its frame if that is one of valid texts."""
        decoded = _decode(text)
        match = _SERIES.fullmatch(decoded)
        if match is None:
            raise LineError("syntax")
        name = self._sample_names.get(match["name"])
        if name is None:
            return None
        # Before the return below, since it raises for labels that are not allowed.
        canonical = _canonical_text(name, decoded, _LABELS.findall(match["labels"] or ""))
        is_usable = "\\" not in decoded and (canonical is decoded or not self.retained)
        if is_usable and len(self._frames) < _MAX_FRAMES:
            self._frames[frame] = name
        if not self.retained:
            return ScrapedSeries(text)
        series = self._by_text.get(canonical.encode()) or self._find_by_canonical_text(canonical)
        if series is None:
            series = ScrapedSeries(text)
            if canonical is not decoded:
                self._by_canonical_text[hash(canonical)] = series
        self._by_text[text] = series
        return series

    def _find_by_canonical_text(self, canonical: str) -> Series | None:
        """Return the series whose first text was not canonical.

        The table holds hashes, not texts: almost every page is canonical, so that it is hardly ever searched.
        Another series may have the same hash, so the texts are compared, too.
        """
        series = self._by_canonical_text.get(hash(canonical))
        if series is None or _format_series(series.name, [*map(_escape_label, series.labels)]) != canonical:
            return None
        return series

    def evict(self, families: Sequence[MetricFamily]) -> None:
        """Drop the texts of series that are not in these families, if there are many."""
        if len(self._by_text) > _TEXTS_PER_SERIES * sum(map(len, families)) + _SPARE_TEXTS:
            live = set(chain.from_iterable([family.series for family in families]))
            self._by_text = {text: series for text, series in self._by_text.items() if series in live}
            self.get = self._by_text.get
            self._by_canonical_text = {key: series for key, series in self._by_canonical_text.items() if series in live}


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        # Binary data is no sample at all; only a sample can be invalid UTF-8.
        if _SERIES_BYTES.fullmatch(text) is None:
            raise LineError("syntax") from None
        raise LineError("utf8") from None


def _find_labels(text: str) -> list[tuple[str, str]]:
    return _LABELS.findall(text, text.find("{") + 1 or len(text))


@lru_cache(_MAX_FRAMES)
def _frame_labels(frame: str) -> tuple[str, ...]:
    """Return the names of the labels in a frame."""
    return tuple([intern(name) for name, _ in _find_labels(frame)])


def _shared(value: str) -> str:
    """Return a label value, interned unless it is long: names of pods and rollouts are in many series."""
    return intern(value) if len(value) <= _MAX_INTERNED_LENGTH else value


def _parse_labels(pairs: list[tuple[str, str]]) -> Labels:
    """Return the labels of pairs as written."""
    return tuple(
        [
            (intern(name), _shared(unescape(value) if "\\" in value else value))
            for name, value in pairs
            if value and name != "__name__"
        ]
    )


def _canonical_text(name: str, text: str, pairs: list[tuple[str, str]]) -> str:
    """Return the canonical text of a series: labels sorted, `le` last, as client libraries write them.

    It is `text` itself if that is canonical. Raises LineError.
    """
    if len(pairs) > MAX_LABELS:
        raise LineError("too_many_labels")
    values = dict(pairs)
    if len(values) < len(pairs):
        raise LineError("repeated_label")
    if "\\" in text or "" in values.values() or "__name__" in values:
        pairs = [*map(_escape_label, _parse_labels(pairs))]
    canonical = _format_series(name, pairs)
    return text if canonical == text else canonical


def _format_series(name: str, pairs: list[tuple[str, str]]) -> str:
    names = [key for key, _ in pairs]
    # Nearly every text is in order already, and comparing names is quicker than sorting by a key.
    is_ordered = "le" not in names and names == sorted(names)
    ordered = pairs if is_ordered else sorted(pairs, key=lambda pair: (pair[0] == "le", pair[0]))
    labels = ",".join([f'{key}="{value}"' for key, value in ordered])
    return f"{name}{{{labels}}}" if pairs else name


def _escape_label(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0], pair[1].translate(_ESCAPED)


class ScrapeCache:
    """The series of all pages by family, shared by all parsers, so that all controllers share one `Series` of each.

    `retains` selects by name the families that pass through; the series of others are not stored.
    """

    def __init__(self, retains: Callable[[str], bool] = lambda _: True) -> None:
        self._retains = retains
        self._families: dict[tuple[str, MetricType], SeriesCache] = {}
        self._previous: dict[Hashable, Mapping[str, MetricFamily]] = {}
        self._max_families = _SPARE_FAMILIES

    def previous_families(self, target_key: Hashable) -> Mapping[str, MetricFamily]:
        """Return the families of a target's last complete page, or of its first one as far as it was parsed."""
        return self._previous.get(target_key, {})

    def store(self, target_key: Hashable, families: Mapping[str, MetricFamily]) -> None:
        """Store the families of a target's page for its next scrape."""
        self._previous[target_key] = families
        if len(self._families) > self._max_families:
            self._evict_families()

    def clear(self) -> None:
        """Drop everything: the next pages are parsed from scratch."""
        self._families.clear()
        self._previous.clear()

    def series_cache(self, name: str, metric_type: MetricType) -> SeriesCache:
        """Return the cache of one family; the type decides which sample names belong to it."""
        cache = self._families.get((name, metric_type))
        if cache is None:
            cache = self._families[name, metric_type] = SeriesCache(name, metric_type, retained=self._retains(name))
        return cache

    def evict(self, target_keys: Collection[Hashable]) -> None:
        """Drop the pages of other targets than these, and series that no page has any more.

        It may walk all series of a family, so it should not run at every tick.
        """
        self._previous = {key: families for key, families in self._previous.items() if key in target_keys}
        self._evict_families()
        by_key: dict[tuple[str, MetricType], list[MetricFamily]] = {}
        for family in chain.from_iterable(families.values() for families in self._previous.values()):
            by_key.setdefault((family.name, family.type), []).append(family)
        for key, cache in self._families.items():
            if cache.retained:
                cache.evict(by_key.get(key, []))

    def _evict_families(self) -> None:
        """Drop the families that no page has any more: names may be new on each page."""
        pages = self._previous.values()
        live = {(family.name, family.type) for families in pages for family in families.values()}
        self._families = {key: cache for key, cache in self._families.items() if key in live}
        self._max_families = 2 * len(self._families) + _SPARE_FAMILIES
