"""A backend with faults: a real server on loopback with a reply for each request, set by the test."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.otlp.encode.protobuf import ExportRequest

from .helpers import metrics, points

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from multidict import CIMultiDictProxy

    Reply = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def status(code: int, body: bytes = b"", **headers: str) -> Reply:
    """Return a reply with a status; header names are written with _ for -."""

    async def reply(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code, body=body, headers={name.replace("_", "-"): v for name, v in headers.items()})

    return reply


async def reset_connection(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection instead of a response."""
    if request.transport:
        request.transport.abort()
    return web.Response()


async def reset_within_body(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection within the body of the response."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half")
    return await reset_connection(request)


async def answer_too_late(_: web.BaseRequest) -> web.StreamResponse:
    """Respond long after the timeout."""
    await asyncio.sleep(30)
    return web.Response()


def refuse_larger_than(max_points: int, code: int = 413) -> Reply:
    """Return a reply that refuses requests of more than `max_points` points."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code if len(values(await request.read())) > max_points else 200)

    return reply


def refuse_value(bad: float) -> Reply:
    """Return a reply that refuses requests with a value."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=400 if bad in values(await request.read()) else 200)

    return reply


def values(body: bytes) -> list[float]:
    """Return the values of a request's points, in order; of a histogram its count."""
    uncompressed = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    all_points = [point for metric in metrics(ExportRequest(uncompressed, 0)) for point in points(metric)]
    return [float(point.count) if hasattr(point, "count") else point.as_double for point in all_points]


@dataclass
class RecordedRequest:
    """A received request, and the status of its response."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    response_status: int = 0


@dataclass
class Backend:
    """Responds with each of `replies` once, then with `default_reply`."""

    replies: list[Reply] = field(default_factory=list)
    default_reply: Reply = field(default_factory=lambda: status(200))
    received: list[RecordedRequest] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None
    runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1/metrics"

    @property
    def stored(self) -> list[float]:
        """The values in the requests that were answered with success."""
        return [
            value
            for recorded in self.received
            if 200 <= recorded.response_status < 300
            for value in values(recorded.body)
        ]

    async def start(self) -> None:
        self.runner = web.ServerRunner(web.Server(self._handle, auto_decompress=False), shutdown_timeout=0.01)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        if self.runner:
            await self.runner.cleanup()
            self.runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        recorded = RecordedRequest(request.method, request.path, request.headers, await request.read())
        self.received.append(recorded)
        reply = self.replies.pop(0) if self.replies else self.default_reply
        response = await reply(request)
        recorded.response_status = response.status
        return response
