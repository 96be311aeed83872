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
from exporter.demo.display import Arrived, Picture, RolloutLine, TargetLine, arrived_line, showing
from exporter.demo.fake_backend import Ledger, last9
from exporter.demo.replay_server import replay, serve
from exporter.demo.simulator.scenario import Stage
from exporter.metrics import Source
from exporter.service.app import App

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rich.console import Console

    from exporter.rollouts.inference.join import Rollout
    from exporter.rollouts.output.targets import Target

CREDENTIALS: Final = ("demo", "demo-password")
TICK: Final = 0.5
FRAMES_A_SECOND: Final = 4
SETTLING: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a demo: points made and arrived, and what was refused or never came."""

    made: int
    delivered: int
    arrived: Arrived

    @property
    def whole(self) -> bool:
        """Whether everything made arrived."""
        return 0 < self.made == self.delivered == self.arrived.points and not self.arrived.refused


async def play(console: Console, seconds: float | None, frames: Path | None = None) -> Outcome:
    """Put the demo on for so long (None: until interrupted, or the recording's end), and tell what became of it.

    Raises RecordingError.
    """
    ledger = Ledger()
    log.configure("error")
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(last9(ledger, username=CREDENTIALS[0], password=CREDENTIALS[1]))
        sources, lasts = await stack.enter_async_context(_cluster() if frames is None else _recording(frames))
        seconds = seconds if seconds is not None else lasts
        app = App(load(None, {}, _settings(endpoint, sources)), "demo")
        await _watch(app, ledger, console, seconds)
    return Outcome(app.books.made, app.books.delivered, _arrived(ledger))


async def _watch(app: App, ledger: Ledger, console: Console, seconds: float | None) -> None:
    """Run the exporter and show what it sees, until the time is over or someone interrupts."""
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(stop), name="exporter")
    began = time.monotonic()
    try:
        with showing(console) as show:
            while not running.done() and (seconds is None or time.monotonic() - began < seconds):
                show(_picture(app, ledger, time.monotonic() - began))
                await asyncio.sleep(1 / FRAMES_A_SECOND)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # interrupted: the summary is still due
    stop.set()
    await running


def _settings(endpoint: str, sources: dict[Source, tuple[str, ...]]) -> dict[str, object]:
    overrides: dict[str, object] = {
        "argo.interval": TICK,
        "otlp.endpoint": endpoint,
        "otlp.headers": {"authorization": _basic()},
        "attributes": {"k8s.cluster.name": "demo"},
        "web.listen": "127.0.0.1:0",
        "lifecycle.grace": 10,
        "lifecycle.ended_info": 5,
    }
    for source in Source:
        overrides[f"{source}.targets"] = list(sources.get(source, ()))
        overrides[f"{source}.interval"] = TICK
    return overrides


def _basic() -> str:
    from base64 import b64encode  # noqa: PLC0415 - of use here alone

    return "Basic " + b64encode(":".join(CREDENTIALS).encode()).decode()


Sources = tuple[dict[Source, tuple[str, ...]], float | None]
"""The addresses of each source, and for how long there is something to see (None: for ever)."""


@asynccontextmanager
async def _cluster() -> AsyncIterator[Sources]:
    stage = Stage(time.time())
    async with serve(stage.cluster, lambda: stage.advance(time.time())) as there:
        yield (
            {
                Source.ARGO: there.argo,
                Source.KUBE_STATE_METRICS: (there.kube_state_metrics,),
                Source.ROLLOUT_STATE: (there.rollout_state,),
            },
            None,
        )


@asynccontextmanager
async def _recording(path: Path) -> AsyncIterator[Sources]:
    began = time.monotonic()
    async with replay(path, lambda: time.monotonic() - began) as (played, seconds):
        sources: dict[Source, tuple[str, ...]] = {}
        for one in played:
            sources[one.source] = (*sources.get(one.source, ()), one.address)
        yield sources, seconds + SETTLING


def _picture(app: App, ledger: Ledger, elapsed: float) -> Picture:
    return Picture(
        elapsed,
        tuple(_rollout_line(one) for one in app.watch.rollouts),
        tuple(_target_line(one) for one in app.watch.targets),
        _arrived(ledger),
    )


def _rollout_line(one: Rollout) -> RolloutLine:
    reading, fraction = one.sighting.reading, one.fraction
    return RolloutLine(
        *one.key,
        reading.phase if reading is not None else "?",
        fraction.best if fraction is not None else None,
        fraction.method if fraction is not None else "",
        Counter(role.value for _, role in one.roles),
    )


def _target_line(one: Target) -> TargetLine:
    page = one.page
    state = one.verdict.value if one.verdict is not None else "down" if page.failure is not None else "up"
    detail = page.failure.message if page.failure is not None else f"{page.samples} samples"
    return TargetLine(page.source.value, page.target, state, detail)


def _arrived(ledger: Ledger) -> Arrived:
    return Arrived(ledger.points, ledger.requests, len(ledger.series), len(ledger.ended), sum(ledger.refused.values()))


def summary(outcome: Outcome) -> str:
    """Say in a line what became of a demo."""
    end = "everything made arrived" if outcome.whole else "NOT everything made arrived"
    return f"made {outcome.made} points, delivered {outcome.delivered}; {arrived_line(outcome.arrived)}: {end}"
