"""Export requests: slices, gzip, JSON."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType
from exporter.net.gzip import gunzip_body, gzip_body
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import ExportRequest, otlp_json, slice_request

from .helpers import IDENTITY, TIMESTAMP, attributes, decode, gauge, histogram, metrics, points, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES = st.lists(
    st.tuples(st.sampled_from([MetricType.GAUGE, MetricType.COUNTER]), st.integers(1, 9)), min_size=1, max_size=5
)


def request_of(shape: list[tuple[MetricType, int]]) -> ExportRequest:
    number = count()
    families: list[MetricFamily] = []
    for index, (kind, size) in enumerate(shape):
        families.append(gauge(f"x{index}", *(({"i": str(i)}, next(number)) for i in range(size)), kind=kind))
    families.append(histogram("h", {"1": 1}, {"sum": 1, "count": next(number)}))
    (result,) = Encoder(IDENTITY).requests(MetricsSnapshot(TIMESTAMP, tuple(families)))
    return result


def rows(part: ExportRequest) -> Iterator[tuple[str, str, float]]:
    for metric in metrics(part):
        for point in points(metric):
            value = point.count if metric.name == "h" else point.as_double
            yield metric.name, str(attributes(point)), value


@given(SHAPES, st.data())
@settings(deadline=None)
def test_slices_of_a_request_contain_every_point_once_and_in_order(
    shape: list[tuple[MetricType, int]], data: st.DataObject
) -> None:
    full = request_of(shape)
    split_points = sorted(data.draw(st.sets(st.integers(1, max(full.point_count - 1, 1)))))
    bounds = [0, *(split_point for split_point in split_points if split_point < full.point_count), full.point_count]
    parts = [slice_request(full, first, end) for first, end in itertools.pairwise(bounds)]
    assert [row for part in parts for row in rows(part)] == list(rows(full))
    assert all(part.point_count == len(list(rows(part))) for part in parts)


def test_each_slice_is_a_request_with_complete_metrics() -> None:
    full = request_of([(MetricType.COUNTER, 4), (MetricType.GAUGE, 1)])
    for half in (slice_request(full, 0, 3), slice_request(full, 3, 6)):
        assert half.point_count == 3
        assert decode(half).resource_metrics[0].resource == decode(full).resource_metrics[0].resource
        for metric in metrics(half):
            (source,) = [item for item in metrics(full) if item.name == metric.name]
            for item in (metric, source):
                del getattr(item, item.WhichOneof("data") or "").data_points[:]
            assert metric == source
        assert all(points(metric) for metric in metrics(half))


def test_gzip_is_reversible_and_deterministic() -> None:
    assert gunzip_body(gzip_body(b"body")) == gunzip_body(b"body") == b"body"
    assert gzip_body(b"body") == gzip_body(b"body")


def test_json_follows_the_otlp_mapping() -> None:
    families = gauge("x", ({}, math.nan), ({"a": "1"}, -math.inf)), histogram("h", {"1": 1}, {"sum": 1, "count": 2})
    (result,) = Encoder(IDENTITY).requests(snapshot(*families, gauge("x_total", ({}, 1), kind=MetricType.COUNTER)))
    (resource,) = json.loads(json.dumps(otlp_json(result.body)))["resourceMetrics"]
    numbers, distribution, counter = resource["scopeMetrics"][0]["metrics"]
    assert [point["asDouble"] for point in numbers["gauge"]["dataPoints"]] == ["NaN", "-Infinity"]
    assert numbers["gauge"]["dataPoints"][0]["timeUnixNano"] == "1700000000123000000"
    assert numbers["metadata"] == [{"key": "prometheus.type", "value": {"stringValue": "gauge"}}]
    assert distribution["histogram"]["dataPoints"][0]["bucketCounts"] == ["1", "1"]
    assert counter["sum"]["aggregationTemporality"] == 2


def test_the_messages_are_loaded_only_for_push() -> None:
    script = "import sys, exporter.service.app; sys.exit('opentelemetry.proto' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
