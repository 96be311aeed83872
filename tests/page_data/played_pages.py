"""The values of the pages after a recording, or other scrape results, went through a tracker and into history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.config.load import LoadedConfig, load
from exporter.log import NoticeHandler
from exporter.metrics import MetricsSnapshot
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.cycle_store import storage_config
from exporter.service.delivery_trend import DeliveryTrend
from exporter.service.pages.sources import PageSources, RunningParts
from exporter.service.transition_feed import transition_records
from exporter.service.wiring import tracking_policy
from exporter.storage import Storage
from exporter.storage.clock import Clocks
from exporter.storage.model import CycleCommit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.metrics import ScrapeResult
    from tests.recorded import RecordedTick

ENVIRONMENT = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    "OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=none",
}
INSTANCE = "exporter-0"


@dataclass
class PlayedPages:
    """The pages of an exporter whose scrapes and clock a test determines; nothing is scraped or sent."""

    loaded: LoadedConfig = field(default_factory=lambda: load(None, ENVIRONMENT))
    started: float = 1000.0

    def __post_init__(self) -> None:
        self.now = self.started
        self.books = DeliveryAccounting()
        clocks = Clocks(wall_time=lambda: self.now)
        self.storage = Storage(storage_config(self.loaded.settings), self.books, clocks)
        self.tracker = RolloutTracker(tracking_policy(self.loaded.settings))
        self.trend, self.logged = DeliveryTrend(), NoticeHandler(10)
        self._snapshot = MetricsSnapshot(0.0)
        self.parts = RunningParts(
            self.loaded,
            INSTANCE,
            self.started,
            self.tracker,
            lambda: self._snapshot,
            self.storage,
            self.trend,
            self.logged,
            self.books,
            now=lambda: self.now,
        )
        self.pages = PageSources(self.parts)

    async def process(self, now: float, results: Sequence[ScrapeResult]) -> None:
        """Process the results of a tick."""
        self.now = now
        self._snapshot = self.tracker.process(now, results)
        records = transition_records(self.tracker.status.transitions)
        await self.storage.commit(CycleCommit(transitions=records))
        self.pages.on_cycle()


async def play(ticks: Iterable[RecordedTick]) -> PlayedPages:
    """Return the pages at the end of a recording; history begins with its first tick."""
    played: PlayedPages | None = None
    for tick in ticks:
        played = played or PlayedPages(started=tick.timestamp)
        await played.process(tick.timestamp, tick.results)
    assert played is not None
    return played
