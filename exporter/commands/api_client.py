"""The client of a running exporter's pages, for commands that read its API."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientConnectorCertificateError, ClientError, ClientTimeout, InvalidURL

from exporter.config.errors import without_secrets
from exporter.config.section import BasicAuthSection, ClientTlsSection
from exporter.net.auth import authorization
from exporter.net.errors import error_reason
from exporter.net.http import BLOCK_BYTES, open_session
from exporter.net.tls import ClientTlsLoader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiohttp import ClientResponse

_TIMEOUT: Final = 10.0
_SILENCE: Final = 45.0
"""Seconds without a byte after which a stream is broken: an exporter sends one every 15 s."""


class ExporterUnreachableError(Exception):
    """No exporter answers at an address; the message has a hint."""


@dataclass(frozen=True, slots=True)
class ExporterAddress:
    """Where a running exporter's pages are: a URL, and what it requires of a client."""

    url: str
    basic_auth: BasicAuthSection = field(default_factory=BasicAuthSection, repr=False)
    tls: ClientTlsSection = field(default_factory=ClientTlsSection)

    @property
    def shown_url(self) -> str:
        """The URL for a message: without the user name and password of the pages that it may have."""
        return without_secrets(_url(self, ""))


async def fetch_json(
    address: ExporterAddress, path: str, params: Mapping[str, str] | None = None, *, absent: bool = False
) -> Mapping[str, Any]:
    """Return the JSON object at a path of an exporter's address. Raises ExporterUnreachableError.

    `absent`: status 404 comes with an object, too.
    """
    statuses = (HTTPStatus.OK, HTTPStatus.NOT_FOUND) if absent else (HTTPStatus.OK,)
    timeout = ClientTimeout(total=_TIMEOUT)
    async with _get(address, path, statuses, params=params or {}, timeout=timeout) as response:
        document = await response.json()
    if not isinstance(document, dict):
        raise ExporterUnreachableError(f"{_shown_url(address, path)} returned no object; {_ADDRESS_HINT}")
    return document


async def fetch_lines(address: ExporterAddress, path: str) -> AsyncIterator[str]:
    """Yield the lines of the text at a path. Raises ExporterUnreachableError."""
    async with _get(address, path, timeout=ClientTimeout(total=_TIMEOUT)) as response:
        async for line in response.content:
            yield line.decode("utf-8", "replace").rstrip("\r\n")


async def fetch_blocks(address: ExporterAddress, path: str) -> AsyncIterator[bytes]:
    """Yield what is at a path in blocks. Raises ExporterUnreachableError."""
    async with _get(address, path, timeout=ClientTimeout(total=_TIMEOUT)) as response:
        async for block in response.content.iter_chunked(BLOCK_BYTES):
            yield block


async def stream_events(
    address: ExporterAddress, path: str, params: Mapping[str, str]
) -> AsyncIterator[tuple[str, str]]:
    """Yield number and data of each server-sent event, until the exporter ends. Raises ExporterUnreachableError."""
    headers, timeout = {"Accept": "text/event-stream"}, ClientTimeout(sock_read=_SILENCE)
    async with _get(address, path, headers=headers, params=params, timeout=timeout) as response:
        number = ""
        async for line in response.content:
            name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
            if name == "id":
                number = value
            elif name == "data":
                yield number, value


_ADDRESS_HINT: Final = "check that --address is a rollouts-exporter"
_UNAUTHORIZED_HINT: Final = "set --username and --password-file to those of web.basic_auth"


def _url(address: ExporterAddress, path: str) -> str:
    return f"{address.url if '://' in address.url else f'http://{address.url}'}".rstrip("/") + path


def _shown_url(address: ExporterAddress, path: str) -> str:
    """Return the URL for a message: it may have the user name and password of the pages."""
    return without_secrets(_url(address, path))


@asynccontextmanager
async def _get(
    address: ExporterAddress,
    path: str,
    statuses: Sequence[HTTPStatus] = (HTTPStatus.OK,),
    headers: Mapping[str, str] | None = None,
    **request: Any,  # noqa: ANN401 - aiohttp's options
) -> AsyncIterator[ClientResponse]:
    """Open the response to a GET with options of aiohttp. Raises ExporterUnreachableError."""
    try:
        request |= _access(address, headers or {})
        async with open_session() as session, session.get(_url(address, path), **request) as response:
            if response.status not in statuses:
                hint = _UNAUTHORIZED_HINT if response.status == HTTPStatus.UNAUTHORIZED else _ADDRESS_HINT
                status = f"{_shown_url(address, path)} returned status {response.status}"
                raise ExporterUnreachableError(f"{status}; {hint}")
            yield response
    except InvalidURL:
        raise ExporterUnreachableError("--address is not a URL; write http://host:port") from None
    # ValueError: JSON that is none, a name that cannot be encoded, or a file that holds no credential or certificate.
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        failure = f"{_shown_url(address, path)} cannot be read ({error_reason(error)})"
        raise ExporterUnreachableError(f"{failure}; {_hint(error)}") from None


def _access(address: ExporterAddress, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of a request: credential and certificates. Raises OSError and ValueError for their files."""
    read_authorization = authorization(None, address.basic_auth)
    credential = {"Authorization": read_authorization()} if read_authorization is not None else {}
    return {"headers": {**headers, **credential}, "ssl": ClientTlsLoader(address.tls).load().context}


def _hint(error: Exception) -> str:
    if isinstance(error, ClientConnectorCertificateError):
        return "set --ca-file to the authority of its certificate"
    return "check --address, and that the exporter runs"
