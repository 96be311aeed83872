"""One GET of one address, its body streamed into a sink. Never raises: what goes wrong is returned as a Failure."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from exporter import log
from exporter.metrics import Failure
from exporter.net import http
from exporter.net.auth import authorization
from exporter.net.errors import ErrorKind, classify_error, error_reason
from exporter.net.gzip import MAX_BLOCK_BYTES, SLICE_BYTES, GunzipStream
from exporter.net.tls import ClientTlsLoader
from exporter.scrape.response import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.config.sources import ScrapeSource
    from exporter.scrape.targets import Address


MAX_BLOCKING_SECONDS: Final = 0.005
"""How long blocks are parsed before other tasks of the event loop get a turn."""
_READ_BUFFER_BYTES: Final = 512 * 1024
"""aiohttp stops reading the socket beyond this; its default of 64 KiB would mean more and smaller chunks of pages that
have up to 200 MB."""
_KEEP_ALIVE_SECONDS: Final = 90
"""How long an idle connection stays open: longer than the usual intervals, so that one serves every scrape."""
_MAX_LOCATION: Final = 200
"""Characters of a redirect's Location in a message."""
_ENCODINGS: Final = {"": False, "identity": False, "gzip": True, "x-gzip": True}
"""The values of Content-Encoding that are accepted, and whether the body is gzip."""


