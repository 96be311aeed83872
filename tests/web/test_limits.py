"""What clients may cost: connections, bytes and time before a request is complete, and readers of large pages."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import time
import zlib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from exporter.config.outputs import WebSection
from exporter.metrics import MetricFamily, MetricType, Series, family_from_samples
from exporter.net.gzip import GZIP_WBITS
from exporter.web.connections import (
    HEAD_SECONDS,
    MAX_CONNECTIONS,
    MIN_CONNECTIONS,
    RESERVED_DESCRIPTORS,
    connection_limit,
)
from exporter.web.server import json_blocks, serve
from exporter.web.shared_page import MAX_READERS, PATIENCE_SECONDS
from tests.pages import samples
from tests.web.page_provider import FixedPages, page_sources
from tests.web.test_server import AUTH, QUIET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.web.model import FleetPage, FleetQuery, RolloutTransitions
    from exporter.web.server import DataSources

HEAD: Final = b"GET /metrics HTTP/1.1\r\nHost: a\r\n"
FILLER: Final = b"".join(b"X-%02d: " % number + b"a" * 8000 + b"\r\n" for number in range(60))
# More than the buffers of two sockets hold.
SERIES: Final = [Series("big", (("n", str(number)), ("text", "x" * 150))) for number in range(100_000)]
BIG: Final = MetricFamily("big", MetricType.GAUGE, "", SERIES, [0.5] * len(SERIES))
SECTION: Final = WebSection(listen="127.0.0.1:0")


@contextmanager
def descriptor_limit(soft: int) -> Iterator[None]:
    """Let this process have only so many descriptors."""
    previous = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, previous[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, previous)


async def received(port: int, *parts: bytes) -> bytes:
    """Return what the server sends to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = b""
    with suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
        while block := await reader.read(65_536):
            sent += block
    writer.close()
    return sent


async def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as response,
    ):
        return response.status, dict(response.headers), await response.read()


async def longest_probe(port: int, busy: asyncio.Future[Any]) -> float:
    """Return how long the slowest answer of /healthz took, one after another until something is done."""
    longest = 0.0
    while not busy.done():
        started = time.monotonic()
        assert (await get(port, "/healthz"))[0] == 200
        longest = max(longest, time.monotonic() - started)
    return longest


@pytest.mark.parametrize(
    ("soft", "limit"),
    [
        (0, MIN_CONNECTIONS),
        (RESERVED_DESCRIPTORS + 30, 30),
        (1024, MAX_CONNECTIONS),
    ],
)
def test_connections_leave_descriptors_for_everything_else(soft: int, limit: int) -> None:
    with descriptor_limit(soft):
        assert connection_limit() == limit


async def test_headers_that_are_too_long_together_end_the_connection_before_any_password() -> None:
    async with serve(WebSection.parse({"listen": "127.0.0.1:0", "basic_auth": AUTH}), QUIET) as port:
        answers = await asyncio.gather(*(received(port, HEAD, FILLER) for _ in range(20)))
        assert (await get(port, "/healthz"))[0] == 200
    # The rest of what was sent may turn the answer into a reset.
    assert set(answers) <= {b"", answers[0]}
    assert all(not answer or answer.startswith(b"HTTP/1.1 431 ") for answer in answers)


async def test_idle_connections_beyond_the_limit_are_replaced_and_probes_get_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with descriptor_limit(RESERVED_DESCRIPTORS):
        async with serve(SECTION, QUIET) as port:
            connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
            for _, writer in connections[::2]:
                writer.write(HEAD)
            started = time.monotonic()
            for _ in range(5):
                assert (await get(port, "/healthz"))[0] == 200
            assert time.monotonic() - started < 1
            # The oldest ones were closed for the newest.
            assert await asyncio.wait_for(connections[0][0].read(), 1) == b""
            for _, writer in connections:
                writer.close()
    lines = [record for record in caplog.records if record.name == "exporter.web.connections"]
    assert [record.getMessage() for record in lines] == ["connections to web.listen were closed"]


