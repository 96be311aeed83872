"""The routes of the pages for people: a page is rendered once a second at most, for all its readers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from exporter.web import manual
from exporter.web.events import STREAM_TYPE, wait_for_either, write_part
from exporter.web.model import ManualView
from exporter.web.pages.favicon import favicon
from exporter.web.pages.query import fleet_query, timeline_query
from exporter.web.shared_page import SharedPage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable

    from exporter.web.model import (
        ConfigurationPage,
        DeliveryPage,
        FleetPage,
        FleetQuery,
        GatesPage,
        PageHead,
        RolloutPage,
        RolloutTransitions,
        TargetsPage,
        TimelineQuery,
    )

    Render = Callable[[], Awaitable[Iterable[bytes]]]

PAGE_SECONDS: Final = 1.0
"""How long readers share a page, which shows ages."""
MAX_PAGES: Final = 64
"""Pages that are held, with different queries: compressed, some 10 KB each."""
MAX_LIVE: Final = 32
"""Open pages that are live at a time: each holds a connection. Beyond, a page is as it was loaded."""
HTML_TYPE: Final = "text/html; charset=utf-8"


class PageProvider(Protocol):
    """Returns what the pages show at the moment of a call."""

    @property
    def next_cycle(self) -> asyncio.Event:
        """An event that is set, and replaced, after the next cycle."""

    @property
    def cycle_count(self) -> int:
        """The number of cycles so far."""

    @property
    def interval(self) -> float:
        """Seconds between two cycles."""

    async def head(self) -> PageHead:
        """Return what stands on each page."""

    async def fleet(self, query: FleetQuery) -> FleetPage:
        """Return the fleet page."""

    async def transitions(self, namespace: str, name: str) -> RolloutTransitions:
        """Return the transitions of a rollout, for its page; this may wait for a disk."""

    async def rollout_page(
        self, namespace: str, name: str, query: TimelineQuery, held: RolloutTransitions
    ) -> RolloutPage:
        """Return the page of a rollout with its transitions."""

    async def delivery(self) -> DeliveryPage:
        """Return the page of delivery."""

    async def targets(self) -> TargetsPage:
        """Return the page of targets."""

    async def gates(self) -> GatesPage:
        """Return the page of shadow gates."""

    async def configuration(self) -> ConfigurationPage:
        """Return the page of the configuration."""


class SharedPages:
    """Pages by what was asked for; one is rendered at a time, and then as long nothing, so that cycles go on."""

    def __init__(self, version: Callable[[], object], max_age: float = PAGE_SECONDS) -> None:
        self._version = version
        self._max_age = max_age
        self._pages: OrderedDict[Hashable, SharedPage] = OrderedDict()
        self._turn = asyncio.Lock()

    def get(self, key: Hashable, render: Render) -> SharedPage:
        """Return the page of a key; the longest unread one of too many is dropped."""
        page = self._pages.pop(key, None)
        if page is None:
            page = SharedPage(render, self._version, self._max_age)
        self._pages[key] = page
        if len(self._pages) > MAX_PAGES:
            self._pages.popitem(last=False)
        return page

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Render a page within this context; nothing in it may wait for a disk, since the other pages wait for it."""
        async with self._turn:
            started = time.thread_time()
            yield
            # Whoever asks for ever new queries gets half of the event loop's time at most.
            await asyncio.sleep(time.thread_time() - started)


