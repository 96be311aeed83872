"""Servers below HTTP that handle each connection as a test asks, byte by byte, and an HTTP proxy."""

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

    Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request and return its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].partition("\r")[0]
    return await reader.readexactly(int(length or 0))


async def respond_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(OK)


def respond(*blocks: bytes, pause: float = 0.0) -> Behaviour:
    """Read a request, send these blocks with pauses in between, and close."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for block in blocks:
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


async def reset_during_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in the middle of the request."""
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def close_write_side(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send nothing more, and continue to read."""
    await read_request(reader)
    writer.write_eof()
    await reader.read()


async def never_read(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def refuse_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond before the request is complete, as servers do that check its length."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class RawServer:
    """A server with a behaviour for each of its first connections; later ones get a normal response."""

    behaviours: list[Behaviour] = field(default_factory=list)
    connections: int = 0
    port: int = 0


@asynccontextmanager
async def serve_raw(
    *behaviours: Behaviour, tls: ssl.SSLContext | None = None, sock: socket.socket | None = None
) -> AsyncIterator[RawServer]:
    """Serve on a free port, or on a socket that listens already."""
    server = RawServer(list(behaviours))
    tasks: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        behave = server.behaviours.pop(0) if server.behaviours else respond_ok
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await behave(reader, writer)
        writer.close()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.ensure_future(handle(reader, writer)))

    sock = sock or socket.create_server(("127.0.0.1", 0))
    listener = await asyncio.start_server(start, sock=sock, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@dataclass
class Proxy:
    """An HTTP proxy that only tunnels, with the heads of its requests and the count of bytes towards the target."""

    connect_requests: list[str] = field(default_factory=list)
    forwarded_bytes: int = 0
    port: int = 0


@asynccontextmanager
async def tunnel(port: int, refusal: bytes = b"") -> AsyncIterator[Proxy]:
    """Tunnel every CONNECT to a port of this machine, whatever its target; or send a refusal."""
    proxy = Proxy()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.connect_requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if refusal:
            writer.write(refusal)
            await writer.drain()
            return
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_outbound: bool) -> None:
            while block := await source.read(65536):
                proxy.forwarded_bytes += len(block) if is_outbound else 0
                sink.write(block)
                await sink.drain()

        try:
            await asyncio.gather(
                forward(reader, target_writer, is_outbound=True), forward(target_reader, writer, is_outbound=False)
            )
        finally:
            target_writer.close()

    async with serve_raw(*[behave] * 20) as server:
        proxy.port = server.port
        yield proxy


@contextmanager
def unresponsive_socket() -> Iterator[socket.socket]:
    """Listen, but drop packets: the backlog is full until somebody accepts from the socket."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for client in (first, second):
            client.settimeout(0)
            with suppress(BlockingIOError):
                client.connect(listening.getsockname())
        yield listening
