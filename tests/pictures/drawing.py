"""Panels with their series → a PNG of the dashboard, laid out on Grafana's grid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from tests.pictures.grafana_style import (
    COLOURS,
    EDGE,
    MUTED_TEXT,
    PAGE,
    PANEL,
    TEXT,
    colour_of,
    format_number,
    state_text_and_colour,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

    from tests.pictures.query_results import PanelData, PanelSeries, TimeWindow

CELL_PIXELS: Final = (60, 34)
"""Pixels of a cell of Grafana's grid."""
DPI: Final = 100
GAP: Final = 6
TICK_SECONDS: Final = (5, 10, 15, 30, 60, 120, 180, 300, 600, 1800, 3600)
"""Seconds between ticks of the time axis."""
MAX_LEGEND_NAMES: Final = 7
"""Names in a legend; the rest is counted."""
mpl.rcParams |= {"font.family": "DejaVu Sans", "font.size": 8, "text.color": TEXT, "axes.edgecolor": EDGE}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels from the top left of the picture."""

    x: float
    y: float
    width: float
    height: float

    def inset(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Return the rectangle without margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


class Canvas:
    """A picture that is being drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAGE)

    def axes(self, box: Box) -> Axes:
        """Return axes over a rectangle, from 0 to 1 in both directions."""
        rectangle = (
            box.x / self.width,
            1 - (box.y + box.height) / self.height,
            box.width / self.width,
            box.height / self.height,
        )
        axes = self.figure.add_axes(rectangle, facecolor="none")
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return axes

    def png(self) -> bytes:
        """Return a PNG with 128 colours, which halves its size."""
        full = BytesIO()
        self.figure.savefig(full, format="png", facecolor=PAGE)
        small = BytesIO()
        Image.open(full).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "png", optimize=True)
        return small.getvalue()


def draw_dashboard(
    title: str, panels: Sequence[PanelData], marks: Sequence[tuple[float, str]], window: TimeWindow
) -> bytes:
    """Draw a dashboard."""
    header_height = 44
    bottom = max(data.panel["gridPos"]["y"] + data.panel["gridPos"]["h"] for data in panels)
    canvas = Canvas(24 * CELL_PIXELS[0] + GAP, bottom * CELL_PIXELS[1] + header_height + GAP)
    top = canvas.axes(Box(GAP, 0, canvas.width - GAP, header_height))
    top.text(0.006, 0.45, title, size=13, weight="bold", va="center")
    span = f"{_clock(window.start)} to {_clock(window.end)}"
    top.text(0.994, 0.45, span, size=9, color=MUTED_TEXT, ha="right", va="center")
    for data in panels:
        cell = data.panel["gridPos"]
        box = Box(
            cell["x"] * CELL_PIXELS[0] + GAP,
            cell["y"] * CELL_PIXELS[1] + header_height,
            cell["w"] * CELL_PIXELS[0],
            cell["h"] * CELL_PIXELS[1],
        )
        _draw_panel(canvas, box.inset(0, 0, GAP, GAP), data, marks, window)
    return canvas.png()


def _draw_panel(
    canvas: Canvas, box: Box, data: PanelData, marks: Sequence[tuple[float, str]], window: TimeWindow
) -> None:
    background = canvas.axes(box)
    if data.panel["type"] == "row":
        background.text(0.004, 0.5, f"▾  {data.panel['title']}", size=9.5, weight="bold", va="center")
        return
    background.add_patch(Rectangle((0, 0), 1, 1, facecolor=PANEL, edgecolor=EDGE))
    background.text(10 / box.width, 1 - 15 / box.height, data.panel["title"], size=8.5, va="center")
    inner = box.inset(10, 28, 10, 8)
    if not data.series:
        background.text(0.5, 0.45, "No data", color=MUTED_TEXT, ha="center", va="center")
        return
    DRAW_BY_TYPE[data.panel["type"]](canvas, inner, data, marks, window)


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%H:%M:%S")


def _set_time_axis(axes: Axes, window: TimeWindow) -> None:
    axes.set_xlim(window.start, window.end)
    interval = next(seconds for seconds in TICK_SECONDS if (window.end - window.start) / seconds < 7)
    axes.set_xticks([second for second in range(int(window.start), int(window.end) + 1) if second % interval == 0])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: _clock(second)[: 5 if interval >= 60 else 8]))
    axes.tick_params(colors=MUTED_TEXT, labelsize=7, length=0)


