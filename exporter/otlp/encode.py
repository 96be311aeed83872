"""A cycle → OTLP requests of bounded size, in the way that real stores keep whole (DESIGN §5, facts of T01-T54)."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter.family import Kind
from exporter.otlp import columns
from exporter.otlp.distributions import HISTOGRAM, SUMMARY, Distributions
from exporter.otlp.numbers import Numbers
from exporter.otlp.request import Request
from exporter.otlp.wire import CUMULATIVE, SplicedRequest, attributes, spliced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.family import Cycle, Family
    from exporter.otlp.identity import Identity

SCOPE: Final = "rollouts-exporter"
"""The scope's name; it has no version, which some stores would make a label of every series (stores §2.2)."""

MOST_POINTS: Final = 5000
MOST_BYTES: Final = 4_000_000
_FRAME: Final = 6  # a point's tag and length take no more, nor does any other field's
_FRAMES: Final = 64  # nor do a metric's frames, metadata, temporality and enclosing lengths together


class Points(Protocol):
    """What encodes the points of a kind of family."""

    def live(self, family: Family, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield the encoded points of a family; what is in `seen` was encoded before."""

    def ended(self, family: Family, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
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
        self._encoders: Mapping[Kind, Points] = {
            Kind.GAUGE: numbers,
            Kind.UNTYPED: numbers,
            Kind.COUNTER: numbers,
            Kind.HISTOGRAM: Distributions(HISTOGRAM, identity, self.refused),
            Kind.SUMMARY: Distributions(SUMMARY, identity, self.refused),
        }

    def requests(self, cycle: Cycle) -> Iterator[Request]:
        """Yield the cycle's requests."""
        return filter(None, self.steps(cycle))

    def steps(self, cycle: Cycle) -> Iterator[Request | None]:
        """Yield the cycle's requests, and None after a slice of work without one: a caller can give way at each."""
        parcel = self._parcel()
        for family, block in self._blocks(cycle):
            if not block:
                yield None
            points = block
            while points := points[parcel.take(family, points) :]:
                if parcel.points:
                    yield parcel.sealed()
                    parcel = self._parcel()
                else:
                    self.refused["too_large"] += 1
                    points = points[1:]
        if parcel.points:
            yield parcel.sealed()
        for encoder in set(self._encoders.values()):
            encoder.age()

    def _parcel(self) -> Parcel:
        return Parcel(self._identity, self._most_points, self._most_bytes)

    def _blocks(self, cycle: Cycle) -> Iterator[tuple[Family, list[bytes]]]:
        """Yield encoded points, of each name the living before the ended: a series is never both (T40)."""
        live, ended = _by_name(cycle.families), _by_name(cycle.ended)
        for name in dict.fromkeys((*live, *ended)):
            living, ending = live.get(name, []), ended.get(name, [])
            if name:
                yield from self._metric(living, ending, cycle.at)
            else:
                self.refused["unnamed"] += sum(map(len, (*living, *ending)))

    def _metric(self, live: list[Family], ended: list[Family], at: float) -> Iterator[tuple[Family, list[bytes]]]:
        first = (live or ended)[0]
        living, ending = self._joined(first, live), self._joined(first, ended)
        encoder = self._encoders[first.kind]
        seen: set[bytes] = set()
        for block in encoder.live(living, at, seen):
            yield living, block
        for block in encoder.ended(ending, at, seen):
            yield living if live else ending, block

    def _joined(self, first: Family, families: list[Family]) -> Family:
        """Join what is of the first one's kind; a name has one type (T06)."""
        alike = [family for family in families if family.kind is first.kind]
        self.refused["kind_conflict"] += sum(map(len, families)) - sum(map(len, alike))
        return columns.joined(first, alike)


class Parcel:
    """A request in the making, its points within bounds."""

    def __init__(self, identity: Identity, most_points: int, most_bytes: int) -> None:
        self.points = 0
        self._most = most_points
        self._request = SplicedRequest()
        resource = self._request.resource_metrics.add()
        resource.MergeFromString(_resource(identity))
        self._metrics = resource.scope_metrics[0].metrics
        self._room = most_bytes - self._request.ByteSize() - _FRAMES
        self._family: Family | None = None

    def take(self, family: Family, points: Sequence[bytes]) -> int:
        """Put in as many points of a family as there is room for; return how many."""
        header = b"" if family is self._family else _header(family)
        room = self._room - (len(header) + _FRAMES if header else 0)
        fitting = _within(points[: self._most - self.points], room)
        if not fitting:
            return 0
        if header:
            self._metrics.add().MergeFromString(header)
            self._family = family
        spliced(self._metrics[-1], family.kind).extend(fitting)
        self._room = room - _size(fitting)
        self.points += len(fitting)
        return len(fitting)

    def sealed(self) -> Request:
        """Return the request."""
        return Request(self._request.SerializeToString(), self.points)


def _by_name(families: Iterable[Family]) -> dict[str, list[Family]]:
    named: dict[str, list[Family]] = {}
    for family in families:
        if len(family):
            named.setdefault(family.name, []).append(family)
    return named


def _resource(identity: Identity) -> bytes:
    """Encode what encloses the metrics: a resource, and one scope."""
    scope = ScopeMetrics(scope=InstrumentationScope(name=SCOPE))
    resource = Resource(attributes=attributes(identity.resource))
    return ResourceMetrics(resource=resource, scope_metrics=[scope]).SerializeToString()


def _header(family: Family) -> bytes:
    """Encode all of a metric but its points: unit always empty, type told in the metadata (T01-T05, T14-T16)."""
    told = "unknown" if family.kind is Kind.UNTYPED else family.kind
    metric = Metric(name=family.name, description=family.help, metadata=attributes([("prometheus.type", told)]))
    if family.kind is Kind.COUNTER:
        metric.sum.MergeFrom(Sum(aggregation_temporality=CUMULATIVE, is_monotonic=True))
    if family.kind is Kind.HISTOGRAM:
        metric.histogram.aggregation_temporality = CUMULATIVE
    return metric.SerializeToString()


def _size(points: Sequence[bytes]) -> int:
    """Return a bound of the bytes that points take in a request."""
    return sum(map(len, points)) + _FRAME * len(points)


def _within(points: Sequence[bytes], room: int) -> Sequence[bytes]:
    """Return as many of the first points as fit."""
    if _size(points) <= room:
        return points
    sizes = list(accumulate(len(point) + _FRAME for point in points))
    return points[: bisect_right(sizes, room)]
