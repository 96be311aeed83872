"""Matching of sent families with stored ones, and the report."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.commands.verify.matching import (
    AttributeMapping,
    SentFamily,
    StoredFamily,
    StoredState,
    added_labels,
    map_attributes,
    match_families,
    selector,
)
from exporter.commands.verify.report import VerifyReport, report_json, report_lines
from exporter.metrics import MetricType

GAUGE = SentFamily("beat", MetricType.GAUGE, 2)
COUNTER = SentFamily("beat_errors", MetricType.COUNTER, 1)
HISTOGRAM = SentFamily("beat_seconds", MetricType.HISTOGRAM, 4)
ALL_PARTS = {"beat_seconds_bucket": 2, "beat_seconds_sum": 1, "beat_seconds_count": 1}
PARTIAL = "beat_seconds: 1 of 4 series arrived as beat_seconds, without _bucket, _count; the store dropped the rest"
IDENTITY = {"k8s.cluster.name": "c1", "service.name": "x"}


@pytest.mark.parametrize(
    ("sent", "counts", "state", "stored"),
    [
        (GAUGE, {"beat": 2}, "arrived", ("beat",)),
        (GAUGE, {"beat": 3}, "arrived", ("beat",)),
        (GAUGE, {"beat": 1}, "incomplete", ("beat",)),
        (GAUGE, {"beat_ratio": 2}, "renamed", ("beat_ratio",)),
        (GAUGE, {"otel_beat": 2}, "renamed", ("otel_beat",)),
        (GAUGE, {"beat": 1, "beat_ratio": 1}, "renamed", ("beat", "beat_ratio")),
        (GAUGE, {"other": 2}, "missing", ()),
        (COUNTER, {"beat_errors_total": 1}, "renamed", ("beat_errors_total",)),
        (HISTOGRAM, ALL_PARTS, "arrived", ("beat_seconds",)),
        (HISTOGRAM, {f"x_{name}": series for name, series in ALL_PARTS.items()}, "renamed", ("x_beat_seconds",)),
        (HISTOGRAM, {"beat_seconds_sum": 4}, "incomplete", ("beat_seconds",)),
        (HISTOGRAM, {"beat_seconds": 1}, "incomplete", ("beat_seconds",)),
        (SentFamily("s", MetricType.SUMMARY, 3), {"s": 1, "s_sum": 1, "s_count": 1}, "arrived", ("s",)),
    ],
)
def test_a_family_is_arrived_renamed_incomplete_or_missing(
    sent: SentFamily, counts: dict[str, int], state: StoredState, stored: tuple[str, ...]
) -> None:
    (stored_family,) = match_families((sent,), counts)
    assert (stored_family.state, stored_family.names) == (state, stored)
    assert stored_family.complete == (state in {"arrived", "renamed"})


def test_a_stored_name_belongs_to_the_longest_sent_name_in_it() -> None:
    counts = {"beat": 2, "beat_errors_total": 1, **ALL_PARTS}
    names = [family.names for family in match_families((GAUGE, COUNTER, HISTOGRAM), counts)]
    assert names == [("beat",), ("beat_errors_total",), ("beat_seconds",)]


def test_missing_suffixes_of_a_histogram_are_listed() -> None:
    (stored_family,) = match_families((HISTOGRAM,), {"beat_seconds_count": 1})
    assert stored_family.missing_suffixes == ("_bucket", "_sum")


@given(st.dictionaries(st.sampled_from(["beat", "beat_errors_total", "x", *ALL_PARTS]), st.integers(1, 5)))
def test_no_series_is_counted_twice(counts: dict[str, int]) -> None:
    counted = sum(stored_family.series_count for stored_family in match_families((GAUGE, COUNTER, HISTOGRAM), counts))
    assert counted == sum(counts.values()) - counts.get("x", 0)


@pytest.mark.parametrize(
    ("labels", "mapped"),
    [
        ({"k8s.cluster.name": "c1", "service.name": "x"}, ["k8s.cluster.name", "service.name"]),
        ({"k8s_cluster_name": "c1", "service_name": "x", "job": "x"}, ["k8s_cluster_name", "service_name"]),
        ({"cluster": "c1", "job": "x"}, ["cluster", "job"]),
        ({"k8s_cluster_name": "c2", "job": "ns/x"}, ["", ""]),
        ({"__name__": "c1", "le": "x"}, ["", ""]),
    ],
)
def test_an_attribute_is_mapped_by_similar_name_else_by_value(labels: dict[str, str], mapped: list[str]) -> None:
    assert [mapping.label for mapping in map_attributes(IDENTITY, [tuple(labels.items())])] == mapped


def test_an_attribute_must_be_a_label_of_every_series() -> None:
    stored = [(("cluster", "c1"), ("job", "x")), (("job", "x"),)]
    assert [mapping.label for mapping in map_attributes(IDENTITY, stored)] == ["", "job"]
    assert [mapping.label for mapping in map_attributes(IDENTITY, [])] == ["", ""]


def test_labels_that_were_not_sent_are_added_by_the_store() -> None:
    cluster, scope = ("cluster", "c1"), ("scope", "s")
    stored = [(("__name__", "beat"), cluster, scope), (cluster, ("le", "1"), scope)]
    labels = (AttributeMapping("k8s.cluster.name", "c1", "cluster"),)
    assert added_labels(labels, stored) == {"scope": "s"}
    assert added_labels(labels, []) == {}


def test_a_selector_quotes_label_names_with_special_characters() -> None:
    labels = (
        AttributeMapping("a", 'x"y\\', "k8s.name"),
        AttributeMapping("b", "é", "plain"),
        AttributeMapping("c", "z", ""),
    )
    assert selector(["u", "v"], labels, 7) == (
        '{__name__=~"(.+_)?(u|v)(_total|_ratio)?(_bucket|_sum|_count)?","k8s.name"="x\\"y\\\\",plain="é",asked!="7"}'
    )


def report(
    *heartbeat: StoredFamily, label: str = "cluster", latency: float = 12.34, earlier: bool = False
) -> VerifyReport:
    labels = (AttributeMapping("k8s.cluster.name", "c1", label),)
    series = match_families((GAUGE,), {"beat": 2})
    return VerifyReport(5.0, latency, "", heartbeat, labels, {"scope": "s"}, series, earlier)


def test_the_report_lists_arrived_and_renamed_families() -> None:
    families = match_families((GAUGE, COUNTER, HISTOGRAM), {"beat": 2, "beat_errors_total": 1, **ALL_PARTS})
    assert list(report_lines(report(*families))) == [
        "write to read: 12.3 s; give a gate an initialDelay of at least 30s: the interval of 15 s and this delay",
        "gauge beat: arrived, 2 series",
        "counter beat_errors: arrived as beat_errors_total: use this name in queries",
        "histogram beat_seconds: arrived, 4 series",
        "identity k8s.cluster.name=c1: label cluster",
        'labels added by the store: scope="s"',
        "gauge beat: arrived, 2 series",
        "ok: everything arrived",
    ]


def test_the_report_lists_incomplete_and_missing_families() -> None:
    families = match_families((GAUGE, COUNTER, HISTOGRAM), {"beat": 1, "beat_seconds_sum": 1})
    lines = list(report_lines(report(*families, label="")))
    assert lines[0] == "only a part of the heartbeat can be read after 12 s"
    assert lines[1:5] == [
        "gauge beat: 1 of 2 series arrived as beat; the store dropped the rest",
        "counter beat_errors: missing; the store dropped it, or it was not pushed",
        f"histogram {PARTIAL}",
        "identity k8s.cluster.name=c1: no label; queries cannot select by it, and equal series of other clusters merge",
    ]
    assert lines[-1] == "failed: not everything arrived"


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        (True, "nothing can be read after 12 s, although earlier heartbeats can; raise --timeout"),
        (False, "nothing can be read after 12 s, nor any earlier heartbeat; check that read.address and otlp.endpoint"),
    ],
)
def test_a_report_without_any_series_has_a_hint(message: str, *, earlier: bool) -> None:
    lines = list(report_lines(report(*match_families((GAUGE,), {}), earlier=earlier)))
    assert lines[0].startswith(message)
    assert lines[1:] == ["failed: not everything arrived"]


@pytest.mark.parametrize(("latency", "delay"), [(0.1, 20), (5.0, 20), (5.1, 25), (30.0, 45), (31.0, 50)])
def test_the_initial_delay_is_the_interval_and_the_measured_delay(latency: float, delay: int) -> None:
    assert report(*match_families((GAUGE,), {"beat": 2}), latency=latency).initial_delay == delay


def test_the_json_report_has_the_same_facts() -> None:
    lines = json.loads(report_json(report(*match_families((COUNTER,), {"beat_errors_total": 1}), label="")))
    assert lines["heartbeat"] == [
        {
            "name": "beat_errors",
            "kind": "counter",
            "state": "renamed",
            "stored_as": ["beat_errors_total"],
            "lacking": [],
            "series_sent": 1,
            "series_stored": 1,
        }
    ]
    assert (lines["ok"], lines["write_to_read_seconds"], lines["initial_delay_seconds"]) == (False, 12.34, 30)
    assert lines["identity"] == [{"attribute": "k8s.cluster.name", "value": "c1", "label": None}]
