"""One POST over real sockets: what is sent, and that every error is an outcome."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from exporter.net.response import HttpResponse
from exporter.otlp.transport.credentials import MAX_RESPONSE_BYTES, Destination
from exporter.otlp.transport.http import HttpTransport
from exporter.otlp.transport.response import BrokenResponse, NoResponse, NotSent, ResponseTooLarge, TransportOutcome

from .backend import Backend, answer_too_late, reset_connection, reset_within_body, status

if TYPE_CHECKING:
    from pathlib import Path

    from .backend import Reply

BODY = gzip.compress(b"")


async def post(destination: Destination, body: bytes = BODY) -> TransportOutcome:
    async with HttpTransport(destination) as transport:
        return await transport.post(body)


async def test_a_request_has_the_headers_that_stores_require(backend: Backend) -> None:
    outcome = await post(
        Destination(backend.url, {"X-Org": "7", "Content-Type": "text/plain", "Content-Encoding": "x"})
    )
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, outcome.body) == (200, b"")
    (request,) = backend.received
    assert (request.method, request.path, request.body) == ("POST", "/v1/metrics", BODY)
    assert request.headers.getall("Content-Type") == ["application/x-protobuf"]
    assert request.headers.getall("Content-Encoding") == ["gzip"]
    assert request.headers["X-Org"] == "7"
    assert request.headers["User-Agent"].startswith("rollouts-exporter/")
    assert " OTel-OTLP-Exporter-Python/" in request.headers["User-Agent"]


async def test_an_uncompressed_body_has_no_content_encoding(backend: Backend) -> None:
    await post(Destination(backend.url), b"plain")
    assert "Content-Encoding" not in backend.received[0].headers
    assert backend.received[0].body == b"plain"


async def test_the_connection_is_reused(backend: Backend) -> None:
    ports = set()

    async def record_port(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response()

    backend.default_reply = record_port
    async with HttpTransport(Destination(backend.url)) as transport:
        for _ in range(3):
            await transport.post(BODY)
    assert len(ports) == 1


async def test_a_stale_connection_costs_exactly_one_more_attempt(backend: Backend) -> None:
    backend.replies = [status(200), reset_connection, status(200), reset_connection, reset_connection]
    async with HttpTransport(Destination(backend.url)) as transport:
        outcomes = [await transport.post(BODY) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [HttpResponse, HttpResponse, NoResponse]
    assert len(backend.received) == 5


async def test_a_new_connection_that_breaks_is_not_retried_at_once(backend: Backend) -> None:
    backend.default_reply = reset_connection
    assert isinstance(await post(Destination(backend.url)), NoResponse)
    assert len(backend.received) == 1


async def test_the_authorization_is_reloaded_from_its_file(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "authorization"
    file.write_text("Basic b25lOm9uZQ==\n")
    async with HttpTransport(
        Destination(backend.url, {"authorization": "Basic old"}, authorization_file=file)
    ) as transport:
        await transport.post(BODY)
        assert not transport.credentials_changed()
        file.write_text("  Basic dHdvOnR3bw==\n\n")
        assert transport.credentials_changed()
        await transport.post(BODY)
        assert not transport.credentials_changed()
    authorizations = [request.headers.getall("Authorization") for request in backend.received]
    assert authorizations == [["Basic b25lOm9uZQ=="], ["Basic dHdvOnR3bw=="]]


@pytest.mark.parametrize("content", [None, b"", b"Basic c2Vj\ncmV0", b"Basic \xff", "Basic sécret".encode()])
async def test_an_unusable_credential_is_reported_with_its_setting_and_not_shown(
    backend: Backend, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "authorization"
    if content is not None:
        file.write_bytes(content)
    outcome = await post(Destination(backend.url, authorization_file=file))
    assert isinstance(outcome, NotSent)
    assert "otlp.authorization_file" in outcome.message
    assert not any(part in outcome.message for part in ("c2Vj", "cmV0", "cret"))
    assert backend.received == []


@pytest.mark.parametrize(
    ("endpoint", "headers"),
    [
        ("127.0.0.1:4318", {}),
        ("ftp://127.0.0.1/v1/metrics", {}),
        ("http://", {}),
        ("http://127.0.0.1:99999/", {}),
        ("http://user:hush@127.0.0.1:1/", {"Authorization": "Basic eHg6eHg="}),
    ],
)
async def test_settings_that_do_not_make_a_valid_request_are_reported(endpoint: str, headers: dict[str, str]) -> None:
    outcome = await post(Destination(endpoint, headers))
    assert isinstance(outcome, NotSent)
    assert "otlp.endpoint" in outcome.message
    assert "hush" not in outcome.message + repr(Destination(endpoint, headers))


async def test_a_header_with_a_line_break_is_not_sent(backend: Backend) -> None:
    outcome = await post(Destination(backend.url, {"X-Key": "hush\r\nX: y"}))
    assert isinstance(outcome, NotSent)
    assert "otlp.headers" in outcome.message
    assert "hush" not in outcome.message
    assert backend.received == []


async def test_a_redirect_is_not_followed(backend: Backend) -> None:
    backend.replies = [status(307, Location=backend.url)]
    outcome = await post(Destination(backend.url, {"Authorization": "Basic c2VjcmV0"}))
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, len(backend.received)) == (307, 1)


async def test_a_response_is_read_with_its_headers_and_decompressed(backend: Backend) -> None:
    backend.replies = [status(503, gzip.compress(b"busy"), Content_Encoding="gzip", Retry_After="9")]
    outcome = await post(Destination(backend.url))
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, outcome.body, outcome.headers["retry-after"]) == (503, b"busy", "9")


async def test_a_response_that_is_not_compressed_as_it_claims_is_returned_as_it_is(backend: Backend) -> None:
    backend.replies = [status(200, b"not gzip", Content_Encoding="gzip")]
    outcome = await post(Destination(backend.url))
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, outcome.body) == (200, b"not gzip")


@pytest.mark.parametrize(
    "reply",
    [
        status(200, b"x" * (MAX_RESPONSE_BYTES + 1)),
        status(200, zlib.compress(b"x" * (MAX_RESPONSE_BYTES + 1)), Content_Encoding="deflate"),
    ],
)
async def test_a_response_is_read_up_to_a_limit(backend: Backend, reply: Reply) -> None:
    backend.replies = [reply]
    assert await post(Destination(backend.url)) == ResponseTooLarge("200")


async def test_a_response_as_long_as_the_limit_is_read(backend: Backend) -> None:
    backend.replies = [status(200, b"x" * MAX_RESPONSE_BYTES)]
    assert isinstance(await post(Destination(backend.url)), HttpResponse)


@pytest.mark.parametrize(("reply", "code"), [(reset_connection, "broken"), (answer_too_late, "timeout")])
async def test_a_failed_exchange_is_reported_by_its_kind(backend: Backend, reply: Reply, code: str) -> None:
    backend.replies = [reply]
    outcome = await post(Destination(backend.url, timeout=0.2))
    assert isinstance(outcome, NoResponse)
    assert outcome.code == code


@pytest.mark.parametrize("requests_before", [0, 1])
async def test_a_response_that_breaks_after_its_status_is_returned_and_never_sent_again(
    backend: Backend, requests_before: int
) -> None:
    backend.replies = [*[status(200)] * requests_before, reset_within_body]
    async with HttpTransport(Destination(backend.url)) as transport:
        for _ in range(requests_before + 1):
            outcome = await transport.post(BODY)
    assert isinstance(outcome, BrokenResponse)
    assert (outcome.code, len(backend.received)) == ("200", requests_before + 1)


async def test_a_refused_connection_is_reported_with_its_setting(backend: Backend) -> None:
    await backend.stop()
    outcome = await post(Destination(backend.url))
    assert isinstance(outcome, NoResponse)
    assert outcome.code == "connect"
    assert "otlp.endpoint" in outcome.message


async def test_a_proxy_from_the_environment_is_used(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{backend.port}")
    monkeypatch.setenv("no_proxy", "other.invalid")
    await post(Destination("http://backend.invalid/v1/metrics", {"Authorization": "Basic c2VjcmV0"}))
    (request,) = backend.received
    assert request.headers["Host"] == "backend.invalid"
    assert request.headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
