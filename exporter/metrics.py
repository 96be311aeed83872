"""The data model that scrape, rollouts, OTLP and web share: series, sample batches, metric families, results.

A family is two columns, series and values, divided into batches; an unchanged batch is the same object as before, and
so is the column of its series if only values changed. So added and removed series are searched for in few batches.
Nothing here does I/O, reads a clock or logs.
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
"""Pairs in the order of the page; a tuple can be hashed and shared, which a mapping cannot."""


class MetricType(StrEnum):
    """The type of a family, as in the TYPE line of text format 0.0.4."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    UNTYPED = "untyped"


SAMPLE_SUFFIXES: Final[Mapping[MetricType, tuple[str, ...]]] = {
    **dict.fromkeys(MetricType, ("",)),
    MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"),
    MetricType.SUMMARY: ("", "_sum", "_count"),
}
"""What the names of a family's samples append to the family's name, by type."""


class Source(StrEnum):
    """The kind of component behind a target; also the section of the configuration that lists it."""

    ARGO = "argo"
    KUBE_STATE_METRICS = "kube_state_metrics"
    ROLLOUT_STATE = "rollout_state"


class Series:
    """A series, compared by identity.

    `name` is the name of its samples (`x`, or `x_bucket`, `x_sum`, `x_count` of a histogram `x`). `labels` are in the
    order of the page, without empty values, with `le` and `quantile`. Hundreds of thousands of series are exported, so
    subclasses store less than the labels and build them at each access, or are themselves built at each access; nothing
    is cached, so threads may share it.
    """

    __slots__ = ("_labels", "name")

    def __init__(self, name: str, labels: object) -> None:
        self.name = name
        self._labels: Any = labels

    @property
    def labels(self) -> Labels:
        """All labels."""
        labels: Labels = self._labels
        return labels

    @property
    def exposition(self) -> str:
        """Its text on the page that it was parsed from, "" if there is none."""
        return ""

    @property
    def key(self) -> int:
        """A hash of 64 bits, which two objects of one class that are the same series have in common.

        Of a million series, two that differ have the same one once in 40 million processes.
        """
        return hash((self.name, frozenset(self.labels)))

    def label(self, name: str) -> str:
        """Return the value of a label, "" if it has none: to Prometheus an empty label and none are the same."""
        for key, value in self.labels:
            if key == name:
                return value
        return ""

    def __repr__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels)
        return f"{self.name}{{{labels}}}"


NO_KEYS: Final = array("q")
_FEW_KEYS: Final = 8
"""Keys that are searched for in the bytes of others one by one: a search takes a tenth of comparing all as objects."""


class SampleBatch:
    """Consecutive samples of one family as columns, compared by identity.

    `interned`: the same object is handed out while nothing in it changes, and the same tuple `series` while only
    values change, so that what is derived from it is computed once; and no other series of the family has the labels
    of one of its own. `text_size` and `text_hash` are of the text that it was parsed from, of b"" if there is none.
    Python's keyed hash has 64 bits, so two texts of one size are confused once in 10^19 comparisons. `keys` are those
    of the series if they are known.
    """

    __slots__ = ("interned", "keys", "series", "start_times", "text_hash", "text_size", "values")

    def __init__(
        self,
        series: Sequence[Series],
        values: Sequence[float],
        start_times: Sequence[float] | None = None,
        text: bytes = b"",
        *,
        interned: bool = False,
        keys: array[int] = NO_KEYS,
    ) -> None:
        self.interned = interned
        self.keys = keys
        self.series = series
        self.values = values
        self.start_times = start_times
        self.text_size = len(text)
        self.text_hash = hash(text)

    def __len__(self) -> int:
        return len(self.series)

    def __repr__(self) -> str:
        return f"SampleBatch({list(zip(self.series, self.values, strict=True))})"


def batch_difference(batches: Iterable[SampleBatch], other_batches: Iterable[SampleBatch]) -> list[SampleBatch]:
    """Return the batches whose `series` object is not that of any other batch."""
    others = {id(batch.series) for batch in other_batches}
    return [batch for batch in batches if id(batch.series) not in others]


