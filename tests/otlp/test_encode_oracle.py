"""The quick encoder against two slow ones: OTLP's plain messages, and OpenTelemetry's own encoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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

from .helpers import NANOS, attributes, cycle, decoded, metrics, points

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

Key = tuple[tuple[str, str], ...]

WHO = Identity((("service.name", "rollouts"), ("env", "prod")), (("env", "prod"), ("cluster", "eu")))
NAMES = st.sampled_from(["a", "b", "env", "cluster"])
LABELS = st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=3)
SAMPLES = st.lists(st.tuples(LABELS, st.floats()), max_size=30, unique_by=lambda row: key(row[0]))
COUNTS = st.one_of(st.integers(0, 20).map(float), st.sampled_from([-1.0, 0.5, math.nan, math.inf, 2.0**64]))
RUN = st.tuples(st.lists(COUNTS, max_size=4), st.none() | st.floats(), st.none() | COUNTS)
RUNS = st.lists(st.tuples(LABELS, RUN), max_size=12, unique_by=lambda row: key(row[0]))


def key(labels: dict[str, str]) -> Key:
    """Return the attributes that a point with these labels must have."""
    own = {name: value for name, value in labels.items() if value}
    return tuple(sorted((dict(WHO.point) | own).items()))


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def flat(encoder: Encoder, told: MetricFamily) -> dict[Key, Any]:
    requests = list(encoder.requests(cycle(told)))
    found = [point for request in requests for metric in metrics(request) for point in points(metric)]
    assert sum(request.points for request in requests) == len(found)
    assert all(request.points <= 7 for request in requests)
    by_key = {tuple(sorted(attributes(point).items())): point for point in found}
    assert len(by_key) == len(found)
    return by_key


@given(
    st.lists(SAMPLES, min_size=1, max_size=4),
    st.sampled_from([MetricType.GAUGE, MetricType.COUNTER, MetricType.UNTYPED]),
)
@settings(max_examples=150, deadline=None)
def test_every_sample_is_one_point_with_its_labels_and_value(cycles: list[Any], kind: MetricType) -> None:
    encoder = Encoder(WHO, max_points=7)
    known: dict[Key, Series] = {}
    for samples in cycles:
        rows = [(known.setdefault(key(one), Series("x", tuple(one.items()))), value) for one, value in samples]
        found = flat(encoder, family_from_samples("x", kind, "", rows))
        assert found.keys() == {key(labels) for labels, _ in samples}
        assert all(same(found[key(labels)].as_double, value) for labels, value in samples)
        assert {point.time_unix_nano for point in found.values()} <= {NANOS}


def plain(counts: list[float], total: float | None, count: float | None) -> dict[str, Any] | None:
    """Return the histogram point that the rules ask for, None when there must be none (T22-T27)."""
    if count is None:
        return None
    cumulative = [*counts, count]
    if not all(value >= 0 and value < 2**64 and value == math.floor(value) for value in cumulative):
        return None
    if cumulative != sorted(cumulative):
        return None
    before = [0.0, *counts]
    buckets = [int(more) - int(less) for less, more in zip(before, cumulative, strict=True)]
    return {"buckets": buckets, "bounds": [float(i) for i in range(len(counts))], "sum": total, "count": int(count)}


@given(runs=RUNS, random=st.randoms(use_true_random=False), torn=st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_histogram_is_the_one_that_the_rules_ask_for(runs: list[Any], random: Any, *, torn: bool) -> None:
    rows = []
    for labels, (counts, total, count) in runs:
        some = tuple(labels.items())
        rows += [(Series("h_bucket", (*some, ("le", str(i)))), value) for i, value in enumerate(counts)]
        rows += [(Series("h_sum", some), total)] if total is not None else []
        rows += [(Series("h_count", some), count)] if count is not None else []
    if torn:
        random.shuffle(rows)
    expected = {key(labels): plain(*run) for labels, run in runs}
    encoder = Encoder(WHO, max_points=7)
    for _ in range(2):
        found = flat(encoder, family_from_samples("h", MetricType.HISTOGRAM, "", rows))
        assert found.keys() == {labels for labels, point in expected.items() if point}
        for labels, point in found.items():
            wanted = expected[labels] or {}
            assert list(point.bucket_counts) == wanted["buckets"]
            assert list(point.explicit_bounds) == wanted["bounds"]
            assert point.count == wanted["count"]
            assert point.HasField("sum") == (wanted["sum"] is not None)
            assert wanted["sum"] is None or same(point.sum, wanted["sum"])


def theirs(name: str, data: Any) -> ExportMetricsServiceRequest:
    metric = Metric(name, "About it.", "", data)
    scope = ScopeMetrics(InstrumentationScope("rollouts-exporter"), [metric], "")
    return encode_metrics(MetricsData([ResourceMetrics(Resource(dict(WHO.resource)), [scope], "")]))


def ours(told: MetricFamily) -> ExportMetricsServiceRequest:
    """Return what we make of a family, without the metadata that their encoder does not know (T04)."""
    (request,) = Encoder(WHO).requests(cycle(told))
    plain_request = decoded(request)
    del plain_request.resource_metrics[0].scope_metrics[0].metrics[0].metadata[:]
    return plain_request


def number(labels: dict[str, str], value: float, start: int | None = None) -> NumberDataPoint:
    return NumberDataPoint(labels | dict(WHO.point), start or 0, NANOS, value)


def in_one_order(request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest:
    """Attributes have no order: sort them."""
    resource = request.resource_metrics[0]
    resource.resource.attributes.sort(key=lambda pair: pair.key)
    for point in points(resource.scope_metrics[0].metrics[0]):
        point.attributes.sort(key=lambda pair: pair.key)
    return request


def assert_alike(told: MetricFamily, data: Any, forget: Callable[[Any], None] = lambda _: None) -> None:
    mine, their = in_one_order(ours(told)), in_one_order(theirs(told.name, data))
    for point in points(their.resource_metrics[0].scope_metrics[0].metrics[0]):
        forget(point)
    assert mine == their


def test_opentelemetrys_own_encoder_makes_the_same_of_gauges() -> None:
    told = family_from_samples(
        "x", MetricType.GAUGE, "About it.", [(Series("x", (("a", str(i)),)), i / 3) for i in range(20)]
    )
    assert_alike(told, Gauge([number({"a": str(i)}, i / 3) for i in range(20)]))


def test_opentelemetrys_own_encoder_makes_the_same_of_counters() -> None:
    rows = [Series("x_total", (("a", str(i)),)) for i in range(20)]
    told = MetricFamily(
        "x_total", MetricType.COUNTER, "About it.", rows, [i / 7 for i in range(20)], [float(i) for i in range(20)]
    )
    data = [number({"a": str(i)}, i / 7, i * 1_000_000_000) for i in range(20)]
    assert_alike(told, Sum(data, AggregationTemporality.CUMULATIVE, is_monotonic=True))


def test_opentelemetrys_own_encoder_makes_the_same_of_histograms_but_for_min_and_max() -> None:
    rows = [(Series("h_bucket", (("le", edge),)), value) for edge, value in (("0.5", 1.0), ("2", 4.0), ("+Inf", 9.0))]
    rows += [(Series("h_sum", ()), 30.5), (Series("h_count", ()), 9.0)]
    point = HistogramDataPoint(dict(WHO.point), 0, NANOS, 9, 30.5, [1, 3, 5], [0.5, 2.0], 0.0, 0.0)

    def forget(encoded: Any) -> None:
        encoded.ClearField("min")  # T28: the SDK always sets them
        encoded.ClearField("max")

    told = family_from_samples("h", MetricType.HISTOGRAM, "About it.", rows)
    assert_alike(told, Histogram([point], AggregationTemporality.CUMULATIVE), forget)
