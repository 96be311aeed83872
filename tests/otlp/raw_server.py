"""Servers below HTTP: what each test makes of a connection, byte by byte; and what stands between, as a proxy does."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Manner = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read one request, and return its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].partition("\r")[0]
    return await reader.readexactly(int(length or 0))


async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await request(reader)
        writer.write(OK)


def says(*blocks: bytes, pause: float = 0.0) -> Manner:
    """Read a request, answer these bytes with pauses between, and close."""

    async def manner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for block in blocks:
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(pause)

    return manner


async def reset_amid(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in the middle of the request."""
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def close_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say no more, and go on listening."""
    await request(reader)
    writer.write_eof()
    await reader.read()


async def never_read(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def refuse_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer before the request is here, as servers do that see its length."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Rude:
    """A server that treats its first connections each in its manner, and later ones politely."""

    manners: list[Manner] = field(default_factory=list)
    connections: int = 0
    port: int = 0


@asynccontextmanager
async def rude(
    *manners: Manner, tls: ssl.SSLContext | None = None, sock: socket.socket | None = None
) -> AsyncIterator[Rude]:
    """Serve on a free port, or from a socket that listens already."""
    here = Rude(list(manners))
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.connections += 1
        manner = here.manners.pop(0) if here.manners else polite
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await manner(reader, writer)
        writer.close()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.ensure_future(talk(reader, writer)))

    sock = sock or socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(take, sock=sock, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks)


@dataclass
class Proxy:
    """An HTTP proxy that only tunnels; `asked` are the heads of its requests, `carried` the bytes to the far side."""

    asked: list[str] = field(default_factory=list)
    carried: int = 0
    port: int = 0


@asynccontextmanager
async def tunnel(to: int, refusal: bytes = b"") -> AsyncIterator[Proxy]:
    """Tunnel every CONNECT to a port of this machine, whatever it asks for; or answer a refusal."""
    here = Proxy()

    async def manner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if refusal:
            writer.write(refusal)
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, out: bool) -> None:
            while block := await source.read(65536):
                here.carried += len(block) if out else 0
                sink.write(block)
                await sink.drain()

        try:
            await asyncio.gather(carry(reader, far_writer, out=True), carry(far_reader, writer, out=False))
        finally:
            far_writer.close()

    async with rude(*[manner] * 20) as server:
        here.port = server.port
        yield here


@contextmanager
def deaf() -> Iterator[socket.socket]:
    """Listen, but let packets be dropped: the backlog is full until somebody accepts from the socket."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for one in (first, second):
            one.settimeout(0)
            with suppress(BlockingIOError):
                one.connect(listening.getsockname())
        yield listening
