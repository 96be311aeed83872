"""The HTTP server: the pages, /metrics, the API and the probes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.net.tls import reject_encrypted_key
from exporter.web import exposition_writer
from exporter.web.api_routes import ApiRoutes
from exporter.web.auth import basic_auth_middleware
from exporter.web.connections import Connections, connection_limit
from exporter.web.events import EventFilter, EventHandlers, EventsUnavailableError
from exporter.web.page_routes import HTML_TYPE, PageRoutes
from exporter.web.shared_page import RETRY_AFTER, Readers, SharedPage, send_blocks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence

    from aiohttp.typedefs import Handler, Middleware

    from exporter.config.outputs import WebSection
    from exporter.config.section import ServerTlsSection
    from exporter.metrics import MetricFamily
    from exporter.web.api_routes import ApiProvider
    from exporter.web.events import EventSource
    from exporter.web.page_routes import PageProvider

    _Route = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


MAX_LINE_BYTES: Final = 8_190  # what common servers allow for a request line
MAX_HEADERS: Final = 64
MAX_BODY_BYTES: Final = 1_024  # only GET and HEAD are served, so bodies have no use
SHUTDOWN_TIMEOUT: Final = 2.0  # seconds that open requests get; delivery needs the rest of the grace period
KEEPALIVE_TIMEOUT: Final = 75.0  # above the usual scrape interval, so that scrapers reuse their connection
RECENT_EVENTS: Final = 20  # transitions on the page of one rollout; /api/events has all
PATHS: Final = "/, /manual, /metrics, /api/openapi.json, /api/rollouts, /api/events, /healthz, /readyz"
JSON_BLOCK_VALUES: Final = 200  # some 5 ms of CPU: the event loop runs between two blocks
# aiohttp's own Server header would name its version and Python's. Pages show the present, so no cache may keep them.
SECURITY_HEADERS: Final = {
    "Server": "rollouts-exporter",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class ListenError(Exception):
    """The server cannot start; the message names the setting."""


async def _no_rollout(_namespace: str, _name: str) -> Mapping[str, object]:
    return {"rollout": None}


@dataclass(frozen=True, slots=True)
class DataSources:
    """Functions that return what the pages show.

    `families`, of the last cycle, and `rollouts`, JSON values, are called once for each object that `version` returns,
    all others at each request: `own_families` changes all the time, and
    `liveness_errors` and `readiness_errors` return reasons, none if all is well. `rollout` returns a JSON value for a
    namespace and a name, whose member `rollout` is None if there is none. `events`, `pages` and `api` are no functions,
    and None where nothing is tracked.
    """

    families: Callable[[], Iterable[MetricFamily]]
    rollouts: Callable[[], Mapping[str, object]]
    liveness_errors: Callable[[], Sequence[str]]
    readiness_errors: Callable[[], Sequence[str]]
    own_families: Callable[[], Iterable[MetricFamily]] = tuple
    version: Callable[[], object] = object
    rollout: Callable[[str, str], Awaitable[Mapping[str, object]]] = _no_rollout
    events: EventSource | None = None
    pages: PageProvider | None = None
    api: ApiProvider | None = None


@asynccontextmanager
async def serve(settings: WebSection, data_sources: DataSources) -> AsyncIterator[int]:
    """Serve while the context lasts; yield the port. Raises ListenError."""
    tls = server_tls_context(settings.tls)
    # First the socket: a port that is in use ends the start before anything runs.
    with open_listener(settings) as listener:
        connections = Connections(connection_limit())
        runner = web.AppRunner(
            application(data_sources, basic_auth_middleware(settings.basic_auth), connections),
            access_log=None,  # each scrape and probe would be a line
            logger=_request_log(),
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
        )
        await runner.setup()
        server = runner.server
        assert server is not None
        accepting = asyncio.create_task(connections.serve(listener, server, tls), name="web connections")
        try:
            yield listener.getsockname()[1]
        finally:
            accepting.cancel()
            await asyncio.wait({accepting})
            await runner.cleanup()


class _RequestErrorFilter(logging.Filter):
    """Drops what aiohttp logs, with a traceback that quotes it, of requests that are none, and of clients that left."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is about an error of ours."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | ConnectionError)


