"""Encode gauges, counters and untyped families as NumberDataPoints; the attributes of each series are cached."""

from __future__ import annotations

from itertools import chain, compress, islice
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from exporter import metrics
from exporter.incremental import GenerationalCache
from exporter.otlp.encode.protobuf import NO_RECORDED_VALUE, encoded_attributes, fixed64_prefix, nanoseconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from exporter.metrics import Labels, MetricFamily, SampleBatch, Series
    from exporter.otlp.encode.protobuf import Identity, PointBlock

BLOCK_POINTS: Final = 1000
"""Points encoded at once: bounds the memory of a family that is encoded without cache."""

_VALUE: Final = fixed64_prefix(NumberDataPoint(as_double=1))
# NaN and infinities are packed as any other value (T54).
_WITH_VALUE: Final = Struct(f"<{len(_VALUE)}sd").pack


class NumberEncoder:
    """Encodes families with one point for each series; counts skipped samples by reason."""

    def __init__(self, identity: Identity, skipped: Counter[str]) -> None:
        self._identity = identity
        self._identity_attributes = encoded_attributes(NumberDataPoint, identity.point)
        self._skipped = skipped
        self._attribute_bytes: GenerationalCache[Series, bytes] = GenerationalCache()
        self._label_bytes: GenerationalCache[tuple[str, str], bytes] = GenerationalCache()
        self._overridden_identity: dict[Series, bytes] = {}  # of the few series that have a label of the identity

    def shared_prefix(self, timestamp: float) -> bytes:
        """Encode the time and the identity, which every point starts with."""
        return NumberDataPoint(time_unix_nano=nanoseconds(timestamp)).SerializeToString() + self._identity_attributes

    def encode_batch(self, _: str, batch: SampleBatch) -> tuple[Sequence[bytes], Sequence[bytes]] | None:
        """Encode value, labels and start time of each series, with no keys; None if a label overlaps the identity."""
        labels = [_normalised(series.labels) for series in batch.series]
        if self._identity.overlaps(labels):
            return None
        # One look-up for all labels of the batch: a call for each series would take as long as the look-up.
        encoded = iter(self._label_bytes.get_all(list(chain.from_iterable(labels)), _encode_label))
        attributes = [b"".join(islice(encoded, len(item))) for item in labels]
        points = list(map(add, self.value_prefixes(batch), attributes))
        # No keys: the series of an interned batch are in no other one.
        return points if batch.start_times is None else _with_start_times(points, batch.start_times), ()

    def value_prefixes(self, batch: SampleBatch) -> Sequence[bytes]:
        """Encode the values, which come before the labels."""
        return [_WITH_VALUE(_VALUE, value) for value in batch.values]

    def encode(self, family: MetricFamily, timestamp: float, seen_attributes: set[bytes]) -> Iterator[PointBlock]:
        """Yield the points of a family in bounded blocks; add the attributes of its series to `seen_attributes`."""
        prefix = NumberDataPoint(time_unix_nano=nanoseconds(timestamp)).SerializeToString() + _VALUE
        pack = Struct(f"<{len(prefix)}sd").pack
        for part, attributes in self._distinct_parts(family, seen_attributes):
            rows = zip(attributes, self._identity_bytes(part.series), part.values, strict=True)
            points = [labels + identity + pack(prefix, value) for labels, identity, value in rows]
            yield points if part.start_times is None else _with_start_times(points, part.start_times), len(points)

    def encode_stale(self, family: MetricFamily, timestamp: float, seen_attributes: set[bytes]) -> Iterator[PointBlock]:
        """Yield a staleness marker, which has no value, for each series of a family (T41, T46)."""
        marker = NumberDataPoint(time_unix_nano=nanoseconds(timestamp), flags=NO_RECORDED_VALUE).SerializeToString()
        for part, attributes in self._distinct_parts(family, seen_attributes):
            rows = zip(attributes, self._identity_bytes(part.series), strict=True)
            yield [labels + identity + marker for labels, identity in rows], len(attributes)

    def end_cycle(self) -> None:
        """End a cycle: evict what was not used recently."""
        self._label_bytes.end_cycle()
        if self._attribute_bytes.end_cycle():
            overridden = self._overridden_identity.items()
            self._overridden_identity = {key: value for key, value in overridden if key in self._attribute_bytes}

    def _distinct_parts(
        self, family: MetricFamily, seen_attributes: set[bytes]
    ) -> Iterator[tuple[MetricFamily, list[bytes]]]:
        """Split a family into bounded parts with the encoded attributes of each series; skip duplicates (T40)."""
        for part in metrics.split(family, BLOCK_POINTS):
            attributes = self._attribute_bytes.get_all(part.series, self._encode_attributes)
            distinct = set(attributes)
            if len(distinct) < len(attributes) or not seen_attributes.isdisjoint(distinct):
                is_first = _first_occurrences(attributes, seen_attributes)
                self._skipped["duplicate"] += is_first.count(False)
                yield metrics.select(part, is_first), list(compress(attributes, is_first))
            else:
                yield part, attributes
            seen_attributes |= distinct

    def _encode_attributes(self, series: Series) -> bytes:
        """Encode the labels, except those that only repeat the identity."""
        labels = tuple(label for label in _normalised(series.labels) if label not in self._identity.point)
        identity = self._identity.attributes_for(labels)
        if identity != self._identity.point:
            self._overridden_identity[series] = encoded_attributes(NumberDataPoint, identity)
        return b"".join(self._label_bytes.get_all(labels, _encode_label))

    def _identity_bytes(self, series: Sequence[Series]) -> Sequence[bytes]:
        """Return the encoded identity of each series: the shared one, unless a label of the series overrides it."""
        if not self._overridden_identity:
            return [self._identity_attributes] * len(series)
        return [self._overridden_identity.get(item, self._identity_attributes) for item in series]


def _normalised(labels: Labels) -> Labels:
    """Return labels sorted, without empty values (T32)."""
    # Sorted, so that two series that are one point have equal bytes (T40).
    return tuple(sorted([label for label in labels if label[1]]))


def _encode_label(label: tuple[str, str]) -> bytes:
    return encoded_attributes(NumberDataPoint, (label,))


def _with_start_times(points: Sequence[bytes], start_times: Sequence[float]) -> list[bytes]:
    """Append the start times of counters (T09); many share one, so each distinct one is encoded once."""
    encoded = {
        start: NumberDataPoint(start_time_unix_nano=nanoseconds(start)).SerializeToString()
        for start in set(start_times)
    }
    return [point + encoded[start] for point, start in zip(points, start_times, strict=True)]


def _first_occurrences(attributes: Sequence[bytes], seen_attributes: set[bytes]) -> list[bool]:
    occurred = set(seen_attributes)
    is_first = []
    for item in attributes:
        is_first.append(item not in occurred)
        occurred.add(item)
    return is_first
