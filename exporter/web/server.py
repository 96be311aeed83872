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

from exporter.net.tls import reject_encrypted_key
from exporter.web import exposition_writer, html
from exporter.web.auth import basic_auth_middleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from aiohttp.typedefs import Middleware

    from exporter.config.outputs import WebSection
    from exporter.config.section import ServerTlsSection
    from exporter.metrics import MetricFamily
    from exporter.web.html import StatusPage


MAX_LINE_BYTES: Final = 8_190  # what common servers allow for a request line
MAX_HEADERS: Final = 64
MAX_BODY_BYTES: Final = 1_024  # only GET and HEAD are served, so bodies have no use
SHUTDOWN_TIMEOUT: Final = 2.0  # seconds that open requests get; delivery needs the rest of the grace period
KEEPALIVE_TIMEOUT: Final = 75.0  # above the usual scrape interval, so that scrapers reuse their connection
# aiohttp's own Server header would name its version and Python's. Pages show the present, so no cache may keep them.
SECURITY_HEADERS: Final = {
    "Server": "rollouts-exporter",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class ListenError(Exception):
    """The server cannot start; the message names the setting."""


@dataclass(frozen=True, slots=True)
class DataSources:
    """Functions that return what the pages show; called at each request.

    `rollouts` returns JSON values; `liveness_errors` and `readiness_errors` return reasons, none if all is well.
    """

    families: Callable[[], Iterable[MetricFamily]]
    rollouts: Callable[[], object]
    status: Callable[[], StatusPage]
    liveness_errors: Callable[[], Sequence[str]]
    readiness_errors: Callable[[], Sequence[str]]


@asynccontextmanager
async def serve(settings: WebSection, data_sources: DataSources) -> AsyncIterator[int]:
    """Serve while the context lasts; yield the port. Raises ListenError."""
    runner = web.AppRunner(
        application(data_sources, basic_auth_middleware(settings.basic_auth)),
        access_log=None,  # each scrape and probe would be a line
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        keepalive_timeout=KEEPALIVE_TIMEOUT,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        max_headers=MAX_HEADERS,
    )
    tls = server_tls_context(settings.tls)
    # First the socket: a port that is in use ends the start before anything runs.
    with open_listener(settings) as listener:
        await runner.setup()
        try:
            await web.SockSite(runner, listener, ssl_context=tls).start()
            yield listener.getsockname()[1]
        finally:
            await runner.cleanup()


def application(data_sources: DataSources, auth: Middleware | None = None) -> web.Application:
    """Return the application with its routes (GET and HEAD only), behind `auth` if there is one."""
    app = web.Application(middlewares=[auth] if auth else [], client_max_size=MAX_BODY_BYTES)
    handlers = _Handlers(data_sources)
    routes = {
        "/": handlers.page,
        "/metrics": handlers.metrics,
        "/api/rollouts": handlers.rollouts,
        "/healthz": handlers.health,
        "/readyz": handlers.readiness,
        "/style.css": handlers.style,
        "/{path:.*}": handlers.not_found,
    }
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    app.on_response_prepare.append(_add_security_headers)
    return app


@dataclass(frozen=True, slots=True)
class _Handlers:
    """One method per path."""

    data_sources: DataSources

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=html.page(self.data_sources.status()), content_type="text/html", charset="utf-8")

    async def style(self, _: web.Request) -> web.Response:
        return web.Response(text=html.asset("style.css"), content_type="text/css", charset="utf-8")

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Send text format 0.0.4, whatever the client accepts, and let the event loop run between blocks."""
        headers = {"Content-Type": exposition_writer.CONTENT_TYPE, "Vary": "Accept-Encoding"}
        response = web.StreamResponse(headers=headers)
        blocks = exposition_writer.render(self.data_sources.families())
        # Blocks are rendered only as they are written, so HEAD is cheap.
        if request.method == "HEAD":
            return response
        if _accepts_gzip(request.headers.get("Accept-Encoding", "")):
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        for block in blocks:
            await response.write(block)
            await asyncio.sleep(0)
        return response

    async def rollouts(self, _: web.Request) -> web.Response:
        body = json.dumps(self.data_sources.rollouts(), allow_nan=False)  # NaN is not JSON
        return web.Response(text=body, content_type="application/json")

    async def health(self, _: web.Request) -> web.Response:
        return _probe(self.data_sources.liveness_errors())

    async def readiness(self, _: web.Request) -> web.Response:
        return _probe(self.data_sources.readiness_errors())

    async def not_found(self, _: web.Request) -> web.Response:
        return web.Response(status=404, text="unknown path; available: /, /metrics, /api/rollouts, /healthz, /readyz\n")


def _probe(reasons: Sequence[str]) -> web.Response:
    return web.Response(status=503 if reasons else 200, text="".join(f"{reason}\n" for reason in reasons) or "ok\n")


async def _add_security_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)


def _accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip: named, and not with weight 0 (RFC 9110 §12.5.3)."""
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.replace(" ", "").partition(";q=")
        if coding in {"gzip", "x-gzip"}:
            return not weight or weight.strip("0.") != ""
    return False


def open_listener(settings: WebSection) -> socket.socket:
    """Return a listening socket; without a host one socket for IPv4 and IPv6, so that port 0 yields one port.

    Raises ListenError.
    """
    try:
        return _bind(*settings.address)
    except (OSError, OverflowError, UnicodeError) as error:
        hint = "set web.listen to an address of this machine with a free port"
        raise ListenError(f"web.listen: cannot listen on {settings.listen}: {_reason(error)}; {hint}") from error


def server_tls_context(settings: ServerTlsSection) -> ssl.SSLContext | None:
    """Return the TLS context of the server, None for plain HTTP. Raises ListenError."""
    if settings.cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=reject_encrypted_key)
    except (OSError, ValueError) as error:
        hint = "set web.tls.cert_file and web.tls.key_file to PEM files of a certificate and its key"
        raise ListenError(f"web.tls: cannot serve with {settings.cert_file}: {_reason(error)}; {hint}") from error
    return context


def _bind(host: str | None, port: int) -> socket.socket:
    if host:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _reason(error: Exception) -> str:
    """Return the system's error text, without the address that Python repeats in it."""
    if isinstance(error, ssl.SSLError | socket.gaierror) or not isinstance(error, OSError) or error.errno is None:
        return str(error)
    return os.strerror(error.errno)
