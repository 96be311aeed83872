"""Serves the simulated cluster's pages on loopback: each controller, kube-state-metrics, and Rollout state."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.demo.cluster import RESOURCES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.demo.cluster import Cluster

HOST = "127.0.0.1"
PATH = "/metrics"
ARGO_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=values"
KUBE_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo listens, as `host:port`, in the order of the cluster's controllers."""

    argo: tuple[str, ...]
    kube_state_metrics: str
    rollout_state: str


@asynccontextmanager
async def serve(cluster: Cluster, advance: Callable[[], None], *, allow_lists: bool = True) -> AsyncIterator[Addresses]:
    """Serve a cluster on free ports; `advance` is called before each page to bring it to the present.

    A controller that is down drops the connection without an answer. Only controllers compress, as the real ones do.
    """

    def controller(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def show(request: web.Request) -> web.Response:
            advance()
            body = cluster.argo_page(name)
            return hang_up(request) if body is None else _page(body, ARGO_TYPE, compressed=True)

        return show

    async def kube_state_metrics(request: web.Request) -> web.Response:
        advance()
        asked = request.query.get("resources")
        resources = RESOURCES if asked is None else frozenset(asked.split(","))
        return _page(cluster.ksm_page(allow_lists=allow_lists, resources=resources), KUBE_TYPE)

    async def rollout_state(request: web.Request) -> web.Response:
        advance()
        return _page(b"" if "resources" in request.query else cluster.state_page(), KUBE_TYPE)

    async with AsyncExitStack() as stack:
        names = cluster.controllers.members
        argo = [await stack.enter_async_context(listening(controller(name))) for name in names]
        kube = await stack.enter_async_context(listening(kube_state_metrics))
        state = await stack.enter_async_context(listening(rollout_state))
        yield Addresses(tuple(argo), kube, state)


@asynccontextmanager
async def listening(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], *, path: str = PATH, method: str = "GET"
) -> AsyncIterator[str]:
    """Answer one path on a free loopback port; yields its `host:port`."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route(method, path, answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        yield f"{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def hang_up(request: web.Request) -> web.Response:
    """Drop the connection: what is left to do when the one asked is not there."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def _page(body: bytes, content_type: str, *, compressed: bool = False) -> web.Response:
    response = web.Response(body=body, headers={"Content-Type": content_type})
    if compressed:
        response.enable_compression()
    return response
