"""Sessions of the HTTP clients, and bounded bodies."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import connector as aiohttp_connector

from exporter import __version__
from exporter.net.connection import MAX_HEAD_BYTES, MAX_HEADERS, ResponseConnection
from exporter.net.errors import ResponseTooLargeError
from exporter.net.response import HttpResponse
from exporter.net.tls import lazy_system_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

USER_AGENT: Final = f"rollouts-exporter/{__version__}"
BLOCK_BYTES: Final = 64 * 1024
"""Bytes of a body that are read at a time; also aiohttp's own default size of a read buffer."""

# aiohttp has read the system's authorities twice by now, 3 MB; few exporters use them, since settings have TLS of their
# own. The unverified context is never used.
aiohttp_connector._SSL_CONTEXT_VERIFIED = lazy_system_context()  # noqa: SLF001 - it has no public way to set its default
aiohttp_connector._SSL_CONTEXT_UNVERIFIED = aiohttp_connector._SSL_CONTEXT_VERIFIED  # noqa: SLF001 - as above


def open_session(
    *,
    timeout: float | None = None,
    connector: aiohttp.TCPConnector | None = None,
    trace_configs: Sequence[aiohttp.TraceConfig] = (),
    auto_decompress: bool = True,
    read_buffer_bytes: int = BLOCK_BYTES,
) -> aiohttp.ClientSession:
    """Open a session without cookies; `timeout` is for a whole exchange, in seconds, None for no limit.

    It reads what Go's clients read: ingresses and their like add headers beyond aiohttp's limits (8,190 bytes, 128).
    """
    connector = connector or aiohttp.TCPConnector()
    new_connection: Any = partial(ResponseConnection, loop=asyncio.get_running_loop())
    connector._factory = new_connection  # noqa: SLF001 - aiohttp has no public way to set the class of its connections
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": USER_AGENT},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),  # else aiohttp's own limits hold: 5 min, 30 s to connect
        trace_configs=list(trace_configs),
        auto_decompress=auto_decompress,
        read_bufsize=read_buffer_bytes,
        max_line_size=MAX_HEAD_BYTES,
        max_field_size=MAX_HEAD_BYTES,
        max_headers=MAX_HEADERS,
    )


class SessionClient:
    """Base of a client that owns one session; use it with `async with`."""

    def __init__(self) -> None:
        self._open: aiohttp.ClientSession | None = None

    def _open_session(self) -> aiohttp.ClientSession:
        return open_session()

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            raise RuntimeError(f"{type(self).__name__} is used outside of `async with`")
        return self._open

    async def __aenter__(self) -> Self:
        self._open = self._open_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open:
            await self._open.close()


async def read_response(response: aiohttp.ClientResponse, max_bytes: int) -> HttpResponse:
    """Return a response with its body. Raises ResponseTooLargeError if that is longer than `max_bytes`."""
    body = bytearray()
    async for block in response.content.iter_chunked(BLOCK_BYTES):
        body += block
        if len(body) > max_bytes:
            raise ResponseTooLargeError
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpResponse(response.status, headers, bytes(body))
