"""Plays a recording over HTTP: each target on a port of its own, answering as it did when it was recorded."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.commands.recording import Frame, FramePage, RecordingError, frames
from exporter.demo.servers import hang_up, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from exporter.family import Source

HOP = frozenset({"connection", "content-encoding", "content-length", "date", "transfer-encoding"})
"""Headers that belong to the recorded connection, not to the page."""


@dataclass(frozen=True, slots=True)
class Played:
    """Where a target of a recording can be asked: its `host:port`, and the installation it belongs to."""

    name: str
    source: Source
    address: str
    installation: str = "default"


@asynccontextmanager
async def replay(path: Path, elapsed: Callable[[], float]) -> AsyncIterator[tuple[tuple[Played, ...], float]]:
    """Serve a recording; yields its targets, and how many seconds it lasts. Raises RecordingError.

    `elapsed` says how many recorded seconds have passed since the first frame. Where a target did not answer, the
    connection is dropped.
    """
    recorded = tuple(frames(path))
    if not recorded:
        raise RecordingError(f"{path} has no frames; `record DIR` makes a recording")
    known = {(page.source, page.installation, page.target): page for frame in recorded for page in frame.pages}
    async with AsyncExitStack() as stack:
        played = []
        for page in known.values():
            address = await stack.enter_async_context(listening(_answer(recorded, page, elapsed)))
            played.append(Played(page.target, page.source, address, page.installation))
        yield tuple(played), recorded[-1].at - recorded[0].at


def showing(recorded: Sequence[Frame], seconds: float) -> Frame:
    """Return the last frame at or before these seconds from the first one."""
    place = bisect_right(recorded, recorded[0].at + seconds, key=lambda frame: frame.at)
    return recorded[max(place - 1, 0)]


def _answer(
    recorded: Sequence[Frame], asked: FramePage, elapsed: Callable[[], float]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answer for one target."""
    who = (asked.source, asked.installation, asked.target)

    async def show(request: web.Request) -> web.Response:
        pages = showing(recorded, elapsed()).pages
        page = next((one for one in pages if (one.source, one.installation, one.target) == who), None)
        return hang_up(request) if page is None or page.status is None else _response(page, page.status)

    return show


def _response(page: FramePage, status: int) -> web.Response:
    """Answer as recorded; a body that cannot be read any more is an error of this server."""
    headers = {name: value for name, value in page.headers.items() if name.lower() not in HOP}
    try:
        response = web.Response(status=status, body=page.body(), headers=headers)
    except RecordingError as error:
        return web.Response(status=500, text=str(error))
    response.enable_compression()
    return response
