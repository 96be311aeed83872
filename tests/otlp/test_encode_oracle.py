"""The encoder against two others: OTLP's own messages, and OpenTelemetry's encoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporter.metrics import MetricFamily, MetricType, Series, family_from_samples
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity

from .helpers import NANOS, attributes, decode, metrics, points, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

Key = tuple[tuple[str, str], ...]

IDENTITY = Identity((("service.name", "rollouts"), ("env", "prod")), (("env", "prod"), ("cluster", "eu")))
NAMES = st.sampled_from(["a", "b", "env", "cluster"])
LABELS = st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=3)
SAMPLES = st.lists(st.tuples(LABELS, st.floats()), max_size=30, unique_by=lambda row: key(row[0]))
COUNTS = st.one_of(st.integers(0, 20).map(float), st.sampled_from([-1.0, 0.5, math.nan, math.inf, 2.0**64]))
HISTOGRAM = st.tuples(st.lists(COUNTS, max_size=4), st.none() | st.floats(), st.none() | COUNTS)
HISTOGRAMS = st.lists(st.tuples(LABELS, HISTOGRAM), max_size=12, unique_by=lambda row: key(row[0]))


def key(labels: dict[str, str]) -> Key:
    """Return the attributes of the point of a series with these labels."""
    labels_with_values = {name: value for name, value in labels.items() if value}
    return tuple(sorted((dict(IDENTITY.point) | labels_with_values).items()))


def equal_or_nan(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def encode_by_key(encoder: Encoder, family: MetricFamily) -> dict[Key, Any]:
    requests = list(encoder.requests(snapshot(family)))
    encoded_points = [point for request in requests for metric in metrics(request) for point in points(metric)]
    assert sum(request.point_count for request in requests) == len(encoded_points)
    assert all(request.point_count <= 7 for request in requests)
    by_key = {tuple(sorted(attributes(point).items())): point for point in encoded_points}
    assert len(by_key) == len(encoded_points)
    return by_key


@given(
    st.lists(SAMPLES, min_size=1, max_size=4),
    st.sampled_from([MetricType.GAUGE, MetricType.COUNTER, MetricType.UNTYPED]),
)
@settings(max_examples=150, deadline=None)
def test_every_sample_is_one_point_with_its_labels_and_value(cycles: list[Any], kind: MetricType) -> None:
    encoder = Encoder(IDENTITY, max_points=7)
    series_by_key: dict[Key, Series] = {}
    for samples in cycles:
        rows = [
            (series_by_key.setdefault(key(item), Series("x", tuple(item.items()))), value) for item, value in samples
        ]
        encoded_points = encode_by_key(encoder, family_from_samples("x", kind, "", rows))
        assert encoded_points.keys() == {key(labels) for labels, _ in samples}
        assert all(equal_or_nan(encoded_points[key(labels)].as_double, value) for labels, value in samples)
        assert {point.time_unix_nano for point in encoded_points.values()} <= {NANOS}


def expected_point(counts: list[float], total: float | None, count: float | None) -> dict[str, Any] | None:
    """Return the histogram point that the rules require, None if it must be skipped (T22-T27)."""
    if count is None:
        return None
    cumulative = [*counts, count]
    if not all(value >= 0 and value < 2**64 and value == math.floor(value) for value in cumulative):
        return None
    if cumulative != sorted(cumulative):
        return None
    before = [0.0, *counts]
    buckets = [int(upper) - int(lower) for lower, upper in zip(before, cumulative, strict=True)]
    return {"buckets": buckets, "bounds": [float(i) for i in range(len(counts))], "sum": total, "count": int(count)}


@pytest.mark.slow
@given(histograms=HISTOGRAMS, random=st.randoms(use_true_random=False), shuffled=st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_histogram_follows_the_rules(histograms: list[Any], random: Any, *, shuffled: bool) -> None:
    rows = []
    for labels, (counts, total, count) in histograms:
        label_pairs = tuple(labels.items())
        rows += [(Series("h_bucket", (*label_pairs, ("le", str(i)))), value) for i, value in enumerate(counts)]
        rows += [(Series("h_sum", label_pairs), total)] if total is not None else []
        rows += [(Series("h_count", label_pairs), count)] if count is not None else []
    if shuffled:
        random.shuffle(rows)
    expected = {key(labels): expected_point(*fields) for labels, fields in histograms}
    encoder = Encoder(IDENTITY, max_points=7)
    for _ in range(2):
        encoded_points = encode_by_key(encoder, family_from_samples("h", MetricType.HISTOGRAM, "", rows))
        assert encoded_points.keys() == {labels for labels, point in expected.items() if point}
        for labels, point in encoded_points.items():
            expected_fields = expected[labels] or {}
            assert list(point.bucket_counts) == expected_fields["buckets"]
            assert list(point.explicit_bounds) == expected_fields["bounds"]
            assert point.count == expected_fields["count"]
            assert point.HasField("sum") == (expected_fields["sum"] is not None)
            assert expected_fields["sum"] is None or equal_or_nan(point.sum, expected_fields["sum"])


def opentelemetry_request(name: str, data: Any) -> ExportMetricsServiceRequest:
    metric = Metric(name, "About it.", "", data)
    scope = ScopeMetrics(InstrumentationScope("rollouts-exporter"), [metric], "")
    return encode_metrics(MetricsData([ResourceMetrics(Resource(dict(IDENTITY.resource)), [scope], "")]))


def exporter_request(family: MetricFamily) -> ExportMetricsServiceRequest:
    """Return our request, without the metadata that OpenTelemetry's encoder does not support (T04)."""
    (request,) = Encoder(IDENTITY).requests(snapshot(family))
    message = decode(request)
    del message.resource_metrics[0].scope_metrics[0].metrics[0].metadata[:]
    return message


