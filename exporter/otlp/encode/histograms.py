"""Encode histogram and summary families; groups of one layout are encoded together, column by column."""

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
from exporter.otlp.encode.histogram_groups import BoundLabel, GroupLayout, PointGroup, PointGroups
from exporter.otlp.encode.protobuf import NO_RECORDED_VALUE, encoded_attributes, fixed64_prefix, nanoseconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.metrics import Labels, SampleBatch
    from exporter.otlp.encode.protobuf import Identity, PointBlock, PointMessage

BLOCK_POINTS: Final = 500
"""Points encoded at once: bounds the memory of a family that is encoded without cache."""

_COUNT_LIMIT: Final = 2**64  # counts are fixed64
_COUNT: Final = fixed64_prefix(HistogramDataPoint(count=1))
_SUM: Final = fixed64_prefix(HistogramDataPoint(sum=1))
_WITH_SUM: Final = Struct(f"<{len(_SUM)}sd").pack


@dataclass(frozen=True, slots=True)
class PointFormat:
    """How points of one metric type are encoded, without their attributes, for groups of one layout.

    `encode` is passed the values of the groups, one group after another, and returns None if a count is invalid.
    """

    bound_label: BoundLabel
    message: PointMessage
    encode: Callable[[GroupLayout, array[float], int], list[bytes] | None]
    encode_stale: Callable[[GroupLayout, int], bytes]


class HistogramEncoder:
    """Encodes families with one point for several series; counts skipped samples by reason."""

    def __init__(self, point_format: PointFormat, identity: Identity, skipped: Counter[str]) -> None:
        self._format = point_format
        self._identity = identity
        self._skipped = skipped
        self._groups = PointGroups(point_format.bound_label, self._encode_attributes)

    def shared_prefix(self, timestamp: float) -> bytes:
        """Encode the time; the identity is among the attributes of each group, which are sorted together."""
        return self._format.message(time_unix_nano=nanoseconds(timestamp)).SerializeToString()

    def encode_batch(self, name: str, batch: SampleBatch) -> tuple[Sequence[bytes], Sequence[bytes]] | None:
        """Encode each group without the time, and its key; None if anything in the batch has to be skipped."""
        ordered, groups = self._groups.group(MetricFamily.from_batches(name, MetricType.UNTYPED, "", (batch,)))
        points: list[bytes] = []
        for same_layout, values in _blocks(groups, array("d", ordered.values)):
            layout = same_layout[0].layout
            # What is skipped is counted at each encoding, which a cached batch would not repeat.
            if layout.ignored or layout.invalid_bounds or layout.count_position is None:
                return None
            tails = self._format.encode(layout, values, 0)
            if tails is None:
                return None
            points += [group.attribute_bytes + tail for group, tail in zip(same_layout, tails, strict=True)]
        return points, [group.attribute_bytes for group in groups]

    def value_prefixes(self, _: SampleBatch) -> Sequence[bytes] | None:
        """Return None: values occur at several places of such a point."""
        return None

    def encode(self, family: MetricFamily, timestamp: float, seen_attributes: set[bytes]) -> Iterator[PointBlock]:
        """Yield points in bounded blocks; add their attributes to `seen_attributes`."""
        ordered, groups = self._groups.group(family)
        seen_attributes.update(group.attribute_bytes for group in groups)
        for same_layout, values in _blocks(groups, array("d", ordered.values)):
            layout = same_layout[0].layout
            self._skipped["surplus"] += layout.ignored * len(same_layout)
            points = self._encode_points(same_layout, values, nanoseconds(timestamp))
            yield points, layout.used * len(points)

    def encode_stale(self, family: MetricFamily, timestamp: float, seen_attributes: set[bytes]) -> Iterator[PointBlock]:
        """Yield a staleness marker for each group (T41, T46).

        It has bounds, counts of zero and a sum of 0: without them some stores keep a part of the series alive.
        """
        ordered, groups = self._groups.group(family)
        for same_layout, _ in _blocks(groups, array("d", ordered.values)):
            new = [group.attribute_bytes for group in same_layout if group.attribute_bytes not in seen_attributes]
            layout = same_layout[0].layout
            self._skipped["duplicate"] += layout.width * (len(same_layout) - len(new))
            self._skipped["surplus"] += layout.ignored * len(new)
            if layout.invalid_bounds:
                self._skipped["bad_edge"] += layout.used * len(new)
            elif layout.used:
                marker = self._format.encode_stale(layout, nanoseconds(timestamp))
                yield [attributes + marker for attributes in new], layout.used * len(new)

    def end_cycle(self) -> None:
        """End a cycle: evict what was not used recently."""
        self._groups.end_cycle()

    def _encode_points(self, groups: Sequence[PointGroup], values: array[float], nanos: int) -> list[bytes]:
        layout = groups[0].layout
        if layout.invalid_bounds:
            self._skipped["bad_edge"] += layout.used * len(groups)
            return []
        if layout.count_position is None:
            self._skipped["no_count"] += layout.used * len(groups)  # T23, T29
            return []
        tails = self._format.encode(layout, values, nanos)
        if tails is not None:
            return [group.attribute_bytes + tail for group, tail in zip(groups, tails, strict=True)]
        if len(groups) == 1:
            self._skipped["bad_count"] += layout.used  # T26
            return []
        # Encoded again one by one, so that only invalid points are skipped.
        rows = zip(groups, _rows(values, layout.width), strict=True)
        return [point for group, row in rows for point in self._encode_points([group], row, nanos)]

    def _encode_attributes(self, labels: Labels) -> bytes:
        all_labels = tuple(sorted((*self._identity.attributes_for(labels), *labels)))
        return encoded_attributes(self._format.message, all_labels)