def series_difference(batches: Iterable[SampleBatch], other_batches: Iterable[SampleBatch]) -> list[Series]:
    """Return the series of batches whose `series` object is not that of any other batch."""
    return [series for batch in batch_difference(batches, other_batches) for series in batch.series]


class MetricFamily:
    """A metric family as columns, stored as batches: `values[i]` is the value of `series[i]`.

    `start_times`, if any, are the times at which the counters of the family started (Unix seconds).
    """

    __slots__ = ("_sample_count", "batches", "help", "name", "type")

    def __init__(
        self,
        name: str,
        kind: MetricType,
        help_text: str,
        series: Sequence[Series],
        values: Sequence[float],
        start_times: Sequence[float] | None = None,
    ) -> None:
        self.name = name
        self.type = kind
        self.help = help_text
        self.batches: tuple[SampleBatch, ...] = (SampleBatch(series, values, start_times),) if len(series) else ()
        self._sample_count = len(series)

    @classmethod
    def from_batches(cls, name: str, kind: MetricType, help_text: str, batches: Iterable[SampleBatch]) -> MetricFamily:
        """Return a family of batches; all of them have start times, or none."""
        family = cls(name, kind, help_text, (), ())
        family.batches = tuple(batches)
        family._sample_count = sum(map(len, family.batches))
        return family

    @property
    def series(self) -> Sequence[Series]:
        """All series, in order."""
        if len(self.batches) == 1:  # without a copy
            return self.batches[0].series
        return list(chain.from_iterable([batch.series for batch in self.batches]))

    @property
    def values(self) -> Sequence[float]:
        """The value of each series."""
        if len(self.batches) == 1:
            return self.batches[0].values
        # An array takes 8 bytes a value; a list takes a pointer and an object.
        return array("d", chain.from_iterable([batch.values for batch in self.batches]))

    @property
    def start_times(self) -> Sequence[float] | None:
        """The time at which each series started to count (Unix seconds), None if that is unknown for all."""
        if not self.batches or self.batches[0].start_times is None:
            return None
        return array("d", chain.from_iterable([batch.start_times or () for batch in self.batches]))

    def samples(self) -> Iterator[tuple[Series, float]]:
        """Yield each series with its value."""
        for batch in self.batches:
            yield from zip(batch.series, batch.values, strict=True)

    def __len__(self) -> int:
        return self._sample_count

    def __repr__(self) -> str:
        return f"MetricFamily({self.name}, {self.type}, {list(self.samples())})"


def merge_batches(name: str, kind: MetricType, help_text: str, batches: Sequence[SampleBatch]) -> MetricFamily:
    """Return a family of batches; a series with several samples has the value of the first one (T40)."""
    # By keys, since series that are packed are other objects at each access.
    keys = [batch.keys or [series.key for series in batch.series] for batch in batches]
    # Nothing repeats, as on nearly every page, so the batches stay the same objects.
    if len(set(chain.from_iterable(keys))) == sum(map(len, batches)):
        return MetricFamily.from_batches(name, kind, help_text, batches)
    first: dict[int, tuple[Series, float]] = {}
    for batch, batch_keys in zip(batches, keys, strict=True):
        for key, sample in zip(batch_keys, zip(batch.series, batch.values, strict=True), strict=True):
            first.setdefault(key, sample)
    return family_from_samples(name, kind, help_text, first.values())


def may_repeat(batches: Sequence[SampleBatch], previous: Iterable[SampleBatch]) -> bool:
    """Return whether a series may be in these batches twice; it was not in the `previous` ones of the same family.

    So only series that none of the previous batches had are searched for in the batches that stayed.
    """
    if not all(batch.keys for batch in batches):
        return True
    stayed = set(previous).intersection(batches)
    new_keys = [key for batch in batches if batch not in stayed for key in batch.keys]
    unknown = set(new_keys)
    if len(unknown) < len(new_keys):
        return True
    unknown.difference_update(*[batch.keys for batch in previous if batch not in stayed])
    if len(unknown) > _FEW_KEYS:
        return not unknown.isdisjoint(chain.from_iterable([batch.keys for batch in stayed]))
    content = b"".join([batch.keys for batch in stayed])
    return any(array("q", [key]).tobytes() in content for key in unknown)


