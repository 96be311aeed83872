"""Recordings of real components, as tests read them: unpacked once, each page parsed once."""

from __future__ import annotations

import gzip
import json
import tarfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.record import Frame, FramePage, frames
from exporter.commands.replay import pages_of
from exporter.config.settings import Settings
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import page_readers, rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.policy import TrackingPolicy

PACKED: Final = Path(__file__).parent / "recordings"
VARIANTS: Final = ("full", "no-state", "plain", "argo-only")
"""Which sources were asked: all, no rollout state, kube-state-metrics without allow-lists, the controllers alone."""
NAMES: Final = tuple(sorted(file.name.removesuffix(".tar.xz") for file in PACKED.glob("*.tar.xz")))


@dataclass(frozen=True, slots=True)
class Tick:
    """What was answered at one moment (Unix seconds), parsed."""

    at: float
    pages: tuple[ScrapeResult, ...]


def unpack(directory: Path) -> Path:
    """Unpack every recording into a directory, in the layout that `replay` reads; return the directory."""
    for name in NAMES:
        with tarfile.open(PACKED / f"{name}.tar.xz") as archive:
            archive.extractall(directory / name, filter="data")
    return directory


class Recordings:
    """A folder with one folder for each recording."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder
        self.rules: TrackingPolicy = rules(settings or Settings())
        self._readers = page_readers(settings or Settings())
        self._parsed: dict[tuple[str | Path | None, ...], ScrapeResult] = {}
        self.truth = cache(self._truth)
        self.ticks = cache(self._ticks)

    @property
    def names(self) -> list[str]:
        """The recordings, in order."""
        return sorted(file.name for file in self.folder.iterdir() if file.is_dir())

    def variants(self, name: str) -> list[str]:
        """The variants that a recording has; old controllers were recorded alone."""
        return [variant for variant in VARIANTS if self.frames(name, variant).exists()]

    def frames(self, name: str, variant: str) -> Path:
        """The file with the frames of a variant."""
        return self.folder / name / f"{variant}.jsonl"

    def watched(
        self, name: str, variant: str, thin: float = 0.0
    ) -> Iterator[tuple[Tick, MetricsSnapshot, RolloutTracker]]:
        """Take every tick of a recording that is at least `thin` seconds after the one before, through the core."""
        watch = RolloutTracker(self.rules)
        for tick in thinned(self.ticks(name, variant), thin):
            yield tick, watch.process(tick.at, tick.pages), watch

    def _ticks(self, name: str, variant: str) -> tuple[Tick, ...]:
        return tuple(
            Tick(frame.at, tuple(self._page(page, frame.at) for page in frame.pages))
            for frame in frames(self.frames(name, variant))
        )

    def _page(self, page: FramePage, at: float) -> ScrapeResult:
        key = (page.file, page.source, page.target, str(page.status))
        if key not in self._parsed:
            self._parsed[key] = pages_of(Frame(at, (page,)), self._readers)[0]
        return replace(self._parsed[key], scraped_at=at)

    def _truth(self, name: str) -> tuple[dict[str, Any], ...]:
        """Read what was true at each frame: the Kubernetes objects themselves."""
        file = self.folder / name / "truth.jsonl"
        text = file.read_text() if file.exists() else gzip.decompress(file.with_suffix(".jsonl.gz").read_bytes())
        return tuple(json.loads(line) for line in text.splitlines())


def thinned(ticks: Sequence[Tick], seconds: float) -> Iterator[Tick]:
    """Leave out ticks that come too soon after the last one kept; 0 seconds leaves out none, whatever the clock did."""
    last = float("-inf")
    for tick in ticks:
        if not seconds or tick.at - last >= seconds:
            last = tick.at
            yield tick
