"""The composition root: builds everything from the settings, owns the tasks and the signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

from exporter import __version__, log
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.scraper import Scraper
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service import views
from exporter.service.clock import offset, ticks
from exporter.service.cycle import CycleDependencies, CycleRunner
from exporter.service.state_file import MemoryFile
from exporter.service.wiring import page_readers, rules
from exporter.web.server import Content, serve
from exporter.web.views import Delivery, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.config.load import Loaded
    from exporter.config.settings import Settings
    from exporter.metrics import MetricFamily
    from exporter.service.delivery import DeliveryService

_log = logging.getLogger(__name__)
LOST: Final = 3
"""The exit status that says that points were lost at the end."""


class App:
    """One running exporter; `watch` is what it knows of the fleet."""

    def __init__(self, loaded: Loaded, instance: str) -> None:
        self._settings = settings = loaded.settings
        self._instance = instance
        self._started = time.time()
        self._telemetry = SelfMetrics(instance, self._started)
        self._telemetry.set(OwnMetric.CONFIG_WARNINGS, len(loaded.warnings))
        self._delivering = _delivering(settings, self._telemetry)
        self._memory = _memory_file(settings)
        interner = ScrapeCache(settings.series.pass_through.wants)
        self._scraper = Scraper(settings, page_readers(settings, interner))
        self.watch = RolloutTracker(rules(settings), self._memory.read() if self._memory is not None else None)
        parts = CycleDependencies(
            self._scraper,
            self.watch,
            interner,
            self._telemetry,
            self._delivering.courier if self._delivering is not None else None,
            self._memory,
            sidecar=settings.mode == "sidecar",
            gzip=settings.otlp.compression == "gzip",
        )
        self._cycles = CycleRunner(parts, settings.tick)
        self._failing = ""

    @property
    def books(self) -> DeliveryAccounting:
        """What became of the points; all zero when nothing is pushed."""
        return self._delivering.books if self._delivering is not None else DeliveryAccounting()

    async def run(self, stop: asyncio.Event) -> bool:
        """Run until told to stop; return whether nothing was lost at the end. Raises ListenError at the start."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._scraper.aclose)
            port = await stack.enter_async_context(serve(self._settings.web, self._content()))
            if self._delivering is not None:
                await stack.enter_async_context(self._delivering)
            self._announce(port)
            turning = asyncio.create_task(self._turn_for_ever(), name="cycles")
            await stop.wait()
            _log.info("stopping", extra=log.fields(queued=self.books.queued))
            async with self._cycles.saying:
                turning.cancel()
            with suppress(asyncio.CancelledError):
                await turning
            return self._delivering is None or await self._delivering.finish(self._settings.otlp.grace)

    def abandon(self) -> bool:
        """Let go of what is queued, without trying to deliver it; return whether nothing is lost by that."""
        return self._delivering is None or self._delivering.end()

    def _announce(self, port: int) -> None:
        otlp = self._settings.otlp
        where = f"{self._settings.web.address[0] or 'all addresses'}, port {port}"
        if self._delivering is None:
            _log.info(
                "no OTLP endpoint is set, so nothing is pushed; set otlp.endpoint", extra=log.fields(serving=where)
            )
        else:
            _log.info("started", extra=log.fields(serving=where, pushing=str(otlp.endpoint), version=__version__))

    async def _turn_for_ever(self) -> None:
        shift = offset(f"{self._instance} {self._settings.identity()}", self._settings.tick)
        settled = 0
        gc.disable()  # nearly all that the first round makes stays
        async for gone_by, at in ticks(self._settings.tick, shift):
            await self._turn(gone_by, at)
            said = sum(map(len, self._cycles.latest.families))
            if said > 2 * settled:
                gc.freeze()  # so that what stays is not looked through for garbage for ever
                settled = said
            gc.enable()

    async def _turn(self, gone_by: int, at: float) -> None:
        """Go round once; a fault of our own costs a round, never the process."""
        try:
            await self._cycles.turn(gone_by, at)
        except Exception as error:  # noqa: BLE001 - nothing after the start may end the process
            if self._failing != repr(error):
                _log.exception("a cycle failed; please report this with a recording (command record)")
            self._failing = repr(error)
        else:
            self._failing = ""

    # What the pages tell --------------------------------------------------------------------------------------------

    def _content(self) -> Content:
        return Content(self._families, self._rollouts, self._status, self._stalled, self._unready)

    def _families(self) -> tuple[MetricFamily, ...]:
        return self._cycles.latest.families + self._telemetry.families(process=True)

    def _rollouts(self) -> object:
        return {
            "at": self._cycles.latest.timestamp,
            "rollouts": [views.rollout(one, self.watch.seen(one.key)) for one in self.watch.rollouts],
        }

    def _stalled(self) -> Sequence[str]:
        allowed = 3 * self._settings.tick + 30.0
        since = time.time() - max(self._cycles.ended, self._started)
        return [f"no cycle has ended for {since:.0f} s; look at the log"] if since > allowed else []

    def _unready(self) -> Sequence[str]:
        if not self._cycles.ended:
            return ["the first cycle has not ended yet"]
        pages = [target.page for target in self.watch.targets]
        if any(page.failure is None for page in pages):
            return self._alarms()
        return [f"{page.target}: {page.failure.message}" for page in pages if page.failure is not None]

    def _alarms(self) -> Sequence[str]:
        return [self._delivering.alarm] if self._delivering is not None and self._delivering.alarm else []

    def _status(self) -> Status:
        now = time.time()
        return Status(
            version=__version__,
            instance=self._instance,
            uptime=now - self._started,
            targets=tuple(views.target_row(one, now) for one in self.watch.targets),
            rollouts=tuple(views.rollout_row(one) for one in self.watch.rollouts),
            delivery=self._delivery(now),
            alarms=(*((f"a cycle failed: {self._failing}",) if self._failing else ()), *self._alarms()),
        )

    def _delivery(self, now: float) -> Delivery | None:
        if self._delivering is None:
            return None
        books = self.books
        return Delivery(
            state=books.state.value,
            endpoint=str(self._settings.otlp.endpoint),
            age=now - books.last_success if books.last_success else None,
            queued=books.queued,
            dropped=books.dropped.total(),
            trouble=books.why,
        )


def _delivering(settings: Settings, telemetry: SelfMetrics) -> DeliveryService | None:
    if settings.otlp.endpoint is None:
        return None
    from exporter.service.delivery import DeliveryService  # noqa: PLC0415 - OTLP's messages are loaded only when something is pushed

    return DeliveryService(settings, telemetry)


def _memory_file(settings: Settings) -> MemoryFile | None:
    directory = settings.memory.directory
    if directory is None:
        return None
    identity = settings.identity()
    return MemoryFile(directory, identity.get("k8s.cluster.name") or identity.get("cluster") or "")


def instance() -> str:
    """Return what tells this process's own metrics from another's: the pod's name."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


async def run(loaded: Loaded) -> bool:
    """Run until SIGTERM or SIGINT; a second one ends the process at once. Return whether nothing was lost at the end.

    Raises ListenError and InUseError.
    """
    app = App(loaded, instance())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            os._exit(0 if app.abandon() else LOST)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    return await app.run(stop)
