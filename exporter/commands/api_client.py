"""The client of a running exporter's pages, for commands that read its API."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientError, ClientTimeout, InvalidURL

from exporter.config.errors import without_secrets
from exporter.net.errors import error_reason
from exporter.net.http import open_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import ClientResponse

_TIMEOUT: Final = 10.0
_SILENCE: Final = 45.0
"""Seconds without a byte after which a stream is broken: an exporter sends one every 15 s."""


class ExporterUnreachableError(Exception):
    """No exporter answers at an address; the message has a hint."""


async def fetch_json(address: str, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """Return the JSON object at a path of an exporter's address. Raises ExporterUnreachableError."""
    async with _get(address, path, params=params or {}, timeout=ClientTimeout(total=_TIMEOUT)) as response:
        document = await response.json()
    if not isinstance(document, dict):
        raise ExporterUnreachableError(f"{_shown(address, path)} returned no object; {_ADDRESS_HINT}")
    return document


async def stream_events(address: str, path: str, params: Mapping[str, str]) -> AsyncIterator[tuple[str, str]]:
    """Yield number and data of each server-sent event, until the exporter ends. Raises ExporterUnreachableError."""
    request = {"headers": {"Accept": "text/event-stream"}, "timeout": ClientTimeout(sock_read=_SILENCE)}
    async with _get(address, path, params=params, **request) as response:
        number = ""
        async for line in response.content:
            name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
            if name == "id":
                number = value
            elif name == "data":
                yield number, value


_ADDRESS_HINT: Final = "check that --address is a rollouts-exporter"


def _url(address: str, path: str) -> str:
    return f"{address if '://' in address else f'http://{address}'}".rstrip("/") + path


def _shown(address: str, path: str) -> str:
    """Return the URL for a message: it may have the user name and password of the pages."""
    return without_secrets(_url(address, path))


@asynccontextmanager
async def _get(address: str, path: str, **request: Any) -> AsyncIterator[ClientResponse]:  # noqa: ANN401 - aiohttp's options
    """Open the response to a GET with options of aiohttp. Raises ExporterUnreachableError."""
    try:
        async with open_session() as session, session.get(_url(address, path), **request) as response:
            if response.status != HTTPStatus.OK:
                status = f"{_shown(address, path)} returned status {response.status}"
                raise ExporterUnreachableError(f"{status}; {_ADDRESS_HINT}")
            yield response
    except InvalidURL:
        raise ExporterUnreachableError("--address is not a URL; write http://host:port") from None
    # ValueError: JSON that is none, or a name that cannot be encoded.
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        reason = error_reason(error)
        raise ExporterUnreachableError(
            f"{_shown(address, path)} cannot be read ({reason}); check --address, or use --recording"
        ) from None
