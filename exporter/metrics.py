"""The vocabulary that scraping, rollouts, OTLP and the web share: series, families as columns, pages, cycles.

A series is interned: whoever makes one keeps it and hands out the same object for the same name and labels, so
that a family is two columns, its series and their values, cut into strips that are handed out again for as long as
they stay as they are: what is new, and what has gone, is told by comparing references. Nothing here does I/O, reads a
clock or logs.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, compress, repeat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


Labels = tuple[tuple[str, str], ...]


class MetricType(StrEnum):
    """What a family's TYPE line says, in the words of text format 0.0.4."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    UNTYPED = "untyped"


class Source(StrEnum):
    """What kind of component a target is; also the section of the configuration that lists it."""

    ARGO = "argo"
    KUBE_STATE_METRICS = "kube_state_metrics"
    ROLLOUT_STATE = "rollout_state"


class Series:
    """One series, made once and compared by identity.

    `name` is the sample's own name (`x`, or `x_bucket`, `x_sum`, `x_count` of a histogram `x`); `labels` are in
    the order of the page, without empty values, `le` and `quantile` among them. Hundreds of thousands are kept, so
    subclasses keep less than the labels, and put them together when they are asked for.
    """

    __slots__ = ("_labels", "name")

    def __init__(self, name: str, labels: object) -> None:
        self.name = name
        self._labels: Any = labels

    @property
    def labels(self) -> Labels:
        """All labels."""
        told: Labels = self._labels
        return told

    @property
    def exposition(self) -> str:
        """How a page spells it, "" when it was read from none."""
        return ""

    def label(self, name: str) -> str:
        """Return the value of a label, "" when there is none (to Prometheus both are the same)."""
        for key, value in self.labels:
            if key == name:
                return value
        return ""

    def __repr__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels)
        return f"{self.name}{{{labels}}}"


class SampleBatch:
    """Some series of a family that follow each other, and what was said of each; compared by identity.

    `interned`: whoever made it hands it out again for as long as nothing in it changes, and the same tuple `series`
    while only values change, so that whoever takes it works out once what it means; no other series of its family has
    the same labels as one of its own. `size` and `hash` are of the text that it was read from, 0 bytes when it was not:
    a keyed hash of 64 bits, so that two texts are taken for one once in 10^19 times.
    """

    __slots__ = ("interned", "series", "start_times", "text_hash", "text_size", "values")

    def __init__(
        self,
        series: Sequence[Series],
        values: Sequence[float],
        starts: Sequence[float] | None = None,
        text: bytes = b"",
        *,
        interned: bool = False,
    ) -> None:
        self.interned = interned
        self.series = series
        self.values = values
        self.start_times = starts
        self.text_size = len(text)
        self.text_hash = hash(text)

    def __len__(self) -> int:
        return len(self.series)

    def __repr__(self) -> str:
        return f"Strip({list(zip(self.series, self.values, strict=True))})"


def series_difference(strips: Iterable[SampleBatch], than: Iterable[SampleBatch]) -> list[Series]:
    """Return the series of strips that are not among others: one stays for as long as its series do."""
    known = {id(strip.series) for strip in than}
    return [one for strip in strips if id(strip.series) not in known for one in strip.series]


class MetricFamily:
    """A metric family as columns: `values[i]` is what was said of `series[i]`; kept as `strips`, one after another.

    `starts`, where given, is the time (Unix seconds) from which each counter of the family counts.
    """

    __slots__ = ("_sample_count", "batches", "help", "name", "type")

    def __init__(
        self,
        name: str,
        kind: MetricType,
        text: str,
        series: Sequence[Series],
        values: Sequence[float],
        starts: Sequence[float] | None = None,
    ) -> None:
        self.name = name
        self.type = kind
        self.help = text
        self.batches: tuple[SampleBatch, ...] = (SampleBatch(series, values, starts),) if len(series) else ()
        self._sample_count = len(series)

    @classmethod
    def from_batches(cls, name: str, kind: MetricType, text: str, strips: Iterable[SampleBatch]) -> MetricFamily:
        """Make a family of strips; all of them have starts, or none."""
        made = cls(name, kind, text, (), ())
        made.batches = tuple(strips)
        made._sample_count = sum(map(len, made.batches))
        return made

    @property
    def series(self) -> Sequence[Series]:
        """All series, in order."""
        if len(self.batches) == 1:
            return self.batches[0].series
        return list(chain.from_iterable([strip.series for strip in self.batches]))

    @property
    def values(self) -> Sequence[float]:
        """What was said of each series."""
        if len(self.batches) == 1:
            return self.batches[0].values
        return array("d", chain.from_iterable([strip.values for strip in self.batches]))

    @property
    def start_times(self) -> Sequence[float] | None:
        """Since when each series counts (Unix seconds); None where that is not known of any."""
        if not self.batches or self.batches[0].start_times is None:
            return None
        return array("d", chain.from_iterable([strip.start_times or () for strip in self.batches]))

    def samples(self) -> Iterator[tuple[Series, float]]:
        """Yield each series with its value."""
        for strip in self.batches:
            yield from zip(strip.series, strip.values, strict=True)

    def __len__(self) -> int:
        return self._sample_count

    def __repr__(self) -> str:
        return f"Family({self.name}, {self.type}, {list(self.samples())})"


