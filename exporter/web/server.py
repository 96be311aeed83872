"""The HTTP server: /metrics, /api/rollouts, the probes and the status page."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from exporter.web import exposition_writer, html
from exporter.web.auth import admission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from aiohttp.typedefs import Middleware

    from exporter.config.otlp import Web
    from exporter.config.section import ServerTls
    from exporter.metrics import MetricFamily
    from exporter.web.views import Status


# The `web` section of the configuration → a listening socket and the certificate to serve with.


class ListenError(Exception):
    """Nothing can be served; the message names the setting."""


def listening(settings: Web) -> socket.socket:
    """Return a socket that listens; without a host one for IPv4 and IPv6, so that port 0 is one port.

    Raises ListenError.
    """
    try:
        return _bound(*settings.address)
    except (OSError, OverflowError, UnicodeError) as error:
        cure = "set web.listen to an address of this machine with a free port"
        raise ListenError(f"web.listen: cannot listen on {settings.listen}: {_reason(error)}; {cure}") from error


def certificate(settings: ServerTls) -> ssl.SSLContext | None:
    """Return the context to serve TLS with, None for plain HTTP. Raises ListenError."""
    if settings.cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        cure = "set web.tls.cert_file and web.tls.key_file to PEM files of a certificate and its key"
        raise ListenError(f"web.tls: cannot serve with {settings.cert_file}: {_reason(error)}; {cure}") from error
    return context


def _bound(host: str | None, port: int) -> socket.socket:
    if host:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _reason(error: Exception) -> str:
    """Say what was wrong in the system's words, without the address that Python repeats."""
    if isinstance(error, ssl.SSLError | socket.gaierror) or not isinstance(error, OSError) or error.errno is None:
        return str(error)
    return os.strerror(error.errno)


def _no_password() -> str:
    raise ValueError("the private key is encrypted; give one without a password")


# rooms


LONGEST_LINE: Final = 8_190
MOST_HEADERS: Final = 64
BODY_BYTES: Final = 1_024
GOODBYE_SECONDS: Final = 2.0
KEEPALIVE_SECONDS: Final = 75.0
HEADERS: Final = {
    "Server": "rollouts-exporter",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True, slots=True)
class Content:
    """Where the answers come from, asked anew at each request.

    `rollouts` is anything that JSON can say; `stalled` and `unready` are reasons, none when all is well.
    """

    families: Callable[[], Iterable[MetricFamily]]
    rollouts: Callable[[], object]
    status: Callable[[], Status]
    stalled: Callable[[], Sequence[str]]
    unready: Callable[[], Sequence[str]]


@asynccontextmanager
async def serve(settings: Web, content: Content) -> AsyncIterator[int]:
    """Serve while the context lasts, and yield the port. Raises ListenError."""
    runner = web.AppRunner(
        application(content, admission(settings.basic_auth)),
        access_log=None,
        shutdown_timeout=GOODBYE_SECONDS,
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        max_headers=MOST_HEADERS,
    )
    tls = certificate(settings.tls)
    with listening(settings) as bound:
        await runner.setup()
        try:
            await web.SockSite(runner, bound, ssl_context=tls).start()
            yield bound.getsockname()[1]
        finally:
            await runner.cleanup()


def application(content: Content, door: Middleware | None = None) -> web.Application:
    """Return the routes behind the door; GET and HEAD only."""
    app = web.Application(middlewares=[door] if door else [], client_max_size=BODY_BYTES)
    answers = _Answers(content)
    pages = {
        "/": answers.page,
        "/metrics": answers.metrics,
        "/api/rollouts": answers.rollouts,
        "/healthz": answers.health,
        "/readyz": answers.readiness,
        "/style.css": answers.style,
        "/{path:.*}": answers.unknown,
    }
    app.add_routes([web.get(path, answer) for path, answer in pages.items()])
    app.on_response_prepare.append(_harden)
    return app


class _Answers:
    """One method for each path."""

    def __init__(self, content: Content) -> None:
        self._content = content

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=html.page(self._content.status()), content_type="text/html", charset="utf-8")

    async def style(self, _: web.Request) -> web.Response:
        return web.Response(text=html.asset("style.css"), content_type="text/css", charset="utf-8")

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Send text 0.0.4, whatever is asked for, and let the event loop turn between blocks."""
        response = web.StreamResponse(
            headers={"Content-Type": exposition_writer.CONTENT_TYPE, "Vary": "Accept-Encoding"}
        )
        blocks = exposition_writer.render(self._content.families())
        if request.method == "HEAD":
            return response
        if _takes_gzip(request.headers.get("Accept-Encoding", "")):
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        for block in blocks:
            await response.write(block)
            await asyncio.sleep(0)
        return response

    async def rollouts(self, _: web.Request) -> web.Response:
        body = json.dumps(self._content.rollouts(), allow_nan=False)
        return web.Response(text=body, content_type="application/json")

    async def health(self, _: web.Request) -> web.Response:
        return _probe(self._content.stalled())

    async def readiness(self, _: web.Request) -> web.Response:
        return _probe(self._content.unready())

    async def unknown(self, _: web.Request) -> web.Response:
        return web.Response(status=404, text="no such path; there are /, /metrics, /api/rollouts, /healthz, /readyz\n")


def _probe(reasons: Sequence[str]) -> web.Response:
    return web.Response(status=503 if reasons else 200, text="".join(f"{reason}\n" for reason in reasons) or "ok\n")


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _takes_gzip(accept_encoding: str) -> bool:
    """Tell whether a client that says this takes gzip (RFC 9110 §12.5.3): named, and not with a weight of 0."""
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.replace(" ", "").partition(";q=")
        if coding in {"gzip", "x-gzip"}:
            return not weight or weight.strip("0.") != ""
    return False
