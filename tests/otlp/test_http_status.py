"""What each answer means: the table of DESIGN §5."""

from __future__ import annotations

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.otlp.transport.response import ResponseTooLarge, NoResponse, NotSent, classify
from exporter.net.response import HttpResponse
from exporter.otlp.transport.http_status import retry_after
from exporter.otlp.result import Accepted, Blocked, Retryable, Permanent, RequestResult

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
PROTOBUF = {"content-type": "application/x-protobuf"}


def partial(rejected: int, message: str = "") -> bytes:
    told = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return ExportMetricsServiceResponse(partial_success=told).SerializeToString()


def judged(status: int, body: bytes = b"", **headers: str) -> RequestResult:
    return classify(HttpResponse(status, {name.replace("_", "-"): text for name, text in headers.items()}, body), 10, NOW)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_2xx_with_nothing_in_it_is_a_full_success(status: int) -> None:
    assert judged(status) == Accepted(10)


@pytest.mark.parametrize(
    ("rejected", "verdict"),
    [(0, Accepted(10, 0, "why")), (3, Accepted(7, 3, "why")), (99, Accepted(0, 10, "why")), (-1, Accepted(10, 0, "why"))],
)
def test_partial_success_is_done_and_counts_what_was_rejected(rejected: int, verdict: RequestResult) -> None:
    assert classify(HttpResponse(200, PROTOBUF, partial(rejected, "why")), 10, NOW) == verdict


def test_partial_success_in_json_is_understood() -> None:
    body = b'{"partialSuccess": {"rejectedDataPoints": "4", "errorMessage": "old"}, "more": 1}'
    assert classify(HttpResponse(200, {"content-type": "application/json; charset=utf-8"}, body), 10, NOW) == Accepted(6, 4, "old")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>Welcome</html>"),
        ("application/x-protobuf", b"\xff\xff"),
        ("application/json", b"{"),
        ("", b"ok"),
    ],
)
def test_a_200_that_is_not_otlp_is_delivered_with_a_warning_that_names_the_setting(kind: str, body: bytes) -> None:
    verdict = classify(HttpResponse(200, {"content-type": kind}, body), 10, NOW)
    assert isinstance(verdict, Accepted)
    assert (verdict.accepted, verdict.rejected) == (10, 0)
    assert "otlp.endpoint" in verdict.message


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_later_and_not_before_it_was_asked_for(status: int) -> None:
    verdict = judged(status, b"busy", retry_after="7")
    assert isinstance(verdict, Retryable)
    assert verdict.retry_after == 7
    assert "busy" in verdict.message


@pytest.mark.parametrize("status", [401, 403, 404, 407, 300, 301, 302, 303, 304, 307, 308])
def test_a_wrong_credential_or_address_or_a_redirect_is_held_and_the_setting_named(status: int) -> None:
    verdict = judged(status)
    assert isinstance(verdict, Blocked)
    assert "otlp." in verdict.message or "HTTP_PROXY" in verdict.message


def test_a_redirect_says_where_to_but_not_what_else_is_in_its_url() -> None:
    verdict = judged(302, b"<html>", location="https://user:hush@login.example/x?token=hush")
    assert isinstance(verdict, Blocked)
    assert verdict.message.startswith("302 Found: to login.example; see otlp.endpoint")
    assert "hush" not in verdict.message
    assert isinstance(judged(302, location="http://[broken"), Blocked)


@pytest.mark.parametrize("status", [402, 405, 406, 408, 410, 415, 422, 431, 500, 501, 505, 599])
def test_all_else_is_given_up_whole(status: int) -> None:
    verdict = judged(status, retry_after="7")
    assert isinstance(verdict, Permanent)
    assert (verdict.reason, verdict.can_split) == (f"http_{status}", False)


@pytest.mark.parametrize("status", [400, 413])
def test_what_may_have_one_bad_part_is_given_up_in_parts(status: int) -> None:
    verdict = judged(status)
    assert isinstance(verdict, Permanent)
    assert (verdict.can_split, verdict.too_large) == (True, status == 413)


def test_no_answer_is_tried_later_and_an_unfit_setting_held() -> None:
    assert classify(NoResponse("gone"), 10, NOW) == Retryable("gone", None, unanswered=True)
    assert classify(NotSent("otlp.endpoint is no URL"), 10, NOW) == Blocked("otlp.endpoint is no URL")


@pytest.mark.parametrize("status", ["200", "503", "OK"])
def test_an_endless_answer_is_given_up(status: str) -> None:
    verdict = classify(ResponseTooLarge(status), 10, NOW)
    assert isinstance(verdict, Permanent)
    assert (verdict.reason, verdict.can_split) == ("endless_answer", False)


@pytest.mark.parametrize(
    ("value", "seconds"),
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
def test_retry_after_is_whole_seconds_or_an_http_date_ahead(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_an_error_says_what_the_server_said() -> None:
    body: bytes = Status(code=3, message="metric has\nno points").SerializeToString()
    verdict = classify(HttpResponse(400, PROTOBUF, body), 10, NOW)
    assert isinstance(verdict, Permanent)
    assert verdict.message == "400 Bad Request: metric has no points; see otlp.endpoint"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"x" * 10_000, "x" * 200 + "…"),
        (b"\x00\x01\x02", "3 bytes that are not text"),
        (b"\x1b[31mred\r\n", "[31mred"),
        ("é".encode() * 900, "é" * 200 + "…"),
    ],
)
def test_an_error_in_any_body_becomes_one_short_line(body: bytes, said: str) -> None:
    verdict = judged(500, body)
    assert isinstance(verdict, Permanent)
    assert verdict.message == f"500 Internal Server Error: {said}"


def test_protobuf_that_cannot_be_read_is_no_obstacle() -> None:
    assert isinstance(classify(HttpResponse(503, PROTOBUF, b"\xff\xff\xff"), 10, NOW), Retryable)
