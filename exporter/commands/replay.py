"""Recorded frames through the very core that runs, at their recorded times."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.record import frames
from exporter.metrics import Failure
from exporter.rollouts.output.catalogue import BY_NAME
from exporter.rollouts.output.durations import NAME as DURATIONS
from exporter.rollouts.output.targets import ROWS as TARGETS
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import Asked
from exporter.service import views
from exporter.service.wiring import page_readers, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from exporter.commands.record import Frame, FramePage
    from exporter.config.settings import Settings
    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.tracker import TrackerState
    from exporter.scrape.response import PageReader

DERIVED: Final = frozenset({*BY_NAME, *TARGETS, DURATIONS})
"""The families that are made here, the targets' among them; all others pass through."""


def replayed(
    path: Path, settings: Settings, memory: TrackerState | None = None
) -> Iterator[tuple[Frame, MetricsSnapshot, RolloutTracker]]:
    """Yield each frame with what is said after it, and the watch as it then is. Raises RecordingError."""
    readers = page_readers(settings)
    watch = RolloutTracker(rules(settings), memory)
    for frame in frames(path):
        yield frame, watch.process(frame.at, pages_of(frame, readers)), watch


def pages_of(frame: Frame, readers: Callable[[Asked], PageReader]) -> tuple[ScrapeResult, ...]:
    """Read the pages of a frame as if they had just been answered. Raises RecordingError."""
    return tuple(_read(page, frame.at, readers) for page in frame.pages)


def _read(page: FramePage, at: float, readers: Callable[[Asked], PageReader]) -> ScrapeResult:
    reader = readers(Asked(page.source, page.target, at, page.installation))
    if page.status is None:
        return reader.close(Failure("unanswered", page.error or "it did not answer when it was recorded"), 0.0)
    reader.begin(page.status, page.headers)
    reader.feed(page.body())
    return reader.close(None, 0.0)


def as_json(at: float, cycle: MetricsSnapshot, *, passthrough: bool) -> str:
    """Write one cycle as the line that `replay --format jsonl` prints; numbers that JSON lacks are strings."""
    series = [
        {"name": one.name, "labels": dict(one.labels), "value": _number(value)}
        for family in cycle.families
        if passthrough or family.name in DERIVED
        for one, value in zip(family.series, family.values, strict=True)
    ]
    return json.dumps({"at": at, "series": series}, ensure_ascii=False)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def rollouts_at(path: Path, settings: Settings, at: float | None) -> list[Mapping[str, Any]]:
    """Return the rollouts as they were known at a time (None: at the end). Raises RecordingError."""
    found: list[Mapping[str, Any]] = []
    for frame, _, watch in replayed(path, settings):
        if at is not None and frame.at > at:
            break
        found = [views.rollout(one, watch.seen(one.key)) for one in watch.rollouts]
    return found
