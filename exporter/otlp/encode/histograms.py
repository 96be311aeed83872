"""Histogram and summary families → their data points, from columns: runs of one shape are encoded together."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import inf
from operator import attrgetter, sub
from struct import Struct
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, SummaryDataPoint

from exporter.metrics import MetricFamily, MetricType
from exporter.otlp.encode.batch_cache import Rests
from exporter.otlp.encode.histogram_groups import Edges, Run, Runs, Shape
from exporter.otlp.encode.protobuf import ENDED, Point, before_numbers, encoded_attributes, nanoseconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.metrics import Labels, SampleBatch
    from exporter.otlp.encode.protobuf import Identity

BLOCK: Final = 500
_COUNTS_END: Final = 2**64
_COUNT: Final = before_numbers(HistogramDataPoint(count=1))
_SUM: Final = before_numbers(HistogramDataPoint(sum=1))
_WITH_SUM: Final = Struct(f"<{len(_SUM)}sd").pack


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of distribution is written: what follows the attributes of each run of one shape.

    `live` takes the runs' values, one run after another, and returns None when a count among them is none.
    """

    edges: Edges
    point: Point
    live: Callable[[Shape, array[float], int], list[bytes] | None]
    ended: Callable[[Shape, int], bytes]


class Distributions:
    """Encodes families in which several series make one point; counts what it leaves out in `refused`."""

    def __init__(self, form: Form, identity: Identity, refused: Counter[str]) -> None:
        self._form = form
        self._identity = identity
        self._refused = refused
        self._runs = Runs(form.edges, self._head)

    def shared(self, at: float) -> bytes:
        """Encode the time; the identity is among the labels of each run."""
        return self._form.point(time_unix_nano=nanoseconds(at)).SerializeToString()

    def rests(self, name: str, strip: SampleBatch) -> Rests | None:
        """Encode all else of each run, None where something of the strip makes no point."""
        ordered, runs = self._runs.of(MetricFamily.from_batches(name, MetricType.UNTYPED, "", (strip,)))
        points: list[bytes] = []
        for alike, values in _blocks(runs, array("d", ordered.values)):
            shape = alike[0].shape
            tails = None if shape.surplus or shape.broken or shape.count is None else self._form.live(shape, values, 0)
            if tails is None:
                return None
            points += [run.head + tail for run, tail in zip(alike, tails, strict=True)]
        return Rests(points, [run.head for run in runs])

    def beginnings(self, _: SampleBatch) -> None:
        """Say that values stand everywhere in such a point."""

    def live(self, family: MetricFamily, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield points in bounded blocks; `seen` gathers heads."""
        ordered, runs = self._runs.of(family)
        seen.update(run.head for run in runs)
        for alike, values in _blocks(runs, array("d", ordered.values)):
            self._refused["surplus"] += alike[0].shape.surplus * len(alike)
            yield self._points(alike, values, nanoseconds(at))

    def ended(self, family: MetricFamily, at: float, seen: set[bytes]) -> Iterator[list[bytes]]:
        """Yield an end marker for each run: edges, zeros and a sum of 0, or stores keep parts of it (T41, T46)."""
        ordered, runs = self._runs.of(family)
        for alike, _ in _blocks(runs, array("d", ordered.values)):
            fresh = [run for run in alike if run.head not in seen]
            self._refused["duplicate"] += len(alike) - len(fresh)
            yield [] if self._broken(fresh) else self._markers(fresh, nanoseconds(at))

    def age(self) -> None:
        """End a cycle: forget what was not used lately."""
        self._runs.age()

    def _points(self, alike: Sequence[Run], values: array[float], at: int) -> list[bytes]:
        shape = alike[0].shape
        if self._broken(alike):
            return []
        if shape.count is None:
            self._refused["no_count"] += len(alike)  # T23, T29
            return []
        tails = self._form.live(shape, values, at)
        if tails is not None:
            return [run.head + tail for run, tail in zip(alike, tails, strict=True)]
        if len(alike) == 1:
            self._refused["bad_count"] += 1  # T26
            return []
        singly = (self._points([run], one, at) for run, one in zip(alike, _cut(values, shape.width), strict=True))
        return [point for points in singly for point in points]

    def _markers(self, runs: Sequence[Run], at: int) -> list[bytes]:
        marker = self._form.ended(runs[0].shape, at) if runs else b""
        return [run.head + marker for run in runs]

    def _broken(self, alike: Sequence[Run]) -> bool:
        broken = bool(alike) and alike[0].shape.broken
        self._refused["bad_edge"] += broken * len(alike)
        return broken

    def _head(self, labels: Labels) -> bytes:
        return encoded_attributes(self._form.point, self._identity.with_labels(labels))


def _blocks(runs: Iterable[Run], values: array[float]) -> Iterator[tuple[list[Run], array[float]]]:
    """Cut runs that follow each other into bounded blocks of one shape, with their values."""
    start = 0
    for shape, group in groupby(runs, key=attrgetter("shape")):
        alike = list(group)
        for first in range(0, len(alike), BLOCK):
            block = alike[first : first + BLOCK]
            end = start + shape.width * len(block)
            yield block, values[start:end]
            start = end


def _cut(values: array[float], width: int) -> Iterator[array[float]]:
    return (values[start : start + width] for start in range(0, len(values), width))


def _histograms(shape: Shape, values: array[float], at: int) -> list[bytes] | None:
    """Write time, bounds, count, bucket counts and sum; `_count` stands for +Inf, whatever that says (T22-T27)."""
    columns = [values[place :: shape.width] for place in (*shape.places, shape.count)]
    counts = _whole(columns)
    if counts is None:
        return None
    differences = [counts[0], *(list(map(sub, more, less)) for less, more in pairwise(counts))]
    if min(map(min, differences)) < 0:
        return None
    many = len(differences)
    before = HistogramDataPoint(time_unix_nano=at, explicit_bounds=shape.edges).SerializeToString() + _COUNT
    between = before_numbers(HistogramDataPoint(bucket_counts=[1] * many), many)
    pack = Struct(f"<{len(before)}sQ{len(between)}s{many}Q").pack
    tails = [
        pack(before, count, between, *row)
        for count, row in zip(counts[-1], zip(*differences, strict=True), strict=True)
    ]
    if shape.total is None:
        return tails  # T24
    return [
        tail + _WITH_SUM(_SUM, total) for tail, total in zip(tails, values[shape.total :: shape.width], strict=True)
    ]


def _histogram_marker(shape: Shape, at: int) -> bytes:
    zeros = [0] * (len(shape.edges) + 1)
    ended = HistogramDataPoint(time_unix_nano=at, explicit_bounds=shape.edges, bucket_counts=zeros, sum=0, flags=ENDED)
    return ended.SerializeToString()


def _summaries(shape: Shape, values: array[float], at: int) -> list[bytes] | None:
    """Write time, count, sum (0 where none was given) and quantiles (T29)."""
    counts = _whole([values[shape.count :: shape.width]])
    if counts is None or min(counts[0]) < 0:
        return None
    return [_summary(shape, row, count, at) for row, count in zip(_cut(values, shape.width), counts[0], strict=True)]


def _summary(shape: Shape, row: Sequence[float], count: int, at: int) -> bytes:
    total = 0.0 if shape.total is None else row[shape.total]
    point = SummaryDataPoint(time_unix_nano=at, count=count, sum=total)
    for quantile, place in zip(shape.edges, shape.places, strict=True):
        point.quantile_values.add(quantile=quantile, value=row[place])
    return point.SerializeToString()


def _summary_marker(shape: Shape, at: int) -> bytes:
    point = SummaryDataPoint(time_unix_nano=at, flags=ENDED)
    for quantile in shape.edges:
        point.quantile_values.add(quantile=quantile)
    return point.SerializeToString()


def _whole(columns: Sequence[array[float]]) -> list[list[int]] | None:
    """Return columns of counts as whole numbers, None when one is none."""
    if not all(all(map(float.is_integer, column)) for column in columns):
        return None
    counts = [list(map(int, column)) for column in columns]
    return counts if max(map(max, counts)) < _COUNTS_END else None


HISTOGRAM: Final = Form(
    Edges("le", "_bucket", -sys.float_info.max, inf), HistogramDataPoint, _histograms, _histogram_marker
)
SUMMARY: Final = Form(Edges("quantile", "", 0, 1), SummaryDataPoint, _summaries, _summary_marker)
