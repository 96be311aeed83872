"""An invalid line is skipped and counted by reason; the rest of the page is parsed."""

from __future__ import annotations

import pytest

from exporter.metrics import MetricType
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import MAX_LINE_BYTES

from .parsing import family_values, parse_page

BAD_LINES = [
    (b'g{i="x"} 1_000', "number"),
    (b'g{i="x"} 1e400', "number"),
    (b'g{i="x"} -1e400', "number"),
    (b'g{i="x"} ' + b"9" * 400, "number"),
    (b'g{i="x"} 0x1p3', "number"),
    (b'g{i="x"} 0x10', "number"),
    (b'g{i="x"} -NaN', "number"),
    (b'g{i="x"} 1,5', "number"),
    (b'g{i="x"} 1e', "number"),
    (b'g{i="x"} .', "number"),
    (b'g{i="x"} one', "number"),
    ('g{i="x"} \N{ARABIC-INDIC DIGIT ONE}'.encode(), "number"),
    (b'g{i="x"} 1\r', "number"),
    (b"g", "syntax"),
    (b'g{i="x"}', "syntax"),
    (b'g{i="x"} 1 1.5', "syntax"),
    (b'g{i="x"} 1 2 3', "syntax"),
    (b'g{i="x"} 1 # {trace_id="a"} 1', "syntax"),
    (b'g{i="x" 1', "syntax"),
    (b'g{i="x} 1', "syntax"),
    (b"g{i='x'} 1", "syntax"),
    (b"g{i=x} 1", "syntax"),
    (b'g{i="x" j="y"} 1', "syntax"),
    (b'g{i="x",,j="y"} 1', "syntax"),
    (b'g{1="x"} 1', "syntax"),
    (b'{"g",i="x"} 1', "syntax"),
    (b"9g 1", "syntax"),
    (b"g-2 5", "syntax"),
    (b"g.5 1", "syntax"),
    (b"<html>", "syntax"),
    (b"\r", "syntax"),
    (b'g{i="\xff"} 1', "utf8"),
    (b"# HELP g \xff", "utf8"),
    (b'g{i="x",i="x"} 1', "repeated_label"),
    (b"g{" + b",".join(b'l%d="x"' % i for i in range(65)) + b"} 1", "too_many_labels"),
    (b'g{i="' + b"x" * MAX_LINE_BYTES + b'"} 1', "too_long"),
    (b'g{i="good"} 9', "duplicate_series"),
    (b'g { i = "good" , } 9 1395066363000', "duplicate_series"),
    (b"# TYPE g counter", "second_type"),
    (b"# TYPE g", "unknown_type"),
    (b"# TYPE g gaugehistogram", "unknown_type"),
    (b"# TYPE g gauge\r", "unknown_type"),
    (b"h 1", "wrong_family"),
    (b'h{le="1"} 1', "wrong_family"),
]
GOOD = [b"# HELP h H.", b"# TYPE h histogram", b'h_bucket{le="+Inf"} 1', b"h_sum 1", b"h_count 1"]
GOOD += [b"# HELP g G.", b"# TYPE g gauge", b'g{i="good"} 1', b'g{i="better"} 2', b'g{i="best"} 3']


@pytest.mark.parametrize("position", [len(GOOD) - 2, len(GOOD) - 1, len(GOOD)])
@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=[repr(line[:30]) for line, _ in BAD_LINES])
def test_an_invalid_line_is_skipped_and_counted(line: bytes, reason: str, position: int) -> None:
    good = parse_page(b"\n".join([*GOOD, b""]))
    cache = ScrapeCache()
    for _ in "cold", "warm":
        exposition = parse_page(b"\n".join([*GOOD[:position], line, *GOOD[position:], b""]), cache=cache)
        assert family_values(exposition) == family_values(good)
        assert exposition.parse_errors == {reason: 1}


GOOD_LINES = [
    b"",
    b" \t",
    b"#",
    b"# EOF",
    b"# a remark",
    b"#TYPE g counter",
    b"# TYPE g gauge",
    b"  # TYPE g gauge",
    b"# HELP g Other help.",
]


@pytest.mark.parametrize("line", GOOD_LINES)
def test_a_redundant_line_is_not_an_error(line: bytes) -> None:
    exposition = parse_page(b"\n".join([*GOOD, line, b'g{i="last"} 4', b""]))
    assert exposition.parse_errors == {}
    assert family_values(exposition) == family_values(parse_page(b"\n".join([*GOOD, b'g{i="last"} 4', b""])))


@pytest.mark.parametrize(
    ("text", "metric_type", "parse_errors"),
    [
        ("h_sum 1\n# TYPE h_sum histogram\n", MetricType.UNTYPED, {"second_type": 1}),
        ("# TYPE h_sum gauge\n# TYPE h_sum counter\nh_sum 1\n", MetricType.GAUGE, {"second_type": 1}),
        ("# TYPE h_sum what\n# TYPE h_sum counter\nh_sum 1\n", MetricType.COUNTER, {"unknown_type": 1}),
        ('# HELP h H.\nh{a="",a=""} 1\n# TYPE h histogram\nh_sum 1\n', MetricType.HISTOGRAM, {"repeated_label": 1}),
        ("# TYPE h_sum info\nh_sum 1\n", MetricType.GAUGE, {}),
        ("# TYPE h_sum unknown\nh_sum 1\n", MetricType.UNTYPED, {}),
    ],
)
def test_the_first_type_before_the_samples_applies(
    text: str, metric_type: MetricType, parse_errors: dict[str, int]
) -> None:
    exposition = parse_page(text.encode())
    (family,) = exposition.families.values()
    assert (family.type, [series.name for series in family.series]) == (metric_type, ["h_sum"])
    assert exposition.parse_errors == parse_errors


def test_a_page_without_metadata_may_have_an_invalid_line() -> None:
    assert parse_page(b"# a remark\ng 1\nbad\n").parse_errors == {"syntax": 1}


def test_a_metadata_line_that_names_no_metric_ends_the_family_before_it() -> None:
    exposition = parse_page(b'# TYPE g gauge\ng 1\n# HELP \xff x\n# TYPE "g.x" gauge\n{"g.x"} 1\n# TYPE h gauge\nh 1\n')
    assert [name for name, family in exposition.families.items() if len(family)] == ["g", "h"]
    assert exposition.parse_errors == {"syntax": 1}


def test_the_first_value_of_a_duplicate_series_counts() -> None:
    exposition = parse_page(b'g{a="1",b="2"} 1\ng{b="2",a="1"} 2\ng{a="1",b="2",c=""} 3\n')
    assert list(exposition.families["g"].values) == [1]
    assert exposition.parse_errors == {"duplicate_series": 2}


def test_an_invalid_line_in_a_family_that_is_not_selected_is_not_parsed() -> None:
    lines = b"# HELP u \xff\n# TYPE u what\nu 1_000\nu{\n# TYPE g gauge\ng 1\n"
    exposition = parse_page(lines, is_selected=lambda name: name == "g")
    assert (exposition.parse_errors, exposition.samples) == ({}, 1)
