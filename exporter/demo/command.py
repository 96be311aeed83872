"""The command `demo`: the real exporter between a simulated cluster or a recording and a fake backend, on loopback."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.config import load
from exporter.demo.display import DisplayState, RolloutLine, TargetLine, open_display, received_line
from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.demo.servers import serve_cluster, serve_recording
from exporter.demo.simulator.scenario import Scenario
from exporter.metrics import Source
from exporter.net.auth import basic_auth
from exporter.rollouts.model import CanaryFraction
from exporter.service.app import App

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rich.console import Console

    from exporter.rollouts.model import Rollout
    from exporter.rollouts.output.targets import TargetStatus

DEMO_CREDENTIALS: Final = ("demo", "demo-password")
TICK_SECONDS: Final = 0.5
FRAMES_PER_SECOND: Final = 4
DRAIN_SECONDS: Final = 2.0
"""Seconds that a demo runs longer than its recording, so that the last points are delivered."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The result of a demo: data points produced, delivered, and received by the backend."""

    produced: int
    delivered: int
    received: ReceivedMetrics

    @property
    def ok(self) -> bool:
        """Whether every point was delivered and no request rejected."""
        return 0 < self.produced == self.delivered == self.received.points and not self.received.rejected


async def run_demo(console: Console, seconds: float | None, frames: Path | None = None) -> DemoResult:
    """Run a demo for some seconds (None: until interrupted, or to the end of the recording) and return its result.

    Raise RecordingError if the recording cannot be read.
    """
    received = ReceivedMetrics()
    username, password = DEMO_CREDENTIALS
    log.configure("error")  # log lines would break the display
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(fake_backend(received, username=username, password=password))
        sources, duration = await stack.enter_async_context(_cluster() if frames is None else _recording(frames))
        seconds = seconds if seconds is not None else duration
        app = App(load(None, {}, _settings(endpoint, sources)), "demo")
        await _run_exporter(app, received, console, seconds)
    return DemoResult(app.accounting.produced, app.accounting.delivered, received)


async def _run_exporter(app: App, received: ReceivedMetrics, console: Console, seconds: float | None) -> None:
    """Run the exporter and display its state until the time is over or the user interrupts it."""
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(stop), name="exporter")
    started = time.monotonic()
    try:
        with open_display(console) as show:
            while not task.done() and (seconds is None or time.monotonic() - started < seconds):
                show(_display_state(app, received, time.monotonic() - started))
                await asyncio.sleep(1 / FRAMES_PER_SECOND)
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None:
            current.uncancel()  # interrupted: print the summary anyway
    stop.set()
    await task


def _settings(endpoint: str, sources: dict[Source, tuple[str, ...]]) -> dict[str, object]:
    overrides: dict[str, object] = {
        "argo.interval": TICK_SECONDS,
        "otlp.endpoint": endpoint,
        "otlp.headers": {"authorization": basic_auth(*DEMO_CREDENTIALS)},
        "attributes": {"k8s.cluster.name": "demo"},
        "web.listen": "127.0.0.1:0",
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
    async with serve_cluster(scenario.cluster, lambda: scenario.advance(time.time())) as addresses:
        yield addresses, None


@asynccontextmanager
async def _recording(path: Path) -> AsyncIterator[DemoSources]:
    started = time.monotonic()
    async with serve_recording(path, lambda: time.monotonic() - started) as (targets, seconds):
        sources = {source: tuple(target.address for target in targets if target.source is source) for source in Source}
        yield sources, seconds + DRAIN_SECONDS


def _display_state(app: App, received: ReceivedMetrics, elapsed: float) -> DisplayState:
    rollouts = tuple(_rollout_line(rollout) for rollout in app.tracker.status.rollouts)
    targets = tuple(_target_line(status) for status in app.tracker.status.targets)
    return DisplayState(elapsed, rollouts, targets, received)


def _rollout_line(rollout: Rollout) -> RolloutLine:
    view, fraction = rollout.observation.view, rollout.fraction or CanaryFraction()
    pods = Counter(role.value for _, role in rollout.pod_roles)
    phase = view.phase if view is not None else "?"
    return RolloutLine(*rollout.key, phase, fraction.value, fraction.method, pods)


def _target_line(status: TargetStatus) -> TargetLine:
    result = status.result
    state = status.role.value if status.role is not None else "down" if result.failure is not None else "up"
    detail = result.failure.message if result.failure is not None else f"{result.sample_count} samples"
    return TargetLine(result.source.value, result.target, state, detail)


def summary_line(result: DemoResult) -> str:
    """Return the result of a demo as a line."""
    end = "every point was delivered" if result.ok else "NOT every point was delivered"
    return f"produced {result.produced} points, delivered {result.delivered}; {received_line(result.received)}: {end}"
