"""Sessions of the HTTP clients, bounded bodies, and the proxy of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp

from exporter import __version__
from exporter.net.errors import ResponseTooLargeError
from exporter.net.response import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

USER_AGENT: Final = f"rollouts-exporter/{__version__}"
BLOCK_BYTES: Final = 64 * 1024
"""Bytes of a body that are read at a time; also aiohttp's own default size of a read buffer."""


def open_session(
    *,
    timeout: float | None = None,
    connector: aiohttp.TCPConnector | None = None,
    trace_configs: Sequence[aiohttp.TraceConfig] = (),
    auto_decompress: bool = True,
    read_buffer_bytes: int = BLOCK_BYTES,
) -> aiohttp.ClientSession:
    """Open a session without cookies; `timeout` is for a whole exchange, in seconds, None for no limit."""
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": USER_AGENT},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),  # else aiohttp's own limits hold: 5 min, 30 s to connect
        trace_configs=list(trace_configs),
        auto_decompress=auto_decompress,
        read_bufsize=read_buffer_bytes,
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


def environment_proxy(scheme: str, host: str) -> str | None:
    """Return the URL of the environment's proxy for a scheme and a host, None for a direct connection."""
    address = getproxies().get(scheme)
    # proxy_bypass() honours NO_PROXY.
    if not address or proxy_bypass(host):
        return None
    return address if "://" in address else f"http://{address}"  # as curl reads it