def merge_batches(name: str, kind: MetricType, text: str, strips: Sequence[SampleBatch]) -> MetricFamily:
    """Make a family of strips; of a series that several samples tell of, the first one counts (T40)."""
    many = sum(map(len, strips))
    if len(set(chain.from_iterable([strip.series for strip in strips]))) == many:
        return MetricFamily.from_batches(name, kind, text, strips)
    first: dict[Series, float] = {}
    for strip in strips:
        for series, value in zip(strip.series, strip.values, strict=True):
            first.setdefault(series, value)
    return MetricFamily(name, kind, text, list(first), array("d", first.values()))


def family_from_samples(
    name: str, kind: MetricType, text: str, samples: Iterable[tuple[Series, float]]
) -> MetricFamily:
    """Make a family of (series, value) pairs."""
    series: list[Series] = []
    values = array("d")
    for one, value in samples:
        series.append(one)
        values.append(value)
    return MetricFamily(name, kind, text, series, values)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a target yielded nothing: a reason from a small fixed set, and a message that names the cure."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """What one target address answered, wholly: its wanted families, or the trouble that left it without any.

    `target` tells addresses apart and is the `instance` label of the target's series; `installation` groups the
    controllers of one Argo Rollouts. `malformed` counts lines that were no exposition text, by reason: nothing
    absent from such a page counts as gone. `at` is when it was asked (Unix seconds), `seconds` how long it took,
    `samples` how many samples of wanted families it had.
    """

    source: Source
    target: str
    scraped_at: float
    families: Mapping[str, MetricFamily] = field(default_factory=dict)
    failure: Failure | None = None
    installation: str = "default"
    parse_errors: Mapping[str, int] = field(default_factory=dict)
    duration: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """What is said at one tick: `families` with a value each, and `ended` series, which get one end marker."""

    timestamp: float
    families: tuple[MetricFamily, ...] = ()
    stale: tuple[MetricFamily, ...] = ()


# Families cut, picked from and merge_families, columns and all.


# rooms


UNSET: Final = 0.0
"""The start time of a series whose start is not known."""


def split(family: MetricFamily, size: int) -> Iterator[MetricFamily]:
    """Cut a family into parts of at most `size` series."""
    if len(family) <= size:
        yield family
        return
    for first in range(0, len(family), size):
        cut = slice(first, first + size)
        starts = None if family.start_times is None else family.start_times[cut]
        yield MetricFamily(family.name, family.type, family.help, family.series[cut], family.values[cut], starts)


def select(family: MetricFamily, wanted: Sequence[bool]) -> MetricFamily:
    """Keep the series whose turn in `wanted` is true."""
    starts = None if family.start_times is None else list(compress(family.start_times, wanted))
    series, values = list(compress(family.series, wanted)), array("d", compress(family.values, wanted))
    return MetricFamily(family.name, family.type, family.help, series, values, starts)


def reorder(family: MetricFamily, order: Sequence[int]) -> MetricFamily:
    """Put the series of a family into another order; start times are not kept."""
    series = [family.series[place] for place in order]
    return MetricFamily(
        family.name, family.type, family.help, series, array("d", [family.values[place] for place in order])
    )


def merge_families(first: MetricFamily, families: Sequence[MetricFamily]) -> MetricFamily:
    """Join families of one name and kind, those of `first`, in order."""
    if len(families) == 1:
        return families[0]
    text = next((family.help for family in families if family.help), first.help)
    series = list(chain.from_iterable(family.series for family in families))
    values = array("d", chain.from_iterable(family.values for family in families))
    starts = list(chain.from_iterable(family.start_times or repeat(UNSET, len(family)) for family in families))
    return MetricFamily(first.name, first.type, text, series, values, starts if any(starts) else None)
