"""Encode a snapshot as OTLP export requests of bounded size, in the form that real stores keep unchanged (T01-T54)."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter import metrics
from exporter.metrics import MetricType
from exporter.otlp.encode.batch_cache import EncodedBatchCache, frame_points
from exporter.otlp.encode.histograms import HISTOGRAM, SUMMARY, HistogramEncoder
from exporter.otlp.encode.numbers import NumberEncoder
from exporter.otlp.encode.protobuf import (
    CUMULATIVE,
    POINTS_KEYS,
    ExportRequest,
    attributes,
    delimited,
    field_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exporter.metrics import MetricFamily, MetricsSnapshot
    from exporter.otlp.encode.batch_cache import FramedPoints
    from exporter.otlp.encode.protobuf import Identity

SCOPE_NAME: Final = "rollouts-exporter"
"""The name of the scope. It has no version: some stores make that a label of every series (T34)."""

_SCOPE: Final = ScopeMetrics(scope=InstrumentationScope(name=SCOPE_NAME)).SerializeToString()
_RESOURCE_METRICS_KEY: Final = field_key(ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics()]))
_SCOPE_METRICS_KEY: Final = field_key(ResourceMetrics(scope_metrics=[ScopeMetrics()]))
_METRICS_KEY: Final = field_key(ScopeMetrics(metrics=[Metric()]))

_FRAMING_BYTES: Final = 64
"""Bytes reserved for each metric: more than its key and length, its fields beside the points, and outer lengths."""


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """What became of samples: samples = encoded + skipped; `example` is a family with skipped ones, "" for none."""

    samples: int
    encoded: int
    skipped: Mapping[str, int]
    example: str


class Encoder:
    """Encodes snapshots; caches what does not change between them.

    Requests have at most `max_points` points and `max_bytes` bytes before compression; the limits are those of the
    settings. `samples` counts what was to be encoded, active and stale, `encoded` what was, `skipped` the others by
    reason; `example` is the family of the last one. Counters without `_total` whose name `keeps_name` selects are sent
    as gauges, to which stores append nothing.
    """

    def __init__(
        self,
        identity: Identity,
        max_points: int = sys.maxsize,
        max_bytes: int = sys.maxsize,
        keeps_name: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.samples = self.encoded = 0
        self.skipped: Counter[str] = Counter()
        self.example = ""
        self._identity = identity
        self._keeps_name = keeps_name
        self._new_builder = partial(RequestBuilder, identity, max_points, max_bytes)
        numbers = NumberEncoder(identity, self.skipped)
        self._encoders: Mapping[MetricType, NumberEncoder | HistogramEncoder] = {
            MetricType.GAUGE: numbers,
            MetricType.UNTYPED: numbers,
            MetricType.COUNTER: numbers,
            MetricType.HISTOGRAM: HistogramEncoder(HISTOGRAM, identity, self.skipped),
            MetricType.SUMMARY: HistogramEncoder(SUMMARY, identity, self.skipped),
        }
        self.clear_caches()

    def clear_caches(self) -> None:
        """Drop the encoded batches and the counts: the next snapshot is encoded from scratch."""
        self.take_counts()
        # By encoder: three types share one.
        self._caches = {encoder: EncodedBatchCache(encoder) for encoder in self._encoders.values()}

    def take_counts(self) -> SampleCounts:
        """Return the counts since the last call; to be called between two snapshots."""
        counts = SampleCounts(self.samples, self.encoded, +self.skipped, self.example)
        self.samples = self.encoded = 0
        self.skipped.clear()
        self.example = ""
        return counts

    def requests(self, snapshot: MetricsSnapshot) -> Iterator[ExportRequest]:
        """Yield the export requests of a snapshot, each encoded when requested: only one is in memory."""
        builder = self._new_builder()
        for family, points in self._encode_snapshot(snapshot):
            rest: FramedPoints | None = points
            while rest is not None and (rest := builder.append(family, rest)) is not None:
                if builder.point_count:
                    yield builder.build()
                    builder = self._new_builder()
                else:
                    # What does not fit into an empty request fits into none.
                    first, rest = rest.split(1, sys.maxsize)
                    self._skip("too_large", first.samples, family)
                    self.encoded -= first.samples
        if builder.point_count:
            yield builder.build()
        for encoder, cache in self._caches.items():
            encoder.end_cycle()
            cache.end_cycle()

    def _encode_snapshot(self, snapshot: MetricsSnapshot) -> Iterator[tuple[MetricFamily, FramedPoints]]:
        """Yield encoded points by family, active before stale ones of a name, so that no series is both (T40)."""
        active_by_name, stale_by_name = _by_name(snapshot.families), _by_name(snapshot.stale)
        for name in dict.fromkeys((*active_by_name, *stale_by_name)):
            active, stale = active_by_name.get(name, []), stale_by_name.get(name, [])
            sample_count = sum(map(len, (*active, *stale)))
            self.samples += sample_count
            first = (active or stale)[0]
            if name:
                skipped_before = self.skipped.total()
                merged = (self._merge_same_type(first, active), self._merge_same_type(first, stale))
                sent = self._as_sent(first)
                for points in self._encode_metric(*merged, snapshot.timestamp):
                    self.encoded += points.samples
                    yield sent, points
                self.example = name if self.skipped.total() > skipped_before else self.example
            else:
                # Stores refuse the entire request for one metric without a name.
                self._skip("unnamed", sample_count, first)

    def _skip(self, reason: str, samples: int, family: MetricFamily) -> None:
        self.skipped[reason] += samples
        self.example = family.name

    def _as_sent(self, family: MetricFamily) -> MetricFamily:
        """Return the family as whose metric the points are sent; gauges and counters have the same points."""
        if family.type is not MetricType.COUNTER or family.name.endswith("_total") or not self._keeps_name(family.name):
            return family
        return metrics.MetricFamily.from_batches(family.name, MetricType.GAUGE, family.help, ())

    def _encode_metric(self, active: MetricFamily, stale: MetricFamily, timestamp: float) -> Iterator[FramedPoints]:
        encoder = self._encoders[active.type]
        # A stale series with a label that repeats the identity may be an active series without that label. The cache
        # cannot detect this, since it returns no attributes of numbers.
        overlaps = self._identity.overlaps(series.labels for series in stale.series)
        cached = None if overlaps else self._caches[encoder].render(active, timestamp)
        seen_attributes: set[bytes] = set()
        if cached is not None:
            batches, seen_attributes = cached
            yield from batches
        else:
            yield from starmap(frame_points, encoder.encode(active, timestamp, seen_attributes))
        yield from starmap(frame_points, encoder.encode_stale(stale, timestamp, seen_attributes))

    def _merge_same_type(self, first: MetricFamily, families: list[MetricFamily]) -> MetricFamily:
        """Merge families of the type of `first`, and skip the others: a name has one type (T06)."""
        same_type = [family for family in families if family.type is first.type]
        self.skipped["kind_conflict"] += sum(map(len, families)) - sum(map(len, same_type))
        return metrics.merge_families(first, same_type)


class RequestBuilder:
    """Builds one export request within the limits."""

    def __init__(self, identity: Identity, max_points: int, max_bytes: int) -> None:
        self.point_count = 0
        self._max_points = max_points
        resource = Resource(attributes=attributes(identity.resource))
        self._resource = ResourceMetrics(resource=resource).SerializeToString()
        self._capacity = self._remaining_bytes = max_bytes - len(self._resource) - len(_SCOPE) - _FRAMING_BYTES
        self._family: MetricFamily | None = None
        self._metric_part = b""
        self._bodies: list[bytes] = []
        self._metrics = [_SCOPE]

    def append(self, family: MetricFamily, points: FramedPoints) -> FramedPoints | None:
        """Append as many points of a family as fit; return the rest, None if all fit.

        A request that is more than half full takes all of `points` or none: splitting them costs more than space.
        """
        metric_part = b"" if family is self._family else _metric_without_points(family)
        remaining_bytes = self._remaining_bytes - (len(metric_part) + _FRAMING_BYTES if metric_part else 0)
        fitting, rest = points, None
        if points.count > self._max_points - self.point_count or len(points.body) > remaining_bytes:
            if self.point_count > self._max_points // 2 or self._remaining_bytes < self._capacity // 2:
                return points
            fitting, rest = points.split(self._max_points - self.point_count, remaining_bytes)
        if fitting.count:
            if metric_part:
                self._finish_metric()
                self._family, self._metric_part = family, metric_part
            self._bodies.append(fitting.body)
            self._remaining_bytes = remaining_bytes - len(fitting.body)
            self.point_count += fitting.count
        return rest

    def _finish_metric(self) -> None:
        """Add the current metric; its points are joined only with the request, so that they are copied once."""
        if self._family is not None:
            points = [_DATA_FIELDS.get(self._family.type, b""), *self._bodies]
            metric = [self._metric_part, *delimited(POINTS_KEYS[self._family.type], points)]
            self._metrics += delimited(_METRICS_KEY, metric)
            self._bodies = []

    def build(self) -> ExportRequest:
        """Return the finished request."""
        self._finish_metric()
        resource_metrics = [self._resource, *delimited(_SCOPE_METRICS_KEY, self._metrics)]
        return ExportRequest(b"".join(delimited(_RESOURCE_METRICS_KEY, resource_metrics)), self.point_count)


def _by_name(families: Iterable[MetricFamily]) -> dict[str, list[MetricFamily]]:
    by_name: dict[str, list[MetricFamily]] = {}
    for family in families:
        if len(family):
            by_name.setdefault(family.name, []).append(family)
    return by_name


def _metric_without_points(family: MetricFamily) -> bytes:
    """Encode a metric without points: no unit, the exposed type in the metadata (T01-T05, T14-T16)."""
    metric_type = "unknown" if family.type is MetricType.UNTYPED else family.type
    metadata = attributes([("prometheus.type", metric_type)])
    # A unit would change names: Prometheus stores a gauge of unit "1" as `…_ratio`.
    return Metric(name=family.name, description=family.help, metadata=metadata).SerializeToString()


_DATA_FIELDS: Final[Mapping[MetricType, bytes]] = {
    MetricType.COUNTER: Sum(aggregation_temporality=CUMULATIVE, is_monotonic=True).SerializeToString(),
    MetricType.HISTOGRAM: Histogram(aggregation_temporality=CUMULATIVE).SerializeToString(),
}
"""The encoded fields beside the points, by metric type."""
