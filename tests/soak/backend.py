"""A backend with outages, which stores each accepted body with the time it was received."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.demo.fake_backend import CONTENT_TYPE, PATH
from exporter.demo.servers import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """An accepted body and its time (Unix seconds); decoded only after the soak, so that responses are not delayed."""

    received_at: float
    body: bytes


class FlakyBackend:
    """Accepts OTLP/HTTP at one port while it is up; `unavailable_responses` counts responses of 503."""

    def __init__(self) -> None:
        self.received: list[ReceivedBody] = []
        self.unavailable_responses = 0
        self._port = 0
        self._unavailable = False
        self._runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> str:
        """The value for otlp.endpoint."""
        return f"http://{HOST}:{self._port}"

    async def go_down(self, *, refuse_connections: bool) -> None:
        """Close all connections and refuse new ones, or else answer 503 to every request."""
        self._unavailable = not refuse_connections
        if refuse_connections:
            await self.close()

    async def come_up(self) -> None:
        """Accept requests (again), always at the same port."""
        self._unavailable = False
        if self._runner is not None:
            return
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post(PATH, self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Close the listener and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._unavailable:
            self.unavailable_responses += 1
            return web.Response(status=503)
        self.received.append(ReceivedBody(time.time(), body))
        return web.Response(content_type=CONTENT_TYPE)


@asynccontextmanager
async def flaky_backend() -> AsyncIterator[FlakyBackend]:
    """Yield a backend that is up; close it at the end."""
    server = FlakyBackend()
    await server.come_up()
    try:
        yield server
    finally:
        await server.close()
