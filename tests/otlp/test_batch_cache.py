"""Cached points equal points that are encoded again."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType, SampleBatch, Series
from exporter.otlp.encode.batch_cache import FramedPoints, PointTemplate, frame_points, length_prefix, make_template
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity

from .helpers import TIMESTAMP, metrics
from .helpers import points as points_of

if TYPE_CHECKING:
    from collections.abc import Sequence

IDENTITY = Identity((("service.name", "rollouts"),), (("env", "prod"), ("cluster", "eu")))
VALUES = st.floats() | st.sampled_from([math.nan, -math.inf, 255.0, 65535.0, -1.5, 1.7954460e9])
NAMES = st.sampled_from(["env", "cluster", "name", "phase"])


def points(encoder: Encoder, snapshot: MetricsSnapshot) -> list[str]:
    """Return every point of a snapshot as text, sorted."""
    requests = list(encoder.requests(snapshot))
    pairs = [(metric, point) for request in requests for metric in metrics(request) for point in points_of(metric)]
    for _, point in pairs:
        point.attributes.sort(key=lambda attribute: attribute.key)  # attributes have no order
    texts = [f"{metric.name} {metric.WhichOneof('data')} {point}" for metric, point in pairs]
    assert sum(request.point_count for request in requests) == len(texts)
    assert all(request.point_count <= 9 for request in requests)
    return sorted(texts)


def uncached_copy(family: MetricFamily) -> MetricFamily:
    """Return an equal family without interned batches, so that nothing is cached."""
    return MetricFamily(
        family.name, family.type, family.help, list(family.series), list(family.values), family.start_times
    )


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), metric_type=st.sampled_from([MetricType.GAUGE, MetricType.COUNTER]), timed=st.booleans())
def test_cached_numbers_equal_newly_encoded_ones(data: st.DataObject, metric_type: MetricType, *, timed: bool) -> None:
    encoder = Encoder(IDENTITY, max_points=9)
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    with_overlap = data.draw(st.booleans())
    rows = [
        tuple(
            Series(
                "x", (("name", f"{batch}/{position}"), *((("env", "own"),) if with_overlap and position == 3 else ()))
            )
            for position in range(size)
        )
        for batch, size in enumerate(sizes)
    ]

    def new_batch(series: tuple[Series, ...]) -> SampleBatch:
        values = array("d", data.draw(st.lists(VALUES, min_size=len(series), max_size=len(series))))
        start_times = (
            array("d", [data.draw(st.sampled_from([TIMESTAMP - 60, TIMESTAMP - 3600]))] * len(series))
            if timed
            else None
        )
        return SampleBatch(series, values, start_times, interned=True)

    batches = [new_batch(series) for series in rows]
    series_by_id = {id(series): series for series in rows}
    previous: list[SampleBatch] = []
    for cycle in range(4):
        stale_series = [
            series for old in previous for series in old.series if old.series not in [new.series for new in batches]
        ]
        stale = [MetricFamily("x", metric_type, "", stale_series, [0.0] * len(stale_series))] if stale_series else []
        family = MetricFamily.from_batches("x", metric_type, "About x.", batches)
        snapshot = MetricsSnapshot(TIMESTAMP + cycle, (family,), tuple(stale))
        uncached = MetricsSnapshot(TIMESTAMP + cycle, (uncached_copy(family),), tuple(stale))
        assert points(encoder, snapshot) == points(Encoder(IDENTITY, max_points=9), uncached)
        previous = batches
        actions = data.draw(
            st.lists(st.sampled_from(["keep", "values", "drop"]), min_size=len(rows), max_size=len(rows))
        )
        batches = [
            old if action == "keep" else new_batch(series_by_id[id(old.series)])
            for old, action in zip(batches, actions, strict=False)
            if action != "drop"
        ]


def bucket(name: str, bound: str) -> Series:
    return Series("h_bucket", (("name", name), ("le", bound)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.integers(-1, 300), min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_cached_histograms_equal_newly_encoded_ones(counts: list[list[int]], size: int, offset: int) -> None:
    encoder = Encoder(IDENTITY, max_points=9)
    samples: list[tuple[Series, float]] = []
    for number, (first, second, count) in enumerate(counts):
        name = f"web-{number}"
        samples += [(bucket(name, "1"), first), (bucket(name, "2"), second), (bucket(name, "+Inf"), count)]
        samples += [(Series("h_sum", (("name", name),)), count / 7), (Series("h_count", (("name", name),)), count)]
    starts = range(0, len(samples), 5 * size - (offset if offset < 5 * size else 0))
    for cycle in range(3):
        batches = [_batch(samples[start : start + starts.step]) for start in starts]
        family = MetricFamily.from_batches("h", MetricType.HISTOGRAM, "", batches)
        for _ in range(2):
            uncached = MetricsSnapshot(TIMESTAMP + cycle, (uncached_copy(family),))
            assert points(encoder, MetricsSnapshot(TIMESTAMP + cycle, (family,))) == points(
                Encoder(IDENTITY, max_points=9), uncached
            )
        samples = [(series, value + 1) for series, value in samples]


def _batch(samples: Sequence[tuple[Series, float]]) -> SampleBatch:
    return SampleBatch(
        tuple(series for series, _ in samples), array("d", [value for _, value in samples]), interned=True
    )


@settings(deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=300), min_size=1), st.binary(max_size=20))
def test_a_rendered_template_equals_its_framed_points(points: list[bytes], shared: bytes) -> None:
    template = make_template(points, len(shared))
    assert template.render(shared) == frame_points([shared + point for point in points], 0).body
    assert template.count == len(points)


@given(st.lists(st.tuples(st.binary(min_size=9, max_size=9), st.binary(max_size=40)), min_size=1))
def test_new_values_leave_the_other_bytes_of_points_unchanged(rows: list[tuple[bytes, bytes]]) -> None:
    first = make_template([bytes(9) + point for _, point in rows], 3)
    rebuilt = make_template([prefix + point for prefix, point in rows], 3)
    assert first.with_values([prefix for prefix, _ in rows]).render(b"abc") == rebuilt.render(b"abc")


def test_points_that_contain_every_sentinel_are_cached_too() -> None:
    points = [bytes(range(256))] * 3
    template = make_template(points, 2)
    assert template.render(b"zz") == frame_points([b"zz" + point for point in points], 0).body
    assert isinstance(template.with_values([b"\x00"] * 3), PointTemplate)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 70_000])
def test_points_are_split_by_their_length_prefixes(size: int) -> None:
    framed = FramedPoints(2, (length_prefix(size) + bytes(size)) * 2, 10)
    first, point = framed.split(1, len(framed.body))
    assert first.body == length_prefix(size) + bytes(size)
    assert point is not None
    assert (point.count, point.body) == (1, first.body)
    assert (first.samples, point.samples) == (5, 5)
    assert framed.split(2, len(first.body))[0] == first


def test_a_stale_series_that_equals_an_active_one_gets_no_marker() -> None:
    encoder = Encoder(IDENTITY)
    active = SampleBatch((Series("x", (("name", "a"),)),), array("d", [1.0]), interned=True)
    stale: Any = MetricFamily("x", MetricType.GAUGE, "", [Series("x", (("name", "a"), ("env", "prod")))], [0.0])
    (request,) = encoder.requests(
        MetricsSnapshot(TIMESTAMP, (MetricFamily.from_batches("x", MetricType.GAUGE, "", (active,)),), (stale,))
    )
    (metric,) = metrics(request)
    assert [point.flags for point in metric.gauge.data_points] == [0]
