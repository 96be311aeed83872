"""Pages and targets out of all proportion cost bounded time and memory, and fail with a clear reason."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from exporter.config.settings import Settings
from exporter.net.gzip import MAX_BLOCK_BYTES, GunzipStream
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import MAX_FAMILIES
from exporter.scrape.response import ResponseParser, ScrapeRequest
from exporter.scrape.scraper import MAX_CONCURRENCY, MAX_IDLE_CONNECTIONS, Scraper
from exporter.service.wiring import parser_factory
from tests.bench.measure import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    from exporter.metrics import ScrapeResult
    from tests.scrape.conftest import Servers

MIB: Final = 1024 * 1024
EMPTY_MEMBER: Final = gzip.compress(b"")
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n"


def gzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the gzip of some blocks, in pieces of some KiB."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    piece = b""
    for block in blocks:
        piece += compressor.compress(block)
        if len(piece) > 16_384:
            yield piece
            piece = b""
    yield piece + compressor.flush()


def long_line() -> Iterator[bytes]:
    yield b"# TYPE rollout_info gauge\nrollout_info"
    for _ in range(500):
        yield b"x" * MIB
    yield b" 1\n"


def many_series() -> Iterator[bytes]:
    yield b"# TYPE rollout_info gauge\n"
    for number in range(200):
        yield b"".join(b'rollout_info{name="r%d"} 1\n' % n for n in range(number * 1000, number * 1000 + 1000))


def many_families() -> Iterator[bytes]:
    for number in range(30):
        yield b"".join(b"# TYPE rollout_x%d gauge\n" % n for n in range(number * 1000, number * 1000 + 1000))


def many_members() -> Iterator[bytes]:
    while True:
        yield EMPTY_MEMBER * 1000


def bomb_members() -> Iterator[bytes]:
    member = gzip.compress(b"#" * 10 * MIB)
    while True:
        yield member


class Watch:
    """Measures while the context lasts: the longest time for which the event loop was held, and growth of memory."""

    longest_hold = 0.0
    added_mib = 0.0

    async def __aenter__(self) -> Self:
        self._resident_mib = resident_mib()
        self._task = asyncio.create_task(self._measure())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _measure(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.01
            await asyncio.sleep(0.01)
            self.longest_hold = max(self.longest_hold, clock() - due)
            self.added_mib = max(self.added_mib, resident_mib() - self._resident_mib)


def resident_mib() -> float:
    return resident_bytes(Path("/proc/self/status").read_text(), "VmRSS") / MIB


def descriptor_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "reason", "hint"),
    [
        (lambda: gzipped(long_line()), "body_limit", "raise argo.limits.body"),
        (lambda: gzipped(many_series()), "sample_limit", "raise argo.limits.samples"),
        (lambda: gzipped(many_families()), "family_limit", "series.pass_through"),
        (many_members, "timeout", "raise argo.timeout"),
        (bomb_members, "body_limit", "raise argo.limits.body"),
    ],
    ids=["a line of 500 MB", "too many series", "too many families", "endless empty gzip members", "bombs in members"],
)
async def test_an_absurd_page_fails_with_bounded_time_and_memory(
    body: Callable[[], Iterator[bytes]], reason: str, hint: str, serve: Servers
) -> None:
    # Before the scrape, since the server shares its event loop; the endless ones are cheap.
    pieces = body() if body in (many_members, bomb_members) else list(body())

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Encoding: gzip\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    server = await serve(send)
    timeout = 4 if reason == "timeout" else 15
    argo = {"targets": [server.target], "interval": 15, "timeout": timeout, "limits": {"samples": 100_000}}
    off = {"targets": ()}
    passed = {"pass_through": ["rollout_.*"]}
    settings = Settings.parse({"argo": argo, "kube_state_metrics": off, "series": passed})
    scraper = Scraper(settings, parser_factory(settings))
    async with Watch() as watch:
        (result,) = await scraper.scrape(1.0)
    await scraper.aclose()
    assert result.failure is not None
    assert (result.failure.reason, hint in result.failure.message) == (reason, True), result.failure
    assert result.duration < timeout + 1
    assert watch.longest_hold < 1
    assert watch.added_mib < 100


def test_gzip_of_many_members_costs_no_more_than_its_bytes() -> None:
    body = EMPTY_MEMBER * 20_000 + gzip.compress(b"a 1\n") + EMPTY_MEMBER
    stream = GunzipStream()
    blocks = list(stream.feed(body))
    assert b"".join(blocks) == b"a 1\n"
    assert stream.complete
    assert max(map(len, blocks)) <= MAX_BLOCK_BYTES


def test_a_page_may_select_only_so_many_families() -> None:
    parser = ResponseParser(ScrapeRequest("argo", "a", 1.0), ScrapeCache(), lambda _: True)  # type: ignore[arg-type]
    parser.start(200, {})
    parser.feed(b"".join(b"# TYPE f%d gauge\n" % number for number in range(MAX_FAMILIES)))
    assert not parser.aborted
    parser.feed(b"# TYPE one_more gauge\n")
    failure = parser.finish(None, 0.1).failure
    assert failure is not None
    assert failure.reason == "family_limit"


@pytest.mark.slow
async def test_a_thousand_addresses_of_one_name_leave_few_connections_open(serve: Servers, http: ModuleType) -> None:
    addresses = [f"127.{number // 250}.1.{number % 250 + 1}" for number in range(1_000)]
    server = await serve(http.response(b"a 1\n", Content_Type="text/plain"), host="0.0.0.0")

    async def resolve(_: str) -> Sequence[str]:
        return addresses

    argo = {"targets": [f"argo.test:{server.port}"], "limits": {"addresses": 1_000}}
    settings = Settings.parse({"argo": argo, "kube_state_metrics": {"targets": ()}})
    scraper: Scraper[ScrapeResult] = Scraper(settings, parser_factory(settings), resolve)
    descriptors = descriptor_count()
    async with Watch() as watch:
        results = await scraper.scrape(1.0)
    assert len(results) == 1_000
    assert {result.failure for result in results} == {None}
    assert watch.longest_hold < 1
    assert descriptor_count() - descriptors < 2 * (MAX_IDLE_CONNECTIONS + MAX_CONCURRENCY)
    await scraper.aclose()
