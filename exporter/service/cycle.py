"""The ticks, and the cycle of each: scrape, process, encode, commit."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.metrics import MetricsSnapshot, ScrapeResult, Source
from exporter.otlp.delivery.drop_log import DropLog
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service.transition_feed import transition_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Mapping, Sequence

    from exporter.config.sources import ScrapeSource
    from exporter.notify.notifier import Notifier
    from exporter.rollouts.events.model import ReportedTransition
    from exporter.rollouts.tracker import RolloutTracker
    from exporter.scrape.cache import ScrapeCache
    from exporter.scrape.scraper import Scraper
    from exporter.service.cycle_store import CycleStore
    from exporter.service.delivery import DeliveryService
    from exporter.service.shadow import ShadowGates
    from exporter.service.transition_feed import TransitionFeed
    from exporter.service.worker import Worker
    from exporter.storage.model import OutboxMessage, QueuedRequest, TransitionRecord

_log = logging.getLogger(__name__)
_EVICTION_TICKS: Final = 40
"""Ticks between evictions: each walks all cached series, and a cache grows little in ten minutes."""

_FIRST_REQUESTS: Final = 8
"""Requests of the first cycle that are committed at once: each commit waits for the disk, and looks at all states."""


async def ticks(tick_seconds: float, process: str) -> AsyncIterator[tuple[int, float]]:
    """Yield (ticks elapsed since the last one, Unix seconds): now, then at each multiple of the tick plus an offset.

    The offset is a hash of the name of the process, so that replicas do not push at once. More than one tick elapsed
    means that the cycle before took longer than a tick.
    """
    # Not `hash`, which differs between processes: after a restart the ticks are where they were.
    offset = zlib.crc32(process.encode()) / 2**32 * tick_seconds
    tick_number = math.floor((time.time() - offset) / tick_seconds)
    yield 1, time.time()
    while True:
        due = (tick_number + 1) * tick_seconds + offset
        await asyncio.sleep(max(due - time.time(), 0.0))
        now = time.time()
        # 1e-6: at the tick itself the quotient may be a little less than the integer.
        reached_number = max(math.floor((now - offset) / tick_seconds + 1e-6), tick_number + 1)
        if reached_number - tick_number > 1 and now < due:
            reached_number = tick_number + 1  # the clock was set back
        yield reached_number - tick_number, now
        tick_number = math.floor((time.time() - offset) / tick_seconds) if time.time() < due else reached_number


class PeriodicSchedule:
    """Work that is due at every multiple of some ticks, or at the first tick after one that was skipped."""

    def __init__(self) -> None:
        self._last_periods: dict[Hashable, int] = {}

    def is_due(self, work: Hashable, tick_number: int, ticks: int) -> bool:
        """Return whether work is due at a tick, and count it as done then; it is at the first call."""
        # Not `tick_number % ticks == 0`: cycles that take longer than a tick may skip every multiple.
        period = tick_number // ticks
        is_due = self._last_periods.get(work) != period
        self._last_periods[work] = period
        return is_due


@dataclass(frozen=True, slots=True)
class CycleDependencies:
    """The parts of a cycle.

    Without `delivery` nothing is pushed, without `shadow_gates` none is evaluated, without `notifier` there are no
    messages.
    """

    scraper: Scraper[ScrapeResult]
    tracker: RolloutTracker
    scrape_cache: ScrapeCache
    self_metrics: SelfMetrics
    worker: Worker
    store: CycleStore
    transitions: TransitionFeed
    delivery: DeliveryService | None = None
    shadow_gates: ShadowGates | None = None
    notifier: Notifier | None = None
    sidecar: bool = False


class CycleRunner:
    """Runs cycles; `latest` is the last snapshot, `completed_at` when (Unix seconds) the last cycle succeeded.

    `publish_lock` is held from the end of the scrapes until the cycle is committed. Shutdown takes it before it cancels
    the cycle, so it commits a cycle completely or not at all.
    """

    def __init__(self, dependencies: CycleDependencies, tick_seconds: float) -> None:
        self._dependencies = dependencies
        self._self_metrics = dependencies.self_metrics
        self._tick_seconds = tick_seconds
        self._tick_number = -1  # before the first tick
        self._schedule = PeriodicSchedule()
        self._target_log = TargetStateLogger(dependencies.self_metrics)
        self._skip_log = DropLog(unit="samples")
        self.latest = MetricsSnapshot(0.0)
        self.completed_at = 0.0
        self.publish_lock = asyncio.Lock()

    async def run(self, elapsed_ticks: int, now: float) -> MetricsSnapshot:
        """Run one cycle; `elapsed_ticks` counts the ticks since the last one, 1 if none was skipped."""
        started = time.monotonic()
        self._self_metrics.add(OwnMetric.CYCLES_SKIPPED, amount=elapsed_ticks - 1)
        async with _LoopLagMonitor(self._self_metrics):
            self._tick_number += elapsed_ticks
            results = await self._dependencies.scraper.scrape(now, self._is_due)
            self._target_log.record(results)
            async with self.publish_lock:
                snapshot = await self._publish(now, results)
        self._self_metrics.set(OwnMetric.CYCLE_SECONDS, time.monotonic() - started)
        self._self_metrics.add(OwnMetric.CYCLES)
        self.completed_at = time.time()
        return snapshot

    async def start_from_scratch(self) -> None:
        """Drop what a failed cycle may have left half updated: the next one parses, computes and encodes everything."""
        dependencies = self._dependencies
        dependencies.scrape_cache.clear()  # the tracker has returned to the state before the cycle by itself
        if dependencies.delivery is not None:
            await dependencies.worker.run(dependencies.delivery.producer.encoder.clear_caches)

    async def _publish(self, now: float, results: Sequence[ScrapeResult]) -> MetricsSnapshot:
        dependencies = self._dependencies
        snapshot = await dependencies.worker.run(dependencies.tracker.process, now, results)
        self.latest = snapshot
        feed = dependencies.transitions
        feed.add(*await dependencies.worker.run(self._records, dependencies.tracker.status.transitions))
        self._count(snapshot)
        if self._schedule.is_due("eviction", self._tick_number, _EVICTION_TICKS):
            self._evict_unused()
        # State, transitions and requests in one commit: after a crash no counter is lower than what was sent, and no
        # transition is lost or repeated.
        async for requests in self._requests(snapshot):
            await dependencies.store.commit(dependencies.tracker, requests, feed.waiting, feed.waiting_messages)
            await feed.committed()
        return snapshot

    async def _requests(self, snapshot: MetricsSnapshot) -> AsyncIterator[Sequence[QueuedRequest]]:
        """Yield the requests of a cycle as they are committed: all of them at once, those of the first cycle in parts.

        To encode everything takes seconds on a large cluster, and the first points need not wait for the last ones. The
        first snapshot has no staleness markers, so what a crash takes of it is exported again by the next process.
        """
        delivery = self._dependencies.delivery
        if delivery is None:
            yield ()
            return
        size = sys.maxsize if self.completed_at else _FIRST_REQUESTS
        async for part in delivery.producer.parts(self._pushed(snapshot), size):
            yield part
        counts = delivery.producer.encoder.take_counts()
        self._count_samples(counts.samples, counts.encoded, counts.skipped, counts.example)

    def _records(
        self, transitions: Sequence[ReportedTransition]
    ) -> tuple[Sequence[TransitionRecord], Sequence[OutboxMessage]]:
        """Return transitions as they are stored, and the messages about them; on the worker."""
        notifier = self._dependencies.notifier
        return transition_records(transitions), notifier.messages(transitions) if notifier is not None else ()

    def _pushed(self, snapshot: MetricsSnapshot) -> MetricsSnapshot:
        """Add the series that are not in `latest`, since /metrics adds those of its moment."""
        gates = self._dependencies.shadow_gates
        families, stale = gates.take_push() if gates is not None else ((), ())
        self_families = self._self_metrics.families()
        return replace(snapshot, families=snapshot.families + self_families + families, stale=snapshot.stale + stale)

    def _is_due(self, source: Source, section: ScrapeSource) -> bool:
        """Return whether a source is scraped at this tick.

        A sidecar that did not lead at the last tick scrapes only its controller: it exports no rollouts.
        """
        leads = self._dependencies.tracker.status.has_leader or not self._dependencies.sidecar
        if source is not Source.ARGO and not leads:
            return False
        ticks_of_interval = max(round(section.interval / self._tick_seconds), 1)
        return self._schedule.is_due(id(section), self._tick_number, ticks_of_interval)

    def _evict_unused(self) -> None:
        """Evict series that no target's last complete page shows; a target that fails keeps its series."""
        results = [target.result for target in self._dependencies.tracker.status.targets]
        self._dependencies.scrape_cache.evict({(r.source, r.installation, r.target) for r in results})

    def _count(self, snapshot: MetricsSnapshot) -> None:
        status = self._dependencies.tracker.status
        self._self_metrics.set(OwnMetric.SERIES, sum(map(len, snapshot.families)))
        self._self_metrics.add(OwnMetric.SERIES_OMITTED, amount=status.omitted_series)
        self._self_metrics.add(OwnMetric.UNKNOWN_PHASES, amount=status.unknown_phases)
        conflicts = status.type_conflicts
        self._count_samples(conflicts, 0, {"kind_conflict": conflicts} if conflicts else {})
        if status.set_back:
            self._self_metrics.add(OwnMetric.CLOCK_STEPS)
            hint = "check this machine's clock; series with points from the future may lose samples until it is there"
            _log.error("the clock was set back", extra=fields(seconds=round(status.set_back, 3), hint=hint))

    def _count_samples(self, samples: int, encoded: int, skipped: Mapping[str, int], example: str = "") -> None:
        """Count what became of samples that were to be pushed, in one step, so that the counts balance."""
        self._self_metrics.add(OwnMetric.SAMPLES, amount=samples)
        self._self_metrics.add(OwnMetric.SAMPLES_ENCODED, amount=encoded)
        for reason, count in skipped.items():
            self._self_metrics.add(OwnMetric.SAMPLES_DROPPED, reason, amount=count)
        if skipped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
            event, hint = (
                "samples dropped: they cannot be pushed",
                "`rollouts-exporter manual delivery` explains the reasons",
            )
            self._skip_log.add(event, sum(skipped.values()), logging.WARNING, reason=reasons, family=example, hint=hint)


