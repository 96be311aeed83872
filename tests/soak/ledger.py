"""What was made against what arrived, point by point: a point is its series, its time, and all else it says."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.demo.fake_backend import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.demo.fake_backend import Point
    from exporter.otlp.spool.checkpoint import Mark
    from tests.soak.backend import Arrival
    from tests.soak.witness import Witness

NANO = 1e9
Key = tuple[int, int, int]
"""A point: the number of its series, its time in nanoseconds, and a hash of its bytes."""


@dataclass(frozen=True, slots=True)
class Come:
    """One request as it came: when, how many points that had not come before, and the time of its points."""

    at: float
    fresh: int
    said: float


@dataclass(slots=True)
class Ledger:
    """The account; `series` numbers every series seen, `came` counts each point's arrivals."""

    made: set[Key] = field(default_factory=set)
    came: Counter[Key] = field(default_factory=Counter)
    requests: list[Come] = field(default_factory=list)
    disorder: int = 0
    unseen: int = 0
    mark: Mark | None = None
    _series: dict[object, int] = field(default_factory=dict)
    _last: dict[int, int] = field(default_factory=dict)

    @property
    def twice(self) -> int:
        """Return how many arrivals were repetitions, byte for byte."""
        return self.came.total() - len(self.came)

    @property
    def dropped(self) -> int:
        """Return what the spool's books own to have dropped, and what was rejected."""
        return sum(self.mark.dropped.values()) + self.mark.rejected if self.mark else 0

    @property
    def missing(self) -> int:
        """Return how many points reached the spool and never the backend."""
        return len(self.made - self.came.keys()) + max(self.unseen - self.invented, 0)

    @property
    def invented(self) -> int:
        """Return how many points came that were never seen in the spool."""
        return len(self.came.keys() - self.made)

    @property
    def ticks(self) -> Sequence[float]:
        """Return the times that points have, in order."""
        return sorted({time / NANO for _, time, _ in self.came})

    def see(self, witness: Witness) -> None:
        """Enter what was in the spool."""
        for record in witness.records.values():
            self.made.update(self._keys(record.body))
        self.mark = witness.mark()
        self.unseen = max(witness.through, self.mark.through) - len(self.made)

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Enter what came, in the order it came; a point older than one of its series, and no repetition, is noted."""
        for arrival in arrivals:
            keys = list(self._keys(arrival.body))
            fresh = [key for key in keys if key not in self.came]
            self.came.update(keys)
            for series, time, _ in fresh:
                self.disorder += time <= self._last.get(series, 0)
                self._last[series] = time
            self.requests.append(Come(arrival.at, len(fresh), max(time for _, time, _ in keys) / NANO))

    def line(self) -> str:
        """Return the last line of a soak."""
        made = len(self.made) + self.unseen
        return f"{made=} delivered={len(self.came)} twice={self.twice} dropped={self.dropped} missing={self.missing}"

    def _keys(self, body: bytes) -> Iterator[Key]:
        for resource in decode(gzip.decompress(body)).resource_metrics:
            whose = resource.resource.SerializeToString(deterministic=True)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                        series = (whose, metric.name, *_labels(point))
                        number = self._series.setdefault(series, len(self._series))
                        yield number, point.time_unix_nano, hash(point.SerializeToString(deterministic=True))


def _labels(point: Point) -> Sequence[tuple[str, str]]:
    return sorted((one.key, one.value.string_value) for one in point.attributes)
