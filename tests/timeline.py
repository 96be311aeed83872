"""A recording as a store receives it: the series that a running exporter exports, tick by tick.

In the recordings a canary takes seconds, since pods of the recorded clusters are simulated. `slowdown` plays one more
slowly, so that it takes minutes; `lead_in` and `lead_out` hold its first and its last frame for some seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from exporter.commands.record import read_frames
from exporter.metrics import Source
from exporter.rollouts.tracker import RolloutTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.commands.record import RecordedFrame
    from exporter.metrics import Labels, MetricFamily
    from tests.recorded import Recordings

SeriesKey = tuple[str, "Labels"]
"""A series: its name and its labels in alphabetical order."""
INTERVAL: Final = 15.0
PAUSE_TIMES: Final = ("argo_rollouts_pause_start_timestamp_seconds", "argo_rollouts_pause_end_timestamp_seconds")
RESTARTS: Final = "kube_pod_container_status_restarts_total"


@dataclass(frozen=True, slots=True)
class Playback:
    """How to play a recording: name and variant, how many times slower, how long to hold both ends (seconds)."""

    name: str
    variant: str = "full"
    slowdown: float = 1.0
    lead_in: float = 0.0
    lead_out: float = 0.0
    until: float = float("inf")
    """Recorded second at which to stop."""

    def __str__(self) -> str:
        end = f"-{self.until:.0f}s" if self.until < float("inf") else ""
        return f"{self.name}{'' if self.variant == 'full' else f'-{self.variant}'}-x{self.slowdown:g}{end}"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The samples exported at ticks `INTERVAL` apart, the first at `start` (Unix seconds)."""

    start: float
    ticks: tuple[Mapping[SeriesKey, float], ...]

    @property
    def times(self) -> Iterator[float]:
        """The time of each tick (Unix seconds)."""
        return (self.start + number * INTERVAL for number in range(len(self.ticks)))

    def columns(self) -> Iterator[tuple[SeriesKey, list[float | None]]]:
        """Yield each series with its value at every tick, None where it is absent."""
        for key in sorted({key for tick in self.ticks for key in tick}):
            yield key, [tick.get(key) for tick in self.ticks]


def play_recording(recordings: Recordings, playback: Playback) -> Timeline:
    """Play a recording through the tracker."""
    recorded = list(read_frames(recordings.frames(playback.name, playback.variant)))
    parsed = recordings.ticks(playback.name, playback.variant)
    first = recorded[0].timestamp
    duration = min(recorded[-1].timestamp - first, playback.until)
    tracker = RolloutTracker(recordings.policy)
    ticks = []
    for number in range(int((playback.lead_in + duration * playback.slowdown + playback.lead_out) / INTERVAL) + 1):
        seconds = number * INTERVAL
        recorded_at = first + min(max((seconds - playback.lead_in) / playback.slowdown, 0.0), duration)
        index = (
            bisect_right(recorded, recorded_at + 0.001, key=lambda frame: frame.timestamp) - 1
        )  # + 1 ms for rounding
        now = first + seconds
        snapshot = tracker.process(now, [replace(result, scraped_at=now) for result in parsed[index].results])
        ticks.append({**_slow_down(samples_by_key(snapshot.families), playback, first), **_restarts(recorded[index])})
    return Timeline(first, tuple(ticks))


def _slow_down(tick: dict[SeriesKey, float], playback: Playback, first: float) -> dict[SeriesKey, float]:
    """Move timestamps that are sample values to when they are on this timeline."""
    return {
        key: first + playback.lead_in + (value - first) * playback.slowdown if key[0] in PAUSE_TIMES else value
        for key, value in tick.items()
    }


def samples_by_key(families: Iterable[MetricFamily]) -> dict[SeriesKey, float]:
    """Return the values of families by series."""
    return {
        (series.name, tuple(sorted(series.labels))): value
        for family in families
        for series, value in zip(family.series, family.values, strict=True)
    }


def _restarts(frame: RecordedFrame) -> dict[SeriesKey, float]:
    """Return the container restarts on a frame's pages: the exporter does not pass them through."""
    restarts: dict[SeriesKey, float] = {}
    for page in frame.pages:
        if page.source is Source.KUBE_STATE_METRICS and page.status == 200:
            restarts |= _parsed_restarts(page.body())
    return restarts


@cache
def _parsed_restarts(body: bytes) -> dict[SeriesKey, float]:
    lines = (line for line in body.decode().splitlines() if line.startswith(RESTARTS))
    families = text_string_to_metric_families("\n".join(lines) + "\n")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def promql_text(key: SeriesKey, **extra_labels: str) -> str:
    """Return a series as PromQL and the exposition format write it."""
    name, labels = key
    escaped = ((label, text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for label, text in labels)
    pairs = ",".join([f'{label}="{text}"' for label, text in (*escaped, *extra_labels.items())])
    return f"{name}{{{pairs}}}"
