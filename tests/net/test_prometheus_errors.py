"""What is said of an answer that is no result: each case in its exact words."""

from __future__ import annotations

import json

import pytest

from exporter.net.prometheus_response import LONGEST_SAID, Asked, Cures, Reply, document, line
from exporter.metrics import Failure

CREDENTIAL = "read.username and read.password_file"
HERE = "http://store:9090"
LAST9 = "https://read-app-tsdb.last9.io"
READ_URL = "(at Last9 the cluster's Read URL, https://read-app-tsdb.last9.io/hot/v1/metrics/<cluster>/sender/<org>)"
TOKEN = "(at Last9 the cluster id and a read token of that cluster, not the credential of OTLP)"


def asked(address: str = HERE, *, proven: bool = True) -> Asked:
    return Asked(f"{address}/api/v1/query", proven, Cures())


def error(kind: str, text: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


PARSE = error("bad_data", 'invalid parameter "query": 1:4: parse error: unclosed left parenthesis')
CASES: tuple[tuple[Reply, str, str], ...] = (
    (
        Reply(401, "text/plain", b"no\r\n"),
        "credential",
        f"refuses the credential (401 Unauthorized: no); check {CREDENTIAL}",
    ),
    (Reply(403, "text/html", b"<h1>no"), "credential", f"refuses the credential (403 Forbidden); check {CREDENTIAL}"),
    (
        Reply(400, "application/json", PARSE),
        "query",
        'refuses the query: bad_data: invalid parameter "query": 1:4: parse error: unclosed left parenthesis',
    ),
    (Reply(422, "application/json", error("422", "too many")), "query", "refuses the query: 422: too many"),
    (Reply(200, "application/json", error("execution", "many")), "query", "refuses the query: execution: many"),
    (Reply(400, "text/plain", b"bad"), "address", "answers 400 Bad Request: bad at /api/v1/query; check read.address"),
    (Reply(404, "text/plain", b""), "address", "answers 404 Not Found at /api/v1/query; check read.address"),
    (Reply(405), "address", "answers 405 Method Not Allowed at /api/v1/query; check read.address"),
    (
        Reply(302, location="https://sso.example/login?secret"),
        "address",
        "answers 302 Found to sso.example, which is not followed, at /api/v1/query; check read.address",
    ),
    (
        Reply(200, "text/html", b"<html>"),
        "address",
        "answers with a web page, not as a Prometheus API; check read.address",
    ),
    (Reply(200, "", b" <!DOCTYPE"), "address", "answers with a web page, not as a Prometheus API; check read.address"),
    (
        Reply(200, "text/plain", b"hello"),
        "address",
        "answers with something that is no JSON, not as a Prometheus API; check read.address",
    ),
    (Reply(200, "", b'{"a": 1}'), "address", "answers with other JSON, not as a Prometheus API; check read.address"),
    (
        Reply(503, "application/json", error("timeout", "query timed out")),
        "busy",
        "answers 503 Service Unavailable: timeout: query timed out; ask later; if it lasts, check read.address",
    ),
    (Reply(429), "busy", "answers 429 Too Many Requests; ask later; if it lasts, check read.address"),
    (Reply(502, "text/html", b"<p>"), "busy", "answers 502 Bad Gateway; ask later; if it lasts, check read.address"),
    (Reply(599, "", b"x"), "busy", "answers 599: x; ask later; if it lasts, check read.address"),
)


@pytest.mark.parametrize(("reply", "reason", "words"), CASES)
def test_each_refusal_is_told_with_its_cure(reply: Reply, reason: str, words: str) -> None:
    assert document(reply, asked()) == Failure(reason, f"{HERE} {words}")


def test_a_success_is_its_document() -> None:
    assert document(Reply(200, "application/json", b'{"status": "success", "data": []}'), asked()) == {
        "status": "success",
        "data": [],
    }


def test_who_sent_no_credential_is_told_to_set_one() -> None:
    told = document(Reply(401), asked(proven=False))
    assert told == Failure("credential", f"{HERE} wants a credential (401 Unauthorized); set {CREDENTIAL}")


def test_last9s_form_of_address_and_credential_is_told_to_who_asks_last9() -> None:
    at = asked("https://read-app-tsdb.last9.io/hot/v1/metrics/c/sender/o")
    told = [document(reply, at) for reply in (Reply(401), Reply(200, "text/html", b"<html>"))]
    assert told == [
        Failure("credential", f"{LAST9} refuses the credential (401 Unauthorized); check {CREDENTIAL} {TOKEN}"),
        Failure("address", f"{LAST9} answers with a web page, not as a Prometheus API; check read.address {READ_URL}"),
    ]


@pytest.mark.parametrize("reply", [Reply(404), Reply(200, "text/html", b"<html>")])
def test_an_address_that_has_the_path_already_is_told_so(reply: Reply) -> None:
    told = document(reply, asked(f"{HERE}/api/v1/query"))
    assert isinstance(told, Failure)
    assert told.message.endswith("; leave /api/v1/query out of read.address: it is appended")


def test_a_credential_in_the_address_is_not_told() -> None:
    told = document(Reply(404), asked("https://user:pw@store"))
    assert isinstance(told, Failure)
    assert "pw" not in told.message


def test_the_cure_is_named_as_whoever_asks_calls_it() -> None:
    cures = Cures(address="provider.prometheus.address", credential="the header Authorization")
    told = document(Reply(401), Asked(f"{HERE}/api/v1/query", proven=True, cures=cures))
    assert isinstance(told, Failure)
    assert told.message.endswith("; check the header Authorization")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b"[]", b"null", b"1"])
def test_a_hostile_body_is_told_as_any_other(body: bytes) -> None:
    told = document(Reply(200, "application/json", body), asked())
    assert isinstance(told, Failure)
    assert told.reason == "address"


def test_what_is_said_fits_on_one_line() -> None:
    assert line("a\r\n\tb\x00c\x1b[31m") == "a b c [31m"
    assert line("x" * 1000) == "x" * LONGEST_SAID + "…"