class _LoopLagMonitor:
    """Measures the longest time for which the event loop was held during a cycle."""

    _INTERVAL: Final = 0.02  # seconds

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


class TargetStateLogger:
    """Counts scrapes and parse errors; logs changes of a target's state, never an event for each scrape."""

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics
        self._last_states: dict[tuple[str, str, str], str] = {}

    def record(self, results: Sequence[ScrapeResult]) -> None:
        """Record the results of a tick."""
        current = {(result.source.value, result.installation, result.target) for result in results}
        scraped_sources = {source for source, *_ in current}
        # Addresses of pods do not come back.
        for key in [key for key in self._last_states if key[0] in scraped_sources and key not in current]:
            del self._last_states[key]
        for result in results:
            outcome = result.failure.reason if result.failure is not None else "ok"
            self._self_metrics.add(OwnMetric.SCRAPES, result.source.value, outcome)
            for reason, count in result.parse_errors.items():
                self._self_metrics.add(OwnMetric.PARSE_ERRORS, result.source.value, reason, amount=count)
            key = (result.source.value, result.installation, result.target)
            # The reasons of a failure or of parse errors, "" if there are none.
            state = result.failure.reason if result.failure is not None else " ".join(sorted(result.parse_errors))
            if state != self._last_states.get(key, ""):
                self._last_states[key] = state
                _log_state(result)


def _log_state(result: ScrapeResult) -> None:
    target = {"source": result.source.value, "installation": result.installation, "target": result.target}
    if result.failure is not None:
        _log.warning("target failing", extra=fields(**target, reason=result.failure.message))
    elif result.parse_errors:
        lines = ", ".join(f"{count} {reason}" for reason, count in sorted(result.parse_errors.items()))
        hint = "only these lines are skipped; save the page for a bug report with the command record"
        first = next(iter(result.malformed_lines), "")  # duplicate series have none
        _log.warning("page has malformed lines", extra=fields(**target, lines=lines, first=first, hint=hint))
    else:
        _log.info("target recovered", extra=fields(**target))
