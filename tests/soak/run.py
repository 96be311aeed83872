"""Run a soak: start the exporter, perform the plan, and return the ledger.

How the produced points are known: an observer (observer.py) reads the queue in the database, twenty times a second and
once more while the exporter is stopped (SIGSTOP) just before each SIGKILL. Each point of each request there must have
been received at the end. Of requests that were delivered between two reads, the accounting in the database has the
number of points: as many must have been received that were not observed. That no tick was skipped is checked by the
timestamps of the received points: they must be a tick apart, except while no exporter ran.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

import yaml

from exporter.demo.servers import serve_cluster
from exporter.demo.simulator.scenario import Scenario
from exporter.metrics import Source
from tests.process import ExporterProcess, start_exporter
from tests.soak.backend import FlakyBackend, flaky_backend
from tests.soak.ledger import Ledger
from tests.soak.observer import StorageObserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.soak.plan import Outage, Plan

OBSERVE_INTERVAL = 0.05
"""Seconds between two reads of the queue."""


@dataclass(slots=True)
class SoakRun:
    """What happened: when the backend returned from each outage, and when no exporter ran (Unix seconds)."""

    ledger: Ledger = field(default_factory=Ledger)
    returns: list[tuple[Outage, float]] = field(default_factory=list)
    downtimes: list[tuple[float, float]] = field(default_factory=list)
    exit_status: int = -1
    log: str = ""


def configuration(directory: Path, endpoint: str, addresses: dict[Source, tuple[str, ...]], tick: float) -> Path:
    """Write the configuration of the exporter under test."""
    interval = {"interval": f"{tick * 1000:.0f}ms"}
    settings = {
        **{source.value: {"targets": list(addresses[source]), **interval} for source in Source},
        "otlp": {"endpoint": endpoint},
        "storage": {"directory": str(directory / "storage")},
        "attributes": {"k8s.cluster.name": "soak"},
        "web": {"listen": "127.0.0.1:0"},
    }
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


class ExporterUnderTest:
    """The exporter process, over all its restarts."""

    def __init__(self, config: Path, observer: StorageObserver, soak: SoakRun) -> None:
        self._config = config
        self._observer = observer
        self._soak = soak
        self._process_stack = AsyncExitStack()
        self._process: ExporterProcess | None = None

    async def start(self) -> None:
        """Start a process."""
        self._process = await self._process_stack.enter_async_context(start_exporter(self._config))
        await self._process.wait_for_log("started")

    async def kill(self) -> None:
        """Stop the process (SIGSTOP), read the queue, kill the process, and start another."""
        assert self._process is not None
        killed_at = time.time()
        self._process.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        self._observer.observe()
        self._process.process.kill()
        await self._process.wait()
        await self._end()
        await self.start()
        self._soak.downtimes.append((killed_at, time.time()))

    async def stop(self) -> None:
        """End the process as Kubernetes does, with SIGTERM."""
        assert self._process is not None
        self._soak.exit_status = await self._process.stop()
        await self._end()

    async def _end(self) -> None:
        assert self._process is not None
        self._soak.log += self._process.log
        await self._process_stack.aclose()


async def run(directory: Path, plan: Plan, tick: float, seed: int, log: Callable[[str], None]) -> SoakRun:
    """Perform a plan; return what happened."""
    soak, observer = SoakRun(), StorageObserver(directory / "storage")
    stage = Scenario(time.time(), seed=seed)
    async with (
        flaky_backend() as backend,
        serve_cluster(stage.cluster, lambda: stage.advance(time.time())) as addresses,
    ):
        exporter_under_test = ExporterUnderTest(
            configuration(directory, backend.endpoint, addresses, tick), observer, soak
        )
        await exporter_under_test.start()
        observing = asyncio.create_task(_observe_forever(observer))
        try:
            await _perform(_actions(plan, backend, exporter_under_test, soak), plan.seconds, log)
            await exporter_under_test.stop()
        finally:
            observing.cancel()
            with suppress(asyncio.CancelledError):
                await observing
        observer.observe()
        soak.ledger.add_produced(observer)
        soak.ledger.add_received(backend.received)
    return soak


Action = tuple[float, str, "Callable[[], Awaitable[None]]"]


def _actions(
    plan: Plan, backend: FlakyBackend, exporter_under_test: ExporterUnderTest, soak: SoakRun
) -> Sequence[Action]:
    async def backend_returns(outage: Outage) -> None:
        await backend.come_up()
        soak.returns.append((outage, time.time()))

    kill = ("the exporter is killed and started again", exporter_under_test.kill)
    actions: list[Action] = [(offset, *kill) for offset in plan.kills]
    for outage in plan.outages:
        symptom = "refuses connections" if outage.refuse_connections else "answers 503"
        go_down = partial(backend.go_down, refuse_connections=outage.refuse_connections)
        actions.append((outage.begin, f"the backend {symptom}", go_down))
        actions.append((outage.end, "the backend returns", partial(backend_returns, outage)))
    return sorted(actions, key=itemgetter(0))


async def _perform(actions: Sequence[Action], seconds: float, log: Callable[[str], None]) -> None:
    started = time.monotonic()
    for offset, description, action in actions:
        await asyncio.sleep(started + offset - time.monotonic())
        log(f"{offset:6.1f} s  {description}")
        await action()
    await asyncio.sleep(started + seconds - time.monotonic())


async def _observe_forever(observer: StorageObserver) -> None:
    while True:
        observer.observe()
        await asyncio.sleep(OBSERVE_INTERVAL)
