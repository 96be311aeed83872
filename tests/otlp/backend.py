"""A backend from hell: a real server on loopback that does what each test tells it, request by request."""

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
    """Answer with a status; header names are written with _ for -."""

    async def reply(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code, body=body, headers={name.replace("_", "-"): v for name, v in headers.items()})

    return reply


async def abort(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection in place of an answer."""
    if request.transport:
        request.transport.abort()
    return web.Response()


async def abort_amid(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection in the middle of the answer's body."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half")
    return await abort(request)


async def dawdle(_: web.BaseRequest) -> web.StreamResponse:
    """Answer long after anybody waits."""
    await asyncio.sleep(30)
    return web.Response()


def refuse_over(most: int, code: int = 413) -> Reply:
    """Refuse requests of more than `most` points."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code if len(values(await request.read())) > most else 200)

    return reply


def refuse_value(bad: float) -> Reply:
    """Refuse requests that hold a value."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=400 if bad in values(await request.read()) else 200)

    return reply


def values(body: bytes) -> list[float]:
    """Return the values of a request's points, in order; of a histogram its count."""
    plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    every = [point for metric in metrics(ExportRequest(plain, 0)) for point in points(metric)]
    return [float(point.count) if hasattr(point, "count") else point.as_double for point in every]


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    answered: int = 0


@dataclass
class Backend:
    """Answers with `replies` in turn, and with `always` when they are used up."""

    replies: list[Reply] = field(default_factory=list)
    always: Reply = field(default_factory=lambda: status(200))
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None
    runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1/metrics"

    @property
    def stored(self) -> list[float]:
        """What was answered with a success."""
        return [value for one in self.seen if 200 <= one.answered < 300 for value in values(one.body)]

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
        one = Seen(request.method, request.path, request.headers, await request.read())
        self.seen.append(one)
        reply = self.replies.pop(0) if self.replies else self.always
        response = await reply(request)
        one.answered = response.status
        return response
