"""Recordings of real controllers and kube-state-metrics for tests: unpacked once, each page parsed once."""

from __future__ import annotations

import gzip
import json
import random
import tarfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.record import RecordedFrame, RecordedPage, read_frames
from exporter.commands.replay import scrape_results
from exporter.config.settings import SeriesSection, Settings
from exporter.metrics import Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.model import TrackingPolicy

ARCHIVES: Final = Path(__file__).parent / "recordings"
ARTICLE: Final = Settings(series=SeriesSection(preset="article"))
"""Settings with nearly every derived series; the preset `standard` leaves out those that repeat others."""
VARIANTS: Final = ("full", "no-state", "plain", "argo-only")
"""Scraped sources: all, no rollout state, kube-state-metrics without allow-lists, only the controllers."""
EXPLAINED_ARCHIVES: Final = Path(__file__).parent / "recordings_why"
"""Recordings with `expected.jsonl`: what is right to say about why each rollout is where it is."""


def archived_names(archives: Path) -> tuple[str, ...]:
    """Return the names of the recordings in a folder of archives."""
    return tuple(sorted(file.name.removesuffix(".tar.xz") for file in archives.glob("*.tar.xz")))


NAMES: Final = archived_names(ARCHIVES)
EXPLAINED_NAMES: Final = archived_names(EXPLAINED_ARCHIVES)


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """The parsed results of one recorded frame."""

    timestamp: float
    results: tuple[ScrapeResult, ...]


def unpack(directory: Path, archives: Path = ARCHIVES) -> Path:
    """Unpack every recording into a directory, in the layout that `replay` reads, and return the directory."""
    for name in archived_names(archives):
        with tarfile.open(archives / f"{name}.tar.xz") as archive:
            archive.extractall(directory / name, filter="data")
    return directory


class Recordings:
    """A folder with one folder for each recording."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder
        settings = settings or ARTICLE
        self.policy: TrackingPolicy = tracking_policy(settings)
        self._parser_factory = parser_factory(settings)
        self._parsed: dict[tuple[str | Path | None, ...], ScrapeResult] = {}
        self.truth = cache(self._truth)
        self.ticks = cache(self._ticks)

    @property
    def names(self) -> list[str]:
        """The names of the recordings, sorted."""
        return sorted(file.name for file in self.folder.iterdir() if file.is_dir())

    def variants(self, name: str) -> list[str]:
        """Return the variants of a recording; old controller versions were recorded with no other source."""
        return [variant for variant in VARIANTS if self.frames(name, variant).exists()]

    def frames(self, name: str, variant: str) -> Path:
        """Return the file with the frames of a variant."""
        return self.folder / name / f"{variant}.jsonl"

    def play(
        self, name: str, variant: str, min_interval: float = 0.0, workload_interval: float = 0.0, offset: float = 0.0
    ) -> Iterator[tuple[RecordedTick, MetricsSnapshot, RolloutTracker]]:
        """Process a recording with a new tracker, as `thin_out` leaves it."""
        tracker = RolloutTracker(self.policy)
        for tick in thin_out(self.ticks(name, variant), min_interval, workload_interval, offset):
            yield tick, tracker.process(tick.timestamp, tick.results), tracker

    def _ticks(self, name: str, variant: str) -> tuple[RecordedTick, ...]:
        return tuple(
            RecordedTick(frame.timestamp, tuple(self._result(page, frame.timestamp) for page in frame.pages))
            for frame in read_frames(self.frames(name, variant))
        )

    def _result(self, page: RecordedPage, timestamp: float) -> ScrapeResult:
        key = (page.file, page.source, page.target, str(page.status))
        if key not in self._parsed:
            self._parsed[key] = scrape_results(RecordedFrame(timestamp, (page,)), self._parser_factory)[0]
        return replace(self._parsed[key], scraped_at=timestamp)

    def _truth(self, name: str) -> tuple[dict[str, Any], ...]:
        """Read the Kubernetes objects at the time of each frame."""
        file = self.folder / name / "truth.jsonl"
        text = file.read_text() if file.exists() else gzip.decompress(file.with_suffix(".jsonl.gz").read_bytes())
        return tuple(json.loads(line) for line in text.splitlines())


def with_later_pages(ticks: Sequence[RecordedTick], seed: int) -> Iterator[RecordedTick]:
    """Replace the pages of each source by those of the next frame at half of the ticks, chosen by `seed`.

    Scrapes of one tick end at different times, by as much as their timeout. No page is older than its predecessor.
    """
    choice, frame_of = random.Random(seed), dict.fromkeys(Source, 0)
    for index, tick in enumerate(ticks):
        for source in Source:
            later = min(index + choice.randint(0, 1), len(ticks) - 1)
            frame_of[source] = max(frame_of[source], later)
        results = (_page_of(ticks[frame_of[result.source]], result) for result in tick.results)
        yield replace(tick, results=tuple(results))


def _page_of(tick: RecordedTick, result: ScrapeResult) -> ScrapeResult:
    """Return the result of the same target at another tick, as if it were scraped at the time of `result`."""
    same = (other for other in tick.results if (other.source, other.target) == (result.source, result.target))
    return replace(next(same, result), scraped_at=result.scraped_at)


def thin_out(
    ticks: Sequence[RecordedTick], seconds: float, workload_seconds: float = 0.0, offset: float = 0.0
) -> Iterator[RecordedTick]:
    """Leave out ticks less than `seconds` after the last yielded one; 0 yields all, even if the clock went back.

    With `workload_seconds` kube-state-metrics is scraped only that often, 0 for every tick. With `offset` (seconds) the
    first tick is followed by those from so much later on, so that they fall on other moments.
    """
    if offset:
        yield ticks[0]
        ticks = [tick for tick in ticks[1:] if tick.timestamp - ticks[0].timestamp >= offset]
    last = last_workload = float("-inf")
    for tick in ticks:
        if seconds and tick.timestamp - last < seconds:
            continue
        last = tick.timestamp
        if tick.timestamp - last_workload >= workload_seconds - seconds / 2:
            last_workload = tick.timestamp
            yield tick
        else:
            others = (result for result in tick.results if result.source is not Source.KUBE_STATE_METRICS)
            yield replace(tick, results=tuple(others))
