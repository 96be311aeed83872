"""OTLP over HTTP: one POST of an encoded request. Never raises: errors are returned as an outcome."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import BadStatusLine
from multidict import CIMultiDict
from yarl import URL

from exporter.net.credential_shape import describe_credential
from exporter.net.errors import CONNECT_KINDS, ErrorKind, ResponseTooLargeError, classify_error, error_reason
from exporter.net.gzip import decompress_prefix, is_gzip
from exporter.net.http import SessionClient, open_session, read_response
from exporter.net.proxy import environment_proxy
from exporter.net.response import HttpResponse
from exporter.otlp.transport.credentials import OTLP_USER_AGENT, RequestCredentials
from exporter.otlp.transport.http_status import PROTOBUF, refuses_credential
from exporter.otlp.transport.response import (
    BrokenResponse,
    CredentialRefused,
    NoResponse,
    NotSent,
    ResponseTooLarge,
    TransportOutcome,
    UnreadableResponse,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import SimpleNamespace

    from aiohappyeyeballs import AddrInfoType

    from exporter.otlp.transport.credentials import Destination

CONNECT_TIMEOUT_MS: Final = 2000
"""Limit of a TCP handshake. The kernel repeats a lost SYN after 1 s, then waits 2 s and longer; a short limit lets a
retry reach a backend soon after it returns."""
KEEP_ALIVE_SECONDS: Final = 55.0
"""How long an idle connection stays open; the common load balancers close theirs after 60 s."""
# Only Linux has this option; elsewhere only the timeout of the complete request applies.
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


class ConnectTimeoutSockets:
    """Creates the sockets of a connector with a limit for the TCP handshake only.

    A connected socket has the kernel's default again: a busy server may take its time for TLS and for the request.
    """

    def __init__(self) -> None:
        # Several, since aiohttp may try more than one address of a name at a time; one of them connects.
        self._connecting: list[socket.socket] = []

    def create(self, address: AddrInfoType) -> socket.socket:
        """Create a socket that is about to connect."""
        family, kind, protocol, *_ = address
        new_socket = socket.socket(family, kind, protocol)
        _set_user_timeout(new_socket, CONNECT_TIMEOUT_MS)
        self._connecting = [sock for sock in self._connecting if sock.fileno() >= 0] + [new_socket]
        return new_socket

    async def on_connected(self, *_: object) -> None:
        """Lift the limit: a connection is established."""
        for sock in self._connecting:
            with suppress(OSError):
                _set_user_timeout(sock, 0)
        self._connecting.clear()


def _set_user_timeout(sock: socket.socket, milliseconds: int) -> None:
    """Set how long TCP waits for an acknowledgement; 0: the kernel's default."""
    if _USER_TIMEOUT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)


@dataclass(slots=True)
class Attempt:
    """Whether an attempt reused a connection, and whether that turned out to be closed by the server (`stale`)."""

    reused: bool = False
    stale: bool = False


