"""One answer, one page: whole, or nothing but what went wrong and what cures it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ScrapeRequest, ResponseParser

from .parsing import LAW, everything, real

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEXT = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
GOOD = b'# TYPE g gauge\ng{i="1"} 1\ng{i="2"} 2\n'
HTML = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"


def reader(most: int = 0) -> ResponseParser:
    return ResponseParser(ScrapeRequest(Source.ARGO, "argo-a:8090", 7.0, "blue", most), ScrapeCache(), everything)


def answered(
    body: bytes,
    status: int = 200,
    headers: Mapping[str, str] = TEXT,
    *,
    most: int = 0,
    cuts: Iterable[int] = (),
    trouble: Failure | None = None,
) -> ScrapeResult:
    reading = reader(most)
    reading.start(status, headers)
    for start, end in pairwise(sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})):
        reading.feed(body[start:end])
    return reading.finish(trouble, 0.25)


def refusal(body: bytes, status: int = 500) -> Failure:
    page = answered(body, status)
    assert page.failure is not None
    assert not page.families
    return page.failure


def duplicate(family: str, /, **labels: str) -> str:
    told = " ".join(f'label:{{name:"{name}"  value:"{value}"}}' for name, value in labels.items())
    return f'* [from Gatherer #1] collected metric "{family}" {{ {told}  gauge:{{value:1}}}} was collected before'


def test_a_whole_page_says_who_was_asked_when_and_what_it_had() -> None:
    page = answered(GOOD + b"g 1_0\n")
    assert (page.source, page.target, page.installation, page.scraped_at) == (Source.ARGO, "argo-a:8090", "blue", 7.0)
    assert (page.failure, page.duration, page.samples, page.parse_errors) == (None, 0.25, 2, {"number": 1})
    assert list(page.families["g"].values) == [1, 2]


@pytest.mark.parametrize("kind", ["", "text/plain", "TEXT/PLAIN;version=0.0.4", "application/octet-stream", "?"])
@pytest.mark.parametrize("header", ["Content-Type", "content-type", "X-Other"])
def test_what_does_not_name_another_format_is_read_as_text(header: str, kind: str) -> None:
    assert answered(GOOD, headers={header: kind}).samples == 2


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("text/html; charset=utf-8", "HTML"),
        ("application/json", "JSON"),
        ("Application/OpenMetrics-Text; version=1.0.0", "OpenMetrics"),
        ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", "protobuf"),
    ],
)
def test_another_format_is_told_by_its_name_and_not_read(kind: str, told: str) -> None:
    reading = reader()
    reading.start(200, {"content-type": kind})
    assert reading.aborted
    reading.feed(GOOD)
    page = reading.finish(None, 0.0)
    assert not page.families
    assert page.failure == Failure("content_type", f"responds with {told}, not Prometheus text format 0.0.4; check argo.path")


@pytest.mark.parametrize(
    ("body", "reason", "cure"),
    [
        (HTML, "not_exposition", "check argo.targets and argo.path"),
        (HTML.rstrip(), "not_exposition", "check argo.targets and argo.path"),
        (b"Not found\nTry again\n", "not_exposition", "check argo.targets and argo.path"),
        (b'{"error":\n "no"}\n', "not_exposition", "check argo.targets and argo.path"),
        (b"\x1f\x8b\x08\x00\n\xff\xfe\n", "not_exposition", "check argo.targets and argo.path"),
        (GOOD[:-1], "cut_short", "check its log"),
        (GOOD[:-4], "cut_short", "check its log"),
        (GOOD + b"# HELP g", "cut_short", "check its log"),
        (GOOD + b"g" * 70_000, "cut_short", "check its log"),
    ],
)
def test_a_page_that_is_broken_as_a_whole_yields_nothing(body: bytes, reason: str, cure: str) -> None:
    for cuts in (), range(len(body)) if len(body) < 1000 else (65_536,):
        page = answered(body, cuts=cuts)
        assert page.failure is not None
        assert (page.failure.reason, page.families, page.samples) == (reason, {}, 0)
        assert cure in page.failure.message


@pytest.mark.parametrize("body", [b"", b"\n", b" \n\t\n", b"# EOF\n"])
def test_an_empty_page_is_a_page(body: bytes) -> None:
    page = answered(body)
    assert (page.failure, page.families, page.parse_errors) == (None, {}, {})


def test_as_many_samples_as_the_limit_are_a_page_and_one_more_is_none() -> None:
    assert answered(GOOD, most=2).samples == 2
    page = answered(GOOD + b'g{i="3"} 3\n', most=2)
    assert (page.families, page.samples) == ({}, 0)
    assert page.failure == Failure(
        "sample_limit",
        "the page has more than 2 samples of wanted families; "
        "raise argo.limits.samples or export fewer families (series.pass_through)",
    )


def test_beyond_the_limit_no_more_is_asked_for() -> None:
    reading = reader(most=1)
    reading.start(200, TEXT)
    assert not reading.aborted
    reading.feed(GOOD + GOOD)
    assert reading.aborted
    reading.feed(GOOD)
    assert (trouble := reading.finish(None, 0.0).failure) is not None
    assert trouble.reason == "sample_limit"


def test_what_went_wrong_on_the_way_leaves_nothing_of_the_page() -> None:
    trouble = Failure("timeout", "it took longer than 10 s")
    page = answered(GOOD, trouble=trouble)
    assert (page.failure, page.families, page.parse_errors, page.samples) == (trouble, {}, {}, 0)
    assert answered(b"boom", 500, trouble=trouble).failure == trouble
    assert answered(GOOD, headers={"Content-Type": "text/html"}, trouble=trouble).failure != trouble
    unread = reader().finish(trouble, 0.0)
    assert (unread.failure, unread.families) == (trouble, {})


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"404 page\r\n  not found\n"), (503, b""), (302, b""), (500, b"\xff")]
)
def test_a_refusal_is_told_with_its_words_and_the_settings_to_look_at(status: int, body: bytes) -> None:
    words = " ".join(body.decode(errors="replace").split())
    assert refusal(body, status) == Failure(
        "http_status", f"HTTP {status}{f': {words}' if words else ''}; check argo.targets and argo.path"
    )


def test_a_long_refusal_is_quoted_in_part_and_read_in_part() -> None:
    reading = reader()
    reading.start(500, TEXT)
    for _ in range(64):
        assert not reading.aborted
        reading.feed(b"x" * 1024)
    assert reading.aborted
    reading.feed(b"x" * 1024)
    assert len(reading._error_body) == 64 * 1024
    assert (trouble := reading.finish(None, 0.0).failure) is not None
    assert trouble.message.count("x") == 300


BREAKS = "; this breaks the controller's complete metrics page: give the metrics of each object different names"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("duplicate-template-1.9.1.500", "AnalysisTemplate shop/twice repeats the metric name 'same'"),
        ("duplicate-run.500", "AnalysisRun shop/twice-run repeats the metric name 'same'"),
        (
            "duplicate-templates.500",
            (
                "AnalysisTemplate shop/two repeats the metric name 'a'; "
                "ClusterAnalysisTemplate global-twice repeats the metric name 'c'"
            ),
        ),
    ],
)
def test_a_real_page_of_500_names_the_objects_that_repeat_a_metric_name(name: str, told: str) -> None:
    assert refusal(real(name)) == Failure("duplicate_metric", f"HTTP 500: {told}{BREAKS}")


def test_five_objects_and_five_names_of_each_are_named() -> None:
    info = "analysis_template_metric_info"
    lines = [duplicate(info, metric=f"m{i}", name="many", namespace="shop") for i in range(7)]
    lines += [duplicate(info, metric="m", name=f"t{i}", namespace="shop") for i in range(7)]
    message = refusal("\n".join(lines).encode()).message
    assert "AnalysisTemplate shop/many repeats the metric name 'm0', 'm1', 'm2', 'm3', 'm4', 2 more;" in message
    assert message.endswith(f"AnalysisTemplate shop/t3 repeats the metric name 'm'; 3 more{BREAKS}")


def test_a_metric_name_is_free_text_and_stands_on_one_line() -> None:
    odd = r"p99 \"slow\" \\ path\nsecond line {a=\"b\"} was collected before"
    message = refusal(duplicate("analysis_run_metric_type", metric=odd, name="run", namespace="shop").encode()).message
    assert message.startswith('HTTP 500: AnalysisRun shop/run repeats the metric name \'p99 "slow" ')
    assert "\n" not in message


@pytest.mark.parametrize(
    "body",
    [
        duplicate("go_goroutines", name="x", namespace="shop", metric="m"),
        duplicate("analysis_run_info", name="x", namespace="shop").replace("was collected before", "is inconsistent"),
        'collected metric "analysis_run_info" { was collected before',
    ],
)
def test_other_words_of_500_are_quoted_as_they_are(body: str) -> None:
    trouble = refusal(body.encode())
    assert trouble.reason == "http_status"
    assert " ".join(body.split()) in trouble.message


HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "content-type", "X-A"]),
    st.sampled_from(["", ";", "text/plain", "text/html", "application/json;q=1"]) | st.text(max_size=5),
    max_size=2,
)
WORDS = [GOOD, HTML, duplicate("analysis_run_metric_type", name="x").encode(), b"\n", b"collected metric ", b"{", b"\\"]


@settings(LAW, max_examples=300)
@given(
    body=st.lists(st.binary(max_size=12) | st.sampled_from(WORDS), max_size=8).map(b"".join),
    status=st.sampled_from([200, 200, 200, 500, 404, 204, 0, -1]),
    headers=HEADERS,
    cuts=st.lists(st.integers(0, 300), max_size=4),
    trouble=st.none() | st.just(Failure("timeout", "late")),
    most=st.sampled_from([0, 1, 3]),
)
def test_any_answer_in_any_pieces_is_a_page_or_a_trouble(
    body: bytes, status: int, headers: Mapping[str, str], cuts: list[int], trouble: Failure | None, most: int
) -> None:
    page = answered(body, status, headers, cuts=cuts, trouble=trouble, most=most)
    whole = answered(body, status, headers, trouble=trouble, most=most)
    assert (page.failure, page.parse_errors, page.samples) == (whole.failure, whole.parse_errors, whole.samples)
    assert page.families.keys() == whole.families.keys()
    if page.failure is None:
        assert status == 200
        assert page.samples >= sum(map(len, page.families.values()))
    else:
        assert (page.families, page.parse_errors, page.samples) == ({}, {}, 0)
        assert page.failure.reason
        assert page.failure.message
