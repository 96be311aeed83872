"""One tick: scrape, process, write the state file, enqueue requests."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricsSnapshot, Source
from exporter.self_metrics import OwnMetric
from exporter.service.target_log import TargetStateLogger

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

_EVICTION_TICKS: Final = 40
"""Ticks between evictions: each walks all cached series, and a cache grows little in ten minutes."""


@dataclass(frozen=True, slots=True)
class CycleDependencies:
    """The parts of a cycle; without `producer` nothing is pushed, without `state_file` no state outlives a restart."""

    scraper: Scraper[ScrapeResult]
    tracker: RolloutTracker
    scrape_cache: ScrapeCache
    self_metrics: SelfMetrics
    worker: Worker
    producer: RequestProducer | None = None
    state_file: StateFile | None = None
    sidecar: bool = False
    gzip: bool = True


class CycleRunner:
    """Runs cycles; `latest` is the last snapshot, `completed_at` when (Unix seconds) the last cycle succeeded.

    `publish_lock` is held from the end of the scrapes until all requests are queued: a cycle cancelled within would
    export a tick in part.
    """

    def __init__(self, dependencies: CycleDependencies, tick: float) -> None:
        self._dependencies = dependencies
        self._tick = tick
        self._tick_number = 0
        self._target_log = TargetStateLogger(dependencies.self_metrics)
        self.latest = MetricsSnapshot(0.0)
        self.completed_at = 0.0
        self.publish_lock = asyncio.Lock()

    async def run(self, elapsed_ticks: int, now: float) -> MetricsSnapshot:
        """Run the cycle of a tick; `elapsed_ticks` counts the ticks since the last one, 1 if none was skipped."""
        dependencies, started = self._dependencies, time.monotonic()
        self_metrics = dependencies.self_metrics
        self_metrics.add(OwnMetric.CYCLES_SKIPPED, amount=elapsed_ticks - 1)
        async with _LoopLagMonitor(self_metrics):
            results = await dependencies.scraper.scrape(now, self._due)
            self._tick_number += elapsed_ticks
            self._target_log.record(results)
            async with self.publish_lock:
                snapshot = await self._publish(now, results)
        self_metrics.set(OwnMetric.CYCLE_SECONDS, time.monotonic() - started)
        self_metrics.add(OwnMetric.CYCLES)
        self.completed_at = time.time()
        return snapshot

    async def _publish(self, now: float, results: Sequence[ScrapeResult]) -> MetricsSnapshot:
        dependencies = self._dependencies
        snapshot = await dependencies.worker.run(dependencies.tracker.process, now, results)
        self.latest = snapshot
        self._count(snapshot)
        if self._tick_number % _EVICTION_TICKS == 0:
            self._evict_unused()
        if dependencies.state_file is not None:
            await self._write_state(dependencies.state_file)
        if dependencies.producer is not None:
            families = snapshot.families + dependencies.self_metrics.families()
            await dependencies.producer.enqueue(
                replace(snapshot, families=families), time.time(), gzip=dependencies.gzip
            )
        return snapshot

    async def _write_state(self, state_file: StateFile) -> None:
        """Encode the state on the worker, which owns it, and write it in another thread, since fsync may take long."""
        dependencies = self._dependencies
        content = await dependencies.worker.run(lambda: state_file.encode(dependencies.tracker.state))
        ok = await asyncio.to_thread(state_file.write, content)
        dependencies.self_metrics.add(OwnMetric.STATE_WRITES, "ok" if ok else "failed")

    def _due(self, source: Source, section: ScrapeSource) -> bool:
        """Return whether a source is scraped at this tick; only a leading sidecar scrapes kube-state-metrics."""
        if (
            self._dependencies.sidecar
            and source is not Source.ARGO
            and not self._dependencies.tracker.status.has_leader
        ):
            return False
        return self._tick_number % max(round(section.interval / self._tick), 1) == 0

    def _evict_unused(self) -> None:
        """Evict series that no target's last complete page shows; a target that fails keeps its series."""
        results = [target.result for target in self._dependencies.tracker.status.targets]
        self._dependencies.scrape_cache.evict({(r.source, r.installation, r.target) for r in results})

    def _count(self, snapshot: MetricsSnapshot) -> None:
        self_metrics, status = self._dependencies.self_metrics, self._dependencies.tracker.status
        self_metrics.set(OwnMetric.SERIES, sum(len(family) for family in snapshot.families))
        self_metrics.add(OwnMetric.SERIES_OVERFLOW, amount=status.overflow)
        self_metrics.add(OwnMetric.UNKNOWN_PHASES, amount=status.unknown_phases)


class _LoopLagMonitor:
    """Measures the longest time for which the event loop was held during a cycle."""

    _INTERVAL: Final = 0.02

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics
        self._max_lag = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._measure(), name="loop lag monitor")
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await asyncio.sleep(0)
            self._task.cancel()
        self._self_metrics.set(OwnMetric.MAX_LOOP_HOLD, self._max_lag)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._INTERVAL
            await asyncio.sleep(self._INTERVAL)
            self._max_lag = max(self._max_lag, loop.time() - due)
