"""Histograms and summaries: which points they are encoded as, and what is skipped and counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from exporter.metrics import MetricFamily, MetricType, SampleBatch, family_from_samples
from exporter.otlp.encode.encoder import Encoder, SampleCounts
from exporter.otlp.encode.protobuf import Identity

from .helpers import IDENTITY, NANOS, attributes, encode, histogram, metrics, only_point, points, series, snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

BUCKETS = {"0.1": 1.0, "0.5": 3.0, "+Inf": 7.0}
ENDS = {"sum": 2.5, "count": 7.0}


def summary(ends: Mapping[str, float], quantiles: Mapping[str, float], **labels: str) -> MetricFamily:
    rows = [(series("s", **labels, quantile=quantile), value) for quantile, value in quantiles.items()]
    rows += [(series(f"s_{end}", **labels), value) for end, value in ends.items()]
    return family_from_samples("s", MetricType.SUMMARY, "", rows)


def merged(*families: MetricFamily) -> MetricFamily:
    rows = [row for family in families for row in zip(family.series, family.values, strict=True)]
    return family_from_samples(families[0].name, families[0].type, families[0].help, rows)


def test_a_histogram_is_one_point_whose_counts_are_differences() -> None:
    _, (metric,) = encode(histogram("h", BUCKETS, ENDS, name="a"))
    assert metric.histogram.aggregation_temporality == 2
    (point,) = points(metric)
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.1, 0.5], [1, 2, 4])
    assert (point.count, point.sum, point.time_unix_nano) == (7, 2.5, NANOS)
    assert attributes(point) == {"name": "a"}
    assert (point.start_time_unix_nano, point.HasField("min"), point.HasField("max")) == (0, False, False)


def test_a_missing_inf_bucket_follows_from_the_count() -> None:
    point = only_point(histogram("h", {"0.1": 1, "0.5": 3}, ENDS))
    assert list(point.bucket_counts) == [1, 2, 4]


def test_the_count_overrides_a_different_inf_bucket() -> None:
    point = only_point(histogram("h", BUCKETS | {"+Inf": 6}, ENDS))
    assert (point.count, list(point.bucket_counts)) == (7, [1, 2, 4])


def test_without_a_sum_the_sum_is_absent() -> None:
    assert not only_point(histogram("h", BUCKETS, {"count": 7})).HasField("sum")


def test_a_sum_of_zero_is_encoded() -> None:
    assert only_point(histogram("h", BUCKETS, {"sum": 0, "count": 7})).HasField("sum")


def test_without_buckets_there_is_one_count_and_no_bound() -> None:
    point = only_point(histogram("h", {}, ENDS))
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([], [7])


def test_a_histogram_of_many_buckets_is_complete() -> None:
    buckets = {str(bound): float(bound) for bound in range(300)}
    point = only_point(histogram("h", buckets, {"sum": 1, "count": 400}))
    assert list(point.bucket_counts) == [0] + [1] * 299 + [101]


@pytest.mark.parametrize(
    ("buckets", "ends", "reason"),
    [
        (BUCKETS, {"sum": 1}, "no_count"),
        ({"0.1": 3, "0.5": 2}, ENDS, "bad_count"),
        ({"0.1": 9}, ENDS, "bad_count"),
        ({"0.1": -1}, ENDS, "bad_count"),
        ({"0.1": 0.5}, ENDS, "bad_count"),
        ({"0.1": math.nan}, ENDS, "bad_count"),
        (BUCKETS, {"count": math.nan}, "bad_count"),
        (BUCKETS, {"count": math.inf}, "bad_count"),
        (BUCKETS, {"count": 2.0**64}, "bad_count"),
        ({"NaN": 1}, ENDS, "bad_edge"),
        ({"-Inf": 1}, ENDS, "bad_edge"),
        ({"low": 1}, ENDS, "bad_edge"),
    ],
)
def test_an_invalid_histogram_is_skipped_alone(
    buckets: Mapping[str, float], ends: Mapping[str, float], reason: str
) -> None:
    good = histogram("h", BUCKETS, ENDS, name="good")
    bad = histogram("h", buckets, ends, name="bad")
    encoder, (metric,) = encode(merged(bad, good))
    assert [attributes(point) for point in points(metric)] == [{"name": "good"}]
    assert encoder.take_counts() == SampleCounts(len(bad) + len(good), len(good), {reason: len(bad)}, "h")


def test_two_spellings_of_a_bound_are_one_bound() -> None:
    encoder, (metric,) = encode(histogram("h", {"1": 1, "1.0": 1}, ENDS))
    assert list(points(metric)[0].explicit_bounds) == [1.0]
    assert encoder.skipped["surplus"] == 1


def test_histograms_with_scattered_lines_are_grouped() -> None:
    first, second = (histogram("h", BUCKETS, ENDS, name=name) for name in "ab")
    rows = sorted(
        zip((*first.series, *second.series), (*first.values, *second.values), strict=True), key=lambda row: row[0].name
    )
    encoder = Encoder(IDENTITY)
    for _ in range(3):
        (request,) = encoder.requests(snapshot(family_from_samples("h", MetricType.HISTOGRAM, "", rows)))
        (metric,) = metrics(request)
        assert [attributes(point)["name"] for point in points(metric)] == ["a", "b"]
        assert [list(point.bucket_counts) for point in points(metric)] == [[1, 2, 4]] * 2
    assert encoder.skipped.total() == 0


@pytest.mark.parametrize("split", range(1, 10))
def test_a_histogram_whose_lines_are_in_two_batches_is_one_point(split: int) -> None:
    both = merged(*(histogram("h", BUCKETS, ENDS, name=name) for name in "ab"))
    parts = (slice(None, split), slice(split, None))
    batches = [SampleBatch(tuple(both.series)[part], list(both.values)[part]) for part in parts]
    encoder = Encoder(IDENTITY)
    for _ in range(2):
        family = MetricFamily.from_batches("h", MetricType.HISTOGRAM, "", batches)
        (metric,) = metrics(*encoder.requests(snapshot(family)))
        assert [attributes(point)["name"] for point in points(metric)] == ["a", "b"]
        assert [list(point.bucket_counts) for point in points(metric)] == [[1, 2, 4]] * 2
    assert encoder.skipped.total() == 0


def test_a_histogram_of_two_targets_is_encoded_once() -> None:
    encoder, (metric,) = encode(histogram("h", BUCKETS, ENDS), histogram("h", BUCKETS, ENDS | {"sum": 9}))
    assert [point.sum for point in points(metric)] == [2.5]
    assert encoder.skipped["surplus"] == 5


def test_a_histogram_may_gain_and_lose_a_bucket() -> None:
    short, long = (histogram("h", buckets, ENDS) for buckets in ({"0.1": 1}, BUCKETS))
    series_by_name = {str(item): item for item in (*short.series, *long.series)}
    encoder = Encoder(IDENTITY)
    for current in (short, long, short):
        same = MetricFamily(
            "h", MetricType.HISTOGRAM, "", [series_by_name[str(item)] for item in current.series], current.values
        )
        (request,) = encoder.requests(snapshot(same))
        (point,) = points(metrics(request)[0])
        assert list(point.explicit_bounds) == ([0.1] if current is short else [0.1, 0.5])


def test_a_stale_histogram_is_marked_with_bounds_zero_counts_and_a_sum_of_zero() -> None:
    point = only_point(stale=[histogram("h", BUCKETS, ENDS, name="a")], identity=Identity((), (("env", "prod"),)))
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.1, 0.5], [0, 0, 0])
    assert (point.flags, point.count, point.sum, point.HasField("sum")) == (1, 0, 0, True)
    assert attributes(point) == {"name": "a", "env": "prod"}


def test_a_histogram_that_loses_a_bucket_gets_no_staleness_marker() -> None:
    point = only_point(histogram("h", BUCKETS, ENDS), stale=[histogram("h", {"0.7": 1}, {})])
    assert point.flags == 0


def test_a_summary_keeps_its_quantiles_including_nan() -> None:
    point = only_point(summary({"sum": 3, "count": 2}, {"0.99": math.nan, "0.5": 1}, name="a"))
    assert [row.quantile for row in point.quantile_values] == [0.5, 0.99]
    assert point.quantile_values[0].value == 1
    assert math.isnan(point.quantile_values[1].value)
    assert (point.count, point.sum, attributes(point)) == (2, 3, {"name": "a"})


def test_a_summary_without_sum_has_a_sum_of_zero_and_without_count_is_skipped() -> None:
    assert only_point(summary({"count": 2}, {"0.5": 1})).sum == 0
    encoder, encoded_metrics = encode(summary({"sum": 2}, {"0.5": 1}))
    assert (encoded_metrics, +encoder.skipped) == ([], {"no_count": 2})


@pytest.mark.parametrize(("quantile", "count", "reason"), [("1.5", 1, "bad_edge"), ("0.5", -1, "bad_count")])
def test_an_invalid_summary_is_skipped(quantile: str, count: float, reason: str) -> None:
    encoder, encoded_metrics = encode(summary({"count": count}, {quantile: 1}))
    assert (encoded_metrics, +encoder.skipped) == ([], {reason: 2})


def test_a_stale_summary_repeats_its_quantiles() -> None:
    point = only_point(stale=[summary({"sum": 3, "count": 2}, {"0.5": 1, "0.9": 2})])
    assert [(row.quantile, row.value) for row in point.quantile_values] == [(0.5, 0), (0.9, 0)]
    assert (point.flags, point.count, point.sum) == (1, 0, 0)