async def test_without_a_free_descriptor_the_log_stays_short_and_probes_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve(SECTION, QUIET) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
        with ExitStack() as descriptors:
            with descriptor_limit(64), suppress(OSError):
                while True:
                    descriptors.enter_context(open("/dev/null", "rb"))  # noqa: PTH123, ASYNC230 - a descriptor and nothing else
            with descriptor_limit(64):
                # The connection that is open already is served; a new one waits for a descriptor.
                async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
                    assert response.status == 200
                await asyncio.sleep(0.3)
        assert (await asyncio.wait_for(get(port, "/healthz"), 2))[0] == 200
    assert len(caplog.records) < 5


@pytest.mark.slow
async def test_requests_that_do_not_end_are_closed_in_time() -> None:
    async with serve(SECTION, QUIET) as port:
        started = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"ok\n")
        writer.write(HEAD)
        answers = await asyncio.gather(received(port), received(port, HEAD), reader.read())
        writer.close()
        assert HEAD_SECONDS - 0.1 < time.monotonic() - started < HEAD_SECONDS + 3
    assert set(answers) == {b""}


def big_sources(calls: list[int]) -> DataSources:
    """Return sources of one cycle whose pages are large; `calls` counts their renderings."""

    def families() -> Iterable[MetricFamily]:
        calls.append(1)
        return [BIG]

    def rollouts() -> dict[str, object]:
        calls.append(1)
        return {"at": 1.0, "rollouts": ({"name": f"r{n}", "pods": {"canary": 1}} for n in range(20_000))}

    cycle = object()
    return replace(QUIET, families=families, rollouts=rollouts, version=lambda: cycle)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "clients"), [("/metrics", 200), ("/api/rollouts", 50)])
async def test_many_readers_at_once_share_one_rendering_and_probes_answer(path: str, clients: int) -> None:
    calls: list[int] = []
    async with serve(SECTION, big_sources(calls)) as port:
        readers = asyncio.gather(*(get(port, path) for _ in range(clients)))
        assert await longest_probe(port, readers) < 1
        answers = readers.result()
        bodies = {body for status, _, body in answers if status == 200}
        refusals = [headers["Retry-After"] for status, headers, _ in answers if status == 503]
        assert len(bodies) == 1
        assert len(bodies.pop()) > 200_000
        assert len(refusals) == sum(status != 200 for status, *_ in answers)
        assert set(refusals) <= {"1"}
        assert (await get(port, path))[0] == 200, "who comes back is served"
    assert len(calls) == 1


@pytest.mark.slow
async def test_readers_that_do_not_read_give_way() -> None:
    async with serve(SECTION, big_sources([])) as port:
        await get(port, "/metrics")
        stuck = [await asyncio.open_connection("127.0.0.1", port, limit=1) for _ in range(MAX_READERS)]
        for _, writer in stuck:
            writer.write(HEAD + b"\r\n")
        while (await get(port, "/metrics"))[0] == 200:  # until all of them are being served
            await asyncio.sleep(0.05)
        started = time.monotonic()
        while (await get(port, "/metrics"))[0] != 200:
            assert (await get(port, "/healthz"))[0] == 200
            assert time.monotonic() - started < PATIENCE_SECONDS + 2
            await asyncio.sleep(0.1)
        for _, writer in stuck:
            writer.close()


async def test_readers_of_pages_that_wait_for_a_disk_leave_metrics_alone() -> None:
    released = asyncio.Event()

    class SlowPages(FixedPages):
        async def fleet(self, query: FleetQuery) -> FleetPage:
            await released.wait()
            return await super().fleet(query)

    async with serve(SECTION, page_sources(SlowPages())) as port:
        readers = [asyncio.create_task(get(port, f"/?q={number}")) for number in range(MAX_READERS + 1)]
        (refused,), waiting = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
        assert refused.result()[0] == 503, "all places are taken"
        assert (await get(port, "/metrics"))[0] == 200
        released.set()
        assert {status for status, *_ in await asyncio.gather(*waiting)} == {200}


