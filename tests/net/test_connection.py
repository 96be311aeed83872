"""Heads of responses that Go's clients accept: long, many, with a repeated Content-Length; bounded as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from exporter.net.connection import MAX_HEAD_BYTES
from exporter.net.errors import ErrorKind, classify_error, error_reason
from exporter.net.http import open_session, read_response
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import QueryResult
from tests.otlp.raw_server import respond, serve_raw

if TYPE_CHECKING:
    import asyncio

    from tests.otlp.raw_server import Behaviour

POLICY = b"Content-Security-Policy: default-src " + b"https://one.example " * 450 + b"\r\n"
MANY_HEADERS = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(1_000))


async def exchange(behaviour: Behaviour) -> tuple[int, bytes]:
    """Return status and body of a request; a POST, since aiohttp repeats a GET that is not answered."""
    async with (
        serve_raw(behaviour) as server,
        open_session(timeout=5) as session,
        session.post(f"http://127.0.0.1:{server.port}/") as response,
    ):
        return response.status, (await read_response(response, 1 << 20)).body


@pytest.mark.parametrize(
    "headers",
    [
        POLICY,
        b"Set-Cookie: " + b"a" * 500_000 + b"\r\n",
        MANY_HEADERS,
        b"Content-Length: 2\r\n",
        b"content-length:2\r\nX: y\r\nCONTENT-LENGTH: 2 \r\n",
    ],
    ids=["9-KB", "500-KB", "1000-headers", "length-twice", "length-three-times"],
)
@pytest.mark.parametrize("cut", [0, 1, 9, 30], ids=["whole", "cut-1", "cut-9", "cut-30"])
async def test_a_head_that_go_accepts_is_accepted(headers: bytes, cut: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + headers + b"\r\nok"
    blocks = [answer[:cut], answer[cut:]] if cut else [answer]
    assert await exchange(respond(*blocks, pause=0.01)) == (200, b"ok")


async def test_a_response_after_early_hints_is_accepted() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"
    assert await exchange(respond(hints + answer)) == (200, b"ok")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", ErrorKind.NOT_HTTP),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ErrorKind.NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Len", ErrorKind.DISCONNECTED),
        (b"", ErrorKind.DISCONNECTED),
    ],
    ids=["lengths-differ", "ssh", "cut", "nothing"],
)
async def test_what_go_rejects_is_rejected_at_once(answer: bytes, kind: ErrorKind) -> None:
    with pytest.raises(aiohttp.ClientError) as caught:
        await exchange(respond(answer))
    assert classify_error(caught.value) is kind


async def test_a_head_without_an_end_is_rejected_at_a_bound() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: " + b"a" * 65_536 + b"\r\n")
            await writer.drain()

    with pytest.raises(aiohttp.ClientResponseError) as caught:
        await exchange(behave)
    assert error_reason(caught.value) == f"status line and headers exceed {MAX_HEAD_BYTES} bytes"


async def test_a_gate_queries_a_store_behind_an_ingress_with_a_long_header() -> None:
    body = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body) + POLICY + b"\r\n" + body
    async with (
        serve_raw(respond(answer)) as server,
        PrometheusClient(PrometheusEndpoint(f"http://127.0.0.1:{server.port}")) as client,
    ):
        assert isinstance(await client.query("up"), QueryResult)
