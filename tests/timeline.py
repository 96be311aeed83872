"""A recording as a store sees it: what a running exporter would say of it, tick by tick, at the pace of a real one.

The recordings are short, since their clusters are simulated ones. `slow` plays one slower than it was recorded, as the
minutes of a real canary are; `before` and `after` hold its first and its last frame for some seconds.
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

Key = tuple[str, "Labels"]
"""A series: its name, and its labels in alphabetical order."""
INTERVAL: Final = 15.0
PAUSED: Final = "argo_rollouts_pause_start_timestamp_seconds"
RESTARTS: Final = "kube_pod_container_status_restarts_total"


@dataclass(frozen=True, slots=True)
class Play:
    """How a recording is played: its name and variant, how much slower, and what is held at both ends (seconds)."""

    name: str
    variant: str = "full"
    slow: float = 1.0
    before: float = 0.0
    after: float = 0.0
    until: float = float("inf")
    """The recorded second at which it ends."""

    def __str__(self) -> str:
        held = f"-{self.until:.0f}s" if self.until < float("inf") else ""
        return f"{self.name}{'' if self.variant == 'full' else f'-{self.variant}'}-x{self.slow:g}{held}"


@dataclass(frozen=True, slots=True)
class Film:
    """What was said at ticks `INTERVAL` apart, the first at `start` (Unix seconds)."""

    start: float
    ticks: tuple[Mapping[Key, float], ...]

    @property
    def times(self) -> Iterator[float]:
        """When each tick was."""
        return (self.start + number * INTERVAL for number in range(len(self.ticks)))

    def columns(self) -> Iterator[tuple[Key, list[float | None]]]:
        """Yield each series with its value at every tick, None where it was not said."""
        for key in sorted({key for tick in self.ticks for key in tick}):
            yield key, [tick.get(key) for tick in self.ticks]


def film(recordings: Recordings, play: Play) -> Film:
    """Play a recording through the core."""
    recorded = list(read_frames(recordings.frames(play.name, play.variant)))
    parsed = recordings.ticks(play.name, play.variant)
    first = recorded[0].at
    lasting = min(recorded[-1].at - first, play.until)
    watch = RolloutTracker(recordings.rules)
    ticks = []
    for number in range(int((play.before + lasting * play.slow + play.after) / INTERVAL) + 1):
        seconds = number * INTERVAL
        shown = first + min(max((seconds - play.before) / play.slow, 0.0), lasting)
        place = bisect_right(recorded, shown + 0.001, key=lambda frame: frame.at) - 1
        at = first + seconds
        cycle = watch.process(at, [replace(page, scraped_at=at) for page in parsed[place].pages])
        ticks.append({**_paced(said(cycle.families), play, first), **_restarts(recorded[place])})
    return Film(first, tuple(ticks))


def _paced(tick: dict[Key, float], play: Play, first: float) -> dict[Key, float]:
    """Put times that a page tells where the film has them."""
    return {
        key: first + play.before + (value - first) * play.slow if key[0] == PAUSED else value
        for key, value in tick.items()
    }


def said(families: Iterable[MetricFamily]) -> dict[Key, float]:
    """Return the samples of families."""
    return {
        (one.name, tuple(sorted(one.labels))): value
        for family in families
        for one, value in zip(family.series, family.values, strict=True)
    }


def _restarts(frame: RecordedFrame) -> dict[Key, float]:
    """Return the restarts of containers that kube-state-metrics said: the exporter does not pass them."""
    found: dict[Key, float] = {}
    for page in frame.pages:
        if page.source is Source.KUBE_STATE_METRICS and page.status == 200:
            found |= _parsed(page.body())
    return found


@cache
def _parsed(body: bytes) -> dict[Key, float]:
    lines = (line for line in body.decode().splitlines() if line.startswith(RESTARTS))
    families = text_string_to_metric_families("\n".join(lines) + "\n")
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def spelt(key: Key, **more: str) -> str:
    """Write a series as PromQL and the exposition format do."""
    name, labels = key
    escaped = ((label, text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for label, text in labels)
    pairs = ",".join([f'{label}="{text}"' for label, text in (*escaped, *more.items())])
    return f"{name}{{{pairs}}}"
