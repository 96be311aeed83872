"""A timeline as the parts of an SVG: bands of phases, the canary's share as a line, marks of transitions, an axis.

Places are in percent of the width, so that text and marks have the same size at any width.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.rollouts.explain.words import percent
from exporter.web.model import SharePoint
from exporter.web.pages.query import ZOOM_HOURS, timeline_href

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.web.model import Timeline, TimelineMark

BAND_HEIGHT: Final = 26
SHARE_TOP: Final = 44
SHARE_HEIGHT: Final = 96
MARKS_TOP: Final = 162
"""Pixels from the top."""
MARK_PERCENT: Final = 1.0
"""Width of a mark on a screen of a desk; of those at the same place the most important one is drawn."""
_LABEL_PERCENT: Final = 1.2
"""Width of a character of a band's label on a screen of a desk; a label that does not fit is left out."""
_NARROW_LABEL_PERCENT: Final = 2.6
"""The same on a phone."""
_HOUR: Final = 3600.0
_TICK_STEPS: Final = (10, 30, 60, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400)
"""Seconds between two labels of the axis; the first that makes at most `_MAX_TICKS` is taken."""
_MAX_TICKS: Final = 7
MARK_SHAPES: Final = {
    "update_started": "start",
    "retried": "start",
    "step_reached": "step",
    "paused": "pause",
    "resumed": "step",
    "analysis_started": "analysis",
    "analysis_ended": "analysis",
    "aborted": "abort",
    "degraded": "abort",
    "deleted": "abort",
    "promoted": "end",
    "rolled_back": "end",
    "recovered": "end",
}
"""The shape of each type of transition; others are a step's."""
_LEAST_FIRST: Final = ("step", "analysis", "pause", "start", "end", "abort")
"""Shapes by how much a person looks for them."""


@dataclass(frozen=True, slots=True)
class DrawnBand:
    """A phase: place and width in percent; `label` fits on a desk, `narrow`: whether on a phone, too."""

    x: str
    width: str
    word: str
    title: str
    has_label: bool
    is_narrow: bool


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A part of the share's line, from one place to another; x in percent, y in pixels."""

    x1: str
    y1: str
    x2: str
    y2: str


@dataclass(frozen=True, slots=True)
class DrawnArea:
    """The area under a horizontal part of the line."""

    x: str
    y: str
    width: str
    height: str
    title: str


@dataclass(frozen=True, slots=True)
class DrawnMark:
    """A transition: its place, its shape and its text."""

    x: str
    shape: str
    title: str


@dataclass(frozen=True, slots=True)
class AxisTick:
    """A label of the axis; `anchor` keeps the first and the last one inside."""

    x: str
    label: str
    is_minor: bool


@dataclass(frozen=True, slots=True)
class DrawnTimeline:
    """All parts, and the links that zoom and move."""

    bands: tuple[DrawnBand, ...] = ()
    areas: tuple[DrawnArea, ...] = ()
    lines: tuple[DrawnLine, ...] = ()
    weights: tuple[DrawnLine, ...] = ()
    marks: tuple[DrawnMark, ...] = ()
    ticks: tuple[AxisTick, ...] = ()
    unknown_width: str = ""
    """Percent of the width that is before the history."""
    zooms: tuple[tuple[str, str, bool], ...] = ()
    """Label, link, and whether it is the current one."""
    links: dict[str, str] = field(default_factory=dict)
    """`in`, `out`, `earlier`, `older`, `later` → link; absent where there is none. `older` continues the list."""


