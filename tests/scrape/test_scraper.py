"""One scrape of all addresses of all targets: each has its page or its failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exporter.config.settings import Settings
from exporter.metrics import Source
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ResponseParser, ScrapeRequest
from exporter.scrape.scraper import MAX_CONCURRENCY, Scraper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import ModuleType

    from exporter.config.sources import ScrapeSource
    from exporter.metrics import ScrapeResult
    from tests.scrape.conftest import RunningServer, Servers

    Open = Callable[..., Scraper[ScrapeResult]]

TEXT = {"Content_Type": "text/plain; version=0.0.4; charset=utf-8"}


class FakeResolver:
    """Resolves names to given addresses or errors; a name with None never resolves."""

    def __init__(self) -> None:
        self.addresses: dict[str, tuple[str, ...] | OSError | None] = {}

    async def __call__(self, host: str) -> tuple[str, ...]:
        ips = self.addresses[host]
        if ips is None:
            await asyncio.Event().wait()
        if isinstance(ips, OSError):
            raise ips
        return ips or ()


@pytest.fixture
def resolver() -> FakeResolver:
    return FakeResolver()


@pytest.fixture
async def make_scraper(resolver: FakeResolver) -> AsyncIterator[Open]:
    opened: list[Scraper[ScrapeResult]] = []
    cache = ScrapeCache()

    def open_sink(request_received: ScrapeRequest) -> ResponseParser:
        return ResponseParser(request_received, cache, lambda _name: True)

    def make(**settings: object) -> Scraper[ScrapeResult]:
        off = {"argo": {"targets": ()}, "kube_state_metrics": {"targets": ()}}
        opened.append(Scraper(Settings.parse({**off, **settings}), open_sink, resolver))
        return opened[-1]

    yield make
    for opened_scraper in opened:
        await opened_scraper.aclose()


def outcomes(results: list[ScrapeResult]) -> dict[str, str]:
    """Return by target the reason of its failure, or ok."""
    return {result.target: result.failure.reason if result.failure else "ok" for result in results}


async def serve_all(serve: Servers, response_bytes: bytes, *hosts: str) -> list[RunningServer]:
    """Serve on one port of several addresses, as the pods behind one name do."""
    first = await serve(response_bytes, hosts[0])
    return [first, *[await serve(response_bytes, host, first.port) for host in hosts[1:]]]


async def test_every_address_of_a_name_is_scraped_at_every_tick(
    serve: Servers, make_scraper: Open, resolver: FakeResolver, http: ModuleType
) -> None:
    pods = await serve_all(serve, http.response(b"a 1\n", **TEXT), "127.0.0.1", "127.0.0.2", "127.0.0.3")
    port = pods[0].port
    scraper = make_scraper(argo={"targets": [f"argo.test:{port}"]})
    resolver.addresses["argo.test"] = ("127.0.0.2", "127.0.0.1", "127.0.0.2")
    results = await scraper.scrape(100.5)
    assert [result.target for result in results] == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]
    assert [list(result.families) for result in results] == [["a"], ["a"]]
    assert {(result.source, result.scraped_at, result.installation) for result in results} == {
        (Source.ARGO, 100.5, "default")
    }
    resolver.addresses["argo.test"] = ("127.0.0.3", "127.0.0.2")
    assert outcomes(await scraper.scrape(101.5)) == {f"127.0.0.2:{port}": "ok", f"127.0.0.3:{port}": "ok"}
    assert [len(pod.request_heads) for pod in pods] == [1, 2, 1]
    assert [pod.connections for pod in pods] == [1, 1, 1], "a connection is kept, and is never another pod's"
    assert all(f"\r\nHost: argo.test:{port}\r\n" in head for pod in pods for head in pod.request_heads)


async def test_each_target_has_its_page_or_its_failure(
    serve: Servers, make_scraper: Open, resolver: FakeResolver, http: ModuleType
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()

    broken = b"An error has occurred while serving metrics:\n\nno idea"
    responses = {
        "ok": http.response(b"a 1\n", **TEXT),
        "http_status": http.response(broken, "500 Internal Server Error", **TEXT),
        "content_type": http.response(b"<html>", Content_Type="text/html"),
        "cut_short": http.response(b"a 1\na", **TEXT),
        "not_exposition": http.response(b"<p>Hello\n"),
        "redirect": http.response(b"", "302 Found", Location="/login"),
        "reset": b"",
        "timeout": hang,
    }
    servers = {reason: await serve(behaviour or close_connection) for reason, behaviour in responses.items()}
    resolver.addresses["nowhere.test"] = OSError("Name or service not known")
    expected = {server.target: reason for reason, server in servers.items()} | {
        "nowhere.test:1": "dns",
        "127.0.0.1:1": "refused",
    }
    results = await make_scraper(argo={"targets": list(expected), "timeout": "500ms"}).scrape(1.0)
    assert outcomes(results) == expected
    assert [result.target for result in results] == list(expected), "in the order of the settings"
    assert all(bool(result.families) is (result.failure is None) for result in results)
    failure = {result.target: result.failure for result in results}[servers["http_status"].target]
    assert failure is not None
    assert "no idea" in failure.message


async def test_a_connection_that_the_target_closed_is_opened_again(
    serve: Servers, make_scraper: Open, http: ModuleType
) -> None:
    async def once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http.response(b"a 1\n", **TEXT))
        await writer.drain()

    server = await serve(once)
    scraper = make_scraper(argo={"targets": [server.target]})
    for tick in range(3):
        assert outcomes(await scraper.scrape(tick)) == {server.target: "ok"}
    assert server.connections == 3


async def close_connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_sources_and_installations_are_scraped_separately(
    serve: Servers, make_scraper: Open, http: ModuleType
) -> None:
    servers = [await serve(http.response(b"a 1\n", **TEXT)) for _ in range(4)]
    blue, green, pods, state = (server.target for server in servers)
    scraper = make_scraper(
        argo=[
            {"name": "blue", "targets": [blue]},
            {"name": "green", "targets": [green], "headers": {"x-who": "green"}},
        ],
        kube_state_metrics={"targets": [pods]},
        rollout_state={"targets": [f"http://{state}/state"]},
    )
    results = await scraper.scrape(1.0)
    assert [(result.source.value, result.installation, result.target) for result in results] == [
        ("argo", "blue", blue),
        ("argo", "green", green),
        ("kube_state_metrics", "default", pods),
        ("rollout_state", "default", f"{state}/state"),
    ]
    request_lines = [server.request_heads[0].partition(" HTTP")[0] for server in servers]
    assert request_lines == ["GET /metrics", "GET /metrics", "GET /metrics?resources=pods,replicasets", "GET /state"]
    assert ["x-who: green" in server.request_heads[0] for server in servers] == [False, True, False, False]


async def test_a_source_that_is_not_due_is_not_scraped(serve: Servers, make_scraper: Open, http: ModuleType) -> None:
    argo, pods = [await serve(http.response(b"a 1\n", **TEXT)) for _ in range(2)]

    def is_due(source: Source, section: ScrapeSource) -> bool:
        assert section.targets
        return source is Source.ARGO

    scraper = make_scraper(argo={"targets": [argo.target]}, kube_state_metrics={"targets": [pods.target]})
    assert outcomes(await scraper.scrape(1.0, is_due)) == {argo.target: "ok"}
    assert pods.connections == 0
    assert len(await scraper.scrape(2.0)) == 2


async def test_an_address_that_two_targets_share_is_scraped_once(
    serve: Servers, make_scraper: Open, resolver: FakeResolver, http: ModuleType
) -> None:
    server = await serve(http.response(b"a 1\n", **TEXT))
    resolver.addresses |= {"one.test": ("127.0.0.1",), "two.test": ("127.0.0.1",)}
    scraper = make_scraper(argo={"targets": [f"one.test:{server.port}", f"two.test:{server.port}"]})
    for tick in range(2):
        assert outcomes(await scraper.scrape(tick)) == {server.target: "ok"}
    assert len(server.request_heads) == 2


async def test_addresses_beyond_the_limit_are_reported_as_a_failure(
    serve: Servers, make_scraper: Open, resolver: FakeResolver, http: ModuleType
) -> None:
    server = await serve(http.response(b"a 1\n", **TEXT))
    resolver.addresses["argo.test"] = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    scraper = make_scraper(argo={"targets": [f"argo.test:{server.port}"], "limits": {"addresses": 1}})
    assert outcomes(await scraper.scrape(1.0)) == {server.target: "ok", f"argo.test:{server.port}": "addresses"}


async def test_slow_targets_delay_no_others_and_time_out_together(
    serve: Servers, make_scraper: Open, resolver: FakeResolver, http: ModuleType
) -> None:
    server = await serve(http.response(b"a 1\n", **TEXT))
    resolver.addresses["hangs.test"] = None
    scraper = make_scraper(argo={"targets": [server.target, "hangs.test:1"], "timeout": "100ms"})
    results = await scraper.scrape(1.0)
    assert outcomes(results) == {server.target: "ok", "hangs.test:1": "dns"}
    assert results[0].duration < 0.09 < results[1].duration < 1
    failure = results[1].failure
    assert failure is not None
    assert failure.message == "the name server asked for hangs.test did not respond within 0.1 s; raise argo.timeout"


async def test_targets_are_scraped_concurrently_up_to_a_limit(serve: Servers, make_scraper: Open) -> None:
    active, max_active = 0, 0

    async def respond_slowly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal active, max_active
        active += 1
        max_active = max(max_active, active)
        await asyncio.sleep(0.05)
        active -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n")

    server = await serve(respond_slowly)
    targets = [f"http://{server.target}/{n}" for n in range(MAX_CONCURRENCY + 20)]
    results = await make_scraper(argo={"targets": targets}).scrape(1.0)
    assert set(outcomes(results).values()) == {"ok"}
    assert 10 < max_active <= MAX_CONCURRENCY


async def test_the_sample_limit_of_the_settings_applies(serve: Servers, make_scraper: Open, http: ModuleType) -> None:
    server = await serve(http.response(b"# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n", **TEXT))
    limited = make_scraper(argo={"targets": [server.target], "limits": {"samples": 1}})
    assert outcomes(await limited.scrape(1.0)) == {server.target: "sample_limit"}


async def test_a_cancelled_scrape_closes_its_connections(serve: Servers, make_scraper: Open) -> None:
    request_received, closed = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        request_received.set()
        await reader.read()
        closed.set()

    server = await serve(hang)
    scraper = asyncio.ensure_future(make_scraper(argo={"targets": [server.target]}).scrape(1.0))
    await request_received.wait()
    scraper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scraper
    await asyncio.wait_for(closed.wait(), 5)


def test_targets_with_equal_labels_are_rejected_at_the_start(make_scraper: Open) -> None:
    with pytest.raises(ValueError, match="argo:1 is listed twice"):
        make_scraper(argo={"targets": ["argo:1", "http://argo:1/metrics"]})


async def test_a_token_without_the_right_is_named_with_the_cluster_role_and_its_successor_is_used(
    serve: Servers, make_scraper: Open, http: ModuleType, tmp_path: Path
) -> None:
    """A server that decides as kube-rbac-proxy does."""
    answers = {
        "": http.response(b"Unauthorized\n", "401 Unauthorized"),
        "unbound": http.response(b"Forbidden (user=system:serviceaccount:shop:a, verb=get)\n", "403 Forbidden"),
        "bound": http.response(b"a 1\n", **TEXT),
    }

    async def decide(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = server.request_heads[-1]
        writer.write(next((answer for token, answer in answers.items() if token and token in head), answers[""]))
        await writer.drain()

    server = await serve(decide)
    token = tmp_path / "token"
    scraper = make_scraper(argo={"targets": [server.target], "bearer_token_file": str(token)})
    for text, hint in (
        ("expired", "the credential of argo.bearer_token_file is not accepted"),
        ("unbound", "the ClusterRole system:monitoring"),
        ("bound", ""),
    ):
        token.write_text(text)
        (result,) = await scraper.scrape(1.0)
        assert hint in (result.failure.message if result.failure is not None else "")
    assert result.failure is None
