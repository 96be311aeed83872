"""Everybody asked at one tick: all addresses of all targets, each with its page or its trouble."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exporter.config.settings import Settings
from exporter.metrics import Source
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ScrapeRequest, ResponseParser
from exporter.scrape.scraper import MAX_CONCURRENCY, Scraper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

    from exporter.config.sources import ScrapeSource
    from exporter.metrics import ScrapeResult
    from tests.scrape.conftest import Served, Servers

    Open = Callable[..., Scraper[ScrapeResult]]

TEXT = {"Content_Type": "text/plain; version=0.0.4; charset=utf-8"}


class Names:
    """What names resolve to; a name that is none hangs for ever."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, ...] | OSError | None] = {}

    async def __call__(self, host: str) -> tuple[str, ...]:
        found = self.known[host]
        if found is None:
            await asyncio.Event().wait()
        if isinstance(found, OSError):
            raise found
        return found or ()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def scraper(names: Names) -> AsyncIterator[Open]:
    opened: list[Scraper[ScrapeResult]] = []
    interner = ScrapeCache()

    def read(asked: ScrapeRequest) -> ResponseParser:
        return ResponseParser(asked, interner, lambda _name: True)

    def make(**settings: object) -> Scraper[ScrapeResult]:
        off = {"argo": {"targets": ()}, "kube_state_metrics": {"targets": ()}}
        opened.append(Scraper(Settings.model_validate({**off, **settings}), read, names))
        return opened[-1]

    yield make
    for one in opened:
        await one.aclose()


def seen(pages: list[ScrapeResult]) -> dict[str, str]:
    """Tell by target what each page came to."""
    return {page.target: page.failure.reason if page.failure else "ok" for page in pages}


async def several(serve: Servers, said: bytes, *hosts: str) -> list[Served]:
    """Serve at one port of several addresses, as the pods behind one name do."""
    first = await serve(said, hosts[0])
    return [first, *[await serve(said, host, first.port) for host in hosts[1:]]]


async def test_every_address_of_a_name_is_asked_at_every_tick(
    serve: Servers, scraper: Open, names: Names, http: ModuleType
) -> None:
    pods = await several(serve, http.answer(b"a 1\n", **TEXT), "127.0.0.1", "127.0.0.2", "127.0.0.3")
    port = pods[0].port
    asking = scraper(argo={"targets": [f"argo.test:{port}"]})
    names.known["argo.test"] = ("127.0.0.2", "127.0.0.1", "127.0.0.2")
    pages = await asking.scrape(100.5)
    assert [page.target for page in pages] == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]
    assert [list(page.families) for page in pages] == [["a"], ["a"]]
    assert {(page.source, page.scraped_at, page.installation) for page in pages} == {(Source.ARGO, 100.5, "default")}
    names.known["argo.test"] = ("127.0.0.3", "127.0.0.2")
    assert seen(await asking.scrape(101.5)) == {f"127.0.0.2:{port}": "ok", f"127.0.0.3:{port}": "ok"}
    assert [len(pod.heads) for pod in pods] == [1, 2, 1]
    assert [pod.connections for pod in pods] == [1, 1, 1], "a connection is kept, and is never another pod's"
    assert all(f"\r\nHost: argo.test:{port}\r\n" in head for pod in pods for head in pod.heads)


async def test_each_target_has_its_page_or_its_trouble(
    serve: Servers, scraper: Open, names: Names, http: ModuleType
) -> None:
    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()

    broken = b"An error has occurred while serving metrics:\n\nno idea"
    said = {
        "ok": http.answer(b"a 1\n", **TEXT),
        "http_status": http.answer(broken, "500 Internal Server Error", **TEXT),
        "content_type": http.answer(b"<html>", Content_Type="text/html"),
        "cut_short": http.answer(b"a 1\na", **TEXT),
        "not_exposition": http.answer(b"<p>Hello\n"),
        "redirect": http.answer(b"", "302 Found", Location="/login"),
        "reset": b"",
        "timeout": hangs,
    }
    served = {reason: await serve(one or quits) for reason, one in said.items()}
    names.known["nowhere.test"] = OSError("Name or service not known")
    expected = {one.target: reason for reason, one in served.items()} | {
        "nowhere.test:1": "dns",
        "127.0.0.1:1": "refused",
    }
    pages = await scraper(argo={"targets": list(expected), "timeout": "500ms"}).scrape(1.0)
    assert seen(pages) == expected
    assert [page.target for page in pages] == list(expected), "in the order of the settings"
    assert all(bool(page.families) is (page.failure is None) for page in pages)
    trouble = {page.target: page.failure for page in pages}[served["http_status"].target]
    assert trouble is not None
    assert "no idea" in trouble.message


async def test_a_connection_that_the_target_closed_meanwhile_is_opened_anew(
    serve: Servers, scraper: Open, http: ModuleType
) -> None:
    async def once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http.answer(b"a 1\n", **TEXT))
        await writer.drain()

    served = await serve(once)
    asking = scraper(argo={"targets": [served.target]})
    for tick in range(3):
        assert seen(await asking.scrape(tick)) == {served.target: "ok"}
    assert served.connections == 3


