"""A client of the Prometheus HTTP API that sends the requests of its Go client. Errors are returned as a Failure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from yarl import URL

from exporter import log
from exporter.metrics import Failure
from exporter.net.errors import CONNECT_KINDS, ErrorKind, classify_error
from exporter.net.http import SessionClient, read_response
from exporter.net.prometheus_response import Hints, QueryContext, parse_query, parse_response, parse_series
from exporter.net.response import excerpt, status_text

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from exporter.metrics import Labels
    from exporter.net.prometheus_response import QueryResult
    from exporter.net.response import HttpResponse
    from exporter.net.tls import ClientTlsLoader

    Form = Mapping[str, str | float | None]

T = TypeVar("T")
MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""So that a server cannot fill the memory."""
_POST_NOT_SUPPORTED: Final = {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
"""Statuses of a server that takes no POST; the Go client then sends the query by GET, and so does this one."""
_MAX_DETAIL: Final = 300
"""Characters of an exception's own text in a message."""


@dataclass(frozen=True, slots=True)
class PrometheusEndpoint:
    """A server of the Prometheus HTTP API: `address` is what comes before /api/v1, `timeout` is in seconds.

    `headers` are sent as they are, and are secret; `tls` is None for plain text; `proxy` is the URL of a proxy, None
    for a direct connection; `hints` are the settings that error messages name. With `follows_redirects` a redirect is
    followed as Go's client does: the form is lost at 301, 302 and 303, and sent again at 307 and 308.
    """

    address: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ClientTlsLoader | None = None
    timeout: float = 30.0
    proxy: str | None = field(default=None, repr=False)
    hints: Hints = field(default_factory=Hints)
    follows_redirects: bool = False


class PrometheusClient(SessionClient):
    """Queries one endpoint; use it with `async with`. Each method returns the result, or a Failure with a hint.

    The reasons: `query` (rejected as it is), `credential`, `address`, `tls`, `unreachable`, `timeout`, `busy`.
    """

    def __init__(self, endpoint: PrometheusEndpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._has_credential = any(name.lower() == "authorization" for name in endpoint.headers)
        log.register_auth_headers(*endpoint.headers.values())

    async def query(self, promql: str, timestamp: float | None = None) -> QueryResult | Failure:
        """Evaluate a query at a time (Unix seconds; None: the current time of the server)."""
        return await self._call("query", {"query": promql, "time": timestamp}, parse_query)

    async def query_range(self, promql: str, start: float, end: float, step: float) -> QueryResult | Failure:
        """Evaluate a query at every step (seconds) from a start to an end, both included."""
        return await self._call("query_range", {"query": promql, "start": start, "end": end, "step": step}, parse_query)

    async def series(
        self, match: str, start: float | None = None, end: float | None = None
    ) -> tuple[Labels, ...] | Failure:
        """Return the labels of every series that a selector matches between two times (None: the server's limits)."""
        return await self._call("series", {"match[]": match, "start": start, "end": end}, parse_series)

    async def _call(self, path: str, form: Form, parse: Callable[[Mapping[str, Any]], T]) -> T | Failure:
        response = await self.request(path, form)
        if isinstance(response, Failure):
            return response
        document = self.parse(path, response)
        if isinstance(document, Failure):
            return document
        try:
            return parse(document)
        except ValueError as error:
            hint = f"check {self._endpoint.hints.address}"
            return Failure("address", f"{self._context(path).origin} sends an unexpected response: {error}; {hint}")

    async def request(self, path: str, form: Form) -> HttpResponse | Failure:
        """Send a request to a path below /api/v1 and return the HTTP response, whatever its status."""
        context = self._context(path)
        try:
            tls = self._endpoint.tls.load().context if self._endpoint.tls else True
        except (OSError, ValueError) as error:
            message = f"{context.origin} is not queried: {error}; check {context.hints.tls}"
            return _redacted(Failure("tls", message))
        fields = {key: _form_value(value) for key, value in form.items() if value is not None}
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                response = await self._exchange("POST", context.url, fields, tls=tls)
                if response.status in _POST_NOT_SUPPORTED:
                    response = await self._exchange("GET", context.url, fields, tls=tls)
                return response
        except RedirectError as error:
            return _redacted(Failure("address", str(error)))
        except Exception as error:  # noqa: BLE001 - whatever the network raises becomes a Failure
            reason, text = _ERROR_MESSAGES.get(classify_error(error), _BROKEN)
            detail = excerpt(log.REDACTOR.redact(str(error)), _MAX_DETAIL)
            message = text.format(detail=detail, hints=context.hints, seconds=self._endpoint.timeout)
            return _redacted(Failure(reason, f"{context.origin} {message}"))

    def parse(self, path: str, response: HttpResponse) -> Mapping[str, Any] | Failure:
        """Return the JSON of a response to a request of `path`, else what is wrong with it."""
        document = parse_response(response, self._context(path))
        if not isinstance(document, Failure):
            return document
        # Again without secrets: the message may end within one, whose rest would not be recognised.
        document = parse_response(replace(response, body=log.REDACTOR.redact_bytes(response.body)), self._context(path))
        return _redacted(document) if isinstance(document, Failure) else document

    def _context(self, path: str) -> QueryContext:
        url = f"{self._endpoint.address.rstrip('/')}/api/v1/{path}"
        return QueryContext(url, self._has_credential, self._endpoint.hints)

    async def _exchange(
        self, method: str, url: str, fields: Mapping[str, str], *, tls: ssl.SSLContext | bool
    ) -> HttpResponse:
        """Send a request, and follow its redirects if the endpoint is for that. Raises RedirectError."""
        first_method, target, form = method, URL(url), fields
        response = await self._send(method, url, fields, tls=tls)
        redirects: tuple[int, ...] = ()
        while self._endpoint.follows_redirects and response.status in REDIRECTS and response.headers.get("location"):
            if len(redirects) == MAX_REDIRECTS - 1:
                raise RedirectError(f'{first_method.capitalize()} "{target}": stopped after {MAX_REDIRECTS} redirects')
            redirects = (*redirects, response.status)
            target = self._redirected(target, response)
            if response.status not in REPEATED_REDIRECTS:
                method, form = "GET", {}
            # In Location is what the server wants, so a query by GET does not add its form again.
            response = await self._send(method, str(target), form if method == "POST" else {}, tls=tls)
        return replace(response, redirects=redirects)

    def _redirected(self, url: URL, response: HttpResponse) -> URL:
        """Return where a redirect leads. Raises RedirectError for another host that would get the credential."""
        target = url.join(URL(response.headers["location"]))
        if target.host != url.host and self._endpoint.headers:
            raise RedirectError(
                f"{url.host} responds {status_text(response.status)} to {target.host}, to which the controller sends"
                f" the headers, too, and this program does not; set {self._endpoint.hints.address} to the final address"
            )
        return target

    async def _send(
        self, method: str, url: str, fields: Mapping[str, str], *, tls: ssl.SSLContext | bool
    ) -> HttpResponse:
        async with self._session.request(
            method,
            URL(url),
            data=fields if method == "POST" else None,
            params=fields if method == "GET" else None,
            headers=self._endpoint.headers,
            # A redirect could take the credential to another server.
            allow_redirects=False,
            ssl=tls,
            server_hostname=self._endpoint.tls.server_name if self._endpoint.tls else None,
            proxy=self._endpoint.proxy,
        ) as response:
            return await read_response(response, MAX_RESPONSE_BYTES)


REDIRECTS: Final = {301, 302, 303, 307, 308}
REPEATED_REDIRECTS: Final = {307, 308}
"""The redirects at which Go's client sends method and form again; at the others a GET without a form."""
MAX_REDIRECTS: Final = 10
"""The limit of Go's client."""


class RedirectError(Exception):
    """A redirect that is not followed."""


_BROKEN: Final = ("unreachable", "broke the connection ({detail}); retry, and check its log if this persists")
_ERROR_MESSAGES: Final[Mapping[ErrorKind, tuple[str, str]]] = {
    ErrorKind.TIMEOUT: ("timeout", "did not respond within {seconds:g} s; raise {hints.timeout} if it is only slow"),
    ErrorKind.RESPONSE_TOO_LARGE: ("query", "responds with more than 64 MiB; narrow the query"),
    ErrorKind.INVALID_URL: ("address", "is not an http:// or https:// URL; fix {hints.address}"),
    ErrorKind.UNTRUSTED_CERTIFICATE: ("tls", "presents an untrusted certificate; check {hints.tls}"),
    ErrorKind.TLS_HANDSHAKE: ("tls", "fails the TLS handshake; check {hints.tls}, and https:// or http://"),
    ErrorKind.PROXY: ("unreachable", "cannot be reached through the proxy; check HTTPS_PROXY and NO_PROXY"),
    ErrorKind.DNS: ("unreachable", "does not resolve; check {hints.address}"),
    **dict.fromkeys(CONNECT_KINDS, ("unreachable", "cannot be reached ({detail}); check {hints.address}")),
    ErrorKind.INCOMPLETE: (
        "unreachable",
        "closed the connection in the middle of the response; retry, and check its log if this persists",
    ),
    # ValueError of aiohttp: a header that HTTP cannot carry, or a credential in both header and URL.
    ErrorKind.OTHER: (
        "credential",
        "cannot be queried: a line break in {hints.credential}, or a credential in {hints.address}",
    ),
}
"""By kind: the reason, and the rest of the sentence that begins with the origin; _BROKEN for all other kinds."""


def _redacted(failure: Failure) -> Failure:
    """Remove secrets from a message: a server may echo what it received."""
    return Failure(failure.reason, log.REDACTOR.redact(failure.message))


def _form_value(value: str | float) -> str:
    """Format a time as the Go client does: seconds with up to three decimals, no exponent."""
    return value if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")