def _timeseries(
    canvas: Canvas, box: Box, data: PanelData, marks: Sequence[tuple[float, str]], window: TimeWindow
) -> None:
    config = data.panel["fieldConfig"]
    custom = config["defaults"].get("custom", {})
    axes = canvas.axes(box.inset(50, 2, 4, 46))
    axes.grid(color=EDGE, linewidth=0.6)
    axes.set_axisbelow(True)
    colours = [colour_of(series.name, index, config) for index, series in enumerate(data.series)]
    (_stack if "stacking" in custom else _lines)(axes, data, colours, window)
    for timestamp, colour in marks:
        axes.axvline(timestamp, color=COLOURS[colour], linewidth=1, linestyle=(0, (3, 3)), alpha=0.7)
    _set_time_axis(axes, window)
    _set_value_axis(axes, data, config["defaults"])
    _legend(
        canvas, Box(box.x, box.y + box.height - 22, box.width, 22), [series.name for series in data.series], colours
    )


def _set_value_axis(axes: Axes, data: PanelData, defaults: Mapping[str, Any]) -> None:
    max_value = max(value for series in data.series for _, value in series.result.points)
    if "max" in defaults and max_value > defaults["max"] / 3:
        axes.set_ylim(defaults.get("min", 0), defaults["max"] * 1.03)
    else:
        axes.autoscale(axis="y")
        axes.set_ylim(0, max(axes.get_ylim()[1], max_value * 1.05) if max_value else 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value, defaults["unit"])))


def _lines(axes: Axes, data: PanelData, colours: Sequence[str], window: TimeWindow) -> None:
    config = data.panel["fieldConfig"]
    for series, colour in zip(data.series, colours, strict=True):
        is_thick = any(
            override["matcher"]["options"] == series.name and prop["id"] == "custom.lineWidth"
            for override in config["overrides"]
            for prop in override["properties"]
        )
        for run in _runs(series, window.step):
            times, values = zip(*run, strict=True)
            axes.plot(
                times, values, color=colour, linewidth=3.2 if is_thick else 1.5, marker="." if len(run) == 1 else ""
            )
            if is_thick:
                axes.fill_between(times, values, color=colour, alpha=0.12, linewidth=0)


def _runs(series: PanelSeries, step: float) -> list[list[tuple[float, float]]]:
    """Split a series at gaps."""
    runs: list[list[tuple[float, float]]] = []
    for point in series.result.points:
        if runs and point[0] - runs[-1][-1][0] <= 1.5 * step:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _stack(axes: Axes, data: PanelData, colours: Sequence[str], _: TimeWindow) -> None:
    times = sorted({timestamp for series in data.series for timestamp, _ in series.result.points})
    rows = [[dict(series.result.points).get(timestamp, 0.0) for timestamp in times] for series in data.series]
    axes.stackplot(times, *rows, colors=list(colours), alpha=0.65, linewidth=0, step="post")


def _legend(canvas: Canvas, box: Box, names: Sequence[str], colours: Sequence[str]) -> None:
    axes = canvas.axes(box)
    x = 0.0
    entries = list(dict.fromkeys(zip(names, colours, strict=True)))
    for index, (name, colour) in enumerate(entries):
        width = (len(name) * 5.6 + 26) / box.width
        if index == MAX_LEGEND_NAMES or x + width > 0.97:
            axes.text(x, 0.5, f"+{len(entries) - index}", size=7, color=MUTED_TEXT, va="center")
            break
        axes.add_patch(Rectangle((x, 0.42), 12 / box.width, 0.16, color=colour))
        axes.text(x + 16 / box.width, 0.5, name, size=7, color=TEXT, va="center")
        x += width


def _stat(canvas: Canvas, box: Box, data: PanelData, _: Sequence[tuple[float, str]], __: TimeWindow) -> None:
    tall = box.height > box.width * 0.9
    size = (box.height if tall else box.width) / len(data.series)
    for index, series in enumerate(data.series):
        cell = (
            Box(box.x, box.y + index * size, box.width, size - 4)
            if tall
            else Box(box.x + index * size, box.y, size - 4, box.height)
        )
        _tile(canvas, cell, data, series)