async def quits(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_sources_and_installations_are_kept_apart(serve: Servers, scraper: Open, http: ModuleType) -> None:
    served = [await serve(http.answer(b"a 1\n", **TEXT)) for _ in range(4)]
    blue, green, pods, state = (one.target for one in served)
    asking = scraper(
        argo=[
            {"name": "blue", "targets": [blue]},
            {"name": "green", "targets": [green], "headers": {"x-who": "green"}},
        ],
        kube_state_metrics={"targets": [pods]},
        rollout_state={"targets": [f"http://{state}/state"]},
    )
    pages = await asking.scrape(1.0)
    assert [(page.source.value, page.installation, page.target) for page in pages] == [
        ("argo", "blue", blue),
        ("argo", "green", green),
        ("kube_state_metrics", "default", pods),
        ("rollout_state", "default", f"{state}/state"),
    ]
    firsts = [one.heads[0].partition(" HTTP")[0] for one in served]
    assert firsts == ["GET /metrics", "GET /metrics", "GET /metrics?resources=pods,replicasets", "GET /state"]
    assert ["x-who: green" in one.heads[0] for one in served] == [False, True, False, False]


async def test_who_is_not_due_is_not_asked(serve: Servers, scraper: Open, http: ModuleType) -> None:
    argo, pods = [await serve(http.answer(b"a 1\n", **TEXT)) for _ in range(2)]

    def due(source: Source, section: ScrapeSource) -> bool:
        assert section.targets
        return source is Source.ARGO

    asking = scraper(argo={"targets": [argo.target]}, kube_state_metrics={"targets": [pods.target]})
    assert seen(await asking.scrape(1.0, due)) == {argo.target: "ok"}
    assert pods.connections == 0
    assert len(await asking.scrape(2.0)) == 2


async def test_an_address_that_two_targets_share_is_asked_once(
    serve: Servers, scraper: Open, names: Names, http: ModuleType
) -> None:
    served = await serve(http.answer(b"a 1\n", **TEXT))
    names.known |= {"one.test": ("127.0.0.1",), "two.test": ("127.0.0.1",)}
    asking = scraper(argo={"targets": [f"one.test:{served.port}", f"two.test:{served.port}"]})
    for tick in range(2):
        assert seen(await asking.scrape(tick)) == {served.target: "ok"}
    assert len(served.heads) == 2


async def test_addresses_beyond_the_limit_leave_a_page_that_says_so(
    serve: Servers, scraper: Open, names: Names, http: ModuleType
) -> None:
    served = await serve(http.answer(b"a 1\n", **TEXT))
    names.known["argo.test"] = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    asking = scraper(argo={"targets": [f"argo.test:{served.port}"], "limits": {"addresses": 1}})
    assert seen(await asking.scrape(1.0)) == {served.target: "ok", f"argo.test:{served.port}": "addresses"}


async def test_the_slow_hold_nobody_up_and_are_late_together(
    serve: Servers, scraper: Open, names: Names, http: ModuleType
) -> None:
    served = await serve(http.answer(b"a 1\n", **TEXT))
    names.known["hangs.test"] = None
    asking = scraper(argo={"targets": [served.target, "hangs.test:1"], "timeout": "100ms"})
    pages = await asking.scrape(1.0)
    assert seen(pages) == {served.target: "ok", "hangs.test:1": "dns"}
    assert pages[0].duration < 0.09 < pages[1].duration < 1
    trouble = pages[1].failure
    assert trouble is not None
    assert trouble.message == "the name server asked for hangs.test did not respond within 0.1 s; raise argo.timeout"


async def test_all_are_asked_at_once_but_not_more_than_so_many(serve: Servers, scraper: Open) -> None:
    waiting, most = 0, 0

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0.05)
        waiting -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n")

    served = await serve(slow)
    targets = [f"http://{served.target}/{n}" for n in range(MAX_CONCURRENCY + 20)]
    pages = await scraper(argo={"targets": targets}).scrape(1.0)
    assert set(seen(pages).values()) == {"ok"}
    assert 10 < most <= MAX_CONCURRENCY


async def test_the_sample_limit_of_the_settings_holds(serve: Servers, scraper: Open, http: ModuleType) -> None:
    served = await serve(http.answer(b"# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n", **TEXT))
    limited = scraper(argo={"targets": [served.target], "limits": {"samples": 1}})
    assert seen(await limited.scrape(1.0)) == {served.target: "sample_limit"}


async def test_a_scrape_that_is_given_up_breaks_its_connections_off(serve: Servers, scraper: Open) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def hangs(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        left.set()

    served = await serve(hangs)
    asking = asyncio.ensure_future(scraper(argo={"targets": [served.target]}).scrape(1.0))
    await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(left.wait(), 5)


def test_targets_that_cannot_be_told_apart_are_refused_at_the_start(scraper: Open) -> None:
    with pytest.raises(ValueError, match="argo:1 is listed twice; list it once"):
        scraper(argo={"targets": ["argo:1", "http://argo:1/metrics"]})
