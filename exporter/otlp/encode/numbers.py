"""Gauges, counters and untyped families → NumberDataPoints, the attributes of each series kept encoded."""

from __future__ import annotations

from itertools import compress
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from exporter import metrics
from exporter.incremental import Recent
from exporter.otlp.encode.batch_cache import Rests
from exporter.otlp.encode.protobuf import ENDED, before_numbers, encoded_attributes, nanoseconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from exporter.metrics import Labels, MetricFamily, SampleBatch, Series
    from exporter.otlp.encode.protobuf import Identity

BLOCK: Final = 1000
_VALUE: Final = before_numbers(NumberDataPoint(as_double=1))
_WITH_VALUE: Final = Struct(f"<{len(_VALUE)}sd").pack


class Numbers:
    """Encodes families whose every series is a point of its own; counts what it leaves out in `refused`."""

    def __init__(self, identity: Identity, refused: Counter[str]) -> None:
        self._identity = identity
        self._shared = encoded_attributes(NumberDataPoint, identity.point)
        self._refused = refused
        self._heads: Recent[Series, bytes] = Recent()
        self._pairs: Recent[tuple[str, str], bytes] = Recent()
        self._clashes: dict[Series, bytes] = {}

    def shared(self, at: float) -> bytes:
        """Encode the time and the identity."""
        return NumberDataPoint(time_unix_nano=nanoseconds(at)).SerializeToString() + self._shared

    def rests(self, _: str, strip: SampleBatch) -> Rests | None:
        """Encode value, labels and start of each series, None where a label meets the identity."""
        labels = [_told(series.labels) for series in strip.series]
        if any(map(self._identity.touches, labels)):
            return None
        heads = [b"".join(self._pairs.every(one, _encoded_pair)) for one in labels]
        points = list(map(add, self.beginnings(strip), heads))
        return Rests(points if strip.start_times is None else _since(points, strip.start_times))

    def beginnings(self, strip: SampleBatch) -> Sequence[bytes]:
        """Encode the values."""
        return [_WITH_VALUE(_VALUE, value) for value in strip.values]

    def live(self, family: MetricFamily, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield the points of a family in bounded blocks; `seen` gathers what tells its series apart."""
        before = NumberDataPoint(time_unix_nano=nanoseconds(at)).SerializeToString() + _VALUE
        tail = Struct(f"<{len(before)}sd").pack
        for part, heads in self._parts(family, seen):
            told = zip(heads, self._identities(part.series), part.values, strict=True)
            points = [head + who + tail(before, value) for head, who, value in told]
            yield points if part.start_times is None else _since(points, part.start_times)

    def ended(self, family: MetricFamily, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield an end marker, without a value, for each series of a family (T41, T46)."""
        marker = NumberDataPoint(time_unix_nano=nanoseconds(at), flags=ENDED).SerializeToString()
        for part, heads in self._parts(family, seen):
            yield [head + who + marker for head, who in zip(heads, self._identities(part.series), strict=True)]

    def age(self) -> None:
        """End a cycle: forget what was not used lately."""
        self._pairs.age()
        if self._heads.age():
            self._clashes = {series: who for series, who in self._clashes.items() if series in self._heads}

    def _parts(self, family: MetricFamily, seen: set[bytes]) -> Iterator[tuple[MetricFamily, list[bytes]]]:
        """Cut a family into bounded parts, with the own attributes of each series, no series twice (T40)."""
        for part in metrics.split(family, BLOCK):
            heads = self._heads.every(part.series, self._head)
            distinct = set(heads)
            if len(distinct) < len(heads) or not seen.isdisjoint(distinct):
                fresh = _first_time(heads, seen)
                self._refused["duplicate"] += fresh.count(False)
                yield metrics.select(part, fresh), list(compress(heads, fresh))
            else:
                yield part, heads
            seen |= distinct

    def _head(self, series: Series) -> bytes:
        """Encode the labels but for those that only repeat the identity."""
        own = tuple(pair for pair in _told(series.labels) if pair not in self._identity.point)
        beside = self._identity.beside(own)
        if beside != self._identity.point:
            self._clashes[series] = encoded_attributes(NumberDataPoint, beside)
        return b"".join(self._pairs.every(own, _encoded_pair))

    def _identities(self, series: Sequence[Series]) -> Sequence[bytes]:
        """Return the identity for each series: the shared one, but where a label of its own clashes with it."""
        if not self._clashes:
            return [self._shared] * len(series)
        return [self._clashes.get(one, self._shared) for one in series]


def _told(labels: Labels) -> Labels:
    """Return labels as they are told: sorted, without empty values (T32)."""
    return tuple(sorted([pair for pair in labels if pair[1]]))


def _encoded_pair(pair: tuple[str, str]) -> bytes:
    return encoded_attributes(NumberDataPoint, (pair,))


def _since(points: Sequence[bytes], starts: Sequence[float]) -> list[bytes]:
    """Add the times since which counters count (T09); many share one."""
    told = {one: NumberDataPoint(start_time_unix_nano=nanoseconds(one)).SerializeToString() for one in set(starts)}
    return [point + told[start] for point, start in zip(points, starts, strict=True)]


def _first_time(heads: Sequence[bytes], seen: set[bytes]) -> list[bool]:
    known = set(seen)
    fresh = []
    for head in heads:
        fresh.append(head not in known)
        known.add(head)
    return fresh
