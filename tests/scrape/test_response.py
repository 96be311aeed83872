"""One response is one result: a complete page, or a failure with a hint."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ResponseParser, ScrapeRequest

from .parsing import LAW, always_selected, real_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEXT = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
GOOD = b'# TYPE g gauge\ng{i="1"} 1\ng{i="2"} 2\n'
HTML = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"


def response_parser(sample_limit: int = 0) -> ResponseParser:
    return ResponseParser(
        ScrapeRequest(Source.ARGO, "argo-a:8090", 7.0, "blue", sample_limit), ScrapeCache(), always_selected
    )


def parse_response(
    body: bytes,
    status: int = 200,
    headers: Mapping[str, str] = TEXT,
    *,
    sample_limit: int = 0,
    cuts: Iterable[int] = (),
    failure: Failure | None = None,
) -> ScrapeResult:
    parser = response_parser(sample_limit)
    parser.start(status, headers)
    for start, end in pairwise(sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})):
        parser.feed(body[start:end])
    return parser.finish(failure, 0.25)


def test_a_page_that_is_cut_off_by_the_timeout_is_parsed_on_from_there() -> None:
    lines = (b'g{i="%d",padding="%s"} 1\n' % (i, b"x" * 200) for i in range(400))
    page = b"# TYPE g gauge\n" + b"".join(lines)
    cache, timeout = ScrapeCache(), Failure("timeout", "did not respond within 15 s")

    def scrape(body: bytes, failure: Failure | None = None) -> tuple[ScrapeResult, list[int]]:
        """Return the result, and which batches are stored for the next scrape."""
        parser = ResponseParser(ScrapeRequest(Source.ARGO, "a", 7.0), cache, always_selected)
        parser.start(200, TEXT)
        parser.feed(body)
        result = parser.finish(failure, 15.0)
        return result, [id(batch) for batch in cache.previous_families((Source.ARGO, "default", "a"))["g"].batches]

    first, batches = scrape(page[: len(page) // 3], timeout)
    assert (first.failure, first.families) == (timeout, {})
    assert len(batches) > 5
    _, more_batches = scrape(page[: len(page) // 2], timeout)
    assert more_batches[: len(batches) - 1] == batches[:-1], "parsed once"
    assert scrape(page[: len(page) // 4], timeout)[1] == more_batches, "less is no progress"
    result, all_batches = scrape(page)
    assert all_batches[: len(more_batches) - 1] == more_batches[:-1]
    assert [series.label("i") for series, _ in result.samples("g")] == [str(i) for i in range(400)]
    assert scrape(page[: len(page) // 2], timeout)[1] == all_batches


def http_failure(body: bytes, status: int = 500) -> Failure:
    page = parse_response(body, status)
    assert page.failure is not None
    assert not page.families
    return page.failure


def duplicate(family: str, /, **labels: str) -> str:
    expected = " ".join(f'label:{{name:"{name}"  value:"{value}"}}' for name, value in labels.items())
    return f'* [from Gatherer #1] collected metric "{family}" {{ {expected}  gauge:{{value:1}}}} was collected before'


def test_a_complete_page_has_its_target_time_and_families() -> None:
    page = parse_response(GOOD + b"g 1_0\n")
    assert (page.source, page.target, page.installation, page.scraped_at) == (Source.ARGO, "argo-a:8090", "blue", 7.0)
    assert (page.failure, page.duration, page.sample_count, page.parse_errors) == (None, 0.25, 2, {"number": 1})
    assert list(page.families["g"].values) == [1, 2]


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "TEXT/PLAIN;version=0.0.4", "application/octet-stream", "?"]
)
@pytest.mark.parametrize("header", ["Content-Type", "content-type", "X-Other"])
def test_a_type_that_is_no_other_format_is_parsed_as_text(header: str, content_type: str) -> None:
    assert parse_response(GOOD, headers={header: content_type}).sample_count == 2


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/html; charset=utf-8", "HTML"),
        ("application/json", "JSON"),
        ("Application/OpenMetrics-Text; version=1.0.0", "OpenMetrics"),
        ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", "protobuf"),
    ],
)
def test_another_format_is_reported_by_name_and_not_parsed(content_type: str, expected: str) -> None:
    parser = response_parser()
    parser.start(200, {"content-type": content_type})
    assert not parser.aborted, "its start is shown to people"
    parser.feed(GOOD)
    parser.feed(b"#" * 4096)
    assert parser.aborted
    page = parser.finish(None, 0.0)
    assert page.answer.startswith("200 OK\n")
    assert not page.families
    assert page.failure is not None
    assert page.failure.reason == "content_type"
    assert page.failure.message.startswith(f"responds with {expected}, not Prometheus text format 0.0.4; ")
    # The components send these formats only if they are asked for them, so it is not the path that is wrong.
    hint = "check argo.path" if expected in ("HTML", "JSON") else "a proxy in between replaces the header Accept"
    assert hint in page.failure.message


CRLF = GOOD.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (
            CRLF,
            "malformed",
            "all 2 samples of selected families are malformed; its lines end with CR LF instead of LF; check what",
        ),
        (CRLF, "malformed", "between the component and argo.targets; the first malformed line: # TYPE g gauge"),
        (b"# TYPE g gauge\ng one\n", "malformed", "all 1 samples of selected families are malformed; check what"),
        (b'# TYPE g gauge\ng{i="\xe9"} 1\n', "malformed", 'the first malformed line: g{i="\ufffd"} 1'),
        (b"# TYPE g gauge\ng " + b"a" * 70_000 + b"\n", "malformed", f"the first malformed line: g {'a' * 158}…"),
        (GOOD.decode().encode("utf-16"), "not_exposition", "the first malformed line: "),
    ],
    ids=["crlf", "crlf-line", "no-number", "latin-1", "long", "utf-16"],
)
def test_a_page_without_any_valid_sample_is_broken_and_its_first_bad_line_is_quoted(
    body: bytes, reason: str, message: str
) -> None:
    page = parse_response(body)
    assert page.failure is not None
    assert (page.failure.reason, message in page.failure.message) == (reason, True), page.failure.message
    assert page.failure.message.isprintable()


@pytest.mark.parametrize("body", [b"", b"# TYPE g gauge\n", b"# TYPE g gauge\r\n", b"# TYPE g strange\n"])
def test_a_page_without_samples_is_not_broken(body: bytes) -> None:
    assert parse_response(body).failure is None


def test_a_malformed_line_costs_itself_and_is_quoted_without_secrets() -> None:
    parser = ResponseParser(
        ScrapeRequest(Source.ARGO, "a", 7.0),
        ScrapeCache(),
        always_selected,
        lambda line: line.replace("hush4711", "***"),
    )
    parser.start(200, TEXT)
    parser.feed(GOOD + b'g{label="' + b"x" * 148 + b'hush4711"} one\nb 1 2 3\n')
    page = parser.finish(None, 0.1)
    assert page.failure is None
    assert (page.sample_count, page.parse_errors) == (2, {"number": 1, "syntax": 1})
    cut = f'g{{label="{"x" * 148}***…'
    assert page.malformed_lines == (cut, "b 1 2 3"), "a cut before would have left a part of the secret"


def test_only_the_first_malformed_lines_are_shown_and_none_with_what_looks_like_a_secret() -> None:
    lines = "".join(f'g{{n="{number}",api_token="s3cret{number}"}} one\n' for number in range(100))
    page = parse_response(GOOD + lines.encode())
    assert page.parse_errors == {"number": 100}
    assert page.malformed_lines == tuple(f'g{{n="{number}",api_token=***}} one' for number in range(5))


@pytest.mark.parametrize(
    ("body", "status", "headers", "answer"),
    [
        (HTML, 200, {"Content-Type": "text/html"}, "200 OK\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"),
        (b"no\x1b[2J such\npage: password=hush", 404, TEXT, "404 Not Found\nno [2J such\npage: password=***"),
        (b"not a metric\n", 200, TEXT, "200 OK\nnot a metric"),
        (GOOD, 200, TEXT, ""),
    ],
)
def test_the_start_of_an_answer_that_cannot_be_used_is_there_to_look_at(
    body: bytes, status: int, headers: Mapping[str, str], answer: str
) -> None:
    page = parse_response(body, status, headers)
    assert (page.answer, page.size) == (answer, len(body))


def test_of_an_endless_answer_only_some_lines_are_held() -> None:
    page = parse_response(b"x" * 5000 + b"\n" + b"y\n" * 5000, 500)
    assert len(page.answer) < 500
    assert len(parse_response(b"y\n" * 50_000, 500).answer.splitlines()) == 31


@pytest.mark.parametrize(
    ("credential", "status", "hint"),
    [
        ("", 401, "set a credential: argo.bearer_token_file or argo.basic_auth"),
        ("", 403, "set a credential: argo.bearer_token_file or argo.basic_auth"),
        (
            "bearer_token_file",
            401,
            "the credential of argo.bearer_token_file is not accepted: check that it is current",
        ),
        ("bearer_token_file", 403, "bind it to the ClusterRole system:monitoring, or to one that allows get on"),
        ("basic_auth", 401, "the credential of argo.basic_auth is not accepted"),
        ("basic_auth", 403, "the user of argo.basic_auth has no right to read the page"),
        ("headers", 403, "the user of argo.headers has no right to read the page"),
    ],
)
def test_what_to_do_about_a_refusal_depends_on_the_credential(credential: str, status: int, hint: str) -> None:
    parser = ResponseParser(ScrapeRequest(Source.ARGO, "a", 7.0, credential=credential), ScrapeCache(), always_selected)
    parser.start(status, TEXT)
    parser.feed(b"Forbidden (user=system:serviceaccount:shop:exporter, verb=get, resource=, subresource=)\n")
    failure = parser.finish(None, 0.1).failure
    assert failure is not None
    assert hint in failure.message


@pytest.mark.parametrize(
    ("body", "reason", "hint"),
    [
        (HTML, "not_exposition", "check argo.targets and argo.path"),
        (HTML.rstrip(), "not_exposition", "check argo.targets and argo.path"),
        (b"Not found\nTry again\n", "not_exposition", "check argo.targets and argo.path"),
        (b'{"error":\n "no"}\n', "not_exposition", "check argo.targets and argo.path"),
        (b"\x1f\x8b\x08\x00\n\xff\xfe\n", "not_exposition", "check argo.targets and argo.path"),
        (GOOD.replace(b"\n", b"\r\n"), "malformed", "lines end with CR LF"),
        (b"# TYPE g gauge\ng one\ng 1_0\n", "malformed", "samples of selected families are malformed"),
        (GOOD[:-1], "cut_short", "check its log"),
        (GOOD[:-4], "cut_short", "check its log"),
        (GOOD + b"# HELP g", "cut_short", "check its log"),
        (GOOD + b"g" * 70_000, "cut_short", "check its log"),
    ],
)
def test_an_unusable_page_yields_nothing(body: bytes, reason: str, hint: str) -> None:
    for cuts in (), range(len(body)) if len(body) < 1000 else (65_536,):
        page = parse_response(body, cuts=cuts)
        assert page.failure is not None
        assert (page.failure.reason, page.families, page.sample_count) == (reason, {}, 0)
        assert hint in page.failure.message


@pytest.mark.parametrize("body", [b"", b"\n", b" \n\t\n", b"# EOF\n"])
def test_an_empty_page_is_valid(body: bytes) -> None:
    page = parse_response(body)
    assert (page.failure, page.families, page.parse_errors) == (None, {}, {})


def test_samples_up_to_the_limit_are_a_page_and_one_more_is_a_failure() -> None:
    assert parse_response(GOOD, sample_limit=2).sample_count == 2
    page = parse_response(GOOD + b'g{i="3"} 3\n', sample_limit=2)
    assert (page.families, page.sample_count) == ({}, 0)
    assert page.failure == Failure(
        "sample_limit",
        "the page has more than 2 samples of selected families; "
        "raise argo.limits.samples or export fewer families (series.pass_through)",
    )


def test_beyond_the_sample_limit_the_rest_is_not_needed() -> None:
    parser = response_parser(sample_limit=1)
    parser.start(200, TEXT)
    assert not parser.aborted
    parser.feed(GOOD + GOOD)
    assert parser.aborted
    parser.feed(GOOD)
    assert (failure := parser.finish(None, 0.0).failure) is not None
    assert failure.reason == "sample_limit"


def test_a_failed_exchange_leaves_nothing_of_the_page() -> None:
    failure = Failure("timeout", "it took longer than 10 s")
    page = parse_response(GOOD, failure=failure)
    assert (page.failure, page.families, page.parse_errors, page.sample_count) == (failure, {}, {}, 0)
    assert parse_response(b"boom", 500, failure=failure).failure == failure
    assert parse_response(GOOD, headers={"Content-Type": "text/html"}, failure=failure).failure != failure
    unread = response_parser().finish(failure, 0.0)
    assert (unread.failure, unread.families) == (failure, {})


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"404 page\r\n  not found\n"), (503, b""), (302, b""), (500, b"\xff")]
)
def test_an_http_error_is_reported_with_its_text_and_the_settings_to_check(status: int, body: bytes) -> None:
    text = " ".join(body.decode(errors="replace").split())
    assert http_failure(body, status) == Failure(
        "http_status", f"HTTP {status}{f': {text}' if text else ''}; check argo.targets and argo.path"
    )


def test_a_long_error_is_read_and_quoted_in_part() -> None:
    parser = response_parser()
    parser.start(500, TEXT)
    for _ in range(64):
        assert not parser.aborted
        parser.feed(b"x" * 1024)
    assert parser.aborted
    parser.feed(b"x" * 1024)
    assert len(parser._begin) == 64 * 1024
    assert (failure := parser.finish(None, 0.0).failure) is not None
    assert failure.message.count("x") == 300


BREAKS = "; this breaks the controller's complete metrics page: give the metrics of each object different names"


@pytest.mark.parametrize(
    ("name", "expected"),
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
def test_a_real_page_of_500_names_the_objects_that_repeat_a_metric_name(name: str, expected: str) -> None:
    assert http_failure(real_page(name)) == Failure("duplicate_metric", f"HTTP 500: {expected}{BREAKS}")


def test_five_objects_and_five_names_of_each_are_named() -> None:
    info = "analysis_template_metric_info"
    lines = [duplicate(info, metric=f"m{i}", name="many", namespace="shop") for i in range(7)]
    lines += [duplicate(info, metric="m", name=f"t{i}", namespace="shop") for i in range(7)]
    message = http_failure("\n".join(lines).encode()).message
    assert "AnalysisTemplate shop/many repeats the metric name 'm0', 'm1', 'm2', 'm3', 'm4', 2 more;" in message
    assert message.endswith(f"AnalysisTemplate shop/t3 repeats the metric name 'm'; 3 more{BREAKS}")


def test_a_metric_name_is_free_text_and_is_printed_on_one_line() -> None:
    metric_name = r"p99 \"slow\" \\ path\nsecond line {a=\"b\"} was collected before"
    message = http_failure(
        duplicate("analysis_run_metric_type", metric=metric_name, name="run", namespace="shop").encode()
    ).message
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
def test_another_text_of_a_500_is_quoted_as_it_is(body: str) -> None:
    failure = http_failure(body.encode())
    assert failure.reason == "http_status"
    assert " ".join(body.split()) in failure.message


HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "content-type", "X-A"]),
    st.sampled_from(["", ";", "text/plain", "text/html", "application/json;q=1"]) | st.text(max_size=5),
    max_size=2,
)
FRAGMENTS = [
    GOOD,
    HTML,
    duplicate("analysis_run_metric_type", name="x").encode(),
    b"\n",
    b"collected metric ",
    b"{",
    b"\\",
]


@settings(LAW, max_examples=300)
@given(
    body=st.lists(st.binary(max_size=12) | st.sampled_from(FRAGMENTS), max_size=8).map(b"".join),
    status=st.sampled_from([200, 200, 200, 500, 404, 204, 0, -1]),
    headers=HEADERS,
    cuts=st.lists(st.integers(0, 300), max_size=4),
    failure=st.none() | st.just(Failure("timeout", "late")),
    sample_limit=st.sampled_from([0, 1, 3]),
)
def test_any_response_in_any_pieces_is_a_page_or_a_failure(
    body: bytes, status: int, headers: Mapping[str, str], cuts: list[int], failure: Failure | None, sample_limit: int
) -> None:
    page = parse_response(body, status, headers, cuts=cuts, failure=failure, sample_limit=sample_limit)
    unsplit = parse_response(body, status, headers, failure=failure, sample_limit=sample_limit)
    assert (page.failure, page.parse_errors, page.sample_count) == (
        unsplit.failure,
        unsplit.parse_errors,
        unsplit.sample_count,
    )
    assert page.families.keys() == unsplit.families.keys()
    if page.failure is None:
        assert status == 200
        assert page.sample_count >= sum(map(len, page.families.values()))
    else:
        assert (page.families, page.parse_errors, page.sample_count) == ({}, {}, 0)
        assert page.failure.reason
        assert page.failure.message
