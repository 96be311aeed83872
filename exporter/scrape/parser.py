"""Text format 0.0.4, as it streams in, → families; wanted ones are parsed, the others skipped unread to the next `#`.

Text that stands where it stood on the target's last page is not read again: its strip is handed out once more. What is
new is cut into rows at their last blank: what stands before it is looked up, what stands after it is a number. Rows
for which that does not hold go, one at a time, through the plain path, which follows the format's words.
Numbers are what Go's parser takes, so `1_000` and `1e400` are none (facts: oracle t15). One line that is no
exposition costs itself and is counted.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from exporter.metrics import MetricFamily, MetricType, SampleBatch, merge_batches
from exporter.scrape.cache import SERIES, Lines, MalformedError, ScrapeCache, Texts, unescape
from exporter.scrape.diff import SIZE, Former, cut, next_comment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.metrics import Series
    from exporter.scrape.cache import Texts


# A family while its page is being read.


class Columns:
    """A family while it is being read; `former` is the same family on the target's last page."""

    __slots__ = ("_series", "_values", "former", "help", "kind", "name", "rows", "strips", "texts", "typed")

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = MetricType.UNTYPED
        self.help = ""
        self.typed = False
        self.texts: Texts | None = None
        self.former: Former | None = None
        self.strips: list[SampleBatch] = []
        self.rows = 0
        self._series: list[Series] = []
        self._values = array("d")

    def put(self, strip: SampleBatch) -> None:
        """Take a strip."""
        self.settle()
        self.strips.append(strip)
        self.rows += len(strip)

    def add(self, series: Series, value: float) -> None:
        """Take one sample, read by itself."""
        self._series.append(series)
        self._values.append(value)
        self.rows += 1

    def settle(self) -> None:
        """Make a strip of the samples that were read by themselves."""
        if self._series:
            self.strips.append(SampleBatch(self._series, self._values))
            self._series, self._values = [], array("d")

    def family(self, before: MetricFamily | None) -> tuple[MetricFamily, int]:
        """Return the family, and how many samples only repeat a series; `before` is the one of the last page."""
        self.settle()
        strips = tuple(self.strips)
        if before is not None and before.batches == strips and before.type is self.kind:
            return MetricFamily.from_batches(self.name, self.kind, self.help, strips), 0
        if self.texts is not None and not self.texts.kept:
            return MetricFamily.from_batches(self.name, self.kind, self.help, strips), 0
        family = merge_batches(self.name, self.kind, self.help, strips)
        return family, self.rows - len(family)


# rooms


LONGEST_LINE: Final = 64 * 1024
NO_FAMILIES: Final[Mapping[str, MetricFamily]] = MappingProxyType({})
_IN_RUNS: Final = {MetricType.HISTOGRAM, MetricType.SUMMARY}
_PLAIN_DIGITS: Final = b"0123456789.eE+-"
_NUMBER: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[+-]?[0-9]++)?|inf(?:inity)?)|nan", re.IGNORECASE
)
_SAMPLE: Final = re.compile(
    rb"(?P<series>" + SERIES + rb")(?<=[ \t}])(?P<number>[^ \t]++)(?:[ \t]++[+-]?[0-9]++)?", re.DOTALL
)
_HEADER: Final = re.compile(rb"#[ \t]++(HELP|TYPE)[ \t]++([^ \t]++)(?:[ \t](.*))?", re.DOTALL)
# kube-state-metrics up to 2.16 writes `info` and `stateset` for custom resources in text, too.
_KINDS: Final = {kind.value: kind for kind in MetricType} | {
    "info": MetricType.GAUGE,
    "stateset": MetricType.GAUGE,
    "unknown": MetricType.UNTYPED,
}


