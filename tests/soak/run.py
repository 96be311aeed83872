"""A soak from its beginning to its ledger.

How it is known what was made: a witness (witness.py) reads every record in the spool's files, twenty times a second
and once more while the exporter is stopped (SIGSTOP) just before each SIGKILL, so that what was acknowledged to the
spool at that instant is known exactly, whatever the exporter's counters say. Each point of each such record must have
arrived when all is over. Sequence numbers and running totals in the frames tell whether the witness missed any.
That nothing failed to be made is read from the ticks: their times, as they came, must be a tick apart but for the
seconds in which no exporter ran.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from exporter.demo.replay_server import Addresses, serve
from exporter.demo.simulator.scenario import Stage
from tests.process import Exporter, exporter
from tests.soak.backend import Backend, backend
from tests.soak.ledger import Ledger
from tests.soak.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.soak.plan import Outage, Plan

LOOK = 0.05
"""How often the witness looks, in seconds."""


@dataclass(slots=True)
class Course:
    """What happened, in Unix seconds: when the backend returned from each outage, and when no exporter ran."""

    ledger: Ledger = field(default_factory=Ledger)
    returned: list[tuple[Outage, float]] = field(default_factory=list)
    without: list[tuple[float, float]] = field(default_factory=list)
    status: int = -1
    log: str = ""


def configuration(folder: Path, endpoint: str, addresses: Addresses, tick: float) -> Path:
    """Write the configuration of the exporter under test."""
    pace = {"interval": f"{tick * 1000:.0f}ms"}
    settings = {
        "argo": {"targets": list(addresses.argo), **pace},
        "kube_state_metrics": {"targets": [addresses.kube_state_metrics], **pace},
        "rollout_state": {"targets": [addresses.rollout_state], **pace},
        "otlp": {"endpoint": endpoint, "queue": {"directory": str(folder / "spool")}},
        "attributes": {"k8s.cluster.name": "soak"},
        "memory": {"directory": str(folder / "memory")},
        "web": {"listen": "127.0.0.1:0"},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


class Subject:
    """The exporter, through all its lives."""

    def __init__(self, config: Path, witness: Witness, course: Course) -> None:
        self._config = config
        self._witness = witness
        self._course = course
        self._life = AsyncExitStack()
        self._now: Exporter | None = None

    async def start(self) -> None:
        """Begin a life."""
        self._now = await self._life.enter_async_context(exporter(self._config))
        await self._now.say("started")

    async def kill(self) -> None:
        """Stop it where it stands, look at the spool, kill it, and start it again."""
        assert self._now is not None
        began = time.time()
        self._now.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        self._witness.look()
        self._now.process.kill()
        await self._now.wait()
        await self._end()
        await self.start()
        self._course.without.append((began, time.time()))

    async def stop(self) -> None:
        """End it as Kubernetes does."""
        assert self._now is not None
        self._course.status = await self._now.stop()
        await self._end()

    async def _end(self) -> None:
        assert self._now is not None
        self._course.log += self._now.log
        await self._life.aclose()


async def run(folder: Path, plan: Plan, tick: float, seed: int, say: Callable[[str], None]) -> Course:
    """Run a plan, and reckon."""
    course, witness = Course(), Witness(folder / "spool")
    stage = Stage(time.time(), seed=seed)
    async with backend() as store, serve(stage.cluster, lambda: stage.advance(time.time())) as addresses:
        subject = Subject(configuration(folder, store.endpoint, addresses, tick), witness, course)
        await subject.start()
        looking = asyncio.create_task(_look_for_ever(witness))
        try:
            await _follow(_acts(plan, store, subject, course), plan.seconds, say)
            await subject.stop()
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        witness.look()
        course.ledger.see(witness)
        course.ledger.take(store.arrivals)
        witness.close()
    return course


Act = tuple[float, str, "Callable[[], Awaitable[None]]"]


def _acts(plan: Plan, store: Backend, subject: Subject, course: Course) -> Sequence[Act]:
    async def back(outage: Outage) -> None:
        await store.rise()
        course.returned.append((outage, time.time()))

    acts: list[Act] = [(at, "the exporter is killed and started again", subject.kill) for at in plan.kills]
    for one in plan.outages:
        how = "refuses connections" if one.refusing else "answers 503"
        acts.append((one.begin, f"the backend {how}", lambda one=one: store.die(refusing=one.refusing)))  # type: ignore[misc]
        acts.append((one.end, "the backend returns", lambda one=one: back(one)))  # type: ignore[misc]
    return sorted(acts, key=lambda act: act[0])


async def _follow(acts: Sequence[Act], seconds: float, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    for at, what, act in acts:
        await asyncio.sleep(began + at - time.monotonic())
        say(f"{at:6.1f} s  {what}")
        await act()
    await asyncio.sleep(began + seconds - time.monotonic())


async def _look_for_ever(witness: Witness) -> None:
    while True:
        witness.look()
        await asyncio.sleep(LOOK)