class HttpTransport(SessionClient):
    """Posts to one destination, one request at a time over a persistent connection; use it with `async with`."""

    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self._destination = destination
        self._credentials = RequestCredentials(destination)
        self.credentials_changed = self._credentials.changed

    def _open_session(self) -> aiohttp.ClientSession:
        sockets = ConnectTimeoutSockets()
        trace = aiohttp.TraceConfig()
        # Only a trace shows whether aiohttp reused a connection.
        trace.on_connection_reuseconn.append(_mark_reused)
        trace.on_connection_create_end.append(sockets.on_connected)
        # One connection, since requests are sent one at a time (E41); no DNS cache, since a backend may move.
        connector = aiohttp.TCPConnector(
            limit=1, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=0, socket_factory=sockets.create
        )
        return open_session(
            timeout=self._destination.timeout or None,
            connector=connector,
            trace_configs=[trace],
            auto_decompress=False,  # the limit counts decompressed bytes, so they are decompressed here
        )

    async def post(self, body: bytes) -> TransportOutcome:
        """Send a request; once more at once over a new connection if the reused one was stale (E20)."""
        try:
            tls = self._credentials.tls_material()
            headers = self._headers(body)
        except ValueError as error:
            return NotSent(str(error))
        send = partial(self._post, body, headers, tls=tls.context if tls else True)
        attempt = Attempt()
        outcome = await send(attempt)
        outcome = await send(Attempt()) if attempt.stale else outcome
        if isinstance(outcome, HttpResponse) and refuses_credential(outcome):
            return CredentialRefused(outcome, describe_credential(self._credentials.headers(), time.time()))
        return outcome

    async def _post(
        self, body: bytes, headers: CIMultiDict[str], attempt: Attempt, *, tls: ssl.SSLContext | bool
    ) -> TransportOutcome:
        try:
            url = URL(self._destination.endpoint)
            async with self._session.post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,  # the credential would go with it (E20)
                ssl=tls,
                server_hostname=self._destination.tls.server_name if self._destination.tls else None,
                proxy=environment_proxy(url.scheme, url.host or "", url.port),
                trace_request_ctx=attempt,
            ) as response:
                return await self._read(response)
        except (aiohttp.ClientError, OSError) as error:
            # On a new connection the same errors are the fault of the server, and left to the back-off (E20).
            is_closed = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
            attempt.stale = attempt.reused and is_closed
            return _outcome(error)
        except ValueError:
            message = "otlp.endpoint or otlp.headers is invalid: a line break, or credentials in both"
            return NotSent(message)

    def _headers(self, body: bytes) -> CIMultiDict[str]:
        headers = CIMultiDict(self._credentials.headers())
        headers.update({"Content-Type": PROTOBUF, "User-Agent": OTLP_USER_AGENT, "Accept-Encoding": "gzip"})
        # The body decides, not otlp.headers: stores respond with 400 to a wrong encoding.
        headers.pop("Content-Encoding", None)
        if is_gzip(body):
            headers["Content-Encoding"] = "gzip"
        return headers

    async def _read(self, response: aiohttp.ClientResponse) -> TransportOutcome:
        """Read a response and decompress it up to the limit; a body that is not compressed as it claims stays (E24)."""
        max_bytes = self._destination.max_response_bytes
        without_body = HttpResponse(response.status, {name.lower(): text for name, text in response.headers.items()})
        try:
            http_response = await read_response(response, max_bytes)
        except ResponseTooLargeError:
            return ResponseTooLarge(without_body.code, without_body)
        except (aiohttp.ClientError, OSError) as error:
            _, message = _ERROR_MESSAGES.get(classify_error(error), _BROKEN)
            return BrokenResponse(without_body, message)
        if response.headers.get("Content-Encoding", "").lower() in {"gzip", "deflate"}:
            # One byte more than the limit, to notice that it is exceeded.
            http_response = replace(http_response, body=decompress_prefix(http_response.body, max_bytes + 1))
        if len(http_response.body) > max_bytes:
            return ResponseTooLarge(without_body.code, without_body)
        return http_response


async def _mark_reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.reused = True


_BROKEN: Final = ("broken", "the connection broke before the response was complete")
_ERROR_MESSAGES: Final[Mapping[ErrorKind, tuple[str, str]]] = {
    ErrorKind.TIMEOUT: ("timeout", "no response in time; see otlp.timeout"),
    ErrorKind.UNTRUSTED_CERTIFICATE: ("tls", "its certificate is not trusted; see otlp.tls"),
    ErrorKind.TLS_HANDSHAKE: ("tls", "no TLS connection; see otlp.tls"),
    ErrorKind.PROXY: ("proxy", "no connection through the proxy; see HTTPS_PROXY and NO_PROXY"),
    ErrorKind.DNS: ("dns", "its name does not resolve; see otlp.endpoint"),
    **dict.fromkeys(CONNECT_KINDS, ("connect", "no connection; see otlp.endpoint")),
    ErrorKind.RESET_ON_CONNECT: ("connect", "the connection was closed at once; see otlp.endpoint and otlp.tls"),
    ErrorKind.NOT_HTTP: ("not_http", "its response is not HTTP; see otlp.endpoint"),
}
"""By kind: the code that requests are counted by, and the message; _BROKEN for all other kinds."""


def _is_bad_status_line(error: BaseException) -> bool:
    # aiohttp raises its own error from one that it raises from that of the parser.
    return error.__cause__ is not None and isinstance(error.__cause__.__cause__, BadStatusLine)


def _outcome(error: aiohttp.ClientError | OSError) -> TransportOutcome:
    kind = classify_error(error)
    if kind is ErrorKind.INVALID_URL:
        return NotSent("otlp.endpoint is not an http:// or https:// URL")
    # Without its status line it is no HTTP at all; anything else comes after the server has decided.
    if kind is ErrorKind.NOT_HTTP and not _is_bad_status_line(error):
        return UnreadableResponse("its response has an invalid or endless header; see otlp.endpoint, and any proxy")
    code, message = _ERROR_MESSAGES.get(kind, _BROKEN)
    if isinstance(error, aiohttp.ClientConnectorError):
        message = f"{message} ({error.host}:{error.port}: {error_reason(error)})"
    return NoResponse(message, code)