def family_from_samples(
    name: str, kind: MetricType, help_text: str, samples: Iterable[tuple[Series, float]]
) -> MetricFamily:
    """Return a family of (series, value) pairs."""
    pairs = tuple(samples)
    return MetricFamily(
        name, kind, help_text, [series for series, _ in pairs], array("d", [value for _, value in pairs])
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a scrape failed: a reason from a small fixed set, and a message with a hint."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """The result of one scrape of one target address: the selected families of a complete page, or a failure.

    `target` identifies the address and is the `instance` label of the target's series; `installation` groups the
    controllers of one Argo Rollouts. `parse_errors` counts malformed lines by reason: a series absent from such a page
    is not gone. `malformed_lines` are the first of these, shortened and without secrets. `scraped_at` is when the
    request was sent (Unix seconds), `duration` is in seconds, `sample_count` counts the samples of selected families,
    `size` the bytes of the body as far as it was read, decompressed. `answer` is the start of one that cannot be used,
    without secrets.
    """

    source: Source
    target: str
    scraped_at: float
    families: Mapping[str, MetricFamily] = field(default_factory=dict)
    failure: Failure | None = None
    installation: str = "default"
    parse_errors: Mapping[str, int] = field(default_factory=dict)
    malformed_lines: tuple[str, ...] = ()
    duration: float = 0.0
    sample_count: int = 0
    size: int = 0
    answer: str = ""

    def batches(self, name: str) -> tuple[SampleBatch, ...]:
        """Return the batches of one family, none if it is not on the page."""
        family = self.families.get(name)
        return family.batches if family is not None else ()

    def samples(self, name: str) -> Iterable[tuple[Series, float]]:
        """Return the samples of one family, none if it is not on the page."""
        family = self.families.get(name)
        return family.samples() if family is not None else ()


def family_batches(results: Iterable[ScrapeResult], name: str) -> Iterator[SampleBatch]:
    """Yield the batches of one family on all pages."""
    for result in results:
        yield from result.batches(name)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """The metrics at one tick: exported families, and series that went stale and get one staleness marker."""

    timestamp: float
    families: tuple[MetricFamily, ...] = ()
    stale: tuple[MetricFamily, ...] = ()


# OTLP reads a start time of 0 as unknown.
UNSET: Final = 0.0
"""The start time of a series whose start is unknown."""


def split(family: MetricFamily, size: int) -> Iterator[MetricFamily]:
    """Split a family into parts of at most `size` series."""
    if len(family) <= size:
        yield family
        return
    all_series, values, start_times = family.series, family.values, family.start_times
    for first in range(0, len(family), size):
        part = slice(first, first + size)
        starts = None if start_times is None else start_times[part]
        yield MetricFamily(family.name, family.type, family.help, all_series[part], values[part], starts)


def select(family: MetricFamily, selected: Sequence[bool]) -> MetricFamily:
    """Return the series of a family for which `selected` is true."""
    start_times = None if family.start_times is None else list(compress(family.start_times, selected))
    series, values = list(compress(family.series, selected)), array("d", compress(family.values, selected))
    return MetricFamily(family.name, family.type, family.help, series, values, start_times)


def reorder(family: MetricFamily, order: Sequence[int]) -> MetricFamily:
    """Return a family with its series in another order, without start times."""
    series = [family.series[place] for place in order]
    return MetricFamily(
        family.name, family.type, family.help, series, array("d", [family.values[place] for place in order])
    )


def merge_families(first: MetricFamily, families: Sequence[MetricFamily]) -> MetricFamily:
    """Merge families with name and type of `first`, in order."""
    if len(families) == 1:
        return families[0]
    help_text = next((family.help for family in families if family.help), first.help)
    series = list(chain.from_iterable(family.series for family in families))
    values = array("d", chain.from_iterable(family.values for family in families))
    start_times = list(chain.from_iterable(family.start_times or repeat(UNSET, len(family)) for family in families))
    return MetricFamily(first.name, first.type, help_text, series, values, start_times if any(start_times) else None)