def _blocks(groups: Iterable[PointGroup], values: array[float]) -> Iterator[tuple[list[PointGroup], array[float]]]:
    """Yield bounded blocks of consecutive groups of one layout, with their values."""
    start = 0
    for layout, members in groupby(groups, key=attrgetter("layout")):
        same_layout = list(members)
        for first in range(0, len(same_layout), BLOCK_POINTS):
            block = same_layout[first : first + BLOCK_POINTS]
            end = start + layout.width * len(block)
            yield block, values[start:end]
            start = end


def _rows(values: array[float], width: int) -> Iterator[array[float]]:
    return (values[start : start + width] for start in range(0, len(values), width))


def _encode_histograms(layout: GroupLayout, values: array[float], nanos: int) -> list[bytes] | None:
    """Encode time, bounds, count, bucket counts and sum; `_count` is used for the +Inf bucket, too (T22-T27)."""
    positions = (*layout.bound_positions, layout.count_position)
    columns = [values[position :: layout.width] for position in positions]
    counts = _integer_columns(columns)
    if counts is None:
        return None
    bucket_counts = [counts[0], *(list(map(sub, upper, lower)) for lower, upper in pairwise(counts))]
    # Counts that decrease: as an unsigned number a negative difference would be huge (T26).
    if min(map(min, bucket_counts)) < 0:
        return None
    bucket_count = len(bucket_counts)
    count_prefix = HistogramDataPoint(time_unix_nano=nanos, explicit_bounds=layout.bounds).SerializeToString() + _COUNT
    buckets_prefix = fixed64_prefix(HistogramDataPoint(bucket_counts=[1] * bucket_count), bucket_count)
    # One call for each point; the keys of the fields come from messages, so that no field number is repeated here.
    pack = Struct(f"<{len(count_prefix)}sQ{len(buckets_prefix)}s{bucket_count}Q").pack
    tails = [
        pack(count_prefix, count, buckets_prefix, *row)
        for count, row in zip(counts[-1], zip(*bucket_counts, strict=True), strict=True)
    ]
    if layout.sum_position is None:
        return tails  # T24
    sums = values[layout.sum_position :: layout.width]
    return [tail + _WITH_SUM(_SUM, total) for tail, total in zip(tails, sums, strict=True)]


def _encode_histogram_marker(layout: GroupLayout, nanos: int) -> bytes:
    bounds, zeros = layout.bounds, [0] * (len(layout.bounds) + 1)
    return HistogramDataPoint(
        time_unix_nano=nanos, sum=0, flags=NO_RECORDED_VALUE, explicit_bounds=bounds, bucket_counts=zeros
    ).SerializeToString()


def _encode_summaries(layout: GroupLayout, values: array[float], nanos: int) -> list[bytes] | None:
    """Encode time, count, sum (0 if there is none) and quantiles (T29)."""
    counts = _integer_columns([values[layout.count_position :: layout.width]])
    if counts is None or min(counts[0]) < 0:
        return None
    rows = zip(_rows(values, layout.width), counts[0], strict=True)
    return [_encode_summary(layout, row, count, nanos) for row, count in rows]


def _encode_summary(layout: GroupLayout, row: Sequence[float], count: int, nanos: int, flags: int = 0) -> bytes:
    total = 0.0 if layout.sum_position is None else row[layout.sum_position]
    point = SummaryDataPoint(time_unix_nano=nanos, count=count, sum=total, flags=flags)
    for quantile, position in zip(layout.bounds, layout.bound_positions, strict=True):
        point.quantile_values.add(quantile=quantile, value=row[position])
    return point.SerializeToString()


def _encode_summary_marker(layout: GroupLayout, nanos: int) -> bytes:
    return _encode_summary(layout, [0.0] * layout.width, 0, nanos, NO_RECORDED_VALUE)


def _integer_columns(columns: Sequence[array[float]]) -> list[list[int]] | None:
    """Return columns of counts as integers, None if a value is not an integer."""
    if not all(all(map(float.is_integer, column)) for column in columns):  # false for NaN and infinities, too
        return None
    counts = [list(map(int, column)) for column in columns]
    return counts if max(map(max, counts)) < _COUNT_LIMIT else None


_LE: Final = BoundLabel("le", "_bucket", -sys.float_info.max, inf)  # -Inf is invalid
_QUANTILE: Final = BoundLabel("quantile", "", 0, 1)
HISTOGRAM: Final = PointFormat(_LE, HistogramDataPoint, _encode_histograms, _encode_histogram_marker)
SUMMARY: Final = PointFormat(_QUANTILE, SummaryDataPoint, _encode_summaries, _encode_summary_marker)
