"""What became of what was sent, by what is in the store: names, labels, losses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.commands.verify.matching import Arrival, Sent, Spelt, State, added, arrivals, selector, spellings
from exporter.commands.verify.report import Receipt, as_json, lines
from exporter.metrics import MetricType

GAUGE = Sent("beat", MetricType.GAUGE, 2)
COUNTER = Sent("beat_errors", MetricType.COUNTER, 1)
HISTOGRAM = Sent("beat_seconds", MetricType.HISTOGRAM, 4)
WHOLE = {"beat_seconds_bucket": 2, "beat_seconds_sum": 1, "beat_seconds_count": 1}
PARTLY = "beat_seconds: 1 of 4 series arrived as beat_seconds, none of _bucket, _count; the store dropped the rest"
IDENTITY = {"k8s.cluster.name": "c1", "service.name": "x"}


@pytest.mark.parametrize(
    ("sent", "found", "state", "stored"),
    [
        (GAUGE, {"beat": 2}, "arrived", ("beat",)),
        (GAUGE, {"beat": 3}, "arrived", ("beat",)),
        (GAUGE, {"beat": 1}, "incomplete", ("beat",)),
        (GAUGE, {"beat_ratio": 2}, "renamed", ("beat_ratio",)),
        (GAUGE, {"otel_beat": 2}, "renamed", ("otel_beat",)),
        (GAUGE, {"beat": 1, "beat_ratio": 1}, "renamed", ("beat", "beat_ratio")),
        (GAUGE, {"other": 2}, "missing", ()),
        (COUNTER, {"beat_errors_total": 1}, "renamed", ("beat_errors_total",)),
        (HISTOGRAM, WHOLE, "arrived", ("beat_seconds",)),
        (HISTOGRAM, {f"x_{name}": series for name, series in WHOLE.items()}, "renamed", ("x_beat_seconds",)),
        (HISTOGRAM, {"beat_seconds_sum": 4}, "incomplete", ("beat_seconds",)),
        (HISTOGRAM, {"beat_seconds": 1}, "incomplete", ("beat_seconds",)),
        (Sent("s", MetricType.SUMMARY, 3), {"s": 1, "s_sum": 1, "s_count": 1}, "arrived", ("s",)),
    ],
)
def test_a_family_arrived_was_renamed_or_is_missing(
    sent: Sent, found: dict[str, int], state: State, stored: tuple[str, ...]
) -> None:
    (one,) = arrivals((sent,), found)
    assert (one.state, one.stored) == (state, stored)
    assert one.whole == (state in {"arrived", "renamed"})


def test_a_name_belongs_to_the_longest_that_was_sent() -> None:
    found = {"beat": 2, "beat_errors_total": 1, **WHOLE}
    assert [one.stored for one in arrivals((GAUGE, COUNTER, HISTOGRAM), found)] == [
        ("beat",),
        ("beat_errors_total",),
        ("beat_seconds",),
    ]


def test_the_parts_of_a_histogram_that_are_not_there_are_named() -> None:
    (one,) = arrivals((HISTOGRAM,), {"beat_seconds_count": 1})
    assert one.lacking == ("_bucket", "_sum")


@given(st.dictionaries(st.sampled_from(["beat", "beat_errors_total", "x", *WHOLE]), st.integers(1, 5)))
def test_no_series_is_counted_twice(found: dict[str, int]) -> None:
    counted = sum(one.series for one in arrivals((GAUGE, COUNTER, HISTOGRAM), found))
    assert counted == sum(found.values()) - found.get("x", 0)


@pytest.mark.parametrize(
    ("labels", "spelt"),
    [
        ({"k8s.cluster.name": "c1", "service.name": "x"}, ["k8s.cluster.name", "service.name"]),
        ({"k8s_cluster_name": "c1", "service_name": "x", "job": "x"}, ["k8s_cluster_name", "service_name"]),
        ({"cluster": "c1", "job": "x"}, ["cluster", "job"]),
        ({"k8s_cluster_name": "c2", "job": "ns/x"}, ["", ""]),
        ({"__name__": "c1", "le": "x"}, ["", ""]),
    ],
)
def test_an_attribute_is_found_by_its_spelling_and_else_by_its_value(labels: dict[str, str], spelt: list[str]) -> None:
    assert [one.label for one in spellings(IDENTITY, [tuple(labels.items())])] == spelt


def test_an_attribute_that_one_series_lacks_is_missing() -> None:
    stored = [(("cluster", "c1"), ("job", "x")), (("job", "x"),)]
    assert [one.label for one in spellings(IDENTITY, stored)] == ["", "job"]
    assert [one.label for one in spellings(IDENTITY, [])] == ["", ""]


def test_labels_that_nobody_sent_are_the_stores() -> None:
    stored = [
        (("__name__", "beat"), ("cluster", "c1"), ("scope", "s")),
        (("cluster", "c1"), ("le", "1"), ("scope", "s")),
    ]
    spelt = (Spelt("k8s.cluster.name", "c1", "cluster"),)
    assert added(spelt, stored) == {"scope": "s"}
    assert added(spelt, []) == {}


def test_a_selector_quotes_what_is_no_plain_label() -> None:
    spelt = (Spelt("a", 'x"y\\', "k8s.name"), Spelt("b", "é", "plain"), Spelt("c", "z", ""))
    assert selector(["u", "v"], spelt, 7) == (
        '{__name__=~"(.+_)?(u|v)(_total|_ratio)?(_bucket|_sum|_count)?","k8s.name"="x\\"y\\\\",plain="é",asked!="7"}'
    )


def receipt(*heartbeat: Arrival, label: str = "cluster", waited: float = 12.34, earlier: bool = False) -> Receipt:
    spelt = (Spelt("k8s.cluster.name", "c1", label),)
    series = arrivals((GAUGE,), {"beat": 2})
    return Receipt(5.0, waited, "", heartbeat, spelt, {"scope": "s"}, series, earlier)


def test_what_arrived_is_told_in_plain_words() -> None:
    beat = arrivals((GAUGE, COUNTER, HISTOGRAM), {"beat": 2, "beat_errors_total": 1, **WHOLE})
    assert list(lines(receipt(*beat))) == [
        "write to read: 12.3 s; give a gate an initialDelay of 20s at least",
        "gauge beat: arrived, 2 series",
        "counter beat_errors: arrived as beat_errors_total: use this name in queries",
        "histogram beat_seconds: arrived, 4 series",
        "identity k8s.cluster.name=c1: label cluster",
        'labels that the store adds: scope="s"',
        "gauge beat: arrived, 2 series",
        "ok: everything arrived",
    ]


def test_what_is_missing_is_told_in_plain_words() -> None:
    beat = arrivals((GAUGE, COUNTER, HISTOGRAM), {"beat": 1, "beat_seconds_sum": 1})
    told = list(lines(receipt(*beat, label="")))
    assert told[0] == "after 12 s not the whole heartbeat can be read"
    assert told[1:5] == [
        "gauge beat: 1 of 2 series arrived as beat; the store dropped the rest",
        "counter beat_errors: missing; the store dropped it, or it was not pushed",
        f"histogram {PARTLY}",
        "identity k8s.cluster.name=c1: no label; queries cannot tell it, and equal series of others merge",
    ]
    assert told[-1] == "not everything arrived"


@pytest.mark.parametrize(
    ("earlier", "words"),
    [
        (True, "nothing can be read after 12 s, though earlier heartbeats are there; raise --timeout"),
        (False, "nothing can be read after 12 s, nor was anything before; check that read.address and otlp.endpoint"),
    ],
)
def test_nothing_at_all_is_told_with_its_cure(words: str, *, earlier: bool) -> None:
    told = list(lines(receipt(*arrivals((GAUGE,), {}), earlier=earlier)))
    assert told[0].startswith(words)
    assert told[1:] == ["not everything arrived"]


@pytest.mark.parametrize(("waited", "delay"), [(0.1, 10), (6.6, 10), (6.7, 20), (31.0, 50)])
def test_the_delay_of_a_gate_leaves_half_as_much_again(waited: float, delay: int) -> None:
    assert receipt(*arrivals((GAUGE,), {"beat": 2}), waited=waited).initial_delay == delay


def test_scripts_get_the_same_as_one_object() -> None:
    told = json.loads(as_json(receipt(*arrivals((COUNTER,), {"beat_errors_total": 1}), label="")))
    assert told["heartbeat"] == [
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
    assert (told["ok"], told["write_to_read_seconds"], told["initial_delay_seconds"]) == (False, 12.34, 20)
    assert told["identity"] == [{"attribute": "k8s.cluster.name", "value": "c1", "label": None}]