def _tile(canvas: Canvas, box: Box, data: PanelData, series: PanelSeries) -> None:
    config, target = data.panel["fieldConfig"], data.panel["targets"][0]
    text, colour = state_text_and_colour(series.result.points[-1][1], config["defaults"])
    name = "" if target["legendFormat"] == "__auto" else series.name
    if data.panel["options"].get("textMode") == "name":
        text, name = name, ""
    if config["overrides"]:
        colour = colour_of(series.name, 0, config)
    axes = canvas.axes(box)
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=colour, alpha=0.85))
    size = min(24, box.width / max(len(text), 3) * 1.05, box.height * 0.3)
    axes.text(0.5, 0.42 if name else 0.5, text, size=size, weight="bold", color="white", ha="center", va="center")
    small = min(8, box.width / max(len(name), 3) * 1.15)
    axes.text(0.5, 0.84, name, size=small, color="white", ha="center", va="center")


def _state_timeline(
    canvas: Canvas, box: Box, data: PanelData, marks: Sequence[tuple[float, str]], window: TimeWindow
) -> None:
    rows = sorted(data.series, key=lambda series: series.name)
    max_name_length = max(len(series.name) for series in rows)
    axes = canvas.axes(box.inset(min(max_name_length * 5.4 + 8, box.width / 3), 0, 4, 20))
    for row, series in enumerate(rows):
        spans = (span for run in _runs(series, window.step) for span in groupby(run, key=lambda point: point[1]))
        for value, points in spans:
            times = [timestamp for timestamp, _ in points]
            text, colour = state_text_and_colour(value, data.panel["fieldConfig"]["defaults"])
            width = times[-1] - times[0] + window.step
            axes.add_patch(Rectangle((times[0], row + 0.12), width, 0.76, facecolor=colour, alpha=0.8))
            if width / (window.end - window.start) * box.width > len(text) * 8:
                axes.text(times[0] + width / 2, row + 0.5, text, size=7, color="white", ha="center", va="center")
    for timestamp, colour in marks:
        axes.axvline(timestamp, color=COLOURS[colour], linewidth=1, linestyle=(0, (3, 3)), alpha=0.7)
    _set_time_axis(axes, window)
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([row + 0.5 for row in range(len(rows))], [series.name for series in rows], size=7)


def _table(canvas: Canvas, box: Box, data: PanelData, _: Sequence[tuple[float, str]], __: TimeWindow) -> None:
    rows, columns = _table_cells(data)
    axes = canvas.axes(box)
    row_height, column_width = 19 / box.height, 1 / len(columns)
    for index, column in enumerate(columns):
        axes.text(index * column_width, 1 - row_height / 2, column, size=7.5, color=COLOURS["light-blue"], va="center")
        for down, row in enumerate(rows[: int(box.height / 19) - 1], 1):
            axes.text(index * column_width, 1 - (down + 0.5) * row_height, row.get(column, ""), size=7.5, va="center")


def _table_cells(data: PanelData) -> tuple[list[dict[str, str]], list[str]]:
    """Return rows and columns of a table: results merged by labels, columns renamed by its transformations."""
    renamed: dict[str, str] = {}
    for step in data.panel.get("transformations", ()):
        renamed |= step["options"].get("renameByName", {})
    units = {
        override["matcher"]["options"]: prop["value"]
        for override in data.panel["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if prop["id"] == "unit"
    }
    rows: list[dict[str, str]] = []
    for series in data.series:
        labels = dict(series.result.labels)
        row = next((row for row in rows if labels.items() <= row.items()), None)
        if row is None:
            rows.append(row := labels)
        if column := renamed.get(f"Value #{series.query}"):
            row[column] = format_number(series.result.points[-1][1], units.get(column, "short"))
    first = ("namespace", "name", "phase", "pod", "role", *renamed.values())
    columns = [*first, *(column for row in rows for column in row)]
    columns = [column for column in dict.fromkeys(columns) if any(column in row for row in rows)]
    return sorted(rows, key=lambda row: list(row.values())[:3]), columns


DRAW_BY_TYPE: Final[Mapping[str, Callable[[Canvas, Box, PanelData, Sequence[tuple[float, str]], TimeWindow], None]]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "state-timeline": _state_timeline,
    "table": _table,
}
