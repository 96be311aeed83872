"""Running exporters for a browser: between a recording whose time a test sets, or a large page, and no backend."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import ClientSession, ClientTimeout, web

from exporter.config import load
from exporter.demo.servers import serve_path, serve_recording
from exporter.metrics import Source
from exporter.service.app import App
from tests.bench.fleet import Size, build_fleet
from tests.bench.pages import argo_page
from tests.real_stores import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

INTERVAL: Final = 0.2
"""Seconds between two scrapes; also their timeout, so a large page has to have more."""
PREFIX: Final = "/tools/rollouts"


@dataclass
class RecordedTime:
    """The recorded seconds since the first frame that targets are at."""

    seconds: float = 0.0


@asynccontextmanager
async def running(targets: Mapping[str, object], port: int = 0) -> AsyncIterator[str]:
    """Run the exporter with targets; yield the address of its pages."""
    port = port or free_port()
    settings = {"argo.interval": INTERVAL, **targets, "web.listen": f"127.0.0.1:{port}"}
    app = App(load(None, {}, settings), "exporter-0")
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(stop))
    try:
        await _until_open(port, task)
        yield f"http://127.0.0.1:{port}/"
    finally:
        stop.set()
        await task


async def _until_open(port: int, task: asyncio.Task[object]) -> None:
    """Return when something listens at a port. Raises what ends the task before."""
    async with asyncio.timeout(30):
        while not task.done():
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
    task.result()


@asynccontextmanager
async def replaying(frames: Path, time: RecordedTime) -> AsyncIterator[str]:
    """Run the exporter with the targets of a recording, and a link on the page of each rollout."""
    async with serve_recording(frames, lambda: time.seconds) as (targets, _):
        addresses = {
            f"{source}.targets": [target.address for target in targets if target.source is source] for source in Source
        }
        intervals = {f"{source}.interval": INTERVAL for source in Source if addresses[f"{source}.targets"]}
        links = {"web.links": {"Grafana": "https://grafana.example/d/x?var-namespace={namespace}&var-name={name}"}}
        async with running({**addresses, **intervals, **links}) as url:
            yield url


@asynccontextmanager
async def with_rollouts(count: int) -> AsyncIterator[str]:
    """Run the exporter with a controller of so many rollouts."""
    page = "".join(argo_page(build_fleet(Size(count, 4 * count))))

    async def respond(_: web.Request) -> web.Response:
        return web.Response(text=page)

    async with serve_path(respond) as address, running({"argo.targets": [address], "argo.interval": 5.0}) as url:
        yield url


@asynccontextmanager
async def behind_prefix(url: str) -> AsyncIterator[str]:
    """Serve pages below a path, which is taken away before they are asked for, as an Ingress does."""
    async with ClientSession(timeout=ClientTimeout(total=None), auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            path = request.raw_path.removeprefix(f"{PREFIX}/")
            headers = {name: request.headers[name] for name in ("Accept", "Accept-Encoding") if name in request.headers}
            async with session.get(url + path, headers=headers) as answer:
                response = web.StreamResponse(status=answer.status)
                for name in ("Content-Type", "Content-Encoding", "Content-Security-Policy"):
                    if name in answer.headers:
                        response.headers[name] = answer.headers[name]
                await response.prepare(request)
                async for block in answer.content.iter_any():
                    await response.write(block)
                return response

        async with serve_path(forward, path=PREFIX + "/{path:.*}") as address:
            yield f"http://{address}{PREFIX}/"
