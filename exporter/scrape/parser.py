"""Text format 0.0.4, as it streams in → metric families; families that are not selected are skipped to the next `#`.

A batch of lines that equals one of the target's previous page is not parsed again: its `SampleBatch` is reused. New
lines are split at the last space: the left part is the text of the series, the right part the value. A slice with a
line that this does not fit is parsed line by line, by the grammar of the format. A value is valid if the parser of Go
accepts it, so `1_000` and `1e400` are not. A line that cannot be parsed is skipped and counted.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.metrics import NO_KEYS, MetricFamily, MetricType, SampleBatch, may_repeat, merge_batches
from exporter.scrape.cache import SERIES_PATTERN, LineError, PackedSeries, ScrapeCache, SeriesCache, unescape
from exporter.scrape.diff import BATCH_BYTES, PreviousBatches, next_comment, split_point

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.metrics import Series

MAX_LINE_BYTES: Final = 64 * 1024
"""Bytes of a line, its line feed included: a bound for what is buffered of a line that never ends."""
MAX_FAMILIES: Final = 20_000
"""Selected families of a page; each costs memory although it may have no samples, which the sample limit counts."""
_MAX_EXAMPLE_BYTES: Final = 1024
MAX_EXAMPLES: Final = 5
"""Malformed lines of a page that are kept to look at: what breaks a page breaks many lines in the same way."""
"""Bytes of a malformed line that are stored: more than a message shows."""
_GROUPED_TYPES: Final = {MetricType.HISTOGRAM, MetricType.SUMMARY}
"""Types of which several samples make one data point: a batch ends between two points, or it could not be encoded
alone."""
_REGULAR_NUMBER_BYTES: Final = b"0123456789.eE+-"
"""A value of only these bytes that `float` accepts is valid for Go, too; NaN and infinities take the slow path."""
_NUMBER: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[+-]?[0-9]++)?|inf(?:inity)?)|nan", re.IGNORECASE
)
# Number and series are separated by a blank or a brace: `g-1` is not `g` with the value -1.
_SAMPLE: Final = re.compile(
    rb"(?P<series>" + SERIES_PATTERN + rb")(?<=[ \t}])(?P<number>[^ \t]++)(?:[ \t]++[+-]?[0-9]++)?", re.DOTALL
)
_METADATA_LINE: Final = re.compile(
    rb"#[ \t]++(?P<keyword>HELP|TYPE)[ \t]++(?P<name>[^ \t]++)(?:[ \t](?P<text>.*))?", re.DOTALL
)
# kube-state-metrics up to 2.16 writes the OpenMetrics types `info` and `stateset` of custom resources in text, too.
_METRIC_TYPES: Final = {metric_type.value: metric_type for metric_type in MetricType} | {
    "info": MetricType.GAUGE,
    "stateset": MetricType.GAUGE,
    "unknown": MetricType.UNTYPED,
}


class ExpositionError(ValueError):
    """The page is unusable; `reason` is `cut_short`, `not_exposition`, `malformed`, `sample_limit` or `family_limit`.

    `example` is a line that shows what is wrong, "" for none; it may hold secrets.
    """

    def __init__(self, reason: str, message: str, example: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.example = example


@dataclass(frozen=True, slots=True)
class Exposition:
    """A complete page: selected families by name, even without samples; parse errors by reason; count of samples.

    `examples` are the starts of the first malformed lines; they may hold secrets.
    """

    families: Mapping[str, MetricFamily]
    parse_errors: Mapping[str, int]
    samples: int
    examples: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class FamilyBuilder:
    """Collects the batches of one family of a page; `previous_batches` are those of the target's previous page."""

    name: str
    type: MetricType = MetricType.UNTYPED
    help: str = ""
    has_type: bool = False
    series_cache: SeriesCache | None = None
    previous_batches: PreviousBatches | None = None
    batches: list[SampleBatch] = field(default_factory=list)
    sample_count: int = 0
    _series: list[Series] = field(default_factory=list)
    _values: array[float] = field(default_factory=lambda: array("d"))

    def append_batch(self, batch: SampleBatch) -> None:
        """Add a batch."""
        self.flush()
        self.batches.append(batch)
        self.sample_count += len(batch)

    def append_sample(self, series: Series, value: float) -> None:
        """Add a sample of a line that was parsed alone."""
        self._series.append(series)
        self._values.append(value)
        self.sample_count += 1

    def flush(self) -> None:
        """Make a batch of the samples that were added one by one."""
        if self._series:
            self.batches.append(SampleBatch(self._series, self._values))
            self._series, self._values = [], array("d")

    def build(self, previous_family: MetricFamily | None) -> tuple[MetricFamily, int]:
        """Return the family and its count of duplicate samples; `previous_family` is that of the previous page.

        Duplicates are searched for only if the batches changed and the series are retained: series that are not
        retained are new objects at each access, so that comparing them finds nothing.
        """
        self.flush()
        batches = tuple(self.batches)
        previous = previous_family.batches if previous_family is not None and previous_family.type is self.type else ()
        is_retained = self.series_cache is None or self.series_cache.retained
        if not is_retained or previous == batches or (previous and not may_repeat(batches, previous)):
            return MetricFamily.from_batches(self.name, self.type, self.help, batches), 0
        family = merge_batches(self.name, self.type, self.help, batches)
        return family, self.sample_count - len(family)


