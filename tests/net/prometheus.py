"""A server of the Prometheus HTTP API with configurable responses, which records its requests."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from multidict import CIMultiDictProxy

    Behaviour = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class ReceivedRequest:
    """One request as received."""

    method: str
    path: str
    form: dict[str, str]
    headers: CIMultiDictProxy[str]


@dataclass
class Api:
    """A running server: its address without /api/v1, and the requests that it received."""

    address: str = ""
    requests: list[ReceivedRequest] = field(default_factory=list)


def respond_with(
    body: bytes | str, status: int = 200, media_type: str = "application/json", **headers: str
) -> Behaviour:
    """Send the same response to every request."""

    async def reply(_: web.BaseRequest) -> web.StreamResponse:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=data, headers={"Content-Type": media_type, **headers})

    return reply


def vector(*samples: tuple[dict[str, str], float]) -> str:
    """Return the response to an instant query."""
    result = [{"metric": labels, "value": [1700000000.5, f"{value!r}"]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


def only_get(behaviour: Behaviour, status: int = 405) -> Behaviour:
    """Reject POST, as old servers and some proxies do."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        return await behaviour(request) if request.method == "GET" else web.Response(status=status)

    return reply


@asynccontextmanager
async def api(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Api]:
    """Serve on loopback."""
    server = Api()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()} | dict(request.query)
        server.requests.append(ReceivedRequest(request.method, request.path, form, request.headers))
        return await behaviour(request)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        host, port = runner.addresses[0][:2]
        server.address = f"{'https' if tls else 'http'}://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
