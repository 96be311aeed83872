"""One address, asked once, by servers that behave and servers that do not."""

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

    from tests.scrape.conftest import Ask, Servers

PAGE = b"# TYPE rollout_info gauge\n" + b'rollout_info{name="a"} 1\n' * 9000
GZIPPED = gzip.compress(PAGE)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_page_arrives_whole_with_its_status_and_headers(serve: Servers, ask: Ask, http: ModuleType) -> None:
    served = await serve(http.answer(PAGE, Content_Type="text/plain; version=0.0.4"))
    assert await ask(served.target) is None
    assert ask.sink.status == 200
    assert ask.sink.headers["content-type"] == "text/plain; version=0.0.4"
    assert sum(ask.sink.blocks) == len(PAGE)
    assert max(ask.sink.blocks) <= MAX_BLOCK_BYTES


async def test_the_request_says_what_is_wanted_and_by_whom(serve: Servers, ask: Ask, http: ModuleType) -> None:
    served = await serve(http.answer())
    target = f"http://argo.test:{served.port}/metrics?resources=pods,replicasets"
    assert await ask(target, headers={"X-Scope-OrgID": "blue", "accept": "text/plain"}, timeout="2500ms") is None
    request, *lines = served.heads[0].strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert request == "GET /metrics?resources=pods,replicasets HTTP/1.1"
    assert headers["host"] == f"argo.test:{served.port}"
    assert headers["accept-encoding"] == "gzip"
    assert headers["x-prometheus-scrape-timeout-seconds"] == "2.5"
    assert headers["user-agent"].startswith("rollouts-exporter/")
    assert (headers["x-scope-orgid"], headers["accept"]) == ("blue", "text/plain")
    assert len(headers) == len(lines), "no header is sent twice"


async def test_text_of_version_0_0_4_is_what_is_asked_for(serve: Servers, ask: Ask, http: ModuleType) -> None:
    served = await serve(http.answer())
    await ask(served.target)
    assert "\r\nAccept: text/plain;version=0.0.4\r\n" in served.heads[0]
    assert "Authorization" not in served.heads[0]
    assert "Cookie" not in served.heads[0]


@pytest.mark.parametrize(
    "said",
    [
        GZIPPED,
        gzip.compress(PAGE[:1000]) + gzip.compress(b"") + gzip.compress(PAGE[1000:]),
        gzip.compress(PAGE, compresslevel=0),
    ],
    ids=["one member", "three members", "stored"],
)
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
async def test_gzip_is_unpacked(serve: Servers, ask: Ask, http: ModuleType, said: bytes, encoding: str) -> None:
    served = await serve(http.answer(said, Content_Encoding=encoding))
    assert await ask(served.target) is None
    assert sum(ask.sink.blocks) == len(PAGE)
    assert ask.sink.body.startswith(PAGE[:26])
    assert max(ask.sink.blocks) <= MAX_BLOCK_BYTES


async def test_an_empty_page_is_a_page(serve: Servers, ask: Ask, http: ModuleType) -> None:
    for said in (http.answer(), http.answer(Content_Encoding="gzip"), CHUNKED + b"0\r\n\r\n"):
        assert await ask((await serve(said)).target) is None
        assert ask.sink.status == 200
        assert ask.sink.blocks == []


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
async def test_a_body_that_cannot_be_unpacked_is_told(
    serve: Servers, ask: Ask, http: ModuleType, reason: str, body: bytes, encoding: str
) -> None:
    served = await serve(http.answer(body, Content_Encoding=encoding))
    trouble = await ask(served.target)
    assert trouble is not None
    assert trouble.reason == reason
    assert trouble.message.startswith(f"{served.target} ")
    assert "proxy" in trouble.message


ANSWERS = {
    "shorter than its length": ("cut_short", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "in the middle of the response"),
    "chunks without an end": ("cut_short", CHUNKED + b"3\r\nabc\r\n", "in the middle of the response"),
    "a chunk without an end": ("cut_short", CHUNKED + b"a\r\nabc", "in the middle of the response"),
    "nothing": ("reset", b"", "argo.tls.cert_file"),
    "another protocol": ("not_http", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "argo.targets"),
    "a header too large": ("not_http", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "argo.targets"),
    "headers without end": ("not_http", b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000, "argo.targets"),
    "a redirect": (
        "redirect",
        b"HTTP/1.1 302 Found\r\nLocation: //me:hunter2@argo.test/login?token=hunter2\r\n\r\n",
        "to //argo.test/login, and redirects",
    ),
    "a redirect nowhere": ("redirect", b"HTTP/1.1 301 Moved\r\n\r\n", "HTTP 301, and redirects"),
    "a redirect to what is no URL": (
        "redirect",
        b"HTTP/1.1 307 X\r\nLocation: http://[x\r\n\r\n",
        "HTTP 307 to http://[x,",
    ),
    "not modified": ("redirect", b"HTTP/1.1 304 Not Modified\r\n\r\n", "argo.targets"),
}