@dataclass(slots=True, eq=False)
class ExpositionParser:
    """Parses one page: the families that `is_selected` selects by name, at most `sample_limit` samples (0: no limit).

    `previous_families` are those of the target's previous page, which this one mostly equals.
    """

    cache: ScrapeCache
    is_selected: Callable[[str], bool]
    sample_limit: int = 0
    previous_families: Mapping[str, MetricFamily] = field(default_factory=dict)
    _builders: dict[str, FamilyBuilder] = field(default_factory=dict)
    _current: FamilyBuilder | None = None  # None before the first metadata line, and in a family that is not selected
    _saw_metadata: bool = False  # until then, each sample line belongs to the family that is named like its series
    _saw_sample: bool = False
    _parse_errors: Counter[str] = field(default_factory=Counter)
    _sample_count: int = 0
    _malformed_samples: int = 0
    _examples: list[bytes] = field(default_factory=list)
    _tail: bytes = b""
    _in_long_line: bool = False

    def feed(self, block: bytes) -> None:
        """Parse the next bytes of the page. Raises ExpositionError `sample_limit` and `family_limit`."""
        text = self._tail + block if self._tail else block
        end = text.rfind(b"\n") + 1
        start = 0
        if self._in_long_line and end:
            start = text.index(b"\n") + 1
            self._in_long_line = False
        too_long = len(text) - end >= MAX_LINE_BYTES
        self._tail = text[self._parse_lines(text, start, end, no_more_text=too_long) :]
        if too_long:
            self._count_long_line(self._tail)
            self._in_long_line, self._tail = True, b""

    def finish(self) -> Exposition:
        """Return the page. Raises ExpositionError `cut_short` (no final line feed), `not_exposition`, `malformed`."""
        end = self._tail.rfind(b"\n") + 1
        self._parse_lines(self._tail, 0, end, no_more_text=True)
        if self._parse_errors and not self._saw_metadata and not self._saw_sample:
            message = "the page has no line of Prometheus text format 0.0.4"
            raise ExpositionError("not_exposition", message, self._example_text)
        # The last line ends with a line feed, too, so a page without one was cut.
        if self._in_long_line or end < len(self._tail):
            raise ExpositionError("cut_short", "the page ends in the middle of a line")
        # Not a page without rollouts, as that of a standby: something changes the page on its way.
        if self._malformed_samples and not self._sample_count:
            has_returns = bool(self._examples) and self._examples[0].endswith(b"\r")
            hint = "; its lines end with CR LF instead of LF" if has_returns else ""
            message = f"all {self._malformed_samples} samples of selected families are malformed{hint}"
            raise ExpositionError("malformed", message, self._example_text)
        families: dict[str, MetricFamily] = {}
        for name, builder in self._builders.items():
            families[name], duplicates = builder.build(self.previous_families.get(name))
            self._parse_errors["duplicate_series"] += duplicates
        errors = dict(+self._parse_errors)  # `+` drops zeros
        return Exposition(families, errors, self._sample_count, self._example_texts)

    @property
    def parsed_families(self) -> dict[str, MetricFamily]:
        """The families of the page so far, with the batches that are complete: to compare the next page with."""
        return {name: builder.build(None)[0] for name, builder in self._builders.items()}

    @property
    def _example_texts(self) -> tuple[str, ...]:
        return tuple(line.rstrip(b"\r").decode(errors="replace") for line in self._examples)

    @property
    def _example_text(self) -> str:
        return next(iter(self._example_texts), "")

    def _count_error(self, reason: str, line: bytes) -> None:
        self._parse_errors[reason] += 1
        self._malformed_samples += not line.startswith(b"#")
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(line[:_MAX_EXAMPLE_BYTES])

    def _count_long_line(self, line: bytes) -> None:
        """Count a line that is skipped for its length, unless it belongs to a family that is not selected."""
        if not self._in_long_line and (line.startswith(b"#") or self._is_reading):
            self._count_error("too_long", line)

    @property
    def _is_reading(self) -> bool:
        """Whether sample lines are parsed; those of a family that is not selected are skipped."""
        return self._current is not None or not self._saw_metadata

    def _parse_lines(self, text: bytes, pos: int, end: int, *, no_more_text: bool) -> int:
        """Parse lines up to `end`; return where parsing stopped.

        It stops before sample lines that may be the beginning of a batch of the previous page, unless no later text can
        extend the last batch (`no_more_text`).
        """
        while pos < end:
            if text.startswith(b"#", pos):
                stop = text.index(b"\n", pos) + 1
                self._parse_comment(text[pos : stop - 1])
            else:
                stop = next_comment(text, pos, end)
                if self._is_reading:
                    parsed = self._parse_samples(text, pos, stop, no_more_text=no_more_text or stop < end)
                    if parsed < stop:
                        return parsed
            pos = stop
        return pos

    def _parse_samples(self, text: bytes, pos: int, stop: int, *, no_more_text: bool) -> int:
        """Parse sample lines batch by batch, so that the work between two checks of the limit is bounded."""
        while pos < stop:
            builder = self._current
            if builder is None:
                pos = self._parse_slice(text, pos, split_point(text, pos, stop))
            else:
                previous_batches = builder.previous_batches or self._previous_batches(builder)
                batch = previous_batches.match_next(text, pos)
                # The rest of an expected batch may be in the next block.
                if batch is None and not no_more_text and stop - pos < previous_batches.needed_bytes:
                    return pos
                if batch is None:
                    pos = self._parse_changed(builder, previous_batches, text, pos, stop)
                else:
                    builder.append_batch(batch)
                    self._sample_count += len(batch)
                    pos += batch.text_size
            if self.sample_limit and self._sample_count > self.sample_limit:
                message = f"the page has more than {self.sample_limit} samples of selected families"
                raise ExpositionError("sample_limit", message)
        return pos

    def _previous_batches(self, builder: FamilyBuilder) -> PreviousBatches:
        family = self.previous_families.get(builder.name)
        batches = family.batches if family is not None and family.type is builder.type else ()
        builder.previous_batches = PreviousBatches(batches)
        return builder.previous_batches

    def _parse_changed(
        self, builder: FamilyBuilder, previous_batches: PreviousBatches, text: bytes, pos: int, stop: int
    ) -> int:
        """Parse about a batch of new lines, at most up to where the previous page continues; return their end."""
        resync = previous_batches.find_resync(text, pos, stop)
        if resync == pos:
            return pos
        if resync < 0 or resync - pos > 2 * BATCH_BYTES:
            is_grouped = builder.type in _GROUPED_TYPES
            resync = split_point(text, pos, stop if resync < 0 else resync, is_grouped=is_grouped)
        return self._parse_slice(text, pos, resync)

    def _parse_slice(self, text: bytes, pos: int, stop: int) -> int:
        """Parse some lines; return their end."""
        if stop - pos > MAX_LINE_BYTES and text.find(b"\n", pos, pos + MAX_LINE_BYTES) < 0:
            self._count_long_line(text[pos : pos + _MAX_EXAMPLE_BYTES])
            return stop
        part = text[pos:stop]
        if self._current is None or not self._parse_regular(self._current, part):
            for line in part.split(b"\n"):
                if self._is_reading:
                    self._parse_line(line)
        return stop

    def _parse_comment(self, line: bytes) -> None:
        if len(line) >= MAX_LINE_BYTES:
            self._count_long_line(line)
            return
        match = _METADATA_LINE.fullmatch(line)
        if match is None:
            return
        self._saw_metadata = True
        self._current = self._builder(match["name"].decode(errors="replace"))
        if self._current is None:
            return
        try:
            text = (match["text"] or b"").decode()
        except UnicodeDecodeError:
            self._count_error("utf8", line)
            return
        if match["keyword"] == b"HELP":
            self._current.help = self._current.help or unescape(text, quoted=False)
        else:
            self._set_type(self._current, text.strip(" \t"), line)

    def _set_type(self, builder: FamilyBuilder, type_name: str, line: bytes) -> None:
        metric_type = _METRIC_TYPES.get(type_name)
        if metric_type is None:
            self._count_error("unknown_type", line)
        # The first TYPE before the samples applies (T06).
        elif builder.has_type or builder.sample_count:
            if metric_type is not builder.type:
                self._count_error("second_type", line)
        else:
            builder.type, builder.has_type, builder.series_cache = metric_type, True, None

    def _builder(self, name: str) -> FamilyBuilder | None:
        builder = self._builders.get(name)
        if builder is None and self.is_selected(name):
            if len(self._builders) >= MAX_FAMILIES:
                raise ExpositionError("family_limit", f"the page has more than {MAX_FAMILIES} selected families")
            builder = self._builders[name] = FamilyBuilder(name)
        return builder

    def _series_cache(self, builder: FamilyBuilder) -> SeriesCache:
        if builder.series_cache is None:
            builder.series_cache = self.cache.series_cache(builder.name, builder.type)
        return builder.series_cache

    def _parse_regular(self, builder: FamilyBuilder, part: bytes) -> bool:
        """Parse a slice of `<series> <value>` lines of one family at once.

        Return False if a line does not have this form; nothing is appended then. Whole columns go through C functions,
        with no Python code per line: this is the hottest path.
        """
        rows = [line.rpartition(b" ") for line in part.split(b"\n")]
        rows.pop()  # the empty text after the last line feed
        numbers = [row[2] for row in rows]
        if b"".join(numbers).translate(None, _REGULAR_NUMBER_BYTES):
            return False
        try:
            values = array("d", map(float, numbers))
            series, keys = self._series_of(builder, part, [row[0] for row in rows])
        except ValueError:  # LineError, too: line by line, only the bad line is lost
            return False
        # `float` turns 1e400 into an infinity, which Go rejects.
        if math.inf in values or -math.inf in values:
            return False
        builder.append_batch(SampleBatch(series, values, text=part, interned=True, keys=keys))
        self._sample_count += len(series)
        return True

    def _series_of(
        self, builder: FamilyBuilder, part: bytes, texts: Sequence[bytes]
    ) -> tuple[Sequence[Series], array[int]]:
        """Return the series of a slice with their keys: those of the previous page, if only values have changed.

        Only series that are retained have keys. Raises LineError.
        """
        cache, previous_batches = self._series_cache(builder), builder.previous_batches
        keys = array("q", map(hash, texts)) if cache.retained else NO_KEYS
        same = previous_batches.same_series(keys) if previous_batches is not None and keys else None
        if same is not None:
            return same.series, same.keys
        if cache.are_regular(texts):
            return PackedSeries(part, texts), keys
        series = [cache.get(text) or cache.intern(text) for text in texts]
        if None in series:
            raise LineError("wrong_family")
        if not cache.retained:
            return PackedSeries(part, texts), NO_KEYS
        interned: tuple[Any, ...] = tuple(series)
        same = previous_batches.same_column(interned) if previous_batches is not None else None
        return (interned, array("q", [item.key for item in interned])) if same is None else (same.series, same.keys)

    def _parse_line(self, line: bytes) -> None:
        line = line.strip(b" \t")
        if not line:
            return
        if line.startswith(b"#"):
            self._parse_comment(line)
            return
        try:
            self._parse_sample(line)
        except LineError as error:
            self._count_error(str(error), line)

    def _parse_sample(self, line: bytes) -> None:
        """Parse a series, a value, and an optional timestamp, which is ignored. Raises LineError."""
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise LineError("syntax")
        value = _parse_number(match["number"])
        self._saw_sample = True
        text = match["series"]
        builder = self._current
        series = None if builder is None else self._series_cache(builder).intern(text)
        if series is None:
            builder = self._builder(match["name"].decode())
            if builder is None:
                return
            series = self._series_cache(builder).intern(text)
        if builder is None or series is None:
            raise LineError("wrong_family")
        builder.append_sample(series, value)
        self._sample_count += 1


def _parse_number(text: bytes) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise LineError("number")
    value = float(text)
    if math.isinf(value) and b"i" not in text.lower():  # out of range, not written as an infinity
        raise LineError("number")
    return value
