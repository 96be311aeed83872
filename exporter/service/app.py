"""The composition root: builds all components from the settings, owns the tasks and handles signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter import __version__, log
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.scraper import Scraper
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service import views
from exporter.service.api import ApiSources
from exporter.service.cycle import CycleDependencies, CycleRunner, ticks
from exporter.service.cycle_store import CycleStore, read_state, storage_config, storage_metrics
from exporter.service.delivery_trend import DeliveryTrend
from exporter.service.pages.sources import PageSources, RunningParts
from exporter.service.pages.timeline import parsed_transitions
from exporter.service.transition_feed import TransitionFeed
from exporter.service.wiring import parser_factory, tracking_policy
from exporter.service.worker import Worker
from exporter.storage import Storage
from exporter.web.server import DataSources, serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.config.load import LoadedConfig
    from exporter.metrics import MetricFamily
    from exporter.notify.notifier import Notifier
    from exporter.service.delivery import DeliveryService
    from exporter.service.shadow import ShadowGates

_log = logging.getLogger(__name__)
PERSISTENT_COUNTERS: Final = (
    OwnMetric.POINTS_MADE,
    OwnMetric.POINTS_DELIVERED,
    OwnMetric.POINTS_REJECTED,
    OwnMetric.POINTS_DROPPED,
    OwnMetric.EVENTS_MADE,
    OwnMetric.EVENTS_DELIVERED,
    OwnMetric.EVENTS_REJECTED,
    OwnMetric.EVENTS_DROPPED,
)
"""The counters that storage carries over a restart."""
EXIT_POINTS_LOST: Final = 3
"""Exit status of `run` if undelivered points were lost at shutdown."""
MAX_NOTICES: Final = 10
"""Warnings and errors of the log that the page of delivery shows."""


_MANY_OBJECTS: Final = 100_000
"""Objects that are left of a cycle, from which on they are frozen: to visit more would hold the event loop for long."""
_SIGHUP_HINT: Final = "restart it for new settings; files with secrets and certificates are reloaded when they change"


class App:
    """One running exporter."""

    def __init__(self, loaded: LoadedConfig, instance: str) -> None:
        self._settings = settings = loaded.settings
        self._instance = instance
        self._started = time.time()
        self._self_metrics = SelfMetrics(instance, self._started)
        self._self_metrics.set(OwnMetric.CONFIG_WARNINGS, len(loaded.warnings))
        self._worker = Worker()
        self.accounting = DeliveryAccounting()
        self._storage = Storage(storage_config(settings), self.accounting)
        # These counters go on from the process before, so they started with it.
        self._self_metrics.set_start_time(self._storage.counters_since, *PERSISTENT_COUNTERS)
        self._self_metrics.register_callback(partial(storage_metrics, self._storage))
        self._delivery = self._delivery_service()
        scrape_cache = ScrapeCache(settings.series.passes_through)
        self._scraper = Scraper(settings, parser_factory(settings, scrape_cache))
        self.tracker = RolloutTracker(tracking_policy(settings), read_state(self._storage))
        self._shadow_gates = self._load_shadow_gates()
        self._notifier = self._load_notifier()
        self._transitions = TransitionFeed(self._storage.history)
        dependencies = CycleDependencies(
            self._scraper,
            self.tracker,
            scrape_cache,
            self._self_metrics,
            self._worker,
            CycleStore(self._storage, self._worker, has_directory=settings.storage.directory is not None),
            self._transitions,
            self._delivery,
            self._shadow_gates,
            self._notifier,
            sidecar=settings.mode == "sidecar",
        )
        self._cycle_runner = CycleRunner(dependencies, settings.tick_seconds)
        self._cycle_error = ""
        self._notices = log.NoticeHandler(MAX_NOTICES)
        self._trend = DeliveryTrend()
        parts = self._running_parts(loaded)
        self._pages = PageSources(parts)
        self._api = ApiSources(parts, self._pages)
        self._is_closed: bool | None = None

    def _running_parts(self, loaded: LoadedConfig) -> RunningParts:
        return RunningParts(
            loaded,
            self._instance,
            self._started,
            self.tracker,
            lambda: self._cycle_runner.latest,
            self._storage,
            self._trend,
            self._notices,
            self.accounting if self._delivery is not None else None,
            self._shadow_gates,
            self._page_warnings,
        )

    def _delivery_service(self) -> DeliveryService | None:
        if self._settings.otlp.endpoint is None:
            return None
        from exporter.service.delivery import DeliveryService  # noqa: PLC0415 - OTLP's messages take time and memory to load, so only if needed

        return DeliveryService(self._settings, self._self_metrics, self._storage, self.accounting, self._worker)

    def _load_shadow_gates(self) -> ShadowGates | None:
        if not self._settings.gates:
            return None
        from exporter.service.shadow import ShadowGates  # noqa: PLC0415 - the gates take time and memory to load, so only if needed

        return ShadowGates(self._settings, self._self_metrics)

    def _load_notifier(self) -> Notifier | None:
        settings = self._settings
        is_notified = settings.webhooks or settings.grafana.address or settings.last9.change_events.enabled
        if not (is_notified or settings.otlp.logs or settings.otlp.traces):
            self._storage.outbox.drop_unknown(())
            return None
        from exporter.notify.notifier import Notifier  # noqa: PLC0415 - OTLP's messages take time and memory to load, so only if needed

        return Notifier(settings, self._self_metrics, self._storage)

    async def run(self, stop: asyncio.Event) -> bool:
        """Run until `stop` is set; return whether no points were lost. Raises ListenError."""
        async with AsyncExitStack() as stack:
            # Closed in reverse: delivery, pages, connections, worker, storage.
            logging.getLogger().addHandler(self._notices)
            stack.callback(logging.getLogger().removeHandler, self._notices)
            self._storage.start()
            stack.push_async_callback(asyncio.to_thread, self.close_storage)
            stack.callback(self._worker.close)
            stack.push_async_callback(self._scraper.aclose)
            if self._shadow_gates is not None:
                stack.push_async_callback(self._shadow_gates.aclose)
            port = await stack.enter_async_context(serve(self._settings.web, self._data_sources()))
            if self._delivery is not None:
                await stack.enter_async_context(self._delivery)
            if self._notifier is not None:
                await stack.enter_async_context(self._notifier)
            self._log_start(port)
            cycles_task = asyncio.create_task(self._run_cycles(), name="cycles")
            await stop.wait()
            _log.info("stopping", extra=log.fields(queued=self.accounting.queued))
            async with self._cycle_runner.publish_lock:  # a snapshot that is being published is enqueued completely
                cycles_task.cancel()
            with suppress(asyncio.CancelledError):
                await cycles_task
            services = [service for service in (self._delivery, self._notifier) if service is not None]
            await asyncio.gather(*(service.drain(self._settings.otlp.grace) for service in services))
            return await asyncio.to_thread(self.close_storage)

    def close_storage(self) -> bool:
        """Commit what is left, without delivering it; return whether no points were lost. Takes `storage.patience`."""
        if self._is_closed is None:
            lost = self._storage.close(self._settings.storage.patience)
            fields = log.fields(
                delivered=self.accounting.delivered,
                queued=self.accounting.queued,
                lost=lost,
                dropped=self.accounting.dropped.total(),
            )
            _log.log(logging.ERROR if lost else logging.INFO, "stopped", extra=fields)
            self._is_closed = not lost
        return self._is_closed

    def _log_start(self, port: int) -> None:
        otlp = self._settings.otlp
        address = f"{self._settings.web.address[0] or 'all addresses'}, port {port}"
        if self._delivery is None:
            _log.info("started without push", extra=log.fields(serving=address, hint="set otlp.endpoint to push"))
        else:
            _log.info("started", extra=log.fields(serving=address, pushing=str(otlp.endpoint), version=__version__))

    async def _run_cycles(self) -> None:
        process = f"{self._instance} {self._settings.identity()}"
        frozen_count = 0
        async for elapsed_ticks, now in ticks(self._settings.tick_seconds, process):
            # Nearly everything that a cycle allocates stays alive, or is freed at once: there is no garbage to find.
            gc.disable()
            await self._run_cycle_guarded(elapsed_ticks, now)
            self._trend.observe(now, self._storage.queue.bytes, self.accounting.delivered)
            self._pages.on_cycle()
            frozen_count = freeze_heap(sum(map(len, self._cycle_runner.latest.families)), frozen_count)

    async def _run_cycle_guarded(self, elapsed_ticks: int, now: float) -> None:
        """Run one cycle; an unexpected exception costs this cycle, never the process."""
        try:
            await self._cycle_runner.run(elapsed_ticks, now)
        except Exception as error:  # noqa: BLE001 - after the start no error may end the process
            if self._cycle_error != repr(error):  # not at every tick
                _log.exception("cycle failed; please report this with a recording (command record)")
            self._cycle_error = repr(error)
            self._self_metrics.add(OwnMetric.CYCLES_FAILED)
            await self._cycle_runner.start_from_scratch()
        else:
            self._cycle_error = ""
            if self._shadow_gates is not None:
                self._shadow_gates.observe(self.tracker.status.rollouts)

    # The data sources of the web pages --------------------------------------------------------------------------------

    def _data_sources(self) -> DataSources:
        # Functions, since each page shows the values of its moment.
        return DataSources(
            families=lambda: self._cycle_runner.latest.families,
            rollouts=self._rollouts,
            rollout=self._rollout,
            liveness_errors=self._liveness_errors,
            readiness_errors=self._readiness_errors,
            own_families=self._own_families,
            version=lambda: self._cycle_runner.latest,
            events=self._transitions,
            pages=self._pages,
            api=self._api,
        )

    def _own_families(self) -> tuple[MetricFamily, ...]:
        gates = self._shadow_gates.families() if self._shadow_gates is not None else ()
        return (*self._self_metrics.families(process=True), *gates)

    def _rollouts(self) -> Mapping[str, object]:
        status, now = self.tracker.status, self._cycle_runner.latest.timestamp
        return {
            "at": now,
            "history_since": self._storage.history.held_since,
            "has_leader": views.has_leader(status),
            # One by one, so that the event loop runs in between.
            "rollouts": views.rollouts_json(status, now),
        }

    async def _rollout(self, namespace: str, name: str) -> Mapping[str, object]:
        key = (namespace, name)
        transitions = parsed_transitions(await self._pages.transitions(namespace, name))
        status, now = self.tracker.status, self._cycle_runner.latest.timestamp
        return {
            "at": now,
            "history_since": self._storage.history.held_since,
            "has_leader": views.has_leader(status),
            "rollout": views.rollout_details_json(status, key, now, transitions),
        }

    def _liveness_errors(self) -> Sequence[str]:
        # Three missed cycles, plus the time that the slowest scrape and a loaded machine may take.
        allowed = 3 * self._settings.tick_seconds + 30.0
        since = time.time() - max(self._cycle_runner.completed_at, self._started)
        return [f"no cycle has completed for {since:.0f} s; see the log"] if since > allowed else []

    def _readiness_errors(self) -> Sequence[str]:
        if not self._cycle_runner.completed_at:
            return ["the first cycle has not completed yet"]
        results = [target.result for target in self.tracker.status.targets]
        if any(result.failure is None for result in results):
            return self._warnings()
        return [f"{result.target}: {result.failure.message}" for result in results if result.failure is not None]

    def _warnings(self) -> Sequence[str]:
        reason = self._storage.degraded_reason
        return [reason] if reason else []

    def _page_warnings(self) -> Sequence[str]:
        return [*([f"a cycle failed: {self._cycle_error}"] if self._cycle_error else []), *self._warnings()]


def freeze_heap(series_count: int, frozen_count: int) -> int:
    """Exclude the heap from garbage collection each time it has doubled, or much in it is new; then go on collecting.

    Return the series count of the last doubling, which is `frozen_count` at the next call.
    """
    # Series and caches live for hours and form no reference cycles: each full collection would visit millions of
    # objects and free none. Waiting for a doubling, or for a cycle in which much changed, bounds how much garbage of
    # others stays frozen.
    if series_count > 2 * frozen_count or len(gc.get_objects(generation=0)) > _MANY_OBJECTS:
        gc.freeze()
        frozen_count = max(series_count, frozen_count)
    gc.enable()
    return frozen_count


async def run(loaded: LoadedConfig) -> bool:
    """Run until SIGTERM or SIGINT; a second signal ends the process at once. Return whether no points were lost.

    Raises ListenError and StorageError.
    """
    app = App(loaded, os.environ.get("HOSTNAME") or socket.gethostname())  # Kubernetes sets HOSTNAME to the pod's name
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            # Not `sys.exit`, which would wait for tasks and threads that the first signal did not end.
            os._exit(0 if app.close_storage() else EXIT_POINTS_LOST)
        stop.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, on_signal)
    # Other exporters reload their configuration on SIGHUP, and by default it would end the process.
    loop.add_signal_handler(signal.SIGHUP, partial(_log.warning, "SIGHUP ignored", extra=log.fields(hint=_SIGHUP_HINT)))
    return await app.run(stop)
