"""Gauges, counters, identity, bounds: what a cycle looks like on the wire."""

from __future__ import annotations

import math

import pytest

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType, family_from_samples
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity

from .helpers import AT, NANOS, NOBODY, attributes, cycle, decoded, encoded, gauge, metrics, one_point, points, series

WHERE = Identity((("service.name", "rollouts"), ("cluster", "eu")), (("cluster", "eu"), ("env", "prod")))


def test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit() -> None:
    _, (metric,) = encoded(gauge("rollout_info", ({"name": "a"}, 1)))
    assert (metric.name, metric.description, metric.unit) == ("rollout_info", "About rollout_info.", "")
    assert [(pair.key, pair.value.string_value) for pair in metric.metadata] == [("prometheus.type", "gauge")]
    (point,) = points(metric)
    assert (point.as_double, point.time_unix_nano, point.start_time_unix_nano, point.flags) == (1, NANOS, 0, 0)
    assert attributes(point) == {"name": "a"}


def test_an_untyped_family_is_a_gauge_of_unknown_type() -> None:
    _, (metric,) = encoded(gauge("x", ({}, 1), kind=MetricType.UNTYPED))
    assert metric.WhichOneof("data") == "gauge"
    assert metric.metadata[0].value.string_value == "unknown"


def test_a_counter_is_a_monotonic_cumulative_sum_without_a_start_that_nobody_told() -> None:
    _, (metric,) = encoded(gauge("x_total", ({}, 7), kind=MetricType.COUNTER))
    assert metric.name == "x_total"
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2
    assert (metric.sum.data_points[0].as_double, metric.sum.data_points[0].start_time_unix_nano) == (7, 0)


def test_a_counter_says_since_when_it_counts_where_that_is_known() -> None:
    rows = [series("x_total", a="1"), series("x_total", a="2")]
    _, (metric,) = encoded(MetricFamily("x_total", MetricType.COUNTER, "", rows, [1, 2], [AT - 60, AT]))
    assert [point.start_time_unix_nano for point in points(metric)] == [NANOS - 60_000_000_000, NANOS]


def test_a_missing_help_is_an_empty_description() -> None:
    _, (metric,) = encoded(family_from_samples("x", MetricType.GAUGE, "", [(series("x"), 1)]))
    assert not metric.description


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])
def test_every_number_survives(value: float) -> None:
    got = one_point(gauge("x", ({}, value))).as_double
    assert (got, math.copysign(1, got)) == (value, math.copysign(1, value))


def test_nan_is_data_and_no_end_marker() -> None:
    point = one_point(gauge("x", ({}, math.nan)))
    assert math.isnan(point.as_double)
    assert point.WhichOneof("value") == "as_double"
    assert point.flags == 0


def test_label_values_are_kept_to_the_byte_and_empty_ones_left_out() -> None:
    odd = 'é "quoted" \\ back\nline \U0001f600\u2028'
    assert attributes(one_point(gauge("x", ({"a": odd, "b": ""}, 1)))) == {"a": odd}


def test_the_scope_has_a_name_and_no_version() -> None:
    (request,) = Encoder(NOBODY).requests(cycle(gauge("x", ({}, 1))))
    scope = decoded(request).resource_metrics[0].scope_metrics[0].scope
    assert (scope.name, scope.version, len(scope.attributes)) == ("rollouts-exporter", "", 0)


def test_identity_is_on_the_resource_and_on_each_point() -> None:
    (request,) = Encoder(WHERE).requests(cycle(gauge("x", ({"name": "a"}, 1))))
    assert attributes(decoded(request).resource_metrics[0].resource) == {"service.name": "rollouts", "cluster": "eu"}
    (point,) = points(metrics(request)[0])
    assert attributes(point) == {"name": "a", "cluster": "eu", "env": "prod"}


@pytest.mark.parametrize("kind", [MetricType.GAUGE, MetricType.SUMMARY])
def test_a_label_of_a_points_own_wins_over_the_identity(kind: MetricType) -> None:
    name = "x" if kind is MetricType.GAUGE else "x_count"
    rows = [(series(name, cluster="us"), 1.0), (series(name, a="1"), 2.0)]
    _, (metric,) = encoded(family_from_samples("x", kind, "", rows), identity=WHERE)
    got = [[(pair.key, pair.value.string_value) for pair in point.attributes] for point in points(metric)]
    assert [sorted(pairs) for pairs in got] == [
        [("cluster", "us"), ("env", "prod")],
        [("a", "1"), ("cluster", "eu"), ("env", "prod")],
    ]


