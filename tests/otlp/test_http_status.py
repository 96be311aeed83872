"""The result of each HTTP response."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.net.response import HttpResponse
from exporter.otlp.result import Accepted, Blocked, Permanent, RequestResult, Retryable, RetryRules
from exporter.otlp.transport.http_status import retry_after
from exporter.otlp.transport.response import BrokenResponse, NoResponse, NotSent, ResponseTooLarge, classify

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
PROTOBUF = {"content-type": "application/x-protobuf"}


def partial(rejected: int, message: str = "") -> bytes:
    partial_success = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return ExportMetricsServiceResponse(partial_success=partial_success).SerializeToString()


def classify_status(status: int, body: bytes = b"", **headers: str) -> RequestResult:
    return classify(
        HttpResponse(status, {name.replace("_", "-"): text for name, text in headers.items()}, body), 10, NOW
    )


@pytest.mark.parametrize("status", [200, 202, 204])
def test_an_empty_2xx_is_a_full_success(status: int) -> None:
    assert classify_status(status) == Accepted(10)


@pytest.mark.parametrize(
    ("rejected", "result"),
    [
        (0, Accepted(10, 0, "why")),
        (3, Accepted(7, 3, "why")),
        (99, Accepted(0, 10, "why")),
        (-1, Accepted(10, 0, "why")),
    ],
)
def test_partial_success_is_accepted_and_counts_rejected_points(rejected: int, result: RequestResult) -> None:
    assert classify(HttpResponse(200, PROTOBUF, partial(rejected, "why")), 10, NOW) == result


def test_partial_success_in_json_is_parsed() -> None:
    body = b'{"partialSuccess": {"rejectedDataPoints": "4", "errorMessage": "old"}, "more": 1}'
    assert classify(HttpResponse(200, {"content-type": "application/json; charset=utf-8"}, body), 10, NOW) == Accepted(
        6, 4, "old"
    )


UNREADABLE = [
    ("application/x-protobuf", b"\xff\xff"),
    ("application/json", b"{"),
    ("application/json", b"\xff\xfe\x00"),
    ("application/json", b"[" * 100_000),
    ("application/json", b'{"partialSuccess": 5}'),
    ("application/json", b'{"partialSuccess": {"rejectedDataPoints": ' + b"9" * 5000 + b"}}"),
]
PAGES = [
    ("text/html", b"<!doctype html><html><style>p {}</style><p>Welcome   back</p>", "Welcome back"),
    ("text/html; charset=utf-8", b"\xef\xbb\xbf\n<html>Log in", "Log in"),
    ("", b"<html>default backend - 404", "default backend - 404"),
    ("application/x-protobuf", b"<html>Log in", "Log in"),
    ("application/json", b"<html>Log in", "Log in"),
    ("application/json", b'{"error": "log in"}', '{"error": "log in"}'),
    ("application/json", b'"ok"', '"ok"'),
    ("", b"ok", "ok"),
    ("text/plain", b"no route", "no route"),
]


@pytest.mark.parametrize(("media_type", "body"), UNREADABLE)
def test_an_answer_of_the_protocol_that_cannot_be_read_is_accepted_with_a_warning(media_type: str, body: bytes) -> None:
    result = classify(HttpResponse(200, {"content-type": media_type}, body), 10, NOW)
    assert isinstance(result, Accepted)
    assert (result.accepted, result.rejected) == (10, 0)
    assert "otlp.endpoint" in result.message


@pytest.mark.parametrize(("media_type", "body", "words"), PAGES)
def test_a_success_that_is_not_of_the_protocol_holds_and_its_first_words_are_reported(
    media_type: str, body: bytes, words: str
) -> None:
    response = HttpResponse(200, {"content-type": media_type}, body)
    result = classify(response, 10, NOW)
    assert isinstance(result, Blocked)
    assert result.message.startswith(f"200 OK: {words} (")
    assert "otlp.endpoint" in result.message
    assert isinstance(classify(response, 10, NOW, RetryRules(strict=True)), Accepted)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("", b"{}"),
        ("text/plain", b'{"partialSuccess": {}}'),
        ("application/octet-stream", partial(0)),
        ("", partial(0)),
        ("text/html", b""),
        ("application/json", b" {} "),
    ],
)
def test_an_answer_of_the_protocol_under_another_name_is_accepted(media_type: str, body: bytes) -> None:
    assert classify(HttpResponse(200, {"content-type": media_type}, body), 10, NOW) == Accepted(10)


def test_a_letter_that_is_not_utf_8_leaves_the_rest_of_a_json_answer_readable() -> None:
    body = b'{"partialSuccess":{"rejectedDataPoints": 3, "errorMessage":"caf\xe9"}}'
    result = classify(HttpResponse(200, {"content-type": "application/json"}, body), 10, NOW)
    assert result == Accepted(7, 3, "caf\ufffd")


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 505, 520, 522, 530, 599])
def test_a_temporary_status_is_retried_not_before_the_requested_delay(status: int) -> None:
    result = classify_status(status, b"busy", retry_after="7")
    assert isinstance(result, Retryable)
    assert result.retry_after == 7
    assert "busy" in result.message


@pytest.mark.parametrize("status", [401, 403, 404, 407, 300, 301, 302, 303, 304, 307, 308])
def test_a_wrong_credential_or_address_or_a_redirect_blocks_and_names_the_setting(status: int) -> None:
    result = classify_status(status)
    assert isinstance(result, Blocked)
    assert "otlp." in result.message or "HTTP_PROXY" in result.message


def test_a_redirect_is_reported_with_its_host_alone() -> None:
    result = classify_status(302, b"<html>", location="https://user:hush@login.example/x?token=hush")
    assert isinstance(result, Blocked)
    assert result.message.startswith("302 Found: to login.example; see otlp.endpoint")
    assert "hush" not in result.message
    assert isinstance(classify_status(302, location="http://[broken"), Blocked)


@pytest.mark.parametrize("status", [408, 500, 501, 520, 530])
def test_strict_rules_retry_only_what_the_specification_allows(status: int) -> None:
    strict = RetryRules(strict=True)
    assert isinstance(classify(HttpResponse(status), 10, NOW, strict), Permanent)
    for allowed in (429, 502, 503, 504):
        assert isinstance(classify(HttpResponse(allowed), 10, NOW, strict), Retryable)
    for held in (401, 403, 404, 407):
        assert isinstance(classify(HttpResponse(held), 10, NOW, strict), Permanent)


def test_codes_are_added_to_and_removed_from_those_that_are_retried_or_held() -> None:
    rules = RetryRules(added=frozenset({"408", "404"}), removed=frozenset({"500", "503", "401"}))
    for added in (408, 404):
        assert isinstance(classify(HttpResponse(added), 10, NOW, rules), Retryable)
    for removed in (500, 503, 401):
        assert isinstance(classify(HttpResponse(removed), 10, NOW, rules), Permanent)
    assert isinstance(classify(HttpResponse(408), 10, NOW, replace(rules, strict=True)), Retryable)


@pytest.mark.parametrize("status", [402, 405, 406, 408, 410, 415, 422, 431])
def test_other_statuses_are_permanent(status: int) -> None:
    result = classify_status(status, retry_after="7")
    assert isinstance(result, Permanent)
    assert (result.reason, result.can_split) == (f"http_{status}", False)


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_request_may_be_split(status: int) -> None:
    result = classify_status(status)
    assert isinstance(result, Permanent)
    assert (result.can_split, result.too_large) == (True, status == 413)


def test_a_missing_response_is_retried_and_unusable_settings_block() -> None:
    assert classify(NoResponse("gone"), 10, NOW) == Retryable("gone", None, unanswered=True)
    assert classify(NotSent("otlp.endpoint is no URL"), 10, NOW) == Blocked("otlp.endpoint is no URL", unsent=True)


@pytest.mark.parametrize("status", ["200", "503", "OK"])
def test_a_response_that_is_too_large_is_permanent(status: str) -> None:
    result = classify(ResponseTooLarge(status), 10, NOW)
    assert isinstance(result, Permanent)
    assert (result.reason, result.can_split) == ("endless_answer", False)


@pytest.mark.parametrize(("status", "kind"), [(503, Retryable), (401, Blocked), (400, Permanent)])
def test_the_status_of_an_error_counts_however_long_its_page_is(status: int, kind: type) -> None:
    assert isinstance(classify(ResponseTooLarge(str(status), HttpResponse(status)), 10, NOW), kind)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (HttpResponse(200), Accepted),
        (HttpResponse(200, {"content-type": "text/html"}), Blocked),
        (HttpResponse(503), Retryable),
        (HttpResponse(400), Permanent),
    ],
)
def test_a_response_that_breaks_after_its_status_counts_by_its_status(response: HttpResponse, kind: type) -> None:
    result = classify(BrokenResponse(response, "it broke"), 10, NOW)
    assert isinstance(result, kind)
    assert result.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        (" 5 ", 5),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3),
        ("Sun Nov  6 08:49:40 1994", 3),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("1e3", None),
        ("999999", 3600),
        ("Sun, 06 Nov 2094 08:49:40 GMT", 3600),
    ],
)
def test_retry_after_is_an_integer_or_an_http_date_in_the_future(header: str, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_an_error_has_the_text_of_the_server() -> None:
    body: bytes = Status(code=3, message="metric has\nno points").SerializeToString()
    result = classify(HttpResponse(400, PROTOBUF, body), 10, NOW)
    assert isinstance(result, Permanent)
    assert result.message == "400 Bad Request: metric has no points; see otlp.endpoint"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"x" * 10_000, "x" * 200 + "…"),
        (b"\x00\x01\x02", "3 bytes that are not text"),
        (b"\x1b[31mred\r\n", "[31mred"),
        ("é".encode() * 900, "é" * 200 + "…"),
    ],
)
def test_an_error_in_any_body_becomes_one_short_line(body: bytes, text: str) -> None:
    result = classify_status(500, body)
    assert isinstance(result, Retryable)
    assert result.message == f"500 Internal Server Error: {text}"


def test_invalid_protobuf_does_not_change_the_result() -> None:
    assert isinstance(classify(HttpResponse(503, PROTOBUF, b"\xff\xff\xff"), 10, NOW), Retryable)
