"""One POST of a ready request over HTTP; whatever comes of it is a value, never an exception."""

from __future__ import annotations

import socket
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from exporter.otlp.encode.protobuf import is_packed
from exporter.otlp.result import Endless, Outcome, Silence, Unfit
from exporter.otlp.transport.credentials import LONGEST_ANSWER, USER_AGENT, Credential, proxy
from exporter.otlp.transport.http_status import PROTOBUF, Answer

if TYPE_CHECKING:
    import ssl
    from types import SimpleNamespace, TracebackType
    from typing import Self

    from aiohappyeyeballs import AddrInfoType

    from exporter.otlp.transport.credentials import Destination


# Sockets that give up connecting soon, so that a lost packet does not make us late when a backend returns.


CONNECT_MILLISECONDS: Final = 2000
"""How long a connection may take to come about; the system asks again after one second, then waits for two."""

# Only Linux has it; elsewhere the timeout of the whole request holds alone.
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


class Dialling:
    """Makes the sockets of a connector; one that is connected has the system's patience again.

    Only TCP's handshake is hurried: a busy server may take its time over TLS, and over reading a request.
    """

    def __init__(self) -> None:
        self._dialling: list[socket.socket] = []

    def socket(self, address: AddrInfoType) -> socket.socket:
        """Make a socket that is about to connect."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        _be_patient(made, CONNECT_MILLISECONDS)
        self._dialling = [one for one in self._dialling if one.fileno() >= 0] + [made]
        return made

    async def connected(self, *_: object) -> None:
        """Note that a connection has come about."""
        for one in self._dialling:
            with suppress(OSError):
                _be_patient(one, 0)
        self._dialling.clear()


def _be_patient(one: socket.socket, milliseconds: int) -> None:
    """Set how long TCP waits for a sign of the other side; 0: as long as the system says."""
    if _USER_TIMEOUT is not None:
        one.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)


# rooms


KEEP_ALIVE: Final = 55.0
"""How long an idle connection is kept, in seconds; load balancers close theirs after 60."""

_BLOCK: Final = 64 * 1024
_ANY_ZLIB: Final = 47  # zlib's word for "gzip or zlib, as the header says"


@dataclass(slots=True)
class Attempt:
    """What is known of one attempt besides its outcome: whether it went over a kept connection, and found it dead."""

    kept: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What one request shows of us, and demands: its headers, and the TLS (True: the default)."""

    headers: CIMultiDict[str] = field(repr=False)
    tls: ssl.SSLContext | bool


class HttpPost:
    """Posts to one destination, one request at a time over a kept connection; use it with `async with`."""

    def __init__(self, destination: Destination) -> None:
        self._to = destination
        self._credential = Credential(destination)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        dialling = Dialling()
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_kept)
        trace.on_connection_create_end.append(dialling.connected)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=1, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=0, socket_factory=dialling.socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._to.timeout or None),
            trace_configs=[trace],
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    def renewed(self) -> bool:
        """Return whether there is another credential or certificate than the one last used."""
        return self._credential.changed()

    async def post(self, body: bytes) -> Outcome:
        """Send a request; when a kept connection turns out dead, once more at once over a new one (E20)."""
        try:
            proof = self._credential.tls()
            shown = Shown(self._headers(body), proof.context if proof else True)
        except ValueError as error:
            return Unfit(str(error))
        attempt = Attempt()
        outcome = await self._post(body, shown, attempt)
        return await self._post(body, shown, Attempt()) if attempt.dead else outcome

    async def _post(self, body: bytes, shown: Shown, attempt: Attempt) -> Outcome:
        try:
            return await self._exchange(body, shown, attempt)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            return Unfit("otlp.endpoint is no http:// or https:// URL")
        except (aiohttp.ClientError, OSError) as error:
            attempt.dead = attempt.kept and isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
            return _silence(error)
        except ValueError:
            return Unfit("otlp.endpoint and otlp.headers make no HTTP request: a line break, or credentials in both")

    async def _exchange(self, body: bytes, shown: Shown, attempt: Attempt) -> Outcome:
        if self._session is None:
            raise RuntimeError("HttpPost is used outside of `async with`")
        url = URL(self._to.endpoint)
        async with self._session.post(
            url,
            data=body,
            headers=shown.headers,
            allow_redirects=False,
            ssl=shown.tls,
            server_hostname=self._to.trust.server_name if self._to.trust else None,
            proxy=proxy(url.scheme, url.host or ""),
            trace_request_ctx=attempt,
        ) as response:
            return await _answer(response)

    def _headers(self, body: bytes) -> CIMultiDict[str]:
        headers = CIMultiDict(self._credential.headers())
        headers.update({"Content-Type": PROTOBUF, "User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        headers.pop("Content-Encoding", None)
        if is_packed(body):
            headers["Content-Encoding"] = "gzip"
        return headers


async def _note_kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.kept = True


async def _answer(response: aiohttp.ClientResponse) -> Outcome:
    body = bytearray()
    async for block in response.content.iter_chunked(_BLOCK):
        body += block
        if len(body) > LONGEST_ANSWER:
            return Endless(str(response.status))
    plain = _plain(bytes(body), response.headers.get("Content-Encoding", ""))
    if len(plain) > LONGEST_ANSWER:
        return Endless(str(response.status))
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, plain)


def _plain(body: bytes, encoding: str) -> bytes:
    """Decompress a body, a little beyond the limit at most; one that cannot be is left as it is (E24)."""
    if encoding.lower() not in {"gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(_ANY_ZLIB).decompress(body, LONGEST_ANSWER + 1)
    except zlib.error:
        return body


SILENCES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (TimeoutError, "timeout", "no answer in time; see otlp.timeout"),
    (aiohttp.ClientConnectorCertificateError, "tls", "its certificate is not trusted; see otlp.tls"),
    (aiohttp.ClientSSLError, "tls", "no TLS connection; see otlp.tls"),
    (aiohttp.ClientHttpProxyError, "proxy", "the proxy refused; see HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientProxyConnectionError, "proxy", "no connection to the proxy; see HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientConnectorDNSError, "dns", "its name is not known; see otlp.endpoint"),
    (aiohttp.ClientConnectorError, "connect", "no connection; see otlp.endpoint"),
    (aiohttp.ClientResponseError, "not_http", "what it answers is no HTTP; see otlp.endpoint"),
    (Exception, "broken", "the connection broke before the whole answer was here"),
)
"""What each failure is counted as, and the cure."""


def _silence(error: Exception) -> Silence:
    code, why = next((code, why) for kind, code, why in SILENCES if isinstance(error, kind))
    said = f" ({error})" if isinstance(error, aiohttp.ClientConnectorError) else ""
    return Silence(f"{why}{said}", code)
