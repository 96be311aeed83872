"""The connections of the server, bounded in number, in time, and in the bytes of a request that is not complete yet.

All of this holds before any password: whoever reaches the port may connect, and send nothing or half a request.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter import log

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Coroutine, Iterator

    from aiohttp import web

    NewProtocol = Callable[[], web.RequestHandler]

_log: Final = logging.getLogger(__name__)
MAX_CONNECTIONS: Final = 256
"""Open connections; scrapers, probes and browsers of one exporter are a few dozen."""
MIN_CONNECTIONS: Final = 24
"""More than the readers of large pages, so that probes get through beside them."""
RESERVED_DESCRIPTORS: Final = 192
"""Descriptors that connections leave free: 64 scrapes at a time, delivery, the database, and some spare."""
MAX_HEAD_BYTES: Final = 32 * 1024
"""Bytes of a request before its handler starts; browsers and proxies send at most 16 KiB of headers."""
HEAD_SECONDS: Final = 10.0
"""Time for a complete request, from the start of the connection or from its first byte; also for the TLS handshake."""
IDLE_SECONDS: Final = 80.0
"""Time without a request after another one; a little longer than the keep-alive timeout, which closes politely."""
_SWEEP_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 60.0
"""Between two lines about connections that were closed: an attack must not fill the log."""
GRACE_SECONDS: Final = 0.1
"""What each connection has for its request before a newer one may replace it, so that many clients at once are served
one after another; short enough that a probe, behind a full queue of silent connections, has its answer in a second."""
_BACKLOG: Final = 512
"""Connections that the kernel queues; of those beyond, the first packet is repeated after 1 s, then after 3 s."""
_ACCEPT_RETRY_SECONDS: Final = 0.1
_ROOM_RETRY_SECONDS: Final = 0.01
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nServer: rollouts-exporter\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def connection_limit() -> int:
    """Return how many connections may be open: fewer if the process may not have many descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, soft - RESERVED_DESCRIPTORS))


class BoundedConnection(asyncio.Protocol):
    """Passes a connection on to aiohttp's handler for as long as it stays within the limits."""

    def __init__(self, handler: web.RequestHandler, connections: Connections) -> None:
        self.handler = handler
        self.waiting_since = asyncio.get_running_loop().time()
        self.has_served = False
        self._connections = connections
        self._head_bytes = 0
        self._transport: asyncio.Transport | None = None

    @property
    def patience(self) -> float:
        """How long the connection may wait from `waiting_since` for a complete request, in seconds."""
        return IDLE_SECONDS if self.has_served and not self._head_bytes else HEAD_SECONDS

    def request_started(self) -> None:
        """Count the bytes of the next request from 0."""
        self.has_served, self._head_bytes = True, 0

    def abort(self) -> None:
        """Close the connection without delivering what is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self.handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on, unless the request does not end within MAX_HEAD_BYTES."""
        if self._connections.is_serving(self):  # bounded by aiohttp, which stops reading
            self.handler.data_received(data)
            return
        if not self._head_bytes:
            self.waiting_since = asyncio.get_running_loop().time()
        self._head_bytes += len(data)
        if self._head_bytes <= MAX_HEAD_BYTES:
            self.handler.data_received(data)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(_TOO_LARGE)
            self._transport.close()
            self._connections.report("a request without an end")

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self.handler.eof_received()  # type: ignore[func-returns-value] # aiohttp annotates no value

    def connection_lost(self, error: Exception | None) -> None:
        """Pass it on."""
        self._connections.remove(self)
        self.handler.connection_lost(error)

    def pause_writing(self) -> None:
        """Pass it on."""
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self.handler.resume_writing()


