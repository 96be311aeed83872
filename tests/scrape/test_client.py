"""One scrape of one address, of servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.net.gzip import MAX_BLOCK_BYTES, GunzipStream
from exporter.scrape.client import MAX_BLOCKING_SECONDS
from tests.scrape.conftest import Sink

if TYPE_CHECKING:
    from types import ModuleType

    from tests.scrape.conftest import Scrape, Servers

PAGE = b"# TYPE rollout_info gauge\n" + b'rollout_info{name="a"} 1\n' * 9000
GZIPPED = gzip.compress(PAGE)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_page_is_received_completely_with_its_status_and_headers(
    serve: Servers, scrape: Scrape, http: ModuleType
) -> None:
    server = await serve(http.response(PAGE, Content_Type="text/plain; version=0.0.4"))
    assert await scrape(server.target) is None
    assert scrape.sink.status == 200
    assert scrape.sink.headers["content-type"] == "text/plain; version=0.0.4"
    assert sum(scrape.sink.blocks) == len(PAGE)
    assert max(scrape.sink.blocks) <= MAX_BLOCK_BYTES


async def test_the_request_has_the_configured_path_and_headers(
    serve: Servers, scrape: Scrape, http: ModuleType
) -> None:
    server = await serve(http.response())
    target = f"http://argo.test:{server.port}/metrics?resources=pods,replicasets"
    assert await scrape(target, headers={"X-Scope-OrgID": "blue", "accept": "text/plain"}, timeout="2500ms") is None
    request, *lines = server.request_heads[0].strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert request == "GET /metrics?resources=pods,replicasets HTTP/1.1"
    assert headers["host"] == f"argo.test:{server.port}"
    assert headers["accept-encoding"] == "gzip"
    assert headers["x-prometheus-scrape-timeout-seconds"] == "2.5"
    assert headers["user-agent"].startswith("rollouts-exporter/")
    assert (headers["x-scope-orgid"], headers["accept"]) == ("blue", "text/plain")
    assert len(headers) == len(lines), "no header is sent twice"


async def test_the_request_accepts_text_format_0_0_4(serve: Servers, scrape: Scrape, http: ModuleType) -> None:
    server = await serve(http.response())
    await scrape(server.target)
    assert "\r\nAccept: text/plain;version=0.0.4\r\n" in server.request_heads[0]
    assert "Authorization" not in server.request_heads[0]
    assert "Cookie" not in server.request_heads[0]


@pytest.mark.parametrize(
    "response_bytes",
    [
        GZIPPED,
        gzip.compress(PAGE[:1000]) + gzip.compress(b"") + gzip.compress(PAGE[1000:]),
        gzip.compress(PAGE, compresslevel=0),
    ],
    ids=["one member", "three members", "stored"],
)
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
async def test_gzip_is_decompressed(
    serve: Servers, scrape: Scrape, http: ModuleType, response_bytes: bytes, encoding: str
) -> None:
    server = await serve(http.response(response_bytes, Content_Encoding=encoding))
    assert await scrape(server.target) is None
    assert sum(scrape.sink.blocks) == len(PAGE)
    assert scrape.sink.body.startswith(PAGE[:26])
    assert max(scrape.sink.blocks) <= MAX_BLOCK_BYTES


async def test_an_empty_page_is_valid(serve: Servers, scrape: Scrape, http: ModuleType) -> None:
    for response_bytes in (http.response(), http.response(Content_Encoding="gzip"), CHUNKED + b"0\r\n\r\n"):
        assert await scrape((await serve(response_bytes)).target) is None
        assert scrape.sink.status == 200
        assert scrape.sink.blocks == []


BROKEN = {
    "gzip cut short": ("cut_short", GZIPPED[:-9], "gzip"),
    "gzip without its trailer": ("cut_short", GZIPPED[:-8], "gzip"),
    "second member cut short": ("cut_short", GZIPPED + GZIPPED[:30], "gzip"),
    "no gzip at all": ("encoding", PAGE, "gzip"),
    "gzip with a wrong checksum": ("encoding", GZIPPED[:-8] + b"\0" * 8, "gzip"),
    "gzip with rubbish behind": ("encoding", GZIPPED + b"rubbish", "gzip"),
    "another encoding": ("encoding", PAGE, "br"),
    "two encodings": ("encoding", PAGE, "gzip, br"),
}


@pytest.mark.parametrize(("reason", "body", "encoding"), BROKEN.values(), ids=BROKEN)
async def test_a_body_that_cannot_be_decompressed_is_reported(
    serve: Servers, scrape: Scrape, http: ModuleType, reason: str, body: bytes, encoding: str
) -> None:
    server = await serve(http.response(body, Content_Encoding=encoding))
    failure = await scrape(server.target)
    assert failure is not None
    assert failure.reason == reason
    assert failure.message.startswith(f"{server.target} ")
    assert "proxy" in failure.message


ANSWERS = {
    "shorter than its length": (
        "cut_short",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "in the middle of the response",
    ),
    "chunks without an end": ("cut_short", CHUNKED + b"3\r\nabc\r\n", "in the middle of the response"),
    "a chunk without an end": ("cut_short", CHUNKED + b"a\r\nabc", "in the middle of the response"),
    "nothing": ("reset", b"", "argo.tls.cert_file"),
    "another protocol": ("not_http", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "argo.targets"),
    "a header too large": ("not_http", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 11_000_000 + b"\r\n\r\n", "argo.targets"),
    "headers without end": ("not_http", b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000, "argo.targets"),
    "a redirect": (
        "redirect",
        b"HTTP/1.1 302 Found\r\nLocation: //me:hunter2@argo.test/login?token=hunter2\r\n\r\n",
        "to //argo.test/login, and redirects",
    ),
    "a redirect nowhere": ("redirect", b"HTTP/1.1 301 Moved\r\n\r\n", "HTTP 301, and redirects"),
    "a redirect to an invalid URL": (
        "redirect",
        b"HTTP/1.1 307 X\r\nLocation: http://[x\r\n\r\n",
        "HTTP 307 to http://[x,",
    ),
    "not modified": ("redirect", b"HTTP/1.1 304 Not Modified\r\n\r\n", "argo.targets"),
}


@pytest.mark.parametrize(("reason", "response_bytes", "text"), ANSWERS.values(), ids=ANSWERS)
async def test_a_response_without_a_page_is_reported_with_a_hint(
    serve: Servers, scrape: Scrape, reason: str, response_bytes: bytes, text: str
) -> None:
    async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response_bytes)
        await writer.drain()

    server = await serve(respond)
    failure = await scrape(server.target)
    assert failure is not None
    assert (failure.reason, failure.message.partition(" ")[0]) == (reason, server.target)
    assert text in failure.message
    assert "hunter2" not in failure.message
    assert len(failure.message) < 400


async def test_a_redirect_is_not_followed(serve: Servers, scrape: Scrape, http: ModuleType) -> None:
    redirect_target = await serve(http.response(PAGE))
    server = await serve(http.response(b"", "302 Found", Location=f"http://{redirect_target.target}/metrics"))
    failure = await scrape(server.target, headers={"X-Key": "hunter2"})
    assert failure is not None
    assert f"HTTP 302 to http://{redirect_target.target}/metrics, and redirects are not followed" in failure.message
    assert redirect_target.request_heads == []
    assert scrape.sink.status == 302


@pytest.mark.parametrize("prefix", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
async def test_a_reset_is_reported(serve: Servers, scrape: Scrape, http: ModuleType, prefix: bytes) -> None:
    async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(prefix)
        await writer.drain()
        http.reset(writer)

    failure = await scrape((await serve(respond)).target)
    assert failure is not None
    assert failure.reason == ("cut_short" if prefix else "reset")


async def test_a_closed_port_is_reported_as_refused(scrape: Scrape) -> None:
    failure = await scrape("argo.test:1", "127.0.0.1")
    assert failure is not None
    assert failure.reason == "refused"
    assert failure.message.startswith("127.0.0.1:1 (argo.test) refused the connection; ")


@pytest.mark.parametrize("response_bytes", [b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, CHUNKED + b"3\r\nabc\r\n"])
async def test_a_slow_target_fails_at_its_timeout(serve: Servers, scrape: Scrape, response_bytes: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response_bytes)
        await reader.read()

    server = await serve(respond)
    async with asyncio.timeout(4):
        failure = await scrape(server.target, timeout="50ms")
    assert failure is not None
    assert failure.reason == "timeout"
    assert failure.message == f"{server.target} did not respond within 0.05 s; raise argo.timeout"


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.write(CHUNKED)
    while True:
        writer.write(b"%x\r\n%b\r\n" % (len(PAGE), PAGE))
        await writer.drain()


async def test_an_endless_body_fails_at_the_limit(serve: Servers, scrape: Scrape) -> None:
    failure = await scrape((await serve(endless)).target, limits={"body": "1MiB"})
    assert failure is not None
    assert failure.reason == "body_limit"
    assert failure.message.endswith("responds with 1048576 bytes or more; raise argo.limits.body")
    assert sum(scrape.sink.blocks) < 1 << 20


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_the_body_limit_counts_decompressed_bytes_and_excludes_the_limit_itself(
    serve: Servers, scrape: Scrape, http: ModuleType, encoding: str
) -> None:
    body = GZIPPED if encoding == "gzip" else PAGE
    server = await serve(http.response(body, Content_Encoding=encoding))
    assert await scrape(server.target, limits={"body": len(PAGE) + 1}) is None
    failure = await scrape(server.target, limits={"body": len(PAGE)})
    assert failure is not None
    assert failure.reason == "body_limit"


async def test_a_gzip_bomb_is_never_decompressed_beyond_a_block(
    serve: Servers, scrape: Scrape, http: ModuleType
) -> None:
    compressor = zlib.compressobj(9, wbits=31)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(64)) + compressor.flush()
    server = await serve(http.response(bomb, Content_Encoding="gzip"))
    tracemalloc.start()
    try:
        failure = await scrape(server.target, limits={"body": "32MiB"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure is not None
    assert failure.reason == "body_limit"
    assert max(scrape.sink.blocks) <= MAX_BLOCK_BYTES
    assert peak < 8 << 20


async def test_an_aborted_sink_ends_the_response(serve: Servers, scrape: Scrape, sink: type[Sink]) -> None:
    assert await scrape((await serve(endless)).target, sink=sink(100_000)) is None
    assert 100_000 <= sum(scrape.sink.blocks) <= 100_000 + MAX_BLOCK_BYTES
    assert await scrape((await serve(endless)).target, sink=sink(0)) is None
    assert scrape.sink.blocks == [], "as when the headers say that it is HTML"


async def test_an_error_in_an_unknown_encoding_is_still_an_error(
    serve: Servers, scrape: Scrape, http: ModuleType
) -> None:
    server = await serve(http.response(b"??", "503 Service Unavailable", Content_Encoding="br"))
    assert await scrape(server.target) is None
    assert (scrape.sink.status, scrape.sink.blocks) == (503, [])


async def test_the_event_loop_runs_between_expensive_blocks(serve: Servers, scrape: Scrape, http: ModuleType) -> None:
    server = await serve(http.response(gzip.compress(bytes(20 * MAX_BLOCK_BYTES)), Content_Encoding="gzip"))
    sink = Sink(block_seconds=1.1 * MAX_BLOCKING_SECONDS)
    block_counts: list[int] = []

    async def count_blocks() -> None:
        while True:
            block_counts.append(len(sink.blocks))
            await asyncio.sleep(0)

    counter = asyncio.ensure_future(count_blocks())
    assert await scrape(server.target, sink=sink) is None
    counter.cancel()
    assert set(range(1, 20)) <= set(block_counts)


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.lists(
        st.binary(max_size=200) | st.integers(MAX_BLOCK_BYTES - 2, MAX_BLOCK_BYTES * 2 + 2).map(bytes), max_size=4
    ),
    st.lists(st.integers(0, 900), max_size=8),
)
@example([bytes(MAX_BLOCK_BYTES), bytes(MAX_BLOCK_BYTES)], [])
def test_gzip_decompresses_to_the_same_however_it_is_split(members: list[bytes], cuts: list[int]) -> None:
    compressed = b"".join(map(gzip.compress, members))
    gunzip = GunzipStream()
    chunks = [compressed[start:end] for start, end in pairwise([0, *sorted(cuts), len(compressed)])]
    blocks = [block for chunk in chunks for block in gunzip.feed(chunk)]
    assert b"".join(blocks) == b"".join(members)
    assert all(0 < len(block) <= MAX_BLOCK_BYTES for block in blocks)
    assert gunzip.complete