@pytest.mark.parametrize(("reason", "said", "words"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_is_no_page_is_told_with_its_cure(
    serve: Servers, ask: Ask, reason: str, said: bytes, words: str
) -> None:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    served = await serve(behave)
    trouble = await ask(served.target)
    assert trouble is not None
    assert (trouble.reason, trouble.message.partition(" ")[0]) == (reason, served.target)
    assert words in trouble.message
    assert "hunter2" not in trouble.message
    assert len(trouble.message) < 400


async def test_a_redirect_is_not_followed(serve: Servers, ask: Ask, http: ModuleType) -> None:
    other = await serve(http.answer(PAGE))
    served = await serve(http.answer(b"", "302 Found", Location=f"http://{other.target}/metrics"))
    trouble = await ask(served.target, headers={"X-Key": "hunter2"})
    assert trouble is not None
    assert f"HTTP 302 to http://{other.target}/metrics, and redirects are not followed" in trouble.message
    assert other.heads == []
    assert ask.sink.status == 302


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
async def test_a_reset_is_told(serve: Servers, ask: Ask, http: ModuleType, after: bytes) -> None:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        await writer.drain()
        http.reset(writer)

    trouble = await ask((await serve(behave)).target)
    assert trouble is not None
    assert trouble.reason == ("cut_short" if after else "reset")


async def test_a_port_where_nobody_listens_is_refused(ask: Ask) -> None:
    trouble = await ask("argo.test:1", "127.0.0.1")
    assert trouble is not None
    assert trouble.reason == "refused"
    assert trouble.message.startswith("127.0.0.1:1 (argo.test) refused the connection; ")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, CHUNKED + b"3\r\nabc\r\n"])
async def test_a_target_that_dawdles_is_given_up_at_its_timeout(serve: Servers, ask: Ask, said: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()

    served = await serve(behave)
    async with asyncio.timeout(4):
        trouble = await ask(served.target, timeout="50ms")
    assert trouble is not None
    assert trouble.reason == "timeout"
    assert trouble.message == f"{served.target} did not respond within 0.05 s; raise argo.timeout"


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.write(CHUNKED)
    while True:
        writer.write(b"%x\r\n%b\r\n" % (len(PAGE), PAGE))
        await writer.drain()


async def test_an_endless_body_is_given_up_at_the_limit(serve: Servers, ask: Ask) -> None:
    trouble = await ask((await serve(endless)).target, limits={"body": "1MiB"})
    assert trouble is not None
    assert trouble.reason == "body_limit"
    assert trouble.message.endswith("responds with 1048576 bytes or more; raise argo.limits.body")
    assert sum(ask.sink.blocks) < 1 << 20


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_the_limit_counts_unpacked_bytes_and_equality_trips_it(
    serve: Servers, ask: Ask, http: ModuleType, encoding: str
) -> None:
    body = GZIPPED if encoding == "gzip" else PAGE
    served = await serve(http.answer(body, Content_Encoding=encoding))
    assert await ask(served.target, limits={"body": len(PAGE) + 1}) is None
    trouble = await ask(served.target, limits={"body": len(PAGE)})
    assert trouble is not None
    assert trouble.reason == "body_limit"


async def test_a_gzip_bomb_never_inflates_beyond_a_block(serve: Servers, ask: Ask, http: ModuleType) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    served = await serve(http.answer(bomb, Content_Encoding="gzip"))
    tracemalloc.start()
    try:
        trouble = await ask(served.target, limits={"body": "32MiB"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert trouble is not None
    assert trouble.reason == "body_limit"
    assert max(ask.sink.blocks) <= MAX_BLOCK_BYTES
    assert peak < 8 << 20


async def test_a_sink_that_wants_no_more_ends_the_answer(serve: Servers, ask: Ask, sink: type[Sink]) -> None:
    assert await ask((await serve(endless)).target, sink=sink(100_000)) is None
    assert 100_000 <= sum(ask.sink.blocks) <= 100_000 + MAX_BLOCK_BYTES
    assert await ask((await serve(endless)).target, sink=sink(0)) is None
    assert ask.sink.blocks == [], "as when the headers say that it is HTML"


async def test_a_refusal_in_an_unknown_encoding_is_still_a_refusal(serve: Servers, ask: Ask, http: ModuleType) -> None:
    served = await serve(http.answer(b"??", "503 Service Unavailable", Content_Encoding="br"))
    assert await ask(served.target) is None
    assert (ask.sink.status, ask.sink.blocks) == (503, [])


async def test_the_loop_turns_between_blocks_that_are_much_work(serve: Servers, ask: Ask, http: ModuleType) -> None:
    served = await serve(http.answer(gzip.compress(bytes(20 * MAX_BLOCK_BYTES)), Content_Encoding="gzip"))
    sink = Sink(work=1.1 * MAX_BLOCKING_SECONDS)
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(len(sink.blocks))
            await asyncio.sleep(0)

    watching = asyncio.ensure_future(watch())
    assert await ask(served.target, sink=sink) is None
    watching.cancel()
    assert set(range(1, 20)) <= set(seen)


@settings(max_examples=200)
@given(
    st.lists(st.binary(max_size=200) | st.integers(MAX_BLOCK_BYTES - 2, MAX_BLOCK_BYTES * 2 + 2).map(bytes), max_size=4),
    st.lists(st.integers(0, 900), max_size=8),
)
@example([bytes(MAX_BLOCK_BYTES), bytes(MAX_BLOCK_BYTES)], [])
def test_however_it_is_cut_gzip_unpacks_to_the_same(members: list[bytes], cuts: list[int]) -> None:
    packed = b"".join(map(gzip.compress, members))
    gunzip = GunzipStream()
    parts = [packed[start:end] for start, end in pairwise([0, *sorted(cuts), len(packed)])]
    blocks = [block for part in parts for block in gunzip.feed(part)]
    assert b"".join(blocks) == b"".join(members)
    assert all(0 < len(block) <= MAX_BLOCK_BYTES for block in blocks)
    assert gunzip.complete
