"""The command `replay`: run recorded frames through the core, at their recorded times."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from exporter.commands.progress import progress
from exporter.commands.record import count_frames, read_frames
from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.metrics import Failure
from exporter.rollouts.events.document import transition_json
from exporter.rollouts.explain.document import explanation_json
from exporter.rollouts.explain.explain import explain
from exporter.rollouts.tracker import RolloutTracker, TrackerStatus
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from exporter.commands.record import RecordedFrame, RecordedPage
    from exporter.config.settings import Settings
    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.tracker import TrackerState
    from exporter.service.wiring import ParserFactory


def replay_frames(
    path: Path, settings: Settings, initial_state: TrackerState | None = None
) -> Iterator[tuple[RecordedFrame, MetricsSnapshot, RolloutTracker]]:
    """Yield each frame with its snapshot and the tracker after it. Raises RecordingError."""
    new_parser = parser_factory(settings)
    tracker = RolloutTracker(tracking_policy(settings), initial_state)
    with progress("replaying", "frames", count_frames(path)) as replaying:
        for frame in read_frames(path):
            yield frame, tracker.process(frame.timestamp, scrape_results(frame, new_parser)), tracker
            replaying.done += 1


def scrape_results(frame: RecordedFrame, new_parser: ParserFactory) -> tuple[ScrapeResult, ...]:
    """Parse the pages of a frame as if they had just been scraped. Raises RecordingError."""
    return tuple(_scrape_result(page, frame.timestamp, new_parser) for page in frame.pages)


def _scrape_result(page: RecordedPage, timestamp: float, new_parser: ParserFactory) -> ScrapeResult:
    parser = new_parser(ScrapeRequest(page.source, page.target, timestamp, page.installation))
    if page.status is None:
        return parser.finish(Failure("unanswered", page.error or "no response was recorded"), 0.0)
    parser.start(page.status, page.headers)
    for block in page.blocks():
        parser.feed(block)
    return parser.finish(None, 0.0)  # frames have no durations


def snapshot_json(timestamp: float, snapshot: MetricsSnapshot, *, passthrough: bool) -> str:
    """Return a snapshot as a line of `replay --format jsonl`; NaN and infinities are strings, as JSON has none."""
    samples = [
        {"name": series.name, "labels": dict(series.labels), "value": _number(value)}
        for family in snapshot.families
        if passthrough or family.name in DERIVED_FAMILY_NAMES
        for series, value in zip(family.series, family.values, strict=True)
    ]
    return json.dumps({"at": timestamp, "series": samples}, ensure_ascii=False)


def explanations_after(tracker: RolloutTracker, timestamp: float) -> dict[str, dict[str, Any]]:
    """Return the explanations of all rollouts after a frame, by `namespace/name`."""
    rollouts = (*tracker.status.rollouts, *tracker.status.unshown)
    return {"/".join(rollout.key): explanation_json(explain(rollout, timestamp)) for rollout in rollouts}


def explanations_json(timestamp: float, tracker: RolloutTracker) -> str:
    """Return the explanations of all rollouts after a frame as a line of `replay --format explanations`."""
    return json.dumps({"at": timestamp, "rollouts": explanations_after(tracker, timestamp)}, ensure_ascii=False)


def replay_transitions(path: Path, settings: Settings) -> Iterator[Mapping[str, Any]]:
    """Yield the transitions of a recording as JSON objects, in order. Raises RecordingError."""
    for _, _, tracker in replay_frames(path, settings):
        yield from map(transition_json, tracker.status.transitions)


def first_and_last_time(path: Path) -> tuple[float, float]:
    """Return the times of the first and the last frame (Unix seconds), 0 without frames. Raises RecordingError."""
    times = [frame.timestamp for frame in read_frames(path)]
    return min(times, default=0.0), max(times, default=0.0)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def status_at(path: Path, settings: Settings, timestamp: float | None) -> tuple[TrackerStatus, float]:
    """Return what is known at a time (Unix seconds), and the time of its frame; a negative one counts from the end.

    None is the end itself. Raises RecordingError.
    """
    if timestamp is not None and timestamp < 0:
        timestamp += first_and_last_time(path)[1]
    status, frame_timestamp = TrackerStatus(), 0.0
    for frame, _, tracker in replay_frames(path, settings):
        if timestamp is not None and frame.timestamp > timestamp:
            break
        status, frame_timestamp = tracker.status, frame.timestamp
    return status, frame_timestamp