def number(labels: dict[str, str], value: float, start: int | None = None) -> NumberDataPoint:
    return NumberDataPoint(labels | dict(IDENTITY.point), start or 0, NANOS, value)


def sort_attributes(request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest:
    """Sort the attributes, which have no order."""
    resource = request.resource_metrics[0]
    resource.resource.attributes.sort(key=lambda attribute: attribute.key)
    for point in points(resource.scope_metrics[0].metrics[0]):
        point.attributes.sort(key=lambda attribute: attribute.key)
    return request


def assert_equal(family: MetricFamily, data: Any, clear_fields: Callable[[Any], None] = lambda _: None) -> None:
    actual, theirs = (
        sort_attributes(exporter_request(family)),
        sort_attributes(opentelemetry_request(family.name, data)),
    )
    for point in points(theirs.resource_metrics[0].scope_metrics[0].metrics[0]):
        clear_fields(point)
    assert actual == theirs


def test_gauges_are_encoded_as_by_opentelemetry() -> None:
    family = family_from_samples(
        "x", MetricType.GAUGE, "About it.", [(Series("x", (("a", str(i)),)), i / 3) for i in range(20)]
    )
    assert_equal(family, Gauge([number({"a": str(i)}, i / 3) for i in range(20)]))


def test_counters_are_encoded_as_by_opentelemetry() -> None:
    rows = [Series("x_total", (("a", str(i)),)) for i in range(20)]
    family = MetricFamily(
        "x_total", MetricType.COUNTER, "About it.", rows, [i / 7 for i in range(20)], [float(i) for i in range(20)]
    )
    data = [number({"a": str(i)}, i / 7, i * 1_000_000_000) for i in range(20)]
    assert_equal(family, Sum(data, AggregationTemporality.CUMULATIVE, is_monotonic=True))


def test_histograms_are_encoded_as_by_opentelemetry_except_min_and_max() -> None:
    rows = [(Series("h_bucket", (("le", bound),)), value) for bound, value in (("0.5", 1.0), ("2", 4.0), ("+Inf", 9.0))]
    rows += [(Series("h_sum", ()), 30.5), (Series("h_count", ()), 9.0)]
    point = HistogramDataPoint(dict(IDENTITY.point), 0, NANOS, 9, 30.5, [1, 3, 5], [0.5, 2.0], 0.0, 0.0)

    def clear_fields(encoded: Any) -> None:
        encoded.ClearField("min")  # T28: the SDK always sets them
        encoded.ClearField("max")

    family = family_from_samples("h", MetricType.HISTOGRAM, "About it.", rows)
    assert_equal(family, Histogram([point], AggregationTemporality.CUMULATIVE), clear_fields)
