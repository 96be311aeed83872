"""Servers that send given bytes or behave as a function does, and a sink that stores a response."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
import trustme

from exporter.config.sources import ScrapeSource
from exporter.config.targets import parse_target
from exporter.scrape.client import ScrapeClient, open_session
from exporter.scrape.targets import Address

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import ModuleType

    import aiohttp

    from exporter.metrics import Failure

    Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def response(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Return a complete response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset instead of an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


@dataclass
class RunningServer:
    """A running server: its address, the heads of the requests it received, and the TLS server names."""

    host: str
    port: int = 0
    request_heads: list[str] = field(default_factory=list)
    connections: int = 0
    server_names: list[str | None] = field(default_factory=list)
    broken_connections: int = 0

    @property
    def target(self) -> str:
        return f"{self.host}:{self.port}"


class Servers:
    """Starts servers on loopback addresses that send the same bytes to each request, or behave as a function does."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(
        self,
        response_bytes: bytes | Behaviour,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> RunningServer:
        server = RunningServer(host, port)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.append(cast("asyncio.Task[None]", asyncio.current_task()))
            server.connections += 1
            try:
                await self._respond(server, response_bytes, reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                server.broken_connections += 1
            finally:
                writer.close()

        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: server.server_names.append(name)
        listener = await asyncio.start_server(handle, host, port, ssl=tls)
        self._listeners.append(listener)
        server.port = listener.sockets[0].getsockname()[1]
        return server

    async def _respond(
        self,
        server: RunningServer,
        response_bytes: bytes | Behaviour,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            server.request_heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if callable(response_bytes):
                await response_bytes(reader, writer)
                return
            writer.write(response_bytes)
            await writer.drain()

    async def stop(self) -> None:
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def serve() -> AsyncIterator[Servers]:
    servers = Servers()
    yield servers
    await servers.stop()


class Sink:
    """Stores a response; aborts after a number of bytes; sleeps for a number of seconds at each block."""

    def __init__(self, abort_after: int = 1 << 40, block_seconds: float = 0.0) -> None:
        self.block_seconds = block_seconds
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.blocks: list[int] = []
        self._abort_after = abort_after

    @property
    def aborted(self) -> bool:
        return sum(self.blocks) >= self._abort_after

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers

    def feed(self, block: bytes) -> None:
        self.blocks.append(len(block))
        self.body += block[:1000]
        time.sleep(self.block_seconds)


class Scrape:
    """Scrapes one target, given as settings of a source, and returns the failure; `sink` holds the response."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.sink = Sink()

    async def __call__(
        self, target: str, ip: str = "127.0.0.1", sink: Sink | None = None, **settings: object
    ) -> Failure | None:
        return await self.prepare(target, ip, sink, **settings)()

    def prepare(
        self, target: str, ip: str = "127.0.0.1", sink: Sink | None = None, **settings: object
    ) -> Callable[[], Awaitable[Failure | None]]:
        """Return a function that scrapes the same target at each call."""
        section = ScrapeSource.parse({"timeout": 5, **settings})
        client = ScrapeClient(section, "argo")
        address = Address(parse_target(target, section.path), ip)

        async def send() -> Failure | None:
            self.sink = sink or Sink()
            deadline = asyncio.get_running_loop().time() + section.timeout
            return await client.fetch(self._session, address, self.sink, deadline)

        return send


@pytest.fixture
async def scrape() -> AsyncIterator[Scrape]:
    async with open_session() as session:
        yield Scrape(session)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def http() -> ModuleType:
    """Return this module: `response` and `reset`."""
    return sys.modules[__name__]


@pytest.fixture
def sink() -> type[Sink]:
    return Sink
