"""Servers that behave as told, byte by byte, and a sink that keeps what it is given."""

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
from exporter.scrape.client import ScrapeClient, open_session
from exporter.scrape.targets import Address, parse_target

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import ModuleType

    import aiohttp

    from exporter.metrics import Failure

    Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Spell a whole answer, with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset instead of an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


@dataclass
class Served:
    """A running server: where it is, and what it was asked, head by head, under which names of TLS."""

    host: str
    port: int = 0
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    names: list[str | None] = field(default_factory=list)
    broken_off: int = 0

    @property
    def target(self) -> str:
        return f"{self.host}:{self.port}"


class Servers:
    """Starts servers on loopback addresses, which say the same bytes to each request, or behave as a function does."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._talks: list[asyncio.Task[None]] = []

    async def __call__(
        self, said: bytes | Behaviour, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> Served:
        served = Served(host, port)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._talks.append(cast("asyncio.Task[None]", asyncio.current_task()))
            served.connections += 1
            try:
                await self._talk(served, said, reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                served.broken_off += 1
            finally:
                writer.close()

        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: served.names.append(name)
        server = await asyncio.start_server(talk, host, port, ssl=tls)
        self._servers.append(server)
        served.port = server.sockets[0].getsockname()[1]
        return served

    async def _talk(
        self, served: Served, said: bytes | Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            served.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if callable(said):
                await said(reader, writer)
                return
            writer.write(said)
            await writer.drain()

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)


@pytest.fixture
async def serve() -> AsyncIterator[Servers]:
    servers = Servers()
    yield servers
    await servers.stop()


class Sink:
    """Keeps an answer; `enough` bytes and it wants no more; it works at each block for so many seconds."""

    def __init__(self, enough: int = 1 << 40, work: float = 0.0) -> None:
        self.work = work
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.blocks: list[int] = []
        self._enough = enough

    @property
    def aborted(self) -> bool:
        return sum(self.blocks) >= self._enough

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers

    def feed(self, block: bytes) -> None:
        self.blocks.append(len(block))
        self.body += block[:1000]
        time.sleep(self.work)


class Ask:
    """Asks one target, given as settings of a source, and says what went wrong; `sink` keeps the answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.sink = Sink()

    async def __call__(
        self, target: str, ip: str = "127.0.0.1", sink: Sink | None = None, **settings: object
    ) -> Failure | None:
        return await self.keep(target, ip, sink, **settings)()

    def keep(
        self, target: str, ip: str = "127.0.0.1", sink: Sink | None = None, **settings: object
    ) -> Callable[[], Awaitable[Failure | None]]:
        """Make what asks the same target, again and again."""
        section = ScrapeSource.model_validate({"timeout": 5, **settings})
        client = ScrapeClient(section, "argo")
        address = Address(parse_target(target, section.path), ip)

        async def once() -> Failure | None:
            self.sink = sink or Sink()
            deadline = asyncio.get_running_loop().time() + section.timeout
            return await client.fetch(self._session, address, self.sink, deadline)

        return once


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    async with open_session() as session:
        yield Ask(session)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def http() -> ModuleType:
    """Give this module: `answer` and `reset`."""
    return sys.modules[__name__]


@pytest.fixture
def sink() -> type[Sink]:
    return Sink
