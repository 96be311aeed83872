"""Asks a Prometheus HTTP API, as its Go client does; whatever comes of it is a value, never an exception."""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from yarl import URL

from exporter import __version__, log
from exporter.net import prometheus_response
from exporter.net.prometheus_response import Asked, Cures, Reply, document, line
from exporter.metrics import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from exporter.net.prometheus_response import Answer
    from exporter.metrics import Labels
    from exporter.net.tls import Trust

T = TypeVar("T")
LONGEST_ANSWER: Final = 64 * 1024 * 1024
_BLOCK: Final = 64 * 1024
_NO_POST: Final = {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
"""What a server that takes no POST says: then the Go client asks again with GET."""


@dataclass(frozen=True, slots=True)
class ReadEndpoint:
    """Where a Prometheus HTTP API answers: `address` is what comes before /api/v1, `timeout` in seconds.

    `headers` are sent as they are, and are secret; `proxy` is the URL of one, None for the direct way; `cures` are
    what messages name.
    """

    address: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust: Trust | None = None
    timeout: float = 30.0
    proxy: str | None = field(default=None, repr=False)
    cures: Cures = field(default_factory=Cures)


def basic(username: str, password: str) -> str:
    """Return the Authorization header of a user name and a password."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


class Reader:
    """Asks one endpoint; use it with `async with`. What it is asked is answered, or is the Trouble that says why not.

    The reasons: `query` (refused as it stands), `credential`, `address`, `tls`, `unreachable`, `timeout`, `busy`.
    """

    def __init__(self, endpoint: ReadEndpoint) -> None:
        self._endpoint = endpoint
        self._proven = any(name.lower() == "authorization" for name in endpoint.headers)
        self._session: aiohttp.ClientSession | None = None
        log.register_auth_headers(*endpoint.headers.values())

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": f"rollouts-exporter/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def query(self, promql: str, at: float | None = None) -> Answer | Failure:
        """Evaluate a query at a time (Unix seconds; None: the store's own now)."""
        return await self._ask("query", {"query": promql, "time": at}, prometheus_response.answer)

    async def query_range(self, promql: str, start: float, end: float, step: float) -> Answer | Failure:
        """Evaluate a query at every step (seconds) from a start to an end, both included."""
        return await self._ask(
            "query_range", {"query": promql, "start": start, "end": end, "step": step}, prometheus_response.answer
        )

    async def series(
        self, match: str, start: float | None = None, end: float | None = None
    ) -> tuple[Labels, ...] | Failure:
        """Return the labels of every series that a selector matches between two times (None: the store's limits)."""
        return await self._ask("series", {"match[]": match, "start": start, "end": end}, prometheus_response.series)

    async def _ask(
        self, path: str, form: Mapping[str, str | float | None], read: Callable[[Mapping[str, Any]], T]
    ) -> T | Failure:
        reply = await self.reply(path, form)
        if isinstance(reply, Failure):
            return reply
        found = self.document(path, reply)
        if isinstance(found, Failure):
            return found
        try:
            return read(found)
        except ValueError as error:
            asked = self._asked(path)
            return Failure("address", f"{asked.who} answers oddly: {error}; check {asked.cures.address}")

    async def reply(self, path: str, form: Mapping[str, str | float | None]) -> Reply | Failure:
        """Ask a path below /api/v1 and return whatever HTTP answer comes."""
        asked = self._asked(path)
        try:
            return await self._exchange(asked.url, {key: _text(one) for key, one in form.items() if one is not None})
        except Exception as error:  # noqa: BLE001 - whatever the network does is a value to those above
            return self._hushed(self._fault(asked, error))

    def document(self, path: str, reply: Reply) -> Mapping[str, Any] | Failure:
        """Return the JSON of an answer that a path gave, else why there is none."""
        found = document(reply, self._asked(path))
        return self._hushed(found) if isinstance(found, Failure) else found

    def _asked(self, path: str) -> Asked:
        return Asked(f"{self._endpoint.address.rstrip('/')}/api/v1/{path}", self._proven, self._endpoint.cures)

    async def _exchange(self, url: str, form: Mapping[str, str]) -> Reply:
        async with asyncio.timeout(self._endpoint.timeout):
            reply = await self._send("POST", url, form)
            return await self._send("GET", url, form) if reply.status in _NO_POST else reply

    async def _send(self, method: str, url: str, form: Mapping[str, str]) -> Reply:
        if self._session is None:
            raise RuntimeError("Reader is used outside of `async with`")
        async with self._session.request(
            method,
            URL(url),
            data=form if method == "POST" else None,
            params=form if method == "GET" else None,
            headers=self._endpoint.headers,
            allow_redirects=False,
            ssl=self._context(),
            server_hostname=self._endpoint.trust.server_name if self._endpoint.trust else None,
            proxy=self._endpoint.proxy,
        ) as response:
            return await _reply(response)

    def _context(self) -> ssl.SSLContext | bool:
        try:
            return self._endpoint.trust.context() if self._endpoint.trust else True
        except (OSError, ValueError) as error:
            raise DistrustError(str(error)) from None

    def _fault(self, asked: Asked, error: Exception) -> Failure:
        reason, words = next((reason, words) for kind, reason, words in FAULTS if isinstance(error, kind))
        told = words.format(why=line(str(error)), cures=asked.cures, seconds=self._endpoint.timeout)
        return Failure(reason, f"{asked.who} {told}")

    def _hushed(self, trouble: Failure) -> Failure:
        """Leave out what is secret, should a server repeat it."""
        return Failure(trouble.reason, log.REDACTOR.redact(trouble.message))


class DistrustError(Exception):
    """The files of our TLS are of no use."""


class OverlongError(aiohttp.ClientError):
    """An answer of more than is read."""


FAULTS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str], ...]] = (
    (TimeoutError, "timeout", "did not answer within {seconds:g} s; raise {cures.timeout}, if it is only slow"),
    (DistrustError, "tls", "is not asked, since {why}; check {cures.tls}"),
    (OverlongError, "query", "answers with more than 64 MiB; ask for less"),
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        "tls",
        "shows a certificate that is not trusted; check {cures.tls}",
    ),
    (aiohttp.ClientSSLError, "tls", "does not come to terms over TLS; check {cures.tls}, and https:// or http://"),
    (
        (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError),
        "unreachable",
        "cannot be reached through the proxy; check HTTPS_PROXY and NO_PROXY",
    ),
    (aiohttp.ClientConnectorDNSError, "unreachable", "has a name that is not known; check {cures.address}"),
    (aiohttp.ClientConnectorError, "unreachable", "cannot be reached ({why}); check {cures.address}"),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        "address",
        "is no http:// or https:// URL; mend {cures.address}",
    ),
    (aiohttp.ClientPayloadError, "unreachable", "stopped in mid-answer; ask again, and look at its log if it lasts"),
    ((aiohttp.ClientError, OSError), "unreachable", "broke off ({why}); ask again, and look at its log if it lasts"),
    (
        Exception,
        "credential",
        "cannot be asked: {cures.credential} makes no header (a line break?), or {cures.address} has a credential too",
    ),
)
"""What each failure is: its reason, and the rest of the sentence that begins with the address."""


def _text(value: str | float) -> str:
    """Write a time as the Go client does: seconds with milliseconds, no exponent."""
    return value if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")


async def _reply(response: aiohttp.ClientResponse) -> Reply:
    body = bytearray()
    async for block in response.content.iter_chunked(_BLOCK):
        body += block
        if len(body) > LONGEST_ANSWER:
            raise OverlongError
    return Reply(response.status, response.content_type, bytes(body), response.headers.get("Location", ""))
