"""Responses that are not a result: the Failure of each, in its exact message."""

from __future__ import annotations

import json

import pytest

from exporter import log
from exporter.metrics import Failure
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import Hints, QueryContext, parse_response
from exporter.net.response import HttpResponse, excerpt
from tests.otlp.raw_server import respond, serve_raw

CREDENTIAL = "read.username and read.password_file"
HERE = "http://store:9090"
LAST9 = "https://read-app-tsdb.last9.io"
READ_URL = "(at Last9 the cluster's Read URL, https://read-app-tsdb.last9.io/hot/v1/metrics/<cluster>/sender/<org>)"
TOKEN = "(at Last9 the cluster id and a read token of that cluster, not the credential of OTLP)"


def context(address: str = HERE, *, has_credential: bool = True) -> QueryContext:
    return QueryContext(f"{address}/api/v1/query", has_credential, Hints())


def response(status: int, media_type: str, body: bytes) -> HttpResponse:
    return HttpResponse(status, {"content-type": media_type}, body)


def error(kind: str, text: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


PARSE = error("bad_data", 'invalid parameter "query": 1:4: parse error: unclosed left parenthesis')
CASES: tuple[tuple[HttpResponse, str, str], ...] = (
    (
        response(401, "text/plain", b"no\r\n"),
        "credential",
        f"rejects the credential (401 Unauthorized: no); check {CREDENTIAL}",
    ),
    (
        response(403, "text/html", b"<h1>no"),
        "credential",
        f"rejects the credential (403 Forbidden); check {CREDENTIAL}",
    ),
    (
        response(400, "application/json", PARSE),
        "query",
        'rejects the query: bad_data: invalid parameter "query": 1:4: parse error: unclosed left parenthesis',
    ),
    (response(422, "application/json", error("422", "too many")), "query", "rejects the query: 422: too many"),
    (response(200, "application/json", error("execution", "many")), "query", "rejects the query: execution: many"),
    (
        response(400, "text/plain", b"bad"),
        "address",
        "responds 400 Bad Request: bad at /api/v1/query; check read.address",
    ),
    (response(404, "text/plain", b""), "address", "responds 404 Not Found at /api/v1/query; check read.address"),
    (HttpResponse(405), "address", "responds 405 Method Not Allowed at /api/v1/query; check read.address"),
    (
        HttpResponse(302, {"location": "https://sso.example/login?secret"}),
        "address",
        "responds 302 Found to sso.example, which is not followed, at /api/v1/query; check read.address",
    ),
    (
        response(200, "text/html", b"<html>"),
        "address",
        "responds with a web page, not as a Prometheus API; check read.address",
    ),
    (
        response(200, "", b" <!DOCTYPE"),
        "address",
        "responds with a web page, not as a Prometheus API; check read.address",
    ),
    (
        response(200, "text/plain", b"hello"),
        "address",
        "responds with something that is not JSON, not as a Prometheus API; check read.address",
    ),
    (
        response(200, "", b'{"a": 1}'),
        "address",
        "responds with other JSON, not as a Prometheus API; check read.address",
    ),
    (
        response(503, "application/json", error("timeout", "query timed out")),
        "busy",
        "responds 503 Service Unavailable: timeout: query timed out; retry later; if this persists, check read.address",
    ),
    (HttpResponse(429), "busy", "responds 429 Too Many Requests; retry later; if this persists, check read.address"),
    (
        response(502, "text/html", b"<p>"),
        "busy",
        "responds 502 Bad Gateway; retry later; if this persists, check read.address",
    ),
    (response(599, "", b"x"), "busy", "responds 599: x; retry later; if this persists, check read.address"),
)


@pytest.mark.parametrize(("received", "reason", "message"), CASES)
def test_each_error_is_reported_with_a_hint(received: HttpResponse, reason: str, message: str) -> None:
    assert parse_response(received, context()) == Failure(reason, f"{HERE} {message}")


def test_a_success_is_its_document() -> None:
    assert parse_response(response(200, "application/json", b'{"status": "success", "data": []}'), context()) == {
        "status": "success",
        "data": [],
    }


def test_a_request_without_a_credential_gets_the_hint_to_set_one() -> None:
    failure = parse_response(HttpResponse(401), context(has_credential=False))
    assert failure == Failure("credential", f"{HERE} requires a credential (401 Unauthorized); set {CREDENTIAL}")


def test_hints_for_last9_show_its_form_of_address_and_credential() -> None:
    last9 = context("https://read-app-tsdb.last9.io/hot/v1/metrics/c/sender/o")
    failures = [
        parse_response(received, last9) for received in (HttpResponse(401), response(200, "text/html", b"<html>"))
    ]
    assert failures == [
        Failure("credential", f"{LAST9} rejects the credential (401 Unauthorized); check {CREDENTIAL} {TOKEN}"),
        Failure("address", f"{LAST9} responds with a web page, not as a Prometheus API; check read.address {READ_URL}"),
    ]


@pytest.mark.parametrize("received", [HttpResponse(404), response(200, "text/html", b"<html>")])
def test_an_address_that_includes_the_api_path_gets_the_hint_to_remove_it(received: HttpResponse) -> None:
    failure = parse_response(received, context(f"{HERE}/api/v1/query"))
    assert isinstance(failure, Failure)
    assert failure.message.endswith("; leave /api/v1/query out of read.address: it is appended")


def test_a_credential_in_the_address_is_not_shown() -> None:
    failure = parse_response(HttpResponse(404), context("https://user:pw@store"))
    assert isinstance(failure, Failure)
    assert "pw" not in failure.message


def test_hints_name_the_settings_of_the_caller() -> None:
    hints = Hints(address="provider.prometheus.address", credential="the header Authorization")
    failure = parse_response(HttpResponse(401), QueryContext(f"{HERE}/api/v1/query", has_credential=True, hints=hints))
    assert isinstance(failure, Failure)
    assert failure.message.endswith("; check the header Authorization")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b"[]", b"null", b"1"])
def test_a_hostile_error_body_is_reported_like_any_other(body: bytes) -> None:
    failure = parse_response(response(200, "application/json", body), context())
    assert isinstance(failure, Failure)
    assert failure.reason == "address"


def test_an_excerpt_is_one_bounded_line() -> None:
    assert excerpt("a\r\n\tb\x00c\x1b[31m", 300) == "a b c [31m"
    assert excerpt("x" * 1000, 300) == "x" * 300 + "…"


@pytest.mark.parametrize("start", range(280, 302, 3))
@pytest.mark.parametrize("as_json", [True, False])
async def test_a_message_that_ends_within_a_secret_shows_no_part_of_it(start: int, as_json: bool) -> None:  # noqa: FBT001 - a table's column
    secret = "hush-4711-0815-4242"
    log.register_secrets(secret)
    text = f"{'x' * start}{secret} and more"
    body = error("bad_data", text) if as_json else text.encode()
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with (
        serve_raw(respond(answer)) as server,
        PrometheusClient(PrometheusEndpoint(f"http://127.0.0.1:{server.port}")) as client,
    ):
        failure = await client.query("up")
    assert isinstance(failure, Failure)
    assert "hush" not in failure.message
