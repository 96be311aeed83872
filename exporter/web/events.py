"""/api/events: the transitions that are held, as JSON, or with those that follow as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from exporter.web.shared_page import closing_after

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_EVENTS: Final = 10_000
"""Transitions in one answer: some 5 MB."""
DEFAULT_EVENTS: Final = 1_000
MAX_STREAMS: Final = 16
"""Streams that are open at a time: each holds a connection for as long as its reader likes."""
KEEPALIVE_SECONDS: Final = 15.0
"""Between two lines of a stream: proxies close connections that are silent for 30 s or 60 s."""
WRITE_SECONDS: Final = 10.0
"""How long a reader of a stream may leave sent data unread; then its connection is closed."""
STREAM_TYPE: Final = "text/event-stream"
_ALL: Final = 1_000_000
"""More than history holds: a stream skips none."""


class EventsUnavailableError(Exception):
    """The history cannot be read; the message names the setting."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A transition as JSON, with its number: it grows by 1 with each one, also over restarts."""

    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which transitions a client asks for: `after` a number, `since` a time (Unix seconds), the newest `limit`."""

    after: int = 0
    since: float | None = None
    namespace: str | None = None
    name: str | None = None
    types: tuple[str, ...] = ()
    limit: int = DEFAULT_EVENTS


class EventSource(Protocol):
    """Where transitions come from; `next_commit` is set, and replaced, when more are there."""

    @property
    def held_since(self) -> float:
        """Since when transitions are held (Unix seconds)."""

    @property
    def next_commit(self) -> asyncio.Event:
        """An event that is set once more transitions are committed."""

    async def read(self, filters: EventFilter) -> Sequence[StoredEvent]:
        """Return the newest transitions that pass, oldest first. Raises EventsUnavailableError."""


class EventHandlers:
    """Answers requests for transitions."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._stream_count = 0
        self._stopping = asyncio.Event()

    async def stop(self, _: web.Application) -> None:
        """End all streams: a shutdown does not wait for their readers."""
        self._stopping.set()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer with one JSON object, or with a stream if the client accepts that."""
        try:
            filters = _filters(request)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        try:
            if STREAM_TYPE in request.headers.get("Accept", "") and request.method != "HEAD":
                return await self._admit_stream(request, filters)
            return await self._page(filters)
        except EventsUnavailableError as error:
            return web.Response(status=503, text=f"{error}\n")

    async def _page(self, filters: EventFilter) -> web.Response:
        events = await self._source.read(filters)
        last = events[-1].sequence if events else filters.after
        head = json.dumps({"history_since": self._source.held_since, "last": last})[:-1]
        body = b'%s, "events": [%s]}' % (head.encode(), b", ".join(event.body for event in events))
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    async def _admit_stream(self, request: web.Request, filters: EventFilter) -> web.StreamResponse:
        if self._stream_count >= MAX_STREAMS:
            text = "too many streams of events are open; close one, or ask without Accept: text/event-stream\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "60"})
        self._stream_count += 1
        try:
            return await self._stream(request, filters)
        finally:
            self._stream_count -= 1

    async def _stream(self, request: web.Request, filters: EventFilter) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": f"{STREAM_TYPE}; charset=utf-8"})
        next_commit = self._source.next_commit
        events = await self._source.read(filters)  # before the headers, so that an error has its status
        # The history that the client asked for may be cut at its limit; what follows is complete.
        filters = replace(filters, since=None, limit=_ALL)
        with suppress(ConnectionError, TimeoutError):
            await write_part(request, response, b"", prepare=True)
            while not self._stopping.is_set():
                await write_part(request, response, b"".join(map(_message, events)) or b": nothing new\n\n")
                filters = replace(filters, after=events[-1].sequence if events else filters.after)
                await wait_for_either(next_commit, self._stopping)
                next_commit = self._source.next_commit
                events = ()
                with suppress(EventsUnavailableError):  # the disk may answer again; nothing is lost by then
                    events = await self._source.read(filters)
        return response


async def wait_for_either(news: asyncio.Event, stopping: asyncio.Event) -> None:
    """Wait until there is something to send, the server stops, or a sign of life is due."""
    waits = [asyncio.ensure_future(event.wait()) for event in (news, stopping)]
    try:
        await asyncio.wait(waits, timeout=KEEPALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def write_part(request: web.Request, response: web.StreamResponse, data: bytes, *, prepare: bool = False) -> None:
    """Send a part of a stream. Raises TimeoutError after closing the connection of a reader that does not read."""
    async with closing_after(request, WRITE_SECONDS):
        if prepare:
            await response.prepare(request)
        await response.write(data)


def _message(event: StoredEvent) -> bytes:
    """Return a transition as a server-sent event; its JSON has no line breaks."""
    return b"id: %d\ndata: %s\n\n" % (event.sequence, event.body)


def _filters(request: web.Request) -> EventFilter:
    """Return what a request asks for. Raises ValueError with a message for the client."""
    query = request.query
    # A browser that connects again sends the number of the last event that it has seen.
    after = query.get("after") or request.headers.get("Last-Event-ID") or "0"
    try:
        return EventFilter(
            after=_bounded(int(after)),
            since=_finite(query["since"]) if "since" in query else None,
            namespace=query.get("namespace"),
            name=query.get("name"),
            types=tuple(query.getall("type", ())),
            limit=min(max(int(query.get("limit", DEFAULT_EVENTS)), 1), MAX_EVENTS),
        )
    except ValueError:
        raise ValueError("after, limit (numbers) and since (Unix seconds) have to be numbers") from None


def _finite(text: str) -> float:
    """Return a number. Raises ValueError."""
    number = float(text)
    if not isfinite(number):
        raise ValueError("not finite")
    return number


def _bounded(number: int) -> int:
    """Return a number within what the database compares, of 64 bits."""
    return min(max(number, 0), 2**63 - 1)
