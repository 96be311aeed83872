"""A backend that dies and returns, and keeps each body it accepted with the time it came."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.demo.fake_backend import CONTENT_TYPE, PATH
from exporter.demo.replay_server import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Arrival:
    """A body that was accepted, and when (Unix seconds); it is decoded only after the soak, to answer at once now."""

    at: float
    body: bytes


class Backend:
    """Takes OTLP/HTTP at one port for as long as it is up; `turned_away` counts requests that were answered 503."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.turned_away = 0
        self._port = 0
        self._sick = False
        self._runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> str:
        """What goes into otlp.endpoint."""
        return f"http://{HOST}:{self._port}"

    async def die(self, *, refusing: bool) -> None:
        """Refuse connections, those that are open end; or else answer 503 to everything."""
        self._sick = not refusing
        if refusing:
            await self.close()

    async def rise(self) -> None:
        """Take requests (again), always at the same port."""
        self._sick = False
        if self._runner is not None:
            return
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post(PATH, self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """End the listener and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._sick:
            self.turned_away += 1
            return web.Response(status=503)
        self.arrivals.append(Arrival(time.time(), body))
        return web.Response(content_type=CONTENT_TYPE)


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    """A backend that is up, and closed in the end."""
    one = Backend()
    await one.rise()
    try:
        yield one
    finally:
        await one.close()
