"""One POST over real sockets: what is sent, and that whatever happens is a value."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from exporter.otlp.transport.response import ResponseTooLarge, TransportOutcome, NoResponse, NotSent
from exporter.otlp.transport.credentials import MAX_RESPONSE_BYTES, Destination
from exporter.otlp.transport.http import HttpTransport
from exporter.net.response import HttpResponse

from .backend import Backend, abort, abort_amid, dawdle, status

if TYPE_CHECKING:
    from pathlib import Path

    from .backend import Reply

BODY = gzip.compress(b"")


async def post(destination: Destination, body: bytes = BODY) -> TransportOutcome:
    async with HttpTransport(destination) as over:
        return await over.post(body)


async def test_a_request_has_the_headers_that_stores_insist_on(backend: Backend) -> None:
    outcome = await post(
        Destination(backend.url, {"X-Org": "7", "Content-Type": "text/plain", "Content-Encoding": "x"})
    )
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, outcome.body) == (200, b"")
    (seen,) = backend.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/metrics", BODY)
    assert seen.headers.getall("Content-Type") == ["application/x-protobuf"]
    assert seen.headers.getall("Content-Encoding") == ["gzip"]
    assert seen.headers["X-Org"] == "7"
    assert seen.headers["User-Agent"].startswith("rollouts-exporter/")
    assert " OTel-OTLP-Exporter-Python/" in seen.headers["User-Agent"]


async def test_a_body_that_is_not_compressed_is_not_called_so(backend: Backend) -> None:
    await post(Destination(backend.url), b"plain")
    assert "Content-Encoding" not in backend.seen[0].headers
    assert backend.seen[0].body == b"plain"


async def test_the_connection_is_kept(backend: Backend) -> None:
    ports = set()

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response()

    backend.always = note
    async with HttpTransport(Destination(backend.url)) as over:
        for _ in range(3):
            await over.post(BODY)
    assert len(ports) == 1


async def test_a_kept_connection_that_is_dead_costs_one_more_try_and_no_more(backend: Backend) -> None:
    backend.replies = [status(200), abort, status(200), abort, abort]
    async with HttpTransport(Destination(backend.url)) as over:
        outcomes = [await over.post(BODY) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [HttpResponse, HttpResponse, NoResponse]
    assert len(backend.seen) == 5


async def test_a_new_connection_that_breaks_is_not_tried_again_at_once(backend: Backend) -> None:
    backend.always = abort
    assert isinstance(await post(Destination(backend.url)), NoResponse)
    assert len(backend.seen) == 1


async def test_the_authorization_comes_from_its_file_as_it_is_now(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "authorization"
    file.write_text("Basic b25lOm9uZQ==\n")
    async with HttpTransport(Destination(backend.url, {"authorization": "Basic old"}, authorization_file=file)) as over:
        await over.post(BODY)
        assert not over.credentials_changed()
        file.write_text("  Basic dHdvOnR3bw==\n\n")
        assert over.credentials_changed()
        await over.post(BODY)
        assert not over.credentials_changed()
    sent = [seen.headers.getall("Authorization") for seen in backend.seen]
    assert sent == [["Basic b25lOm9uZQ=="], ["Basic dHdvOnR3bw=="]]


@pytest.mark.parametrize("content", [None, b"", b"Basic c2Vj\ncmV0", b"Basic \xff", "Basic sécret".encode()])
async def test_a_credential_that_is_none_is_told_with_its_cure_and_not_shown(
    backend: Backend, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "authorization"
    if content is not None:
        file.write_bytes(content)
    outcome = await post(Destination(backend.url, authorization_file=file))
    assert isinstance(outcome, NotSent)
    assert "otlp.authorization_file" in outcome.message
    assert not any(part in outcome.message for part in ("c2Vj", "cmV0", "cret"))
    assert backend.seen == []


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
async def test_settings_that_make_no_request_are_told_with_their_cure(endpoint: str, headers: dict[str, str]) -> None:
    outcome = await post(Destination(endpoint, headers))
    assert isinstance(outcome, NotSent)
    assert "otlp.endpoint" in outcome.message
    assert "hush" not in outcome.message + repr(Destination(endpoint, headers))


async def test_a_header_with_a_line_break_is_not_sent(backend: Backend) -> None:
    outcome = await post(Destination(backend.url, {"X-Key": "hush\r\nX: y"}))
    assert isinstance(outcome, NotSent)
    assert "otlp.headers" in outcome.message
    assert "hush" not in outcome.message
    assert backend.seen == []


async def test_a_redirect_is_not_followed(backend: Backend) -> None:
    backend.replies = [status(307, Location=backend.url)]
    outcome = await post(Destination(backend.url, {"Authorization": "Basic c2VjcmV0"}))
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, len(backend.seen)) == (307, 1)


async def test_an_answer_is_read_with_its_headers_and_decompressed(backend: Backend) -> None:
    backend.replies = [status(503, gzip.compress(b"busy"), Content_Encoding="gzip", Retry_After="9")]
    outcome = await post(Destination(backend.url))
    assert isinstance(outcome, HttpResponse)
    assert (outcome.status, outcome.body, outcome.headers["retry-after"]) == (503, b"busy", "9")


async def test_an_answer_that_is_not_compressed_as_it_says_is_an_answer_all_the_same(backend: Backend) -> None:
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
async def test_an_answer_is_read_up_to_a_limit(backend: Backend, reply: Reply) -> None:
    backend.replies = [reply]
    assert await post(Destination(backend.url)) == ResponseTooLarge("200")


async def test_an_answer_as_long_as_the_limit_is_read(backend: Backend) -> None:
    backend.replies = [status(200, b"x" * MAX_RESPONSE_BYTES)]
    assert isinstance(await post(Destination(backend.url)), HttpResponse)


@pytest.mark.parametrize(("reply", "code"), [(abort, "broken"), (abort_amid, "broken"), (dawdle, "timeout")])
async def test_a_failure_on_the_way_is_told_by_its_kind(backend: Backend, reply: Reply, code: str) -> None:
    backend.replies = [reply]
    outcome = await post(Destination(backend.url, timeout=0.2))
    assert isinstance(outcome, NoResponse)
    assert outcome.code == code


async def test_nobody_there_is_told_with_the_setting(backend: Backend) -> None:
    await backend.stop()
    outcome = await post(Destination(backend.url))
    assert isinstance(outcome, NoResponse)
    assert outcome.code == "connect"
    assert "otlp.endpoint" in outcome.message


async def test_a_proxy_from_the_environment_is_used(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{backend.port}")
    monkeypatch.setenv("no_proxy", "other.invalid")
    await post(Destination("http://backend.invalid/v1/metrics", {"Authorization": "Basic c2VjcmV0"}))
    (seen,) = backend.seen
    assert seen.headers["Host"] == "backend.invalid"
    assert seen.headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