def _request_log() -> logging.Logger:
    """Return the logger of requests that failed."""
    logger = logging.getLogger("exporter.web.requests")
    logger.filters = [_RequestErrorFilter()]
    return logger


def application(
    data_sources: DataSources, auth: Middleware | None = None, connections: Connections | None = None
) -> web.Application:
    """Return the application with its routes (GET and HEAD only), behind `auth` if there is one."""
    counting = [_counting_middleware(connections)] if connections is not None else []
    app = web.Application(middlewares=[*counting, *([auth] if auth else [])], client_max_size=MAX_BODY_BYTES)
    handlers = _Handlers(data_sources)
    routes = {
        "/metrics": handlers.metrics,
        "/api/rollouts": handlers.rollouts,
        "/api/rollouts/{namespace}/{name}": handlers.rollout,
        "/healthz": handlers.health,
        "/readyz": handlers.readiness,
        "/{path:.*}": handlers.not_found,
    }
    if data_sources.events is not None:
        event_handlers = EventHandlers(data_sources.events)
        routes = {"/api/events": event_handlers.events, **routes}
        app.on_shutdown.append(event_handlers.stop)
    if data_sources.api is not None:
        api = ApiRoutes(data_sources.api, data_sources.version, handlers.send)
        routes = {"/api/status": api.status, "/api/openapi.json": api.openapi, **routes}
        routes["/api/rollouts"] = _by_query(handlers.rollouts, api.rollouts)
    if data_sources.pages is not None:
        page_routes = PageRoutes(data_sources.pages, data_sources.version, handlers.send_page)
        routes = {**_page_paths(page_routes), **routes}
        app.on_shutdown.append(page_routes.stop)
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    app.on_response_prepare.append(_add_security_headers)
    return app