def draw(timeline: Timeline, now: float) -> DrawnTimeline:
    """Return the parts of a timeline at a time."""
    scale = _Scale(timeline.since, max(timeline.until, timeline.since + 1.0))
    unknown = min(max(timeline.held_since - timeline.since, 0.0), scale.seconds)
    segments = list(_segments(timeline, timeline.shares))
    return DrawnTimeline(
        bands=tuple(_bands(timeline, scale)),
        areas=tuple(_area(scale, *segment) for segment in segments if segment[2]),
        lines=tuple(_lines(scale, segments)),
        weights=tuple(_lines(scale, list(_segments(timeline, timeline.weights)))),
        marks=tuple(_marks(timeline, scale)),
        ticks=tuple(_ticks(scale)),
        unknown_width=scale.width(scale.start, scale.start + unknown) if unknown else "",
        zooms=tuple((_zoom_name(hours), timeline_href(hours), hours == timeline.hours) for hours in ZOOM_HOURS),
        links=_links(timeline, now),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Times → percent of the width."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def place(self, timestamp: float) -> float:
        return 100 * (min(max(timestamp, self.start), self.end) - self.start) / self.seconds

    def x(self, timestamp: float) -> str:
        return f"{self.place(timestamp):.2f}%"

    def width(self, start: float, end: float) -> str:
        return f"{max(self.place(end) - self.place(start), 0.0):.2f}%"


def _bands(timeline: Timeline, scale: _Scale) -> Iterator[DrawnBand]:
    for band in timeline.bands:
        width = scale.place(band.end) - scale.place(band.start)
        if width > 0:
            yield DrawnBand(
                scale.x(band.start),
                scale.width(band.start, band.end),
                band.word,
                f"{band.word}, {_clock(band.start)} to {_clock(band.end)}",
                has_label=width > len(band.word) * _LABEL_PERCENT,
                is_narrow=width > len(band.word) * _NARROW_LABEL_PERCENT,
            )


def _segments(timeline: Timeline, shares: tuple[SharePoint, ...]) -> Iterator[tuple[float, float, float]]:
    """Yield start, end and share of the times in which the share is known: it holds until the next point."""
    points = (*shares, SharePoint(timeline.until, None))
    for point, following in pairwise(points):
        if point.share is not None and following.timestamp > timeline.since and point.timestamp < timeline.until:
            yield point.timestamp, following.timestamp, point.share


def _area(scale: _Scale, start: float, end: float, share: float) -> DrawnArea:
    return DrawnArea(
        scale.x(start),
        f"{_y(share):.1f}",
        scale.width(start, end),
        f"{SHARE_HEIGHT * share:.1f}",
        f"canary {percent(share)}, {_clock(start)} to {_clock(end)}",
    )


def _lines(scale: _Scale, segments: list[tuple[float, float, float]]) -> Iterator[DrawnLine]:
    for start, end, share in segments:
        yield DrawnLine(scale.x(start), f"{_y(share):.1f}", scale.x(end), f"{_y(share):.1f}")
    for (_, end, share), (start, _, following) in pairwise(segments):
        if end == start and share != following:
            yield DrawnLine(scale.x(start), f"{_y(share):.1f}", scale.x(start), f"{_y(following):.1f}")


def _y(share: float) -> float:
    return SHARE_TOP + SHARE_HEIGHT * (1 - min(max(share, 0.0), 1.0))


def _marks(timeline: Timeline, scale: _Scale) -> Iterator[DrawnMark]:
    inside = [mark for mark in timeline.marks if scale.start <= mark.timestamp <= scale.end]
    by_place = {
        round(scale.place(mark.timestamp) / MARK_PERCENT): mark
        for mark in sorted(inside, key=lambda mark: _LEAST_FIRST.index(_shape(mark)))
    }
    for _, mark in sorted(by_place.items()):
        text = f"{_clock(mark.timestamp)} {mark.type.replace('_', ' ')}: {mark.text}"
        yield DrawnMark(scale.x(mark.timestamp), _shape(mark), text)


def _shape(mark: TimelineMark) -> str:
    return MARK_SHAPES.get(mark.type, "step")


def _ticks(scale: _Scale) -> Iterator[AxisTick]:
    step = next((step for step in _TICK_STEPS if scale.seconds / step <= _MAX_TICKS), _TICK_STEPS[-1])
    timestamp = (scale.start // step + 1) * step
    place = 0
    while timestamp < scale.end:
        # A label has its middle at its place, so that none stands at the very edge.
        if 4 < scale.place(timestamp) < 96:  # noqa: PLR2004
            yield AxisTick(scale.x(timestamp), _tick_label(timestamp, step), is_minor=bool(place % 2))
            place += 1
        timestamp += step


def _tick_label(timestamp: float, step: float) -> str:
    moment = datetime.fromtimestamp(timestamp, UTC)
    if step < 60:  # noqa: PLR2004
        return moment.strftime("%H:%M:%S")
    return moment.strftime("%d %b" if step >= 24 * _HOUR or not (moment.hour or moment.minute) else "%H:%M")


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%H:%M:%S")


def _zoom_name(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:g} min"
    return f"{hours:g} h" if hours < 24 else f"{hours / 24:g} d"  # noqa: PLR2004


def _links(timeline: Timeline, now: float) -> dict[str, str]:
    # A history that has just begun is shown narrower than any width that can be chosen.
    place = bisect_right(ZOOM_HOURS, timeline.hours) - 1
    is_live = timeline.until >= now - 1.0
    until = None if is_live else timeline.until
    shift = timeline.hours * _HOUR / 2
    links = {}
    if place > 0:
        links["in"] = timeline_href(ZOOM_HOURS[place - 1], until)
    if place < len(ZOOM_HOURS) - 1:
        links["out"] = timeline_href(ZOOM_HOURS[place + 1], until)
    if timeline.since > timeline.held_since:
        links["earlier"] = timeline_href(timeline.hours, timeline.until - shift)
    if timeline.has_older:
        links["earlier"] = links["older"] = timeline_href(timeline.hours, math.ceil(timeline.since))
    if not is_live:
        later = timeline.until + shift
        links["later"] = timeline_href(timeline.hours, later if later < now else None)
    return links