class Sink(Protocol):
    """Receives a response as it streams in."""

    @property
    def aborted(self) -> bool:
        """Whether the rest of the body is not needed."""

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Receive the status and the headers."""

    def feed(self, block: bytes) -> None:
        """Receive the next bytes of the body, decompressed, at most MAX_BLOCK_BYTES."""


def open_session(*, keep_alive: bool = True) -> aiohttp.ClientSession:
    """Open a session for targets; connections are pooled by IP address, or closed after each scrape."""
    connector = (
        aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        if keep_alive
        else aiohttp.TCPConnector(limit=0, force_close=True)
    )
    return http.open_session(connector=connector, auto_decompress=False, read_buffer_bytes=_READ_BUFFER_BYTES)


class ScrapeClient:
    """Requests the addresses of one section of the settings, which messages call `setting`."""

    def __init__(self, section: ScrapeSource, setting: str) -> None:
        self._section = section
        self._setting = setting
        self._authorization = authorization(section.bearer_token_file, section.basic_auth)
        self._tls = ClientTlsLoader(section.tls)

    async def fetch(
        self, session: aiohttp.ClientSession, address: Address, sink: Sink, deadline: float
    ) -> Failure | None:
        """Send one GET and stream the body until `deadline` (the loop's time); None if the response was complete.

        The status does not matter here. Raises nothing but CancelledError.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._request(session, address, sink)
        except TimeoutError:
            return Failure(TIMEOUT, self.timeout_message(_describe(address)))
        except Exception as error:  # noqa: BLE001 - whatever the network raises becomes a Failure
            return self._failure(address, _ERROR_MESSAGES.get(classify_error(error), _FAILED), error_reason(error))

    def timeout_message(self, subject: str) -> str:
        """Return the message for something that did not respond in time."""
        return f"{subject} did not respond within {self._section.timeout:g} s; raise {self._setting}.timeout"

    async def _request(self, session: aiohttp.ClientSession, address: Address, sink: Sink) -> Failure | None:
        key = "tls"
        try:
            tls = self._tls.load().context if address.target.scheme == "https" else False
            key = "bearer_token_file" if self._section.bearer_token_file else "basic_auth"
            headers = self._headers(address)
        except (OSError, ValueError) as error:
            reason = error_reason(error) if isinstance(error, OSError) else str(error)
            return Failure("credentials", f"scrape skipped: {reason}; check {self._setting}.{key}")
        async with session.get(
            URL(address.url, encoded=True),
            headers=headers,
            allow_redirects=False,  # the credential would go with it
            ssl=tls,
            server_hostname=self._section.tls.server_name or address.target.host,
        ) as response:
            sink.start(response.status, response.headers)
            if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
                return self._failure(address, _REDIRECT, f"{response.status}{_redirect_location(response)}")
            return await self._stream_body(address, response, sink)

    def _headers(self, address: Address) -> CIMultiDict[str]:
        headers = CIMultiDict(
            {
                # The URL has the IP address; virtual host and certificate are those of the name.
                "Host": address.target.host_header,
                # The one format that the parser reads; both components always offer it (T51).
                "Accept": "text/plain;version=0.0.4",
                "Accept-Encoding": "gzip",
                "X-Prometheus-Scrape-Timeout-Seconds": f"{self._section.timeout:g}",
            }
        )
        secret_headers = {name: value.text for name, value in self._section.headers.items()}
        if self._authorization is not None:
            secret_headers["Authorization"] = self._authorization()
        # Before the request, since its errors may repeat a header.
        log.register_auth_headers(*secret_headers.values())
        headers.update(secret_headers)
        return headers

    async def _stream_body(self, address: Address, response: aiohttp.ClientResponse, sink: Sink) -> Failure | None:
        is_ok = response.status == HTTPStatus.OK
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            return (
                self._failure(address, _UNSUPPORTED_ENCODING, f"Content-Encoding {encoding[:20]!r}") if is_ok else None
            )
        gunzip = GunzipStream() if _ENCODINGS[encoding] else None
        size = 0
        clock = asyncio.get_running_loop().time
        turn_started = clock()
        while not sink.aborted and (chunk := await _next_chunk(response)):
            for block in _gunzip_blocks(gunzip, chunk) if gunzip else _blocks(chunk):
                size += len(block)
                if size >= self._section.limits.body:  # decompressed; equality is too much (T50)
                    return self._failure(address, _BODY_LIMIT, self._section.limits.body)
                if block:
                    # An error page may repeat the request with its credential.
                    sink.feed(block if is_ok else log.REDACTOR.redact_bytes(block))
                if clock() - turn_started > MAX_BLOCKING_SECONDS:
                    await asyncio.sleep(0)
                    turn_started = clock()
                if sink.aborted:
                    return None
        if gunzip and not gunzip.complete and not sink.aborted:
            return self._failure(address, _INCOMPLETE_GZIP)
        return None

    def _failure(self, address: Address, message: tuple[str, str], detail: object = "") -> Failure:
        reason, text = message
        return Failure(reason, f"{_describe(address)} {text.format(detail=detail, setting=self._setting)}")


# Each message is the reason, and the rest of the sentence that begins with the address.
_REDIRECT: Final = (
    "redirect",
    "responds HTTP {detail}, and redirects are not followed; correct the URL in {setting}.targets",
)
_UNSUPPORTED_ENCODING: Final = (
    "encoding",
    "responds in {detail}, but only gzip is accepted; check any proxy in between, and {setting}.headers",
)
_BODY_LIMIT: Final = ("body_limit", "responds with {detail} bytes or more; raise {setting}.limits.body")
_INCOMPLETE_GZIP: Final = ("cut_short", "sent incomplete gzip; if this persists, check any proxy in between")
_UNREACHABLE: Final = ("unreachable", "cannot be reached ({detail}); check {setting}.targets and any network policy")
_FAILED: Final = ("failed", "could not be scraped ({detail}); check {setting}")
_RESET: Final = ("reset", "reset the connection ({detail}); if this persists, check its log")
_TLS: Final = ("tls", "fails the TLS handshake ({detail}); check https:// in {setting}.targets, and {setting}.tls")
_ERROR_MESSAGES: Final[Mapping[ErrorKind, tuple[str, str]]] = {
    ErrorKind.UNTRUSTED_CERTIFICATE: (
        "tls",
        "presents an untrusted certificate ({detail}); set {setting}.tls.ca_file, or {setting}.tls.server_name",
    ),
    **dict.fromkeys((ErrorKind.TLS_HANDSHAKE, ErrorKind.TLS), _TLS),
    ErrorKind.REFUSED: (
        "refused",
        "refused the connection; check that the component runs, and the port in {setting}.targets",
    ),
    **dict.fromkeys((ErrorKind.RESET_ON_CONNECT, ErrorKind.RESET), _RESET),
    ErrorKind.DISCONNECTED: (
        "reset",
        "closed the connection without a response; check https:// in {setting}.targets, and {setting}.tls.cert_file",
    ),
    ErrorKind.INCOMPLETE: (
        "cut_short",
        "closed the connection in the middle of the response; if this persists, check its log",
    ),
    ErrorKind.NOT_HTTP: (
        "not_http",
        "sent a response that is not HTTP ({detail}); check the port and http:// or https:// in {setting}.targets",
    ),
    ErrorKind.GZIP: ("encoding", "sent invalid gzip ({detail}); check any proxy in between"),
    **dict.fromkeys((ErrorKind.CONNECT, ErrorKind.DNS, ErrorKind.PROXY, ErrorKind.OS_ERROR), _UNREACHABLE),
}
"""By kind of an exception; _FAILED for all other kinds."""


def _describe(address: Address) -> str:
    """Return the address, and the name that it was resolved from."""
    host = address.target.host
    return address.label if host == address.ip else f"{address.label} ({host})"


def _blocks(chunk: bytes) -> Iterator[bytes]:
    """Split a chunk into blocks of bounded size; most are no larger, and are not copied."""
    if len(chunk) <= MAX_BLOCK_BYTES:
        yield chunk
        return
    for start in range(0, len(chunk), MAX_BLOCK_BYTES):
        yield chunk[start : start + MAX_BLOCK_BYTES]


def _gunzip_blocks(gunzip: GunzipStream, chunk: bytes) -> Iterator[bytes]:
    """Decompress a chunk; now and then yield b"", so that the time is also checked while members have no output."""
    for start in range(0, len(chunk), SLICE_BYTES):
        yield from gunzip.feed(chunk[start : start + SLICE_BYTES])
        yield b""


async def _next_chunk(response: aiohttp.ClientResponse) -> bytes:
    """Return the next bytes of a body; of an error a full block, so that no secret in it is split and missed."""
    if response.status == HTTPStatus.OK:
        return await response.content.readany()
    chunk = await response.content.read(MAX_BLOCK_BYTES)
    while more := await response.content.read(MAX_BLOCK_BYTES - len(chunk)):
        chunk += more
    return chunk


def _redirect_location(response: aiohttp.ClientResponse) -> str:
    """Return where a redirect points, without what may be secret in a URL: user, password and query."""
    location = re.split(r"[?#]", response.headers.get("Location", ""), maxsplit=1)[0]
    public = log.REDACTOR.redact(re.sub(r"//[^/]*@", "//", location)).encode("ascii", "replace").decode()
    return f" to {public[:_MAX_LOCATION]}" if public else ""