def test_a_label_that_repeats_the_identity_makes_no_second_series_of_it() -> None:
    encoder, (metric,) = encoded(gauge("x", ({"cluster": "eu"}, 1), ({}, 2)), identity=WHERE)
    assert [point.as_double for point in points(metric)] == [1]
    assert encoder.skipped["duplicate"] == 1


def test_the_same_series_twice_in_a_cycle_leaves_once_whoever_said_it() -> None:
    twice = gauge("x", ({"a": "1", "b": "2"}, 1), ({"b": "2", "a": "1"}, 2))
    encoder, (metric,) = encoded(twice, gauge("x", ({"a": "1", "b": "2"}, 3), ({"a": "2"}, 4)))
    assert [point.as_double for point in points(metric)] == [1, 4]
    assert encoder.skipped["duplicate"] == 2


def test_a_name_has_one_type_and_the_first_is_kept() -> None:
    encoder, (metric,) = encoded(gauge("x", ({}, 1)), gauge("x", ({"a": "1"}, 1), kind=MetricType.COUNTER))
    assert metric.WhichOneof("data") == "gauge"
    assert len(points(metric)) == 1
    assert encoder.skipped["kind_conflict"] == 1


def test_nothing_makes_no_request_and_no_metric() -> None:
    assert list(Encoder(NOBODY).requests(MetricsSnapshot(AT))) == []
    assert encoded(gauge("x"), gauge("y", ({}, 1)))[1][0].name == "y"


def test_a_family_without_a_name_is_left_out_and_counted() -> None:
    encoder, found = encoded(gauge("", ({}, 1)))
    assert not found
    assert encoder.skipped["unnamed"] == 1


@pytest.mark.parametrize("kind", [MetricType.GAUGE, MetricType.COUNTER])
def test_an_ended_series_gets_one_marker_without_a_value(kind: MetricType) -> None:
    point = one_point(ended=[gauge("x", ({"a": "1"}, 5), kind=kind)], identity=WHERE)
    assert (point.flags, point.WhichOneof("value"), point.time_unix_nano) == (1, None, NANOS)
    assert attributes(point) == {"a": "1", "cluster": "eu", "env": "prod"}


def test_a_series_that_lives_is_not_ended_in_the_same_cycle() -> None:
    _, (metric,) = encoded(gauge("x", ({"a": "1"}, 5)), ended=[gauge("x", ({"a": "1"}, 5), ({"a": "2"}, 6))])
    assert [(attributes(point), point.flags) for point in points(metric)] == [({"a": "1"}, 0), ({"a": "2"}, 1)]


def test_requests_are_bounded_in_points_and_every_metric_in_them_is_complete() -> None:
    many = gauge("x_total", *(({"i": str(i)}, i) for i in range(2500)), kind=MetricType.COUNTER)
    requests = list(Encoder(WHERE, max_points=1000).requests(cycle(many)))
    assert [request.points for request in requests] == [1000, 1000, 500]
    for request in requests:
        (metric,) = metrics(request)
        assert (metric.description, metric.sum.is_monotonic, len(metric.metadata)) == ("About x_total.", True, 1)
        assert len(points(metric)) == request.points
    told = [point.as_double for request in requests for point in points(metrics(request)[0])]
    assert told == list(range(2500))


def test_requests_are_bounded_in_bytes_and_a_point_that_fits_none_is_counted() -> None:
    wide = gauge("x", *(({"i": str(i), "text": "y" * (5000 if i == 50 else 100)}, i) for i in range(100)))
    encoder = Encoder(NOBODY, max_bytes=2000)
    requests = list(encoder.requests(cycle(wide)))
    assert max(len(request.body) for request in requests) <= 2000
    assert sum(request.points for request in requests) == 99
    assert encoder.skipped["too_large"] == 1


def test_what_is_gone_for_long_is_forgotten() -> None:
    encoder = Encoder(WHERE)
    for turn in range(100):
        list(encoder.requests(cycle(gauge("x", *(({"turn": f"{turn}-{i}", "cluster": "us"}, i) for i in range(100))))))
    numbers = encoder._encoders[MetricType.GAUGE]
    assert len(numbers._heads) < 1000  # type: ignore[attr-defined]
    assert len(numbers._clashes) < 1000  # type: ignore[attr-defined]