async def test_a_page_that_waits_for_the_history_on_a_disk_holds_up_no_other_page() -> None:
    reading, released = asyncio.Event(), asyncio.Event()

    class SlowHistory(FixedPages):
        async def transitions(self, *names: str) -> RolloutTransitions:
            reading.set()
            await released.wait()
            return await super().transitions(*names)

    async with serve(SECTION, page_sources(SlowHistory())) as port:
        waiting = asyncio.create_task(get(port, f"/rollouts/{samples.ROLLOUT.namespace}/{samples.ROLLOUT.name}"))
        await reading.wait()
        async with asyncio.timeout(30):
            assert [(await get(port, path))[0] for path in ("/", "/delivery", "/targets")] == [200, 200, 200]
        assert not waiting.done()
        released.set()
        assert (await waiting)[0] == 200


async def test_a_new_cycle_is_rendered_and_own_metrics_are_those_of_the_moment() -> None:
    cycle, number = [object()], [1.0]

    def own_families() -> list[MetricFamily]:
        number[0] += 1
        return [family_from_samples("own", MetricType.GAUGE, "", [(Series("own", ()), number[0])])]

    def families() -> list[MetricFamily]:
        return [
            family_from_samples("a", MetricType.GAUGE, "", [(Series("a", ()), number[0])]),
            # A family that passes through may have the name of an own metric.
            family_from_samples("own", MetricType.GAUGE, "", [(Series("own", (("of", "leader"),)), 7)]),
        ]

    sources = replace(QUIET, families=families, own_families=own_families, version=lambda: cycle[0])
    async with serve(SECTION, sources) as port:
        pages = []
        for _ in range(2):
            for encoding in ("identity", "gzip"):
                headers, body = (await get(port, "/metrics", **{"Accept-Encoding": encoding}))[1:]
                is_gzip = headers.get("Content-Encoding") == "gzip"
                decompressor = zlib.decompressobj(GZIP_WBITS)  # reads one member, as many clients do
                pages.append((decompressor.decompress(body) if is_gzip else body).decode().splitlines())
                assert not decompressor.unused_data
            cycle[0] = object()
    types = [[line for line in page if line.startswith("# TYPE")] for page in pages]
    assert types == [["# TYPE a gauge", "# TYPE own gauge"]] * 4
    assert pages[0][1] == pages[1][1] != pages[2][1] == pages[3][1], "a page is rendered once a cycle"
    assert len({page[-1] for page in pages} | {page[-2] for page in pages}) > 4, "own metrics at each request"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic hush4711\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/9\r\nAuthorization: Basic hush4711\r\n\r\n",
        b"Authorization: Basic hush4711\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic hush4711" + b"a" * 9_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic hush4711\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01hush4711\r\n\r\n",
    ],
    ids=["bad-header", "bad-version", "no-request", "too-long", "bad-length", "tls"],
)
async def test_a_bad_request_logs_nothing_that_it_holds(request_bytes: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serve(SECTION, QUIET) as port:
        assert (await received(port, request_bytes)).startswith(b"HTTP/1.")
    formatter = logging.Formatter()
    assert "hush4711" not in "".join(map(formatter.format, caplog.records))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_reader_that_hangs_up_costs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(SECTION, big_sources([])) as port:
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"\r\n")
            await reader.read(10_000)
            writer.transport.abort()
        assert (await get(port, "/metrics"))[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "document",
    [{}, {"at": 1.5, "rollouts": []}, {"rollouts": [1]}, {"a": [{"b": [1, 2]}] * 450, "c": "text", "d": {"e": None}}],
)
def test_json_in_blocks_is_the_json_of_the_document(document: dict[str, object]) -> None:
    assert b"".join(json_blocks(document)).decode() == json.dumps(document)


async def test_more_clients_at_once_than_connections_are_all_served() -> None:
    with descriptor_limit(RESERVED_DESCRIPTORS):
        async with serve(SECTION, QUIET) as port:
            with descriptor_limit(1024):  # the clients are in this process
                answers = await asyncio.gather(*(get(port, "/healthz") for _ in range(10 * MIN_CONNECTIONS)))
    assert {status for status, *_ in answers} == {200}
