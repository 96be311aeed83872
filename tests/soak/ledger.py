"""Compare produced and received points one by one: a point is its series, its time, and its encoded content."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.demo.fake_backend import decode_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.demo.fake_backend import Point
    from tests.soak.backend import ReceivedBody
    from tests.soak.observer import StorageObserver

NANO = 1e9
PointKey = tuple[int, int, int]
"""A point: the number of its series, its time in nanoseconds, and a hash of its bytes."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A received request: when it was received, its points not received before, and their timestamp."""

    received_at: float
    new_points: int
    timestamp: float


@dataclass(slots=True)
class Ledger:
    """The produced points, and how often each was received; `dropped`: and rejected, by the exporter's accounting."""

    produced: set[PointKey] = field(default_factory=set)
    received: Counter[PointKey] = field(default_factory=Counter)
    requests: list[ReceivedRequest] = field(default_factory=list)
    out_of_order: int = 0
    unobserved: int = 0
    dropped: int = 0
    _series_numbers: dict[object, int] = field(default_factory=dict)
    _last_time: dict[int, int] = field(default_factory=dict)

    @property
    def duplicates(self) -> int:
        """How many points were received again, byte for byte."""
        return self.received.total() - len(self.received)

    @property
    def missing(self) -> int:
        """How many points were queued and never received."""
        return len(self.produced - self.received.keys()) + max(self.unobserved - self.unexpected, 0)

    @property
    def unexpected(self) -> int:
        """How many points were received that were never observed in the queue."""
        return len(self.received.keys() - self.produced)

    @property
    def ticks(self) -> Sequence[float]:
        """The distinct timestamps of the received points, in order."""
        return sorted({time / NANO for _, time, _ in self.received})

    def add_produced(self, observer: StorageObserver) -> None:
        """Add the observed requests."""
        for request in observer.requests.values():
            self.produced.update(self._keys(request.body))
        self.dropped = sum(points for name, points in observer.accounting.counts.items() if name != "delivered")
        self.unobserved = observer.total_points - len(self.produced)

    def add_received(self, bodies: Iterable[ReceivedBody]) -> None:
        """Add received bodies in order; a new point that is older than another of its series is out of order."""
        for body in bodies:
            keys = list(self._keys(body.body))
            new = [key for key in keys if key not in self.received]
            self.received.update(keys)
            for series, time, _ in new:
                self.out_of_order += time <= self._last_time.get(series, 0)
                self._last_time[series] = time
            self.requests.append(ReceivedRequest(body.received_at, len(new), max(time for _, time, _ in keys) / NANO))

    def summary(self) -> str:
        """Return the last line of the report."""
        produced = len(self.produced) + self.unobserved
        delivered, duplicates = len(self.received), self.duplicates
        return f"{produced=} {delivered=} {duplicates=} dropped={self.dropped} missing={self.missing}"

    def _keys(self, body: bytes) -> Iterator[PointKey]:
        for resource in decode_request(gzip.decompress(body)).resource_metrics:
            resource_key = resource.resource.SerializeToString(deterministic=True)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                        series = (resource_key, metric.name, *_labels(point))
                        number = self._series_numbers.setdefault(series, len(self._series_numbers))
                        yield number, point.time_unix_nano, hash(point.SerializeToString(deterministic=True))


def _labels(point: Point) -> Sequence[tuple[str, str]]:
    return sorted((attribute.key, attribute.value.string_value) for attribute in point.attributes)
