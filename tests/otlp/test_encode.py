"""Gauges, counters, identity and limits: how a snapshot is encoded."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType, SampleBatch, Series, family_from_samples
from exporter.otlp.encode.encoder import Encoder, SampleCounts
from exporter.otlp.encode.protobuf import Identity

from .helpers import (
    IDENTITY,
    NANOS,
    TIMESTAMP,
    attributes,
    decode,
    encode,
    gauge,
    histogram,
    metrics,
    only_point,
    points,
    series,
    snapshot,
)

CLUSTER_IDENTITY = Identity((("service.name", "rollouts"), ("cluster", "eu")), (("cluster", "eu"), ("env", "prod")))


def test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit() -> None:
    _, (metric,) = encode(gauge("rollout_info", ({"name": "a"}, 1)))
    assert (metric.name, metric.description, metric.unit) == ("rollout_info", "About rollout_info.", "")
    assert [(attribute.key, attribute.value.string_value) for attribute in metric.metadata] == [
        ("prometheus.type", "gauge")
    ]
    (point,) = points(metric)
    assert (point.as_double, point.time_unix_nano, point.start_time_unix_nano, point.flags) == (1, NANOS, 0, 0)
    assert attributes(point) == {"name": "a"}


def test_an_untyped_family_is_a_gauge_of_unknown_type() -> None:
    _, (metric,) = encode(gauge("x", ({}, 1), kind=MetricType.UNTYPED))
    assert metric.WhichOneof("data") == "gauge"
    assert metric.metadata[0].value.string_value == "unknown"


def test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time() -> None:
    _, (metric,) = encode(gauge("x_total", ({}, 7), kind=MetricType.COUNTER))
    assert metric.name == "x_total"
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2
    assert (metric.sum.data_points[0].as_double, metric.sum.data_points[0].start_time_unix_nano) == (7, 0)


def test_a_counter_has_its_start_time_if_that_is_known() -> None:
    rows = [series("x_total", a="1"), series("x_total", a="2")]
    _, (metric,) = encode(MetricFamily("x_total", MetricType.COUNTER, "", rows, [1, 2], [TIMESTAMP - 60, TIMESTAMP]))
    assert [point.start_time_unix_nano for point in points(metric)] == [NANOS - 60_000_000_000, NANOS]


def test_a_missing_help_is_an_empty_description() -> None:
    _, (metric,) = encode(family_from_samples("x", MetricType.GAUGE, "", [(series("x"), 1)]))
    assert not metric.description


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])
def test_every_number_is_encoded_exactly(value: float) -> None:
    actual = only_point(gauge("x", ({}, value))).as_double
    assert (actual, math.copysign(1, actual)) == (value, math.copysign(1, value))


def test_nan_is_data_and_not_a_staleness_marker() -> None:
    point = only_point(gauge("x", ({}, math.nan)))
    assert math.isnan(point.as_double)
    assert point.WhichOneof("value") == "as_double"
    assert point.flags == 0


def test_label_values_are_unchanged_and_empty_ones_omitted() -> None:
    text = 'é "quoted" \\ back\nline \U0001f600\u2028'
    assert attributes(only_point(gauge("x", ({"a": text, "b": ""}, 1)))) == {"a": text}


def test_the_scope_has_a_name_and_no_version() -> None:
    (request,) = Encoder(IDENTITY).requests(snapshot(gauge("x", ({}, 1))))
    scope = decode(request).resource_metrics[0].scope_metrics[0].scope
    assert (scope.name, scope.version, len(scope.attributes)) == ("rollouts-exporter", "", 0)


def test_identity_is_on_the_resource_and_on_each_point() -> None:
    (request,) = Encoder(CLUSTER_IDENTITY).requests(snapshot(gauge("x", ({"name": "a"}, 1))))
    assert attributes(decode(request).resource_metrics[0].resource) == {"service.name": "rollouts", "cluster": "eu"}
    (point,) = points(metrics(request)[0])
    assert attributes(point) == {"name": "a", "cluster": "eu", "env": "prod"}


@pytest.mark.parametrize("kind", [MetricType.GAUGE, MetricType.SUMMARY])
def test_a_label_of_a_series_overrides_the_identity(kind: MetricType) -> None:
    name = "x" if kind is MetricType.GAUGE else "x_count"
    rows = [(series(name, cluster="us"), 1.0), (series(name, a="1"), 2.0)]
    _, (metric,) = encode(family_from_samples("x", kind, "", rows), identity=CLUSTER_IDENTITY)
    actual = [[(pair.key, pair.value.string_value) for pair in point.attributes] for point in points(metric)]
    assert [sorted(pairs) for pairs in actual] == [
        [("cluster", "us"), ("env", "prod")],
        [("a", "1"), ("cluster", "eu"), ("env", "prod")],
    ]


def test_a_label_that_repeats_the_identity_does_not_make_a_second_series() -> None:
    encoder, (metric,) = encode(gauge("x", ({"cluster": "eu"}, 1), ({}, 2)), identity=CLUSTER_IDENTITY)
    assert [point.as_double for point in points(metric)] == [1]
    assert encoder.skipped["duplicate"] == 1


def test_a_series_that_occurs_twice_in_a_snapshot_is_encoded_once() -> None:
    duplicates = gauge("x", ({"a": "1", "b": "2"}, 1), ({"b": "2", "a": "1"}, 2))
    encoder, (metric,) = encode(duplicates, gauge("x", ({"a": "1", "b": "2"}, 3), ({"a": "2"}, 4)))
    assert [point.as_double for point in points(metric)] == [1, 4]
    assert encoder.skipped["duplicate"] == 2


def test_a_name_has_the_type_of_its_first_family() -> None:
    encoder, (metric,) = encode(gauge("x", ({}, 1)), gauge("x", ({"a": "1"}, 1), kind=MetricType.COUNTER))
    assert metric.WhichOneof("data") == "gauge"
    assert len(points(metric)) == 1
    assert encoder.skipped["kind_conflict"] == 1


def test_an_empty_snapshot_makes_no_request_and_an_empty_family_no_metric() -> None:
    assert list(Encoder(IDENTITY).requests(MetricsSnapshot(TIMESTAMP))) == []
    assert encode(gauge("x"), gauge("y", ({}, 1)))[1][0].name == "y"


def test_a_family_without_name_is_skipped_and_counted() -> None:
    encoder, encoded_metrics = encode(gauge("", ({}, 1)))
    assert not encoded_metrics
    assert encoder.skipped["unnamed"] == 1


@pytest.mark.parametrize("kind", [MetricType.GAUGE, MetricType.COUNTER])
def test_a_stale_series_gets_one_marker_without_value(kind: MetricType) -> None:
    point = only_point(stale=[gauge("x", ({"a": "1"}, 5), kind=kind)], identity=CLUSTER_IDENTITY)
    assert (point.flags, point.WhichOneof("value"), point.time_unix_nano) == (1, None, NANOS)
    assert attributes(point) == {"a": "1", "cluster": "eu", "env": "prod"}


def test_an_active_series_gets_no_staleness_marker() -> None:
    _, (metric,) = encode(gauge("x", ({"a": "1"}, 5)), stale=[gauge("x", ({"a": "1"}, 5), ({"a": "2"}, 6))])
    assert [(attributes(point), point.flags) for point in points(metric)] == [({"a": "1"}, 0), ({"a": "2"}, 1)]


def test_requests_have_limited_points_and_complete_metrics() -> None:
    family = gauge("x_total", *(({"i": str(i)}, i) for i in range(2500)), kind=MetricType.COUNTER)
    requests = list(Encoder(CLUSTER_IDENTITY, max_points=1000).requests(snapshot(family)))
    assert [request.point_count for request in requests] == [1000, 1000, 500]
    for request in requests:
        (metric,) = metrics(request)
        assert (metric.description, metric.sum.is_monotonic, len(metric.metadata)) == ("About x_total.", True, 1)
        assert len(points(metric)) == request.point_count
    encoded_values = [point.as_double for request in requests for point in points(metrics(request)[0])]
    assert encoded_values == list(range(2500))


def test_requests_have_limited_bytes_and_a_point_that_is_too_large_is_counted() -> None:
    family = gauge("x", *(({"i": str(i), "text": "y" * (5000 if i == 50 else 100)}, i) for i in range(100)))
    encoder = Encoder(IDENTITY, max_bytes=2000)
    requests = list(encoder.requests(snapshot(family)))
    assert max(len(request.body) for request in requests) <= 2000
    assert sum(request.point_count for request in requests) == 99
    assert encoder.skipped["too_large"] == 1


@pytest.mark.parametrize("interned", [False, True])
def test_the_samples_of_a_histogram_that_is_too_large_are_counted(*, interned: bool) -> None:
    buckets = {str(bound): float(bound) for bound in range(300)}
    large = histogram("h", buckets, {"sum": 1, "count": 400})
    batch = SampleBatch(tuple(large.series), large.values, interned=interned)
    encoder = Encoder(IDENTITY, max_bytes=2000)
    family = MetricFamily.from_batches("h", MetricType.HISTOGRAM, "", [batch])
    (request,) = encoder.requests(snapshot(family, gauge("x", ({}, 1))))
    assert request.point_count == 1
    assert encoder.take_counts() == SampleCounts(303, 1, {"too_large": 302}, "h")
    assert encoder.take_counts() == SampleCounts(0, 0, {}, "")


_LABELS = st.dictionaries(st.sampled_from(["a", "le", "quantile"]), st.sampled_from(["1", "2", "NaN", "y" * 900]))
_VALUES = st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5, math.nan, math.inf])
_ROWS = st.lists(st.tuples(st.sampled_from(["x", "x_bucket", "x_sum", "x_count"]), _LABELS, _VALUES), max_size=12)
_FAMILIES = st.lists(st.tuples(st.sampled_from(["x", "y", ""]), st.sampled_from(list(MetricType)), _ROWS), max_size=5)


@given(_FAMILIES, _FAMILIES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_sample_is_encoded_or_counted_as_skipped(active: Any, stale: Any, interned: bool) -> None:  # noqa: FBT001 - Hypothesis passes it
    families, markers = ([_family(*row, interned=interned) for row in rows] for rows in (active, stale))
    encoder = Encoder(IDENTITY, max_points=3, max_bytes=700)
    for _ in range(2):
        requests = list(encoder.requests(snapshot(*families, stale=markers)))
        counts = encoder.take_counts()
        assert counts.samples == sum(map(len, (*families, *markers))) == counts.encoded + sum(counts.skipped.values())
        assert sum(request.point_count for request in requests) <= counts.encoded


def _family(name: str, kind: MetricType, rows: Any, *, interned: bool) -> MetricFamily:
    by_series = {(row_name, tuple(sorted(labels.items()))): value for row_name, labels, value in rows}
    members = tuple(Series(*identity) for identity in by_series)
    batch = SampleBatch(members, array("d", by_series.values()), interned=interned)
    return MetricFamily.from_batches(name, kind, "", [batch] if members else [])


def test_series_that_are_gone_are_evicted() -> None:
    encoder = Encoder(CLUSTER_IDENTITY)
    for cycle in range(100):
        list(
            encoder.requests(
                snapshot(gauge("x", *(({"cycle": f"{cycle}-{i}", "cluster": "us"}, i) for i in range(100))))
            )
        )
    numbers = encoder._encoders[MetricType.GAUGE]
    assert len(numbers._attribute_bytes) < 1000  # type: ignore[union-attr]
    assert len(numbers._overridden_identity) < 1000  # type: ignore[union-attr]
