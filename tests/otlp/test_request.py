"""Requests in halves and in JSON."""

from __future__ import annotations

import json
import math
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.family import Cycle, Family, Kind
from exporter.otlp.encode import Encoder
from exporter.otlp.request import Request, halves, otlp_json, packed, unpacked

from .reading import AT, NOBODY, attributes, cycle, decoded, gauge, histogram, metrics, points

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES = st.lists(st.tuples(st.sampled_from([Kind.GAUGE, Kind.COUNTER]), st.integers(1, 9)), min_size=1, max_size=5)


def request(shape: list[tuple[Kind, int]]) -> Request:
    number = count()
    families: list[Family] = []
    for place, (kind, size) in enumerate(shape):
        families.append(gauge(f"x{place}", *(({"i": str(i)}, next(number)) for i in range(size)), kind=kind))
    families.append(histogram("h", {"1": 1}, {"sum": 1, "count": next(number)}))
    (made,) = Encoder(NOBODY).requests(Cycle(AT, tuple(families)))
    return made


def told(part: Request) -> Iterator[tuple[str, str, float]]:
    for metric in metrics(part):
        for point in points(metric):
            value = point.count if metric.name == "h" else point.as_double
            yield metric.name, str(attributes(point)), value


@given(SHAPES)
@settings(deadline=None)
def test_halving_to_the_end_keeps_every_point_once_and_in_order(shape: list[tuple[Kind, int]]) -> None:
    parts = [request(shape)]
    while parts:
        part = parts.pop()
        assert part.points == len(list(told(part)))
        if split := halves(part):
            assert [row for half in split for row in told(half)] == list(told(part))
        else:
            assert part.points == 1
        parts.extend(split)


def test_each_half_is_a_request_of_its_own_with_all_that_belongs_to_its_metrics() -> None:
    whole = request([(Kind.COUNTER, 4), (Kind.GAUGE, 1)])
    for half in halves(whole):
        assert half.points == 3
        assert decoded(half).resource_metrics[0].resource == decoded(whole).resource_metrics[0].resource
        for metric in metrics(half):
            (source,) = [one for one in metrics(whole) if one.name == metric.name]
            for one in (metric, source):
                del getattr(one, one.WhichOneof("data") or "").data_points[:]
            assert metric == source
        assert all(points(metric) for metric in metrics(half))


def test_a_single_point_has_no_halves() -> None:
    (single,) = Encoder(NOBODY).requests(cycle(gauge("x", ({}, 1))))
    assert halves(single) == ()


def test_packing_is_undone_and_always_the_same() -> None:
    assert unpacked(packed(b"body")) == unpacked(b"body") == b"body"
    assert packed(b"body") == packed(b"body")


def test_json_is_in_the_otlp_mapping() -> None:
    families = gauge("x", ({}, math.nan), ({"a": "1"}, -math.inf)), histogram("h", {"1": 1}, {"sum": 1, "count": 2})
    (made,) = Encoder(NOBODY).requests(cycle(*families, gauge("x_total", ({}, 1), kind=Kind.COUNTER)))
    (resource,) = json.loads(json.dumps(otlp_json(made.body)))["resourceMetrics"]
    numbers, distribution, counter = resource["scopeMetrics"][0]["metrics"]
    assert [point["asDouble"] for point in numbers["gauge"]["dataPoints"]] == ["NaN", "-Infinity"]
    assert numbers["gauge"]["dataPoints"][0]["timeUnixNano"] == "1700000000123000000"
    assert numbers["metadata"] == [{"key": "prometheus.type", "value": {"stringValue": "gauge"}}]
    assert distribution["histogram"]["dataPoints"][0]["bucketCounts"] == ["1", "1"]
    assert counter["sum"]["aggregationTemporality"] == 2
