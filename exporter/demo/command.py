"""The command `demo`: the real exporter between a simulated cluster or a recording and a fake backend, on loopback."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter import log
from exporter.commands.watch.fleet import fleet_view
from exporter.commands.watch.terminal import watch
from exporter.config import load
from exporter.demo.display import DemoReader
from exporter.demo.fake_backend import ReceivedMetrics, fake_backend, received_line
from exporter.demo.servers import serve_cluster, serve_recording
from exporter.demo.simulator.scenario import Scenario
from exporter.metrics import Source
from exporter.net.auth import basic_auth
from exporter.service.app import App

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from exporter.config.outputs import WebSection

DEMO_CREDENTIALS: Final = ("demo", "demo-password")
TICK_SECONDS: Final = 0.5
DRAIN_SECONDS: Final = 2.0
"""Seconds that a demo runs longer than its recording, so that the last points are delivered."""
HOST: Final = "127.0.0.1"
FIRST_PORT, MAX_PORTS = 9464, 100
"""The port of the pages, as an exporter's; if it is in use, the next free one of so many."""
FIXED_SETTINGS: Final = ("otlp.endpoint", "otlp.headers", *(f"{source}.targets" for source in Source))
"""Settings that are the demo's own: with others it would not show what it shows."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The result of a demo: data points produced, delivered, and received by the backend; the signal that ended it."""

    produced: int
    delivered: int
    received: ReceivedMetrics
    signal_name: str

    @property
    def ok(self) -> bool:
        """Whether every point was delivered and no request rejected."""
        return 0 < self.produced == self.delivered == self.received.points and not self.received.rejected


async def run_demo(
    console: Console, seconds: float | None, frames: Path | None, overrides: Mapping[str, object]
) -> DemoResult:
    """Run a demo for some seconds (None: to the end of the recording, if it is one) and return its result.

    `q`, SIGINT and SIGTERM end it early; a second signal ends the process at once. `overrides` are settings as of
    `load`. Raise RecordingError if the recording cannot be read, ConfigError and ListenError.
    """
    received = ReceivedMetrics()
    username, password = DEMO_CREDENTIALS
    log.configure("error")  # log lines would break the display
    async with AsyncExitStack() as stack:
        stopped = stack.enter_context(_signalled())
        endpoint = await stack.enter_async_context(fake_backend(received, username=username, password=password))
        sources, duration = await stack.enter_async_context(_cluster() if frames is None else _recording(frames))
        seconds = seconds if seconds is not None else duration
        loaded = load(None, {}, {**_settings(endpoint, sources), **overrides})
        address = page_address(loaded.settings.web)
        app = App(loaded, "demo")
        console.print(f"page: {address}", highlight=False, soft_wrap=True)
        console.print(f"what arrives: {endpoint}", highlight=False, soft_wrap=True)
        await _run_exporter(app, DemoReader(app, received, address), console, seconds, stopped)
    name = stopped.result().name if stopped.done() else ""
    return DemoResult(app.accounting.produced, app.accounting.delivered, received, name)


@contextmanager
def _signalled() -> Iterator[asyncio.Future[signal.Signals]]:
    """Yield a future of the first signal that ends the demo; a second one has its default effect."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def remove() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def on_signal(number: signal.Signals) -> None:
        remove()
        first.set_result(number)

    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield first
    finally:
        remove()


async def _run_exporter(
    app: App, reader: DemoReader, console: Console, seconds: float | None, stopped: asyncio.Future[signal.Signals]
) -> None:
    """Run the exporter and show its state until the time is over, the user ends it, or a signal has `stopped` it."""
    stop = asyncio.Event()
    exporter = asyncio.create_task(app.run(stop), name="exporter")
    view = asyncio.create_task(watch(console, reader, fleet_view, ends_on_sigterm=False), name="view")
    ends: tuple[asyncio.Future[Any], ...] = (exporter, view, stopped)
    await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    view.cancel()
    stop.set()
    results = await asyncio.gather(exporter, view, return_exceptions=True)
    for error in results:
        if isinstance(error, Exception):
            raise error


def page_address(web: WebSection) -> str:
    """Return the URL at which the pages can be read on this machine."""
    host, port = web.address
    local = host or "localhost"
    return f"http{'s' if web.tls.cert_file else ''}://{f'[{local}]' if ':' in local else local}:{port}"


def _free_port() -> int:
    """Return the first port from FIRST_PORT on that is free."""
    for port in range(FIRST_PORT, FIRST_PORT + MAX_PORTS):
        with suppress(OSError), socket.create_server((HOST, port)):
            return port
    return FIRST_PORT  # which fails with the reason


def _settings(endpoint: str, sources: dict[Source, tuple[str, ...]]) -> dict[str, object]:
    overrides: dict[str, object] = {
        "argo.interval": TICK_SECONDS,
        "otlp.endpoint": endpoint,
        "otlp.headers": {"authorization": basic_auth(*DEMO_CREDENTIALS)},
        "attributes": {"k8s.cluster.name": "demo"},
        "web.listen": f"{HOST}:{_free_port()}",
        # Shorter than the defaults: the cluster runs four times as fast, and a failover takes 4 to 5 s of real time.
        "lifecycle.grace": 10,
        "lifecycle.ended_info": 5,
    }
    for source in Source:
        overrides[f"{source}.targets"] = list(sources[source])
        overrides[f"{source}.interval"] = TICK_SECONDS
    return overrides


DemoSources = tuple[dict[Source, tuple[str, ...]], float | None]
"""The addresses of each source, and the duration in seconds (None: unlimited)."""


@asynccontextmanager
async def _cluster() -> AsyncIterator[DemoSources]:
    scenario = Scenario(time.time())
    async with serve_cluster(scenario.cluster, lambda: scenario.advance(time.time()), details=True) as addresses:
        yield addresses, None


@asynccontextmanager
async def _recording(path: Path) -> AsyncIterator[DemoSources]:
    started = time.monotonic()
    async with serve_recording(path, lambda: time.monotonic() - started) as (targets, seconds):
        sources = {source: tuple(target.address for target in targets if target.source is source) for source in Source}
        yield sources, seconds + DRAIN_SECONDS


def summary_line(result: DemoResult) -> str:
    """Return the result of a demo as a line."""
    end = "every point was delivered" if result.ok else "NOT every point was delivered"
    if not result.produced:
        end = "nothing to deliver yet"
    stopped = f"stopped by {result.signal_name}: " if result.signal_name else ""
    points = f"produced {result.produced} points, delivered {result.delivered}"
    return f"{stopped}{points}; {received_line(result.received)}: {end}"
