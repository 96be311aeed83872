"""Cache the encoded points of sample batches: encoded once, and sent again with another time.

The encoders of `numbers` and `histograms` encode the points. The result is cached for as long as the scrape cache
returns the same batch; if only values have changed, only they are encoded again.

In a request, a point is a length prefix (field key and length) and the encoded point. All points of a snapshot share a
prefix (the time, and the identity). Cached points omit it; it is inserted when they are rendered. This is valid
protobuf, since the concatenation of encoded parts of a message is an encoding of the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, NumberDataPoint

from exporter.incremental import GenerationalCache
from exporter.otlp.encode.protobuf import field_key, read_varint, varint
from exporter.packed import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.metrics import MetricFamily, SampleBatch
    from exporter.otlp.encode.histograms import HistogramEncoder
    from exporter.otlp.encode.numbers import NumberEncoder


_DATA_POINTS_KEY: Final = field_key(Gauge(data_points=[NumberDataPoint()]))  # the same in Gauge, Sum, …
_SENTINELS: Final = tuple(
    bytes([number]) for number in (0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, *range(0xF5, 0xFA), 0xC1, 0xC0)
)


@dataclass(frozen=True, slots=True)
class FramedPoints:
    """Concatenated points, each with its length prefix; `samples` counts the samples that they were made of."""

    count: int
    body: bytes
    samples: int = 0

    def split(self, max_points: int, max_bytes: int) -> tuple[FramedPoints, FramedPoints | None]:
        """Return the first points that fit both limits, and the others, None if all fit."""
        split_count = split_at = 0
        while split_count < min(max_points, self.count) and (end := _point_end(self.body, split_at)) <= max_bytes:
            split_count, split_at = split_count + 1, end
        if split_count == self.count:
            return self, None
        # The points of a batch nearly always have equally many samples; their sum is exact in any case.
        samples = self.samples * split_count // self.count
        first = FramedPoints(split_count, self.body[:split_at], samples)
        return first, FramedPoints(self.count - split_count, self.body[split_at:], self.samples - samples)


def frame_points(points: Sequence[bytes], samples: int) -> FramedPoints:
    """Concatenate encoded points, made of so many samples, with their length prefixes."""
    return FramedPoints(len(points), b"".join([length_prefix(len(point)) + point for point in points]), samples)


@lru_cache(4096)  # points of one family have few distinct sizes
def length_prefix(size: int) -> bytes:
    """Return the field key and the length that precede a point of `size` bytes."""
    return _DATA_POINTS_KEY + varint(size)


def _point_end(body: bytes, position: int) -> int:
    """Return the end of the point whose length prefix begins at a position."""
    size, begin = read_varint(body, position + len(_DATA_POINTS_KEY))
    return begin + size


class PointTemplate:
    """Points with length prefixes, without the shared prefix; `pieces` are the bytes before, between and after that.

    Stored packed, with a sentinel byte where the shared prefix goes: a byte that occurs nowhere in the
    pieces. Candidates are bytes that UTF-8 never uses, so that only numbers can contain them; if numbers contain all of
    them, the pieces are stored as they are.
    """

    __slots__ = ("_packed", "_pieces", "_sentinel", "count")

    def __init__(self, pieces: list[bytes]) -> None:
        self.count = len(pieces) - 1
        content = b"".join(pieces)
        self._sentinel = next((sentinel for sentinel in _SENTINELS if sentinel not in content), b"")
        self._packed = pack(self._sentinel.join(pieces)) if self._sentinel else b""
        self._pieces = [] if self._sentinel else pieces

    def render(self, shared_prefix: bytes) -> bytes:
        """Return the points with their shared prefix."""
        if self._sentinel:
            return unpack(self._packed).replace(self._sentinel, shared_prefix)
        return shared_prefix.join(self._pieces)

    def with_values(self, prefixes: Sequence[bytes]) -> PointTemplate:
        """Return the template with other value prefixes, each as long as the previous one."""
        pieces = unpack(self._packed).split(self._sentinel) if self._sentinel else self._pieces
        first, *others = pieces
        return PointTemplate([first, *(new + old[len(new) :] for new, old in zip(prefixes, others, strict=True))])


def make_template(points: Sequence[bytes], shared_size: int) -> PointTemplate:
    """Return the template of encoded points, given without their shared prefix of `shared_size` bytes."""
    prefixes = [length_prefix(shared_size + len(point)) for point in points]
    following = [*prefixes[1:], b""]
    return PointTemplate([*prefixes[:1], *(point + after for point, after in zip(points, following, strict=True))])


@dataclass(frozen=True, slots=True)
class _CachedBatch:
    """A batch and its points; no template if they cannot be cached. `point_keys` detect points that span batches."""

    batch: SampleBatch
    template: PointTemplate | None
    point_keys: Sequence[bytes] = ()


class EncodedBatchCache:
    """Caches the encoded points of the batches of one encoder."""

    def __init__(self, encoder: NumberEncoder | HistogramEncoder) -> None:
        self._encoder = encoder
        # By id(batch.series): the tuple stays the same object while only values change. The entry holds the batch, so
        # that the id is not reused.
        self._by_series: GenerationalCache[int, _CachedBatch] = GenerationalCache()

    def render(self, family: MetricFamily, timestamp: float) -> tuple[Iterator[FramedPoints], set[bytes]] | None:
        """Return the points of a family, rendered batch by batch on iteration, and their keys.

        None if the family has to be encoded without cache: a batch is not interned or not cacheable, or a point spans
        two batches.
        """
        if not all(batch.interned for batch in family.batches):
            return None
        cached = self._cached_batches(family)
        keys = list(chain.from_iterable([item.point_keys for item in cached]))
        distinct = set(keys)
        if len(distinct) < len(keys) or not all(item.template is not None for item in cached):
            return None
        shared_prefix = self._encoder.shared_prefix(timestamp)
        templates = [(item.template, len(item.batch)) for item in cached if item.template is not None]
        framed = (FramedPoints(template.count, template.render(shared_prefix), size) for template, size in templates)
        return framed, distinct

    def end_cycle(self) -> None:
        """End a cycle: evict what was not used recently."""
        self._by_series.end_cycle()

    def _cached_batches(self, family: MetricFamily) -> list[_CachedBatch]:
        batches: list[_CachedBatch] = []
        for batch in family.batches:
            key = id(batch.series)
            cached = self._by_series.get(key)
            if cached is None or cached.batch is not batch:
                cached = self._by_series.put(key, self._encode(family.name, batch, cached))
            batches.append(cached)
        return batches

    def _encode(self, name: str, batch: SampleBatch, previous: _CachedBatch | None) -> _CachedBatch:
        if previous is not None and previous.template is not None and previous.batch.series is batch.series:
            prefixes = self._encoder.value_prefixes(batch) if previous.batch.start_times == batch.start_times else None
            if prefixes is not None:
                return _CachedBatch(batch, previous.template.with_values(prefixes), previous.point_keys)
        encoded = self._encoder.encode_batch(name, batch)
        if encoded is None:
            return _CachedBatch(batch, None)
        points, point_keys = encoded
        # The length of the prefix is the same at any time: timestamps are fixed64.
        template = make_template(points, len(self._encoder.shared_prefix(1.0)))
        return _CachedBatch(batch, template, point_keys)
