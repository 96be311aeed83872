"""Requests in parts and in JSON."""

from __future__ import annotations

import itertools
import json
import math
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType
from exporter.otlp.encode.encoder import Encoder
from exporter.net.gzip import gunzip_body, gzip_body
from exporter.otlp.encode.protobuf import ExportRequest, otlp_json, slice_request

from .helpers import AT, NOBODY, attributes, cycle, decoded, gauge, histogram, metrics, points

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES = st.lists(
    st.tuples(st.sampled_from([MetricType.GAUGE, MetricType.COUNTER]), st.integers(1, 9)), min_size=1, max_size=5
)


def request(shape: list[tuple[MetricType, int]]) -> ExportRequest:
    number = count()
    families: list[MetricFamily] = []
    for place, (kind, size) in enumerate(shape):
        families.append(gauge(f"x{place}", *(({"i": str(i)}, next(number)) for i in range(size)), kind=kind))
    families.append(histogram("h", {"1": 1}, {"sum": 1, "count": next(number)}))
    (made,) = Encoder(NOBODY).requests(MetricsSnapshot(AT, tuple(families)))
    return made


def told(one: ExportRequest) -> Iterator[tuple[str, str, float]]:
    for metric in metrics(one):
        for point in points(metric):
            value = point.count if metric.name == "h" else point.as_double
            yield metric.name, str(attributes(point)), value


@given(SHAPES, st.data())
@settings(deadline=None)
def test_parts_side_by_side_have_every_point_once_and_in_order(
    shape: list[tuple[MetricType, int]], data: st.DataObject
) -> None:
    whole = request(shape)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(whole.points - 1, 1)))))
    places = [0, *(cut for cut in cuts if cut < whole.points), whole.points]
    parts = [slice_request(whole, first, end) for first, end in itertools.pairwise(places)]
    assert [row for one in parts for row in told(one)] == list(told(whole))
    assert all(one.points == len(list(told(one))) for one in parts)


def test_each_part_is_a_request_of_its_own_with_all_that_belongs_to_its_metrics() -> None:
    whole = request([(MetricType.COUNTER, 4), (MetricType.GAUGE, 1)])
    for half in (slice_request(whole, 0, 3), slice_request(whole, 3, 6)):
        assert half.points == 3
        assert decoded(half).resource_metrics[0].resource == decoded(whole).resource_metrics[0].resource
        for metric in metrics(half):
            (source,) = [one for one in metrics(whole) if one.name == metric.name]
            for one in (metric, source):
                del getattr(one, one.WhichOneof("data") or "").data_points[:]
            assert metric == source
        assert all(points(metric) for metric in metrics(half))


def test_packing_is_undone_and_always_the_same() -> None:
    assert gunzip_body(gzip_body(b"body")) == gunzip_body(b"body") == b"body"
    assert gzip_body(b"body") == gzip_body(b"body")


def test_json_is_in_the_otlp_mapping() -> None:
    families = gauge("x", ({}, math.nan), ({"a": "1"}, -math.inf)), histogram("h", {"1": 1}, {"sum": 1, "count": 2})
    (made,) = Encoder(NOBODY).requests(cycle(*families, gauge("x_total", ({}, 1), kind=MetricType.COUNTER)))
    (resource,) = json.loads(json.dumps(otlp_json(made.body)))["resourceMetrics"]
    numbers, distribution, counter = resource["scopeMetrics"][0]["metrics"]
    assert [point["asDouble"] for point in numbers["gauge"]["dataPoints"]] == ["NaN", "-Infinity"]
    assert numbers["gauge"]["dataPoints"][0]["timeUnixNano"] == "1700000000123000000"
    assert numbers["metadata"] == [{"key": "prometheus.type", "value": {"stringValue": "gauge"}}]
    assert distribution["histogram"]["dataPoints"][0]["bucketCounts"] == ["1", "1"]
    assert counter["sum"]["aggregationTemporality"] == 2
