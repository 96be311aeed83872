"""Plays a recording over HTTP: each target on a port of its own, answering as it did when it was recorded."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.commands.record import RecordedFrame, RecordedPage, RecordingError, read_frames
from exporter.demo.simulator.cluster import RESOURCES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from exporter.demo.simulator.cluster import SimulatedCluster
    from exporter.metrics import Source


# Serves the simulated cluster's pages on loopback: each controller, kube-state-metrics, and Rollout state.


HOST = "127.0.0.1"
PATH = "/metrics"
ARGO_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=values"
KUBE_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ClusterAddresses:
    """Where the demo listens, as `host:port`, in the order of the cluster's controllers."""

    argo: tuple[str, ...]
    kube_state_metrics: str
    rollout_state: str


@asynccontextmanager
async def serve_cluster(
    cluster: SimulatedCluster, advance: Callable[[], None], *, allow_lists: bool = True
) -> AsyncIterator[ClusterAddresses]:
    """Serve a cluster on free ports; `advance` is called before each page to bring it to the present.

    A controller that is down drops the connection without an answer. Only controllers compress, as the real ones do.
    """

    def controller(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def show(request: web.Request) -> web.Response:
            advance()
            body = cluster.argo_page(name)
            return drop_connection(request) if body is None else _page(body, ARGO_TYPE, compressed=True)

        return show

    async def kube_state_metrics(request: web.Request) -> web.Response:
        advance()
        asked = request.query.get("resources")
        resources = RESOURCES if asked is None else frozenset(asked.split(","))
        return _page(cluster.kube_state_metrics_page(allow_lists=allow_lists, resources=resources), KUBE_TYPE)

    async def rollout_state(request: web.Request) -> web.Response:
        advance()
        return _page(b"" if "resources" in request.query else cluster.state_page(), KUBE_TYPE)

    async with AsyncExitStack() as stack:
        names = cluster.controllers.by_name
        argo = [await stack.enter_async_context(serve_path(controller(name))) for name in names]
        kube = await stack.enter_async_context(serve_path(kube_state_metrics))
        state = await stack.enter_async_context(serve_path(rollout_state))
        yield ClusterAddresses(tuple(argo), kube, state)


@asynccontextmanager
async def serve_path(
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


def drop_connection(request: web.Request) -> web.Response:
    """Drop the connection: what is left to do when the one asked is not there."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def _page(body: bytes, content_type: str, *, compressed: bool = False) -> web.Response:
    response = web.Response(body=body, headers={"Content-Type": content_type})
    if compressed:
        response.enable_compression()
    return response


# rooms


HOP_BY_HOP_HEADERS = frozenset({"connection", "content-encoding", "content-length", "date", "transfer-encoding"})
"""Headers that belong to the recorded connection, not to the page."""


@dataclass(frozen=True, slots=True)
class ReplayedTarget:
    """Where a target of a recording can be asked: its `host:port`, and the installation it belongs to."""

    name: str
    source: Source
    address: str
    installation: str = "default"


@asynccontextmanager
async def serve_recording(
    path: Path, elapsed: Callable[[], float]
) -> AsyncIterator[tuple[tuple[ReplayedTarget, ...], float]]:
    """Serve a recording; yields its targets, and how many seconds it lasts. Raises RecordingError.

    `elapsed` says how many recorded seconds have passed since the first frame. Where a target did not answer, the
    connection is dropped.
    """
    recorded = tuple(read_frames(path))
    if not recorded:
        raise RecordingError(f"{path} has no frames; `record DIR` makes a recording")
    known = {(page.source, page.installation, page.target): page for frame in recorded for page in frame.pages}
    async with AsyncExitStack() as stack:
        played = []
        for page in known.values():
            address = await stack.enter_async_context(serve_path(_handler(recorded, page, elapsed)))
            played.append(ReplayedTarget(page.target, page.source, address, page.installation))
        yield tuple(played), recorded[-1].timestamp - recorded[0].timestamp


def frame_at(recorded: Sequence[RecordedFrame], seconds: float) -> RecordedFrame:
    """Return the last frame at or before these seconds from the first one."""
    place = bisect_right(recorded, recorded[0].timestamp + seconds, key=lambda frame: frame.timestamp)
    return recorded[max(place - 1, 0)]


def _handler(
    recorded: Sequence[RecordedFrame], asked: RecordedPage, elapsed: Callable[[], float]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answer for one target."""
    who = (asked.source, asked.installation, asked.target)

    async def show(request: web.Request) -> web.Response:
        pages = frame_at(recorded, elapsed()).pages
        page = next((one for one in pages if (one.source, one.installation, one.target) == who), None)
        return drop_connection(request) if page is None or page.status is None else _response(page, page.status)

    return show


def _response(page: RecordedPage, status: int) -> web.Response:
    """Answer as recorded; a body that cannot be read any more is an error of this server."""
    headers = {name: value for name, value in page.headers.items() if name.lower() not in HOP_BY_HOP_HEADERS}
    try:
        response = web.Response(status=status, body=page.body(), headers=headers)
    except RecordingError as error:
        return web.Response(status=500, text=str(error))
    response.enable_compression()
    return response
