"""One tick: ask everybody, take a step, keep the memory, hand the points to delivery."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricsSnapshot, Source
from exporter.self_metrics import OwnMetric
from exporter.service.target_log import Notices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.config.sources import ScrapeSource
    from exporter.metrics import ScrapeResult
    from exporter.otlp.delivery.producer import RequestProducer
    from exporter.rollouts.tracker import RolloutTracker
    from exporter.scrape.cache import ScrapeCache
    from exporter.scrape.scraper import Scraper
    from exporter.self_metrics import SelfMetrics
    from exporter.service.state_file import StateFile
    from exporter.service.worker import Worker

_SWEEP_EVERY: Final = 40


@dataclass(frozen=True, slots=True)
class CycleDependencies:
    """What a cycle is made of; `courier` is None when nothing is pushed, `memory` when nothing is kept."""

    scraper: Scraper[ScrapeResult]
    watch: RolloutTracker
    interner: ScrapeCache
    telemetry: SelfMetrics
    worker: Worker
    courier: RequestProducer | None = None
    memory: StateFile | None = None
    sidecar: bool = False
    gzip: bool = True


class CycleRunner:
    """Goes round; `latest` is what was said last, `ended` when (Unix seconds) the last round ended well.

    `saying` is held from when everybody has answered until all is in the queue: nobody should stop a round within.
    """

    def __init__(self, parts: CycleDependencies, tick: float) -> None:
        self._parts = parts
        self._tick = tick
        self._number = 0
        self._notices = Notices(parts.telemetry)
        self.latest = MetricsSnapshot(0.0)
        self.ended = 0.0
        self.saying = asyncio.Lock()

    async def turn(self, gone_by: int, at: float) -> MetricsSnapshot:
        """Go round once for the tick at `at`; `gone_by` counts the ticks since the last round."""
        parts, began = self._parts, time.monotonic()
        parts.telemetry.add(OwnMetric.CYCLES_SKIPPED, amount=gone_by - 1)
        async with _Held(parts.telemetry):
            pages = await parts.scraper.scrape(at, self._due)
            self._number += gone_by
            self._notices.take(pages)
            async with self.saying:
                cycle = await self._say(at, pages)
        parts.telemetry.set(OwnMetric.CYCLE_SECONDS, time.monotonic() - began)
        parts.telemetry.add(OwnMetric.CYCLES)
        self.ended = time.time()
        return cycle

    async def _say(self, at: float, pages: Sequence[ScrapeResult]) -> MetricsSnapshot:
        parts = self._parts
        cycle = await parts.worker.run(parts.watch.process, at, pages)
        self.latest = cycle
        self._count(cycle)
        if self._number % _SWEEP_EVERY == 0:
            self._sweep()
        if parts.memory is not None:
            content = await parts.worker.run(lambda file: file.encode(parts.watch.memory), parts.memory)
            well = await asyncio.to_thread(parts.memory.write, content)
            parts.telemetry.add(OwnMetric.STATE_WRITES, "ok" if well else "failed")
        if parts.courier is not None:
            whole = replace(cycle, families=cycle.families + parts.telemetry.families())
            await parts.courier.offer(whole, time.time(), gzip=parts.gzip)
        return cycle

    def _due(self, source: Source, section: ScrapeSource) -> bool:
        """Tell whether a source is asked at this tick; only a leading sidecar asks kube-state-metrics."""
        if self._parts.sidecar and source is not Source.ARGO and not self._parts.watch.status.leading:
            return False
        return self._number % max(round(section.interval / self._tick), 1) == 0

    def _sweep(self) -> None:
        """Forget the series of no target's last whole page; those of a target that fails come back as they were."""
        self._parts.interner.evict(
            {(one.page.source, one.page.installation, one.page.target) for one in self._parts.watch.status.targets}
        )

    def _count(self, cycle: MetricsSnapshot) -> None:
        telemetry, status = self._parts.telemetry, self._parts.watch.status
        telemetry.set(OwnMetric.SERIES, sum(len(family) for family in cycle.families))
        telemetry.add(OwnMetric.SERIES_OVERFLOW, amount=status.overflow)
        telemetry.add(OwnMetric.UNKNOWN_PHASES, amount=status.unknown_phases)


class _Held:
    """Measures, while a round is under way, for how long the event loop was held at most."""

    _EVERY: Final = 0.02

    def __init__(self, telemetry: SelfMetrics) -> None:
        self._telemetry = telemetry
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._look(), name="event loop watch")
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await asyncio.sleep(0)
            self._task.cancel()
        self._telemetry.set(OwnMetric.MAX_LOOP_HOLD, self._longest)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._EVERY
            await asyncio.sleep(self._EVERY)
            self._longest = max(self._longest, loop.time() - due)