def _by_query(without: _Route, with_query: _Route) -> _Route:
    """Return a handler for both: what is asked for without a query is all, as programs have always read it."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (with_query if request.query else without)(request)

    return handler


def _page_paths(pages: PageRoutes) -> dict[str, _Route]:
    return {
        "/": pages.fleet,
        "/rollouts/{namespace}/{name}": pages.rollout,
        "/delivery": pages.delivery,
        "/targets": pages.targets,
        "/gates": pages.gates,
        "/configuration": pages.configuration,
        "/manual": pages.manual,
        "/manual/{topic:.+}": pages.manual,
        "/live": pages.live,
        "/style.css": pages.style,
        "/script.js": pages.script,
        "/favicon.svg": pages.favicon,
    }


def _counting_middleware(connections: Connections) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        with connections.request(request.protocol):
            return await handler(request)

    return middleware


class _Handlers:
    """One method per path."""

    def __init__(self, data_sources: DataSources) -> None:
        self._data_sources = data_sources
        self._readers = Readers()
        # People who wait for a page, and a page for the disk, must not stop a Prometheus.
        self._scrapers = Readers()
        self._same_names: tuple[MetricFamily, ...] = ()
        self._metrics = SharedPage(self._render_metrics, data_sources.version)
        self._rollouts = SharedPage(self._render_rollouts, data_sources.version)

    async def send_page(self, request: web.Request, shared: SharedPage) -> web.StreamResponse:
        """Send a page for people."""
        return await self.send(request, shared, _compressed(request, {"Content-Type": HTML_TYPE}))

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Send text format 0.0.4, whatever the client accepts."""
        headers = _compressed(request, {"Content-Type": exposition_writer.CONTENT_TYPE})
        return await self.send(request, self._metrics, headers, self._render_own_metrics, self._scrapers)

    async def rollouts(self, request: web.Request) -> web.StreamResponse:
        return await self.send(request, self._rollouts, {"Content-Type": "application/json; charset=utf-8"})

    async def rollout(self, request: web.Request) -> web.Response:
        """Send one rollout with its recent transitions, null while the history cannot be read."""
        key = (request.match_info["namespace"], request.match_info["name"])
        document = await self._data_sources.rollout(*key)
        status = 404 if document["rollout"] is None else 200
        body = json.dumps({**document, "events": await self._recent_events(*key)}, allow_nan=False)
        return web.Response(status=status, text=body, content_type="application/json", charset="utf-8")

    async def _recent_events(self, namespace: str, name: str) -> Sequence[object] | None:
        if self._data_sources.events is None:
            return []
        try:
            filters = EventFilter(namespace=namespace, name=name, limit=RECENT_EVENTS)
            return [json.loads(event.body) for event in await self._data_sources.events.read(filters)]
        except EventsUnavailableError:
            return None

    async def health(self, _: web.Request) -> web.Response:
        return _probe(self._data_sources.liveness_errors())

    async def readiness(self, _: web.Request) -> web.Response:
        return _probe(self._data_sources.readiness_errors())

    async def not_found(self, _: web.Request) -> web.Response:
        return web.Response(status=404, text=f"unknown path; available: {PATHS}\n")

    async def send(
        self,
        request: web.Request,
        shared: SharedPage,
        headers: Mapping[str, str],
        render_tail: Callable[[], bytes] = bytes,
        readers: Readers | None = None,
    ) -> web.StreamResponse:
        """Send a shared page to one of the readers, and a tail that is rendered for this request alone."""
        response = web.StreamResponse(headers=headers)
        if request.method == "HEAD":
            return response
        with (readers or self._readers).admit(request) as is_admitted:
            if not is_admitted:
                text = "too many pages are being sent; come back in a second\n"
                return web.Response(status=503, text=text, headers={"Retry-After": RETRY_AFTER})
            page = await shared.page()
            tail = render_tail()
            blocks = page.gzip(tail) if "Content-Encoding" in headers else page.text(tail)
            await send_blocks(request, response, blocks)
        return response

    def _render_metrics(self) -> Iterator[bytes]:
        """Render the families of the last cycle, but for those with a name of an own metric: a name stands once."""
        own_names = {family.name for family in self._data_sources.own_families()}
        families = tuple(self._data_sources.families())
        self._same_names = tuple(family for family in families if family.name in own_names)
        return exposition_writer.render(family for family in families if family.name not in own_names)

    def _render_own_metrics(self) -> bytes:
        return b"".join(exposition_writer.render((*self._same_names, *self._data_sources.own_families())))

    def _render_rollouts(self) -> Iterator[bytes]:
        return json_blocks(self._data_sources.rollouts())


def json_blocks(document: Mapping[str, object]) -> Iterator[bytes]:
    """Yield an object as JSON; a value that is no single one is written as a list, in blocks. NaN is not JSON."""
    separator = "{"
    for key, value in document.items():
        yield f"{separator}{json.dumps(key)}: ".encode()
        separator = ", "
        if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
            yield from _list_blocks(iter(value))
        else:
            yield json.dumps(value, allow_nan=False).encode()
    yield b"}" if document else b"{}"


def _list_blocks(values: Iterator[object]) -> Iterator[bytes]:
    separator = "["
    while block := list(islice(values, JSON_BLOCK_VALUES)):
        yield f"{separator}{json.dumps(block, allow_nan=False)[1:-1]}".encode()
        separator = ", "
    yield b"[]" if separator == "[" else b"]"


def _probe(reasons: Sequence[str]) -> web.Response:
    return web.Response(status=503 if reasons else 200, text="".join(f"{reason}\n" for reason in reasons) or "ok\n")


async def _add_security_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)


def _compressed(request: web.Request, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a page that is compressed if the client accepts it."""
    is_gzip = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
    return {**headers, "Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if is_gzip else {})}


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