class ExpositionError(ValueError):
    """The page as a whole is of no use; `reason` is `cut_short`, `not_exposition` or `sample_limit`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Exposition:
    """One whole page: wanted families by name (also those that are a header alone), and what was malformed."""

    families: Mapping[str, MetricFamily]
    malformed: Mapping[str, int]
    samples: int


class Parser:
    """Reads one page. `wanted` tells by name which families matter; `most` bounds the samples kept (0: unbounded).

    `former` are the families of the target's last page, which is what this one is likely to be.
    """

    def __init__(
        self,
        interner: ScrapeCache,
        wanted: Callable[[str], bool],
        most: int = 0,
        former: Mapping[str, MetricFamily] = NO_FAMILIES,
    ) -> None:
        self._interner = interner
        self._wanted = wanted
        self._most = most
        self._former = former
        self._families: dict[str, Columns] = {}
        self._current: Columns | None = None
        self._headed = False  # before the first header every line speaks for itself
        self._understood = False
        self._malformed: Counter[str] = Counter()
        self._samples = 0
        self._tail = b""
        self._too_long = False

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the page. Raises ExpositionError `sample_limit`."""
        text = self._tail + block if self._tail else block
        end = text.rfind(b"\n") + 1
        start = 0
        if self._too_long and end:
            start = text.index(b"\n") + 1
            self._too_long = False
        overlong = len(text) - end >= LONGEST_LINE
        self._tail = text[self._lines(text, start, end, last=overlong) :]
        if overlong:
            self._overlong(self._tail)
            self._too_long, self._tail = True, b""

    def finish(self) -> Exposition:
        """Return the page. Raises ExpositionError `cut_short` (no final line feed) and `not_exposition`."""
        end = self._tail.rfind(b"\n") + 1
        self._lines(self._tail, 0, end, last=True)
        if self._malformed and not self._headed and not self._understood:
            raise ExpositionError("not_exposition", "the page has no line of Prometheus text format 0.0.4")
        if self._too_long or end < len(self._tail):
            raise ExpositionError("cut_short", "the page ends in the middle of a line")
        families: dict[str, MetricFamily] = {}
        for name, columns in self._families.items():
            families[name], repeated = columns.family(self._former.get(name))
            self._malformed["duplicate_series"] += repeated
        return Exposition(families, dict(+self._malformed), self._samples)

    def _overlong(self, line: bytes) -> None:
        """Count a line that is dropped for its length, unless it stands in a family that nobody wants."""
        if not self._too_long and (line.startswith(b"#") or self._reading):
            self._malformed["too_long"] += 1

    @property
    def _reading(self) -> bool:
        return self._current is not None or not self._headed

    def _lines(self, text: bytes, pos: int, end: int, *, last: bool) -> int:
        """Read lines up to `end`; return where reading stopped: before what may go on beyond, unless it is the last."""
        while pos < end:
            if text.startswith(b"#", pos):
                stop = text.index(b"\n", pos) + 1
                self._comment(text[pos : stop - 1])
            else:
                stop = next_comment(text, pos, end)
                if self._reading and (read := self._block(text, pos, stop, last=last or stop < end)) < stop:
                    return read
            pos = stop
        return pos

    def _block(self, text: bytes, pos: int, stop: int, *, last: bool) -> int:
        """Read sample lines strip by strip, so that the work between two looks at the limit is bounded."""
        while pos < stop:
            columns = self._current
            if columns is None:
                pos = self._piece(text, pos, cut(text, pos, stop))
            else:
                former = columns.former or self._remembered(columns)
                strip = former.again(text, pos)
                if strip is None and not last and stop - pos < former.size:
                    return pos
                if strip is None:
                    pos = self._changed(columns, former, text, pos, stop)
                else:
                    columns.put(strip)
                    self._samples += len(strip)
                    pos += strip.text_size
            if self._most and self._samples > self._most:
                raise ExpositionError("sample_limit", f"the page has more than {self._most} samples of wanted families")
        return pos

    def _remembered(self, columns: Columns) -> Former:
        family = self._former.get(columns.name)
        columns.former = Former(family.batches if family is not None and family.type is columns.kind else ())
        return columns.former

    def _changed(self, columns: Columns, former: Former, text: bytes, pos: int, stop: int) -> int:
        """Read a strip's worth of what is new, at most up to where what is known goes on; return where that ends."""
        resumed = former.resumes(text, pos, stop)
        if resumed == pos:
            return pos
        if resumed < 0 or resumed - pos > 2 * SIZE:
            resumed = cut(text, pos, stop if resumed < 0 else resumed, runs=columns.kind in _IN_RUNS)
        return self._piece(text, pos, resumed)

    def _piece(self, text: bytes, pos: int, stop: int) -> int:
        """Read some lines; return where they end."""
        if stop - pos > LONGEST_LINE and text.find(b"\n", pos, pos + LONGEST_LINE) < 0:
            self._overlong(text[pos : pos + 1])
            return stop
        part = text[pos:stop]
        if self._current is None or not self._fast(self._current, part):
            for line in part.split(b"\n"):
                if self._reading:
                    self._plain(line)
        return stop

    def _comment(self, line: bytes) -> None:
        if len(line) >= LONGEST_LINE:
            self._overlong(line)
            return
        match = _HEADER.fullmatch(line)
        if match is None:
            return
        self._headed = True
        self._current = self._columns(match[2].decode(errors="replace"))
        if self._current is None:
            return
        try:
            rest = (match[3] or b"").decode()
        except UnicodeDecodeError:
            self._malformed["utf8"] += 1
            return
        if match[1] == b"HELP":
            self._current.help = self._current.help or unescape(rest, quoted=False)
        else:
            self._type(self._current, rest.strip(" \t"))

    def _type(self, columns: Columns, word: str) -> None:
        kind = _KINDS.get(word)
        if kind is None:
            self._malformed["unknown_type"] += 1
        elif columns.typed or columns.rows:
            if kind is not columns.kind:
                self._malformed["second_type"] += 1
        else:
            columns.kind, columns.typed, columns.texts = kind, True, None

    def _columns(self, name: str) -> Columns | None:
        columns = self._families.get(name)
        if columns is None and self._wanted(name):
            columns = self._families[name] = Columns(name)
        return columns

    def _texts(self, columns: Columns) -> Texts:
        if columns.texts is None:
            columns.texts = self._interner.texts(columns.name, columns.kind)
        return columns.texts

    def _fast(self, columns: Columns, part: bytes) -> bool:
        """Take a slice of regular rows of one family at once; False, and nothing taken, when one is irregular."""
        rows = [line.rpartition(b" ") for line in part.split(b"\n")]
        rows.pop()
        numbers = [row[2] for row in rows]
        if b"".join(numbers).translate(None, _PLAIN_DIGITS):
            return False
        try:
            values = array("d", map(float, numbers))
            texts = self._texts(columns)
            series = list(map(texts.find, [row[0] for row in rows]))
            if None in series:
                series = [one or texts.learn(row[0]) for one, row in zip(series, rows, strict=True)]
        except ValueError:
            return False
        if None in series or math.inf in values or -math.inf in values:
            return False
        columns.put(SampleBatch(self._shared(columns, series, part), values, text=part, interned=True))
        self._samples += len(series)
        return True

    def _shared(self, columns: Columns, series: Sequence[Any], part: bytes) -> Sequence[Series]:
        """Return the series of a slice as they are kept: the same tuple as long as they are the same."""
        if not self._texts(columns).kept:
            return Lines(part, len(series))
        return columns.former.shared(tuple(series)) if columns.former is not None else tuple(series)

    def _plain(self, line: bytes) -> None:
        line = line.strip(b" \t")
        if not line:
            return
        if line.startswith(b"#"):
            self._comment(line)
            return
        try:
            self._sample(line)
        except MalformedError as error:
            self._malformed[str(error)] += 1

    def _sample(self, line: bytes) -> None:
        """Take one line: a series, a number, and perhaps a time in milliseconds, which is not used."""
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise MalformedError("syntax")
        value = _number(match["number"])
        self._understood = True
        text = match["series"]
        columns = self._current
        series = None if columns is None else self._texts(columns).learn(text)
        if series is None:
            columns = self._columns(match[2].decode())
            if columns is None:
                return
            series = self._texts(columns).learn(text)
        if columns is None or series is None:
            raise MalformedError("wrong_family")
        columns.add(series, value)
        self._samples += 1


def _number(text: bytes) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise MalformedError("number")
    value = float(text)
    if math.isinf(value) and b"i" not in text.lower():
        raise MalformedError("number")
    return value