class PageRoutes:
    """One method a path; `send` sends a shared page with headers and a status."""

    def __init__(
        self,
        provider: PageProvider,
        version: Callable[[], object],
        send: Callable[[web.Request, SharedPage], Awaitable[web.StreamResponse]],
    ) -> None:
        self._provider = provider
        self._shared = SharedPages(version)
        self._send = send
        self._live_count = 0
        self._stopping = asyncio.Event()

    async def fleet(self, request: web.Request) -> web.StreamResponse:
        """Send the fleet page."""
        query = fleet_query(request.query)
        return await self._page(request, "fleet", query, lambda: self._provider.fleet(query))

    async def rollout(self, request: web.Request) -> web.StreamResponse:
        """Send the page of a rollout; if there is none, one that names similar ones."""
        key = (request.match_info["namespace"], request.match_info["name"])
        query = timeline_query(request.query)

        async def render() -> Iterable[bytes]:
            held = await self._provider.transitions(*key)
            return await self._rendered("rollout", lambda: self._provider.rollout_page(*key, query, held))

        return await self._send(request, self._shared.get(("rollout", (key, query)), render))

    async def delivery(self, request: web.Request) -> web.StreamResponse:
        """Send the page of delivery."""
        return await self._page(request, "delivery", None, self._provider.delivery)

    async def targets(self, request: web.Request) -> web.StreamResponse:
        """Send the page of targets."""
        return await self._page(request, "targets", None, self._provider.targets)

    async def gates(self, request: web.Request) -> web.StreamResponse:
        """Send the page of shadow gates."""
        return await self._page(request, "gates", None, self._provider.gates)

    async def configuration(self, request: web.Request) -> web.StreamResponse:
        """Send the page of the configuration."""
        return await self._page(request, "configuration", None, self._provider.configuration)

    async def manual(self, request: web.Request) -> web.StreamResponse:
        """Send a page of the manual, the table of contents without a topic."""
        article = await asyncio.to_thread(manual.article, request.match_info.get("topic", ""))
        if article is None:
            return web.Response(status=404, text="the manual has no such page; /manual lists all\n")

        async def read() -> ManualView:
            return ManualView(await self._provider.head(), article, manual.entries())

        return await self._page(request, "manual", article.topic, read)

    async def _page(
        self, request: web.Request, name: str, query: Hashable, read: Callable[[], Awaitable[object]]
    ) -> web.StreamResponse:
        return await self._send(request, self._shared.get((name, query), lambda: self._rendered(name, read)))

    async def _rendered(self, name: str, read: Callable[[], Awaitable[object]]) -> Iterable[bytes]:
        async with self._shared.turn():
            # Jinja takes memory that a page that nobody reads need not cost.
            module = import_module(f"exporter.web.pages.{name}")
            text: str = module.render(await read())
        return (text.encode("utf-8", "replace"),)

    async def style(self, _: web.Request) -> web.Response:
        """Send the style sheet."""
        return web.Response(text=_asset("style.css"), content_type="text/css", charset="utf-8")

    async def script(self, _: web.Request) -> web.Response:
        """Send the script."""
        return web.Response(text=_asset("script.js"), content_type="text/javascript", charset="utf-8")

    async def favicon(self, request: web.Request) -> web.Response:
        """Send the icon of a state."""
        return web.Response(text=favicon(request.query.get("state", "")), content_type="image/svg+xml")

    # The stream of cycles ---------------------------------------------------------------------------------------------

    async def stop(self, _: web.Application) -> None:
        """End all streams: a shutdown does not wait for their readers."""
        self._stopping.set()

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Send an event now and after each cycle, as long as the page is open."""
        response = web.StreamResponse(headers={"Content-Type": f"{STREAM_TYPE}; charset=utf-8"})
        if request.method == "HEAD":
            return response
        if self._live_count >= MAX_LIVE:
            text = "too many pages are live; this one is as it was loaded\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "60"})
        self._live_count += 1
        try:
            with suppress(ConnectionError, TimeoutError):
                await self._stream(request, response)
        finally:
            self._live_count -= 1
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        await write_part(request, response, b"", prepare=True)
        while not self._stopping.is_set():
            next_cycle = self._provider.next_cycle
            await write_part(request, response, await self._message())
            while not (next_cycle.is_set() or self._stopping.is_set()):
                await wait_for_either(next_cycle, self._stopping)
                if not next_cycle.is_set():
                    await write_part(request, response, b": nothing new\n\n")

    async def _message(self) -> bytes:
        from exporter.web.pages.headline import has_trouble, title  # noqa: PLC0415 - as above

        provider, head = self._provider, await self._provider.head()
        event = {
            "version": provider.cycle_count,
            "title": title(head),
            "state": "bad" if has_trouble(head) else "good",
            "counts": {str(urgency): count for urgency, count in head.counts.by_urgency.items()},
            "at": head.observed_at,
            "interval": provider.interval,
        }
        return f"event: cycle\ndata: {json.dumps(event)}\n\n".encode()


def _asset(name: str) -> str:
    from exporter.web.pages.rendering import asset  # noqa: PLC0415 - as above

    return asset(name)
