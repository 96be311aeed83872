"""The demo: the real exporter between a simulated cluster (or a recording) and a Last9 stand-in, all on loopback."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.config import load
from exporter.demo.display import DisplayState, ReceivedStats, RolloutLine, TargetLine, open_display, received_line
from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.demo.servers import serve_cluster, serve_recording
from exporter.demo.simulator.scenario import Scenario
from exporter.metrics import Source
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


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What became of a demo: points made and arrived, and what was refused or never came."""

    enqueued: int
    delivered: int
    received: ReceivedStats

    @property
    def ok(self) -> bool:
        """Whether everything made arrived."""
        return 0 < self.enqueued == self.delivered == self.received.points and not self.received.rejected


async def run_demo(console: Console, seconds: float | None, frames: Path | None = None) -> DemoResult:
    """Put the demo on for so long (None: until interrupted, or the recording's end), and tell what became of it.

    Raises RecordingError.
    """
    ledger = ReceivedMetrics()
    log.configure("error")
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(
            fake_backend(ledger, username=DEMO_CREDENTIALS[0], password=DEMO_CREDENTIALS[1])
        )
        sources, lasts = await stack.enter_async_context(_cluster() if frames is None else _recording(frames))
        seconds = seconds if seconds is not None else lasts
        app = App(load(None, {}, _settings(endpoint, sources)), "demo")
        await _run_exporter(app, ledger, console, seconds)
    return DemoResult(app.accounting.produced, app.accounting.delivered, _received_stats(ledger))


async def _run_exporter(app: App, ledger: ReceivedMetrics, console: Console, seconds: float | None) -> None:
    """Run the exporter and show what it sees, until the time is over or someone interrupts."""
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(stop), name="exporter")
    began = time.monotonic()
    try:
        with open_display(console) as show:
            while not running.done() and (seconds is None or time.monotonic() - began < seconds):
                show(_display_state(app, ledger, time.monotonic() - began))
                await asyncio.sleep(1 / FRAMES_PER_SECOND)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # interrupted: the summary is still due
    stop.set()
    await running


def _settings(endpoint: str, sources: dict[Source, tuple[str, ...]]) -> dict[str, object]:
    overrides: dict[str, object] = {
        "argo.interval": TICK_SECONDS,
        "otlp.endpoint": endpoint,
        "otlp.headers": {"authorization": _basic_auth()},
        "attributes": {"k8s.cluster.name": "demo"},
        "web.listen": "127.0.0.1:0",
        "lifecycle.grace": 10,
        "lifecycle.ended_info": 5,
    }
    for source in Source:
        overrides[f"{source}.targets"] = list(sources.get(source, ()))
        overrides[f"{source}.interval"] = TICK_SECONDS
    return overrides


def _basic_auth() -> str:
    return basic_auth(*DEMO_CREDENTIALS)


DemoSources = tuple[dict[Source, tuple[str, ...]], float | None]
"""The addresses of each source, and for how long there is something to see (None: for ever)."""


@asynccontextmanager
async def _cluster() -> AsyncIterator[DemoSources]:
    stage = Scenario(time.time())
    async with serve_cluster(stage.cluster, lambda: stage.advance(time.time())) as there:
        yield (
            {
                Source.ARGO: there.argo,
                Source.KUBE_STATE_METRICS: (there.kube_state_metrics,),
                Source.ROLLOUT_STATE: (there.rollout_state,),
            },
            None,
        )


@asynccontextmanager
async def _recording(path: Path) -> AsyncIterator[DemoSources]:
    began = time.monotonic()
    async with serve_recording(path, lambda: time.monotonic() - began) as (played, seconds):
        sources: dict[Source, tuple[str, ...]] = {}
        for one in played:
            sources[one.source] = (*sources.get(one.source, ()), one.address)
        yield sources, seconds + DRAIN_SECONDS


def _display_state(app: App, ledger: ReceivedMetrics, elapsed: float) -> DisplayState:
    return DisplayState(
        elapsed,
        tuple(_rollout_line(one) for one in app.tracker.status.rollouts),
        tuple(_target_line(one) for one in app.tracker.status.targets),
        _received_stats(ledger),
    )


def _rollout_line(one: Rollout) -> RolloutLine:
    reading, fraction = one.observation.view, one.fraction
    return RolloutLine(
        *one.key,
        reading.phase if reading is not None else "?",
        fraction.value if fraction is not None else None,
        fraction.method if fraction is not None else "",
        Counter(role.value for _, role in one.pod_roles),
    )


def _target_line(one: TargetStatus) -> TargetLine:
    page = one.result
    state = one.role.value if one.role is not None else "down" if page.failure is not None else "up"
    detail = page.failure.message if page.failure is not None else f"{page.samples} samples"
    return TargetLine(page.source.value, page.target, state, detail)


def _received_stats(ledger: ReceivedMetrics) -> ReceivedStats:
    return ReceivedStats(
        ledger.points, ledger.requests, len(ledger.series), len(ledger.stale), sum(ledger.rejected.values())
    )


def summary_line(outcome: DemoResult) -> str:
    """Say in a line what became of a demo."""
    end = "everything made arrived" if outcome.ok else "NOT everything made arrived"
    return f"made {outcome.enqueued} points, delivered {outcome.delivered}; {received_line(outcome.received)}: {end}"
