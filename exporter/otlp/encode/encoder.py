"""A cycle → OTLP requests of bounded size, in the way that real stores keep whole (DESIGN §5, facts of T01-T54)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter import metrics
from exporter.metrics import MetricType
from exporter.otlp.encode.batch_cache import Kept, StripEncoder, framed
from exporter.otlp.encode.histograms import HISTOGRAM, SUMMARY, Distributions
from exporter.otlp.encode.numbers import Numbers
from exporter.otlp.encode.protobuf import CUMULATIVE, Request, SplicedRequest, attributes, splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.metrics import MetricFamily, MetricsSnapshot
    from exporter.otlp.encode.batch_cache import Batch
    from exporter.otlp.encode.protobuf import Identity

SCOPE: Final = "rollouts-exporter"
"""The scope's name; it has no version, which some stores would make a label of every series (stores §2.2)."""

MOST_POINTS: Final = 5000
MOST_BYTES: Final = 4_000_000
_FRAMES: Final = 64  # a metric's own frame, what is said of its points as a whole, and enclosing lengths take no more


class Points(StripEncoder, Protocol):
    """What encodes the points of a kind of family: strip by strip, or plainly, whatever they are."""

    def live(self, family: MetricFamily, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield the encoded points of a family; what is in `seen` was encoded before."""

    def ended(self, family: MetricFamily, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield encoded end markers for what is in the family and not in `seen`."""

    def age(self) -> None:
        """End a cycle."""


class Encoder:
    """Encodes cycles, keeping what stays the same of each series from one to the next.

    `refused` counts what no point could be made of, by reason. Requests have at most `most_points` points and
    `most_bytes` bytes before compression.
    """

    def __init__(self, identity: Identity, most_points: int = MOST_POINTS, most_bytes: int = MOST_BYTES) -> None:
        self.refused: Counter[str] = Counter()
        self._identity = identity
        self._most_points = most_points
        self._most_bytes = most_bytes
        numbers = Numbers(identity, self.refused)
        self._encoders: Mapping[MetricType, Points] = {
            MetricType.GAUGE: numbers,
            MetricType.UNTYPED: numbers,
            MetricType.COUNTER: numbers,
            MetricType.HISTOGRAM: Distributions(HISTOGRAM, identity, self.refused),
            MetricType.SUMMARY: Distributions(SUMMARY, identity, self.refused),
        }
        self._kept = {encoder: Kept(encoder) for encoder in self._encoders.values()}

    def requests(self, cycle: MetricsSnapshot) -> Iterator[Request]:
        """Yield the cycle's requests, each encoded when it is asked for: only one of them is in memory."""
        parcel = self._parcel()
        for family, batch in self._batches(cycle):
            rest: Batch | None = batch
            while rest is not None and (rest := parcel.take(family, rest)) is not None:
                if parcel.points:
                    yield parcel.sealed()
                    parcel = self._parcel()
                else:
                    self.refused["too_large"] += 1
                    rest = rest.without_first()
        if parcel.points:
            yield parcel.sealed()
        for encoder, kept in self._kept.items():
            encoder.age()
            kept.age()

    def _parcel(self) -> Parcel:
        return Parcel(self._identity, self._most_points, self._most_bytes)

    def _batches(self, cycle: MetricsSnapshot) -> Iterator[tuple[MetricFamily, Batch]]:
        """Yield encoded points, of each name the living before the ended: a series is never both (T40)."""
        live, ended = _by_name(cycle.families), _by_name(cycle.stale)
        for name in dict.fromkeys((*live, *ended)):
            living, ending = live.get(name, []), ended.get(name, [])
            if name:
                first = (living or ending)[0]
                for batch in self._metric(self._joined(first, living), self._joined(first, ending), cycle.timestamp):
                    yield first, batch
            else:
                self.refused["unnamed"] += sum(map(len, (*living, *ending)))

    def _metric(self, living: MetricFamily, ending: MetricFamily, at: float) -> Iterator[Batch]:
        encoder = self._encoders[living.type]
        kept: tuple[Iterator[Batch], set[bytes]] | None = None
        if not any(self._identity.touches(series.labels) for series in ending.series):
            kept = self._kept[encoder].live(living, at)
        seen: set[bytes] = set()
        if kept is not None:
            batches, seen = kept
            yield from batches
        else:
            yield from map(framed, filter(None, encoder.live(living, at, seen)))
        yield from map(framed, filter(None, encoder.ended(ending, at, seen)))

    def _joined(self, first: MetricFamily, families: list[MetricFamily]) -> MetricFamily:
        """Join what is of the first one's kind; a name has one type (T06)."""
        alike = [family for family in families if family.type is first.type]
        self.refused["kind_conflict"] += sum(map(len, families)) - sum(map(len, alike))
        return metrics.merge_families(first, alike)


class Parcel:
    """A request in the making, its points within bounds."""

    def __init__(self, identity: Identity, most_points: int, most_bytes: int) -> None:
        self.points = 0
        self._most = most_points
        self._request = SplicedRequest()
        resource = self._request.resource_metrics.add()
        resource.MergeFromString(_resource(identity))
        self._metrics = resource.scope_metrics[0].metrics
        self._empty = self._room = most_bytes - self._request.ByteSize() - _FRAMES
        self._family: MetricFamily | None = None
        self._bodies: list[bytes] = []

    def take(self, family: MetricFamily, batch: Batch) -> Batch | None:
        """Put in as many points of a family as there is room for; return the rest, None when there is none.

        A request that is more than half full takes a batch as a whole or not at all: to cut one costs more.
        """
        header = b"" if family is self._family else _header(family)
        room = self._room - (len(header) + _FRAMES if header else 0)
        fitting, rest = batch, None
        if batch.many > self._most - self.points or len(batch.body) > room:
            if self.points > self._most // 2 or self._room < self._empty // 2:
                return batch
            fitting, rest = batch.split(self._most - self.points, room)
        if fitting.many:
            if header:
                self._close()
                self._metrics.add().MergeFromString(header)
                self._family = family
            self._bodies.append(fitting.body)
            self._room = room - len(fitting.body)
            self.points += fitting.many
        return rest

    def _close(self) -> None:
        """Put the points of the present metric together."""
        if self._family is not None:
            kind = self._family.type
            splice(self._metrics[-1], kind, b"".join([_ABOUT.get(kind, b""), *self._bodies]))
            self._bodies = []

    def sealed(self) -> Request:
        """Return the request."""
        self._close()
        return Request(self._request.SerializeToString(), self.points)


def _by_name(families: Iterable[MetricFamily]) -> dict[str, list[MetricFamily]]:
    named: dict[str, list[MetricFamily]] = {}
    for family in families:
        if len(family):
            named.setdefault(family.name, []).append(family)
    return named


def _resource(identity: Identity) -> bytes:
    """Encode what encloses the metrics: a resource, and one scope."""
    scope = ScopeMetrics(scope=InstrumentationScope(name=SCOPE))
    resource = Resource(attributes=attributes(identity.resource))
    return ResourceMetrics(resource=resource, scope_metrics=[scope]).SerializeToString()


def _header(family: MetricFamily) -> bytes:
    """Encode all of a metric but its points: unit always empty, type told in the metadata (T01-T05, T14-T16)."""
    told = "unknown" if family.type is MetricType.UNTYPED else family.type
    metadata = attributes([("prometheus.type", told)])
    return Metric(name=family.name, description=family.help, metadata=metadata).SerializeToString()


_ABOUT: Final[Mapping[MetricType, bytes]] = {
    MetricType.COUNTER: Sum(aggregation_temporality=CUMULATIVE, is_monotonic=True).SerializeToString(),
    MetricType.HISTOGRAM: Histogram(aggregation_temporality=CUMULATIVE).SerializeToString(),
}
"""What is said of the points of a kind as a whole."""
