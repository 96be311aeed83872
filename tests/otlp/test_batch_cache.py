"""What is kept encoded of strips is what would be encoded anew."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType, SampleBatch, Series
from exporter.otlp.encode.batch_cache import FramedPoints, PointTemplate, length_prefix, frame_points, make_template
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity

from .helpers import AT, metrics
from .helpers import points as points_of

if TYPE_CHECKING:
    from collections.abc import Sequence

WHO = Identity((("service.name", "rollouts"),), (("env", "prod"), ("cluster", "eu")))
VALUES = st.floats() | st.sampled_from([math.nan, -math.inf, 255.0, 65535.0, -1.5, 1.7954460e9])
NAMES = st.sampled_from(["env", "cluster", "name", "phase"])


def points(encoder: Encoder, cycle: MetricsSnapshot) -> list[str]:
    """Return every point of a cycle as text, in no order."""
    requests = list(encoder.requests(cycle))
    told = [(metric, point) for request in requests for metric in metrics(request) for point in points_of(metric)]
    for _, point in told:
        point.attributes.sort(key=lambda pair: pair.key)  # they have no order
    found = [f"{metric.name} {metric.WhichOneof('data')} {point}" for metric, point in told]
    assert sum(request.points for request in requests) == len(found)
    assert all(request.points <= 9 for request in requests)
    return sorted(found)


def flat(family: MetricFamily) -> MetricFamily:
    """The same family, made of nothing that is kept."""
    return MetricFamily(
        family.name, family.type, family.help, list(family.series), list(family.values), family.start_times
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), kind=st.sampled_from([MetricType.GAUGE, MetricType.COUNTER]), timed=st.booleans())
def test_numbers_are_sent_again_as_if_they_were_encoded_anew(
    data: st.DataObject, kind: MetricType, *, timed: bool
) -> None:
    encoder = Encoder(WHO, max_points=9)
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    odd = data.draw(st.booleans())
    rows = [
        tuple(
            Series("x", (("name", f"{strip}/{at}"), *((("env", "own"),) if odd and at == 3 else ())))
            for at in range(size)
        )
        for strip, size in enumerate(sizes)
    ]

    def strip(series: tuple[Series, ...]) -> SampleBatch:
        values = array("d", data.draw(st.lists(VALUES, min_size=len(series), max_size=len(series))))
        starts = array("d", [data.draw(st.sampled_from([AT - 60, AT - 3600]))] * len(series)) if timed else None
        return SampleBatch(series, values, starts, interned=True)

    strips = [strip(series) for series in rows]
    known = {id(series): series for series in rows}
    before: list[SampleBatch] = []
    for turn in range(4):
        gone = [one for old in before for one in old.series if old.series not in [new.series for new in strips]]
        ended = [MetricFamily("x", kind, "", gone, [0.0] * len(gone))] if gone else []
        told = MetricFamily.from_batches("x", kind, "About x.", strips)
        cycle = MetricsSnapshot(AT + turn, (told,), tuple(ended))
        plain = MetricsSnapshot(AT + turn, (flat(told),), tuple(ended))
        assert points(encoder, cycle) == points(Encoder(WHO, max_points=9), plain)
        before = strips
        deeds = data.draw(st.lists(st.sampled_from(["keep", "values", "drop"]), min_size=len(rows), max_size=len(rows)))
        strips = [
            old if deed == "keep" else strip(known[id(old.series)])
            for old, deed in zip(strips, deeds, strict=False)
            if deed != "drop"
        ]


def bucket(name: str, edge: str) -> Series:
    return Series("h_bucket", (("name", name), ("le", edge)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.integers(-1, 300), min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_histograms_are_sent_again_as_if_they_were_encoded_anew(counts: list[list[int]], cut: int, torn: int) -> None:
    encoder = Encoder(WHO, max_points=9)
    samples: list[tuple[Series, float]] = []
    for number, (first, second, count) in enumerate(counts):
        name = f"web-{number}"
        samples += [(bucket(name, "1"), first), (bucket(name, "2"), second), (bucket(name, "+Inf"), count)]
        samples += [(Series("h_sum", (("name", name),)), count / 7), (Series("h_count", (("name", name),)), count)]
    edges = range(0, len(samples), 5 * cut - (torn if torn < 5 * cut else 0))
    for turn in range(3):
        strips = [_strip(samples[at : at + edges.step]) for at in edges]
        told = MetricFamily.from_batches("h", MetricType.HISTOGRAM, "", strips)
        for _ in range(2):
            plain = MetricsSnapshot(AT + turn, (flat(told),))
            assert points(encoder, MetricsSnapshot(AT + turn, (told,))) == points(Encoder(WHO, max_points=9), plain)
        samples = [(series, value + 1) for series, value in samples]


def _strip(samples: Sequence[tuple[Series, float]]) -> SampleBatch:
    return SampleBatch(tuple(one for one, _ in samples), array("d", [value for _, value in samples]), interned=True)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=300), min_size=1), st.binary(max_size=20))
def test_a_template_filled_is_its_points_framed(rests: list[bytes], shared: bytes) -> None:
    made = make_template(rests, len(shared))
    assert made.render(shared) == frame_points([shared + rest for rest in rests]).body
    assert made.count == len(rests)


@given(st.lists(st.tuples(st.binary(min_size=9, max_size=9), st.binary(max_size=40)), min_size=1))
def test_other_beginnings_leave_the_rest_as_it_was(points_told: list[tuple[bytes, bytes]]) -> None:
    first = make_template([bytes(9) + rest for _, rest in points_told], 3)
    anew = make_template([beginning + rest for beginning, rest in points_told], 3)
    assert first.with_values([beginning for beginning, _ in points_told]).render(b"abc") == anew.render(b"abc")


def test_numbers_that_leave_no_byte_free_are_kept_all_the_same() -> None:
    rests = [bytes(range(256))] * 3
    made = make_template(rests, 2)
    assert made.render(b"zz") == frame_points([b"zz" + rest for rest in rests]).body
    assert isinstance(made.with_values([b"\x00"] * 3), PointTemplate)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 70_000])
def test_a_frame_says_how_long_the_point_is(size: int) -> None:
    whole = FramedPoints(2, (length_prefix(size) + bytes(size)) * 2)
    first, rest = whole.split(1, len(whole.body))
    assert first.body == length_prefix(size) + bytes(size)
    assert rest is not None
    assert (rest.count, rest.body) == (1, first.body)
    assert whole.without_first() == rest
    assert whole.split(2, len(first.body))[0] == first


def test_an_ended_series_whose_labels_are_the_identitys_takes_nothing_from_one_that_lives() -> None:
    encoder = Encoder(WHO)
    lives = SampleBatch((Series("x", (("name", "a"),)),), array("d", [1.0]), interned=True)
    ended: Any = MetricFamily("x", MetricType.GAUGE, "", [Series("x", (("name", "a"), ("env", "prod")))], [0.0])
    (request,) = encoder.requests(
        MetricsSnapshot(AT, (MetricFamily.from_batches("x", MetricType.GAUGE, "", (lives,)),), (ended,))
    )
    (metric,) = metrics(request)
    assert [point.flags for point in metric.gauge.data_points] == [0]
