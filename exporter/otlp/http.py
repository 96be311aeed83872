"""One POST of a ready request over HTTP; whatever comes of it is a value, never an exception."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from exporter import __version__, log
from exporter.otlp.credential import AuthorizationFile
from exporter.otlp.verdict import PROTOBUF, Answer, Endless, Outcome, Silence, Unfit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path
    from types import SimpleNamespace, TracebackType
    from typing import Self

USER_AGENT: Final = (
    f"rollouts-exporter/{__version__} OTel-OTLP-Exporter-Python/{version('opentelemetry-exporter-otlp')}"
)
LONGEST_ANSWER: Final = 4 * 1024 * 1024
KEEP_ALIVE: Final = 55.0
"""How long an idle connection is kept, in seconds; load balancers close theirs after 60."""

SHORTEST_SECRET: Final = 8
_BLOCK: Final = 64 * 1024
_ANY_ZLIB: Final = 47  # zlib's word for "gzip or zlib, as the header says"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go and how: `endpoint` is the whole URL, `timeout` in seconds, 0 for none.

    `headers` and what is in `authorization_file` are secrets; the file wins over an Authorization among the headers.
    `gzip` says that the bodies are compressed. Proxies are the environment's.
    """

    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization_file: Path | None = None
    timeout: float = 10.0
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    gzip: bool = True


@dataclass(slots=True)
class Attempt:
    """What is known of one attempt besides its outcome: whether it went over a kept connection, and found it dead."""

    kept: bool = False
    dead: bool = False


class HttpPost:
    """Posts to one destination, one request at a time over a kept connection; use it with `async with`."""

    def __init__(self, destination: Destination) -> None:
        self._to = destination
        self._authorization = AuthorizationFile(destination.authorization_file)
        self._session: aiohttp.ClientSession | None = None
        for value in destination.headers.values():
            log.hide(*(part for part in (value, value.rpartition(" ")[2]) if len(part) >= SHORTEST_SECRET))

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_kept)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=KEEP_ALIVE),
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
        """Return whether there is another credential than the one last sent."""
        return self._authorization.changed()

    async def post(self, body: bytes) -> Outcome:
        """Send a request; when a kept connection turns out dead, once more at once over a new one (E20)."""
        try:
            headers = self._headers()
        except ValueError as error:
            return Unfit(str(error))
        attempt = Attempt()
        outcome = await self._post(body, headers, attempt)
        return await self._post(body, headers, Attempt()) if attempt.dead else outcome

    async def _post(self, body: bytes, headers: CIMultiDict[str], attempt: Attempt) -> Outcome:
        try:
            return await self._exchange(body, headers, attempt)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            return Unfit("otlp.endpoint is no http:// or https:// URL")
        except (aiohttp.ClientError, OSError) as error:
            attempt.dead = attempt.kept and isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
            return _silence(error)
        except ValueError:
            return Unfit("otlp.endpoint and otlp.headers make no HTTP request: a line break, or credentials in both")

    async def _exchange(self, body: bytes, headers: CIMultiDict[str], attempt: Attempt) -> Outcome:
        if self._session is None:
            raise RuntimeError("HttpPost is used outside of `async with`")
        url = URL(self._to.endpoint)
        async with self._session.post(
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            ssl=self._to.tls or True,
            server_hostname=self._to.server_name,
            proxy=_proxy(url),
            trace_request_ctx=attempt,
        ) as response:
            return await _answer(response)

    def _headers(self) -> CIMultiDict[str]:
        headers = CIMultiDict(self._to.headers)
        if authorization := self._authorization.read():
            headers["Authorization"] = authorization
        headers.update({"Content-Type": PROTOBUF, "User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        headers.pop("Content-Encoding", None)
        if self._to.gzip:
            headers["Content-Encoding"] = "gzip"
        return headers


async def _note_kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.kept = True


async def _answer(response: aiohttp.ClientResponse) -> Outcome:
    body = bytearray()
    async for block in response.content.iter_chunked(_BLOCK):
        body += block
        if len(body) > LONGEST_ANSWER:
            return Endless(response.status)
    plain = _plain(bytes(body), response.headers.get("Content-Encoding", ""))
    if len(plain) > LONGEST_ANSWER:
        return Endless(response.status)
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, plain)


def _plain(body: bytes, encoding: str) -> bytes:
    """Decompress a body, a little beyond the limit at most; one that cannot be is left as it is (E24)."""
    if encoding.lower() not in {"gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(_ANY_ZLIB).decompress(body, LONGEST_ANSWER + 1)
    except zlib.error:
        return body


def _proxy(url: URL) -> URL | None:
    """Return the environment's proxy; aiohttp's own look-up would put ~/.netrc beside our Authorization and refuse."""
    address = getproxies().get(url.scheme)
    if not address or proxy_bypass(url.host or ""):
        return None
    return URL(address if "://" in address else f"http://{address}")


SILENCES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (TimeoutError, "timeout", "no answer in time; see otlp.timeout"),
    (aiohttp.ClientConnectorCertificateError, "tls", "its certificate is not trusted; see otlp.tls"),
    (aiohttp.ClientSSLError, "tls", "no TLS connection; see otlp.tls"),
    (aiohttp.ClientHttpProxyError, "proxy", "the proxy refused; see HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientProxyConnectionError, "proxy", "no connection to the proxy; see HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientConnectorDNSError, "dns", "its name is not known; see otlp.endpoint"),
    (aiohttp.ClientConnectorError, "connect", "no connection; see otlp.endpoint"),
    (Exception, "broken", "the connection broke before the whole answer was here"),
)
"""What each failure is counted as, and the cure."""


def _silence(error: Exception) -> Silence:
    code, why = next((code, why) for kind, code, why in SILENCES if isinstance(error, kind))
    said = f" ({error})" if isinstance(error, aiohttp.ClientConnectorError) else ""
    return Silence(f"{why}{said}", code)