class Connections:
    """Accepts connections up to a limit, beyond which a new one replaces the one that has waited longest.

    So a probe always gets through: it has its answer before as many newer connections are open.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # In the order of waiting; tasks with the time of their start.
        self._starting: dict[asyncio.Task[None], float] = {}
        self._waiting: dict[BoundedConnection, None] = {}
        self._serving: set[BoundedConnection] = set()
        self._by_handler: dict[object, BoundedConnection] = {}
        self._closed_count = 0
        self._logged_at = float("-inf")

    async def serve(self, listener: socket.socket, new_protocol: NewProtocol, tls: ssl.SSLContext | None) -> None:
        """Accept connections until this is cancelled."""
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's argument
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._close_overdue())
                group.create_task(self._accept_all(listener, partial(self._start, new_protocol, tls)))
        finally:
            for task in list(self._starting):
                task.cancel()

    @contextmanager
    def request(self, handler: object) -> Iterator[None]:
        """Serve a request of a connection while the context lasts; meanwhile it is not closed."""
        connection = self._by_handler.get(handler)
        if connection is None:
            yield
            return
        connection.request_started()
        self._waiting.pop(connection, None)
        self._serving.add(connection)
        try:
            yield
        finally:
            self._serving.discard(connection)
            if self._by_handler.get(handler) is connection:
                connection.waiting_since = asyncio.get_running_loop().time()
                self._waiting[connection] = None

    def is_serving(self, connection: BoundedConnection) -> bool:
        """Return whether a request of the connection is being served."""
        return connection in self._serving

    def add(self, connection: BoundedConnection) -> None:
        """Count a connection; it waits for its first request."""
        self._by_handler[connection.handler] = connection
        self._waiting[connection] = None

    def remove(self, connection: BoundedConnection) -> None:
        """Forget a connection that is closed."""
        self._by_handler.pop(connection.handler, None)
        self._waiting.pop(connection, None)
        self._serving.discard(connection)

    def report(self, reason: str) -> None:
        """Log that connections were closed, at most once a minute."""
        self._closed_count += 1
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= _LOG_SECONDS:
            hint = "find out who opens them; a NetworkPolicy can admit only scrapers and the kubelet"
            extra = log.fields(count=self._closed_count, last=reason, limit=self._limit, hint=hint)
            _log.warning("connections to web.listen were closed", extra=extra)
            self._closed_count, self._logged_at = 0, now

    async def _accept_all(
        self, listener: socket.socket, start: Callable[[socket.socket], Coroutine[None, None, None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._make_room("no descriptor is left")
                await asyncio.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            # Meanwhile the kernel queues those that follow.
            while self._count >= self._limit and not self._make_room("too many are open"):  # noqa: ASYNC110 - time makes room, too
                await asyncio.sleep(_ROOM_RETRY_SECONDS)
            task = loop.create_task(start(connection))
            self._starting[task] = loop.time()
            task.add_done_callback(self._started)

    @property
    def _count(self) -> int:
        return len(self._starting) + len(self._waiting) + len(self._serving)

    async def _start(self, new_protocol: NewProtocol, tls: ssl.SSLContext | None, connection: socket.socket) -> None:
        """Hand a connection over to aiohttp, after its TLS handshake."""
        timeout = HEAD_SECONDS if tls is not None else None
        with suppress(OSError):  # a failed handshake, or a peer that is gone; TimeoutError is one, too
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: BoundedConnection(new_protocol(), self),
                connection,
                ssl=tls,
                ssl_handshake_timeout=timeout,
            )

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.pop(task, None)

    def _make_room(self, reason: str) -> bool:
        """Close the connection that has waited longest; return False if none has waited for GRACE_SECONDS."""
        latest = asyncio.get_running_loop().time() - GRACE_SECONDS
        handshake, started = next(iter(self._starting.items()), (None, latest))
        oldest = next(iter(self._waiting), None)
        if handshake is not None and started < latest:
            handshake.cancel()
        elif oldest is not None and oldest.waiting_since < latest:
            self._close(oldest)
        else:
            return False
        self.report(reason)
        return True

    def _close(self, connection: BoundedConnection) -> None:
        self._waiting.pop(connection, None)  # now, since the transport reports its end only later
        connection.abort()

    async def _close_overdue(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in [c for c in self._waiting if now - c.waiting_since > c.patience]:
                self._close(connection)
                self.report("no complete request in time")
