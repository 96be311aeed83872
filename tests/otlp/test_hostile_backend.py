"""A hostile backend below HTTP: each case has the expected outcome codes, delays and counts."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import trustme

from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.result import Retryable
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.http import HttpTransport
from exporter.otlp.transport.response import NoResponse, classify

from .certificates import client_tls, mutual_tls, server_tls, write_client_certificate
from .pipeline import http_pipeline
from .raw_server import (
    OK,
    close_write_side,
    never_read,
    read_request,
    refuse_early,
    reset,
    reset_during_request,
    respond,
    serve_raw,
    tunnel,
)

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from .raw_server import Behaviour

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
DEFAULT_DELAY, REQUESTED_DELAY, HELD, NO_DELAY = [1.0], [31.0], [1.0, 1.0], list[float]()


@dataclass(frozen=True)
class Case:
    """The behaviour of the first connection, and what is expected of delivery."""

    behaviour: Behaviour
    codes: dict[str, int]
    sleeps: list[float] = field(default_factory=lambda: DEFAULT_DELAY)
    dropped: dict[str, int] = field(default_factory=dict)
    warnings: int = 0


CASES = {
    "a reset within the request": Case(reset_during_request, {"broken": 1, "200": 1}),
    "a half-closed connection": Case(close_write_side, {"broken": 1, "200": 1}),
    "a response that ends in its header": Case(respond(b"HTTP/1.1 200 O"), {"broken": 1, "200": 1}),
    "a response shorter than its Content-Length": Case(
        respond(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), {"200": 1}, NO_DELAY, warnings=1
    ),
    "invalid chunks": Case(
        respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), {"unreadable": 1, "200": 1}, HELD
    ),
    "a header of 9 KiB": Case(
        respond(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"a" * 9000 + b"\r\n\r\n"), {"200": 1}, NO_DELAY
    ),
    "an invalid header": Case(respond(b"HTTP/1.1 200 OK\r\nX\0: a\r\n\r\n"), {"unreadable": 1, "200": 1}, HELD),
    "another protocol": Case(respond(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), {"not_http": 1, "200": 1}),
    "an endless header": Case(
        respond(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 12_000_000), {"unreadable": 1, "200": 1}, HELD
    ),
    "a server that never reads": Case(never_read, {"timeout": 1, "200": 1}),
    "a slow-loris header": Case(
        respond(*[b"HTTP/1.1 200 OK\r\nX: "] + [b"a"] * 20, pause=0.1), {"timeout": 1, "200": 1}
    ),
    "a slow-loris body": Case(
        respond(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b"a"] * 20, pause=0.1),
        {"200": 1},
        NO_DELAY,
        warnings=1,
    ),
    "latency": Case(respond(b"", OK, pause=0.2), {"200": 1}, NO_DELAY),
    "early hints before the response": Case(respond(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK), {"200": 1}, NO_DELAY),
    "a response before the end of the request": Case(refuse_early, {"413": 1, "200": 2}, NO_DELAY),
    "an oversized response": Case(
        respond(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000), {"200": 1}, NO_DELAY, {"endless_answer": 2}
    ),
    "HTML": Case(
        respond(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
        {"200": 2},
        HELD,
    ),
    "busy": Case(respond(BUSY + b"\r\n"), {"503": 1, "200": 1}),
    "busy for seconds": Case(respond(BUSY + b"Retry-After: 30\r\n\r\n"), {"503": 1, "200": 1}, REQUESTED_DELAY),
    "busy until a date": Case(
        respond(BUSY + b"Retry-After: Tue, 14 Nov 2023 22:13:50 GMT\r\n\r\n"), {"503": 1, "200": 1}, [30.877]
    ),
    "busy with an invalid Retry-After": Case(respond(BUSY + b"Retry-After: 1.5\r\n\r\n"), {"503": 1, "200": 1}),
    "busy until a past date": Case(
        respond(BUSY + b"Retry-After: Mon, 13 Nov 2023 22:13:50 GMT\r\n\r\n"), {"503": 1, "200": 1}
    ),
    "a redirect to a login": Case(
        respond(b"HTTP/1.1 302 Found\r\nLocation: http://login.test/?t=1\r\nContent-Length: 0\r\n\r\n"),
        {"302": 1, "200": 1},
        HELD,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_no_point_is_lost_uncounted_with_any_hostile_backend(name: str) -> None:
    case = CASES[name]
    async with (
        serve_raw(case.behaviour) as server,
        http_pipeline(Destination(url(server.port), timeout=0.5)) as pipeline,
    ):
        await pipeline.deliver(1, 2)
    assert pipeline.accounting.requests == case.codes
    assert pipeline.clock.sleeps == [pytest.approx(seconds) for seconds in case.sleeps]
    assert pipeline.accounting.dropped == case.dropped
    assert pipeline.accounting.delivered == 2 - sum(case.dropped.values())
    assert pipeline.accounting.warnings == case.warnings
    assert pipeline.accounting.is_balanced


def url(port: int, scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{port}/v1/metrics"


async def test_a_name_that_does_not_resolve_is_retried_soon() -> None:
    unresolvable_name = ".".join(["a" * 60] * 5)
    async with HttpTransport(Destination(f"http://{unresolvable_name}/")) as transport:
        outcome = await transport.post(b"")
    assert isinstance(outcome, NoResponse)
    assert (outcome.code, "otlp.endpoint" in outcome.message) == ("dns", True)


async def test_a_wrong_tls_name_is_retried_and_server_name_overrides_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with serve_raw(tls=server_tls(authority, "ingest.example")) as server:
        endpoint = url(server.port, "https")
        async with HttpTransport(Destination(endpoint, tls=client_tls(authority, tmp_path))) as transport:
            outcome = await transport.post(b"")
        async with HttpTransport(
            Destination(endpoint, tls=client_tls(authority, tmp_path, "ingest.example"))
        ) as transport:
            assert (await transport.post(b"")).code == "200"
        async with HttpTransport(Destination(endpoint)) as transport:
            assert (await transport.post(b"")).code == "tls"
    assert isinstance(outcome, NoResponse)
    assert (outcome.code, "otlp.tls" in outcome.message) == ("tls", True)
    assert classify(outcome, 1, 0) == Retryable(outcome.message, unanswered=True)


async def test_ca_certificates_are_reloaded_when_their_file_changes(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = client_tls(trustme.CA(), tmp_path, "ingest.example")

    async def correct_files() -> None:
        if len(pipeline.clock.sleeps) == 2:
            client_tls(authority, tmp_path)

    async with (
        serve_raw(tls=server_tls(authority, "ingest.example")) as server,
        http_pipeline(Destination(url(server.port, "https"), tls=tls)) as pipeline,
    ):
        pipeline.clock.after_sleep = correct_files
        await pipeline.deliver(1)
    assert pipeline.accounting.requests == {"tls": 2, "200": 1}
    assert pipeline.clock.sleeps == [1, 2]


async def test_a_client_certificate_is_sent_and_reloaded_when_it_changes(tmp_path: Path) -> None:
    authority = trustme.CA()
    server_context = server_tls(authority, "ingest.example")
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    write_client_certificate(trustme.CA(), tmp_path)

    async def correct_files() -> None:
        if len(pipeline.clock.sleeps) == 2:
            write_client_certificate(authority, tmp_path)

    async with (
        serve_raw(tls=server_context) as server,
        http_pipeline(
            Destination(url(server.port, "https"), tls=mutual_tls(authority, tmp_path, "ingest.example"))
        ) as pipeline,
    ):
        pipeline.clock.after_sleep = correct_files
        await pipeline.deliver(1)
    assert pipeline.accounting.delivered == 1
    assert pipeline.accounting.requests.pop("200") == 1
    assert sum(pipeline.accounting.requests.values()) == 2


async def test_a_missing_certificate_blocks_delivery_until_it_is_back(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = client_tls(authority, tmp_path, "ingest.example")
    (tmp_path / "ca.pem").unlink()

    async def correct_files() -> None:
        if len(pipeline.clock.sleeps) == 4:
            assert pipeline.accounting.state is DeliveryState.BLOCKED
            assert f"otlp.tls: {tmp_path}/ca.pem cannot be read" in pipeline.accounting.state_reason
            client_tls(authority, tmp_path)

    async with (
        serve_raw(tls=server_tls(authority, "ingest.example")) as server,
        http_pipeline(Destination(url(server.port, "https"), tls=tls)) as pipeline,
    ):
        pipeline.clock.after_sleep = correct_files
        await pipeline.deliver(1)
    assert pipeline.accounting.requests == {"unsent": 2, "200": 1}
    assert pipeline.clock.sleeps == [1, 1, 1, 1]


async def test_https_uses_the_proxy_of_the_environment_and_verifies_the_server_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    async with serve_raw(tls=server_tls(authority, "ingest.test")) as server, tunnel(server.port) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:pass@127.0.0.1:{proxy.port}")
        tls = client_tls(authority, tmp_path)
        async with http_pipeline(Destination("https://ingest.test/v1/metrics", tls=tls)) as pipeline:
            await pipeline.deliver(1)
    assert pipeline.accounting.delivered == 1
    assert proxy.connect_requests[0].startswith("CONNECT ingest.test:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in proxy.connect_requests[0]


async def test_a_proxy_error_names_the_setting_and_hides_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with tunnel(0, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:hush4711@127.0.0.1:{proxy.port}")
        async with HttpTransport(Destination("https://ingest.test/v1/metrics")) as transport:
            outcome = await transport.post(b"")
    assert isinstance(outcome, NoResponse)
    assert (outcome.code, "HTTPS_PROXY" in outcome.message, "hush" in outcome.message) == ("proxy", True, False)


async def test_each_retry_sends_the_same_bytes() -> None:
    bodies: list[bytes] = []

    async def record_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await read_request(reader))
        reset(writer)

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await read_request(reader))
        writer.write(OK)

    async with (
        serve_raw(record_and_reset, record_and_reset, record) as server,
        http_pipeline(Destination(url(server.port))) as pipeline,
    ):
        await pipeline.deliver(*range(500))
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
