"""Serves scrape targets on loopback, each on its own port: those of a simulated cluster or of a recording."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.commands.record import RecordedFrame, RecordedPage, RecordingError, read_frames
from exporter.demo.simulator.cluster import RESOURCES
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from exporter.demo.simulator.cluster import SimulatedCluster

HOST = "127.0.0.1"
PATH = "/metrics"
# Controllers from 1.7 on name the escaping; kube-state-metrics does not.
ARGO_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=values"
KUBE_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HOP_BY_HOP_HEADERS = frozenset({"connection", "content-encoding", "content-length", "date", "transfer-encoding"})
"""Headers of the recorded connection, not of the page."""


@asynccontextmanager
async def serve_path(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], *, path: str = PATH
) -> AsyncIterator[str]:
    """Serve one path on a free loopback port; yield its `host:port`."""
    async with serve_routes(web.get(path, handler)) as address:
        yield address


@asynccontextmanager
async def serve_routes(*routes: web.RouteDef) -> AsyncIterator[str]:
    """Serve some routes on a free loopback port; yield its `host:port`."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes(routes)
    # Bodies arrive compressed, since the fake backend checks the compression itself.
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        yield f"{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def drop_connection(request: web.Request) -> web.Response:
    """Drop the connection without a response, as if the target were down."""
    if request.transport:
        request.transport.abort()
    return web.Response()


# A simulated cluster


@asynccontextmanager
async def serve_cluster(
    cluster: SimulatedCluster, advance: Callable[[], None], *, allow_lists: bool = True, details: bool = False
) -> AsyncIterator[dict[Source, tuple[str, ...]]]:
    """Serve a cluster on free ports; yield the addresses (`host:port`), of controllers in the cluster's order.

    `advance` is called before each page and brings the cluster to the present. A controller that is down drops the
    connection. Only controllers compress: kube-state-metrics does so only with a flag. `details`: rollout state has
    the chart's second configuration.
    """

    def controller(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def respond(request: web.Request) -> web.Response:
            advance()
            body = cluster.argo_page(name)
            return drop_connection(request) if body is None else _page(body, ARGO_TYPE, compressed=True)

        return respond

    async def kube_state_metrics(request: web.Request) -> web.Response:
        advance()
        query = request.query.get("resources")
        resources = RESOURCES if query is None else frozenset(query.split(","))
        return _page(cluster.kube_state_metrics_page(allow_lists=allow_lists, resources=resources), KUBE_TYPE)

    async def rollout_state(request: web.Request) -> web.Response:
        advance()
        return _page(b"" if "resources" in request.query else cluster.state_page(details=details), KUBE_TYPE)

    async with AsyncExitStack() as stack:
        names = cluster.controllers.by_name
        argo = [await stack.enter_async_context(serve_path(controller(name))) for name in names]
        kube = await stack.enter_async_context(serve_path(kube_state_metrics))
        state = await stack.enter_async_context(serve_path(rollout_state))
        yield {Source.ARGO: tuple(argo), Source.KUBE_STATE_METRICS: (kube,), Source.ROLLOUT_STATE: (state,)}


def _page(body: bytes, content_type: str, *, compressed: bool = False) -> web.Response:
    response = web.Response(body=body, headers={"Content-Type": content_type})
    if compressed:
        response.enable_compression()
    return response


# A recording


@dataclass(frozen=True, slots=True)
class ReplayedTarget:
    """A target of a served recording, its address as `host:port`."""

    name: str
    source: Source
    address: str
    installation: str = "default"


@asynccontextmanager
async def serve_recording(
    path: Path, elapsed: Callable[[], float]
) -> AsyncIterator[tuple[tuple[ReplayedTarget, ...], float]]:
    """Serve a recording; yield its targets and its duration (seconds).

    `elapsed` returns the recorded seconds since the first frame. If a target did not respond then, its connection is
    dropped. Raise RecordingError if the recording cannot be read or is empty.
    """
    recorded = tuple(read_frames(path))
    if not recorded:
        raise RecordingError(f"{path} has no frames; `record DIR` makes a recording")
    pages = {(page.source, page.installation, page.target): page for frame in recorded for page in frame.pages}
    async with AsyncExitStack() as stack:
        targets = []
        for page in pages.values():
            address = await stack.enter_async_context(serve_path(_handler(recorded, page, elapsed)))
            targets.append(ReplayedTarget(page.target, page.source, address, page.installation))
        yield tuple(targets), recorded[-1].timestamp - recorded[0].timestamp


def frame_at(recorded: Sequence[RecordedFrame], seconds: float) -> RecordedFrame:
    """Return the last frame at or before `seconds` after the first one."""
    index = bisect_right(recorded, recorded[0].timestamp + seconds, key=lambda frame: frame.timestamp)
    return recorded[max(index - 1, 0)]


def _handler(
    recorded: Sequence[RecordedFrame], target: RecordedPage, elapsed: Callable[[], float]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the request handler of one target."""
    key = (target.source, target.installation, target.target)

    async def respond(request: web.Request) -> web.Response:
        pages = frame_at(recorded, elapsed()).pages
        page = next((page for page in pages if (page.source, page.installation, page.target) == key), None)
        return drop_connection(request) if page is None or page.status is None else _response(page, page.status)

    return respond


def _response(page: RecordedPage, status: int) -> web.Response:
    """Return the recorded response; status 500 if its body cannot be read any more."""
    headers = {name: value for name, value in page.headers.items() if name.lower() not in HOP_BY_HOP_HEADERS}
    try:
        response = web.Response(status=status, body=page.body(), headers=headers)
    except RecordingError as error:
        return web.Response(status=500, text=str(error))
    response.enable_compression()
    return response
