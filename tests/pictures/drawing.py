"""Panels with their series → one picture, each panel where its grid position says."""

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

from tests.pictures.grafana_style import COLOURS, EDGE, FAINT, INK, PAGE, PANEL, colour_of, number, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

    from tests.pictures.query_results import Filled, Named, Scene

UNIT: Final = (60, 34)
"""Pixels of a cell of Grafana's grid."""
DPI: Final = 100
GAP: Final = 6
TICKS: Final = (5, 10, 15, 30, 60, 120, 180, 300, 600, 1800, 3600)
"""Seconds between marks on the axis of time."""
MOST: Final = 7
"""So many names a legend has, before it says how many there are more."""
mpl.rcParams |= {"font.family": "DejaVu Sans", "font.size": 8, "text.color": INK, "axes.edgecolor": EDGE}


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the picture in pixels, from its top left."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Return what is left of it within margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


class Sheet:
    """A picture in the making."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAGE)

    def axes(self, box: Box) -> Axes:
        """Return axes over a place, from 0 to 1 both ways."""
        where = (
            box.x / self.width,
            1 - (box.y + box.height) / self.height,
            box.width / self.width,
            box.height / self.height,
        )
        made = self.figure.add_axes(where, facecolor="none")
        made.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        made.spines[:].set_visible(False)
        return made

    def png(self) -> bytes:
        """Return it, small: with a palette of its own."""
        drawn = BytesIO()
        self.figure.savefig(drawn, format="png", facecolor=PAGE)
        packed = BytesIO()
        Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
        return packed.getvalue()


def picture(title: str, filled: Sequence[Filled], marks: Sequence[tuple[float, str]], scene: Scene) -> bytes:
    """Draw a dashboard."""
    head = 44
    below = max(one.panel["gridPos"]["y"] + one.panel["gridPos"]["h"] for one in filled)
    sheet = Sheet(24 * UNIT[0] + GAP, below * UNIT[1] + head + GAP)
    top = sheet.axes(Box(GAP, 0, sheet.width - GAP, head))
    top.text(0.006, 0.45, title, size=13, weight="bold", va="center")
    span = f"{_clock(scene.start)} to {_clock(scene.end)}"
    top.text(0.994, 0.45, span, size=9, color=FAINT, ha="right", va="center")
    for one in filled:
        cell = one.panel["gridPos"]
        box = Box(cell["x"] * UNIT[0] + GAP, cell["y"] * UNIT[1] + head, cell["w"] * UNIT[0], cell["h"] * UNIT[1])
        _panel(sheet, box.inside(0, 0, GAP, GAP), one, marks, scene)
    return sheet.png()


def _panel(sheet: Sheet, box: Box, one: Filled, marks: Sequence[tuple[float, str]], scene: Scene) -> None:
    ground = sheet.axes(box)
    if one.panel["type"] == "row":
        ground.text(0.004, 0.5, f"▾  {one.panel['title']}", size=9.5, weight="bold", va="center")
        return
    ground.add_patch(Rectangle((0, 0), 1, 1, facecolor=PANEL, edgecolor=EDGE))
    ground.text(10 / box.width, 1 - 15 / box.height, one.panel["title"], size=8.5, va="center")
    inner = box.inside(10, 28, 10, 8)
    if not one.series:
        ground.text(0.5, 0.45, "No data", color=FAINT, ha="center", va="center")
        return
    DRAWN[one.panel["type"]](sheet, inner, one, marks, scene)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _timed(axes: Axes, scene: Scene) -> None:
    axes.set_xlim(scene.start, scene.end)
    apart = next(one for one in TICKS if (scene.end - scene.start) / one < 7)
    axes.set_xticks([at for at in range(int(scene.start), int(scene.end) + 1) if at % apart == 0])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(at)[: 5 if apart >= 60 else 8]))
    axes.tick_params(colors=FAINT, labelsize=7, length=0)


def _timeseries(sheet: Sheet, box: Box, one: Filled, marks: Sequence[tuple[float, str]], scene: Scene) -> None:
    config = one.panel["fieldConfig"]
    custom = config["defaults"].get("custom", {})
    axes = sheet.axes(box.inside(50, 2, 4, 46))
    axes.grid(color=EDGE, linewidth=0.6)
    axes.set_axisbelow(True)
    colours = [colour_of(named.name, place, config) for place, named in enumerate(one.series)]
    (_stack if "stacking" in custom else _lines)(axes, one, colours, scene)
    for at, colour in marks:
        axes.axvline(at, color=COLOURS[colour], linewidth=1, linestyle=(0, (3, 3)), alpha=0.7)
    _timed(axes, scene)
    _scale(axes, one, config["defaults"])
    _legend(sheet, Box(box.x, box.y + box.height - 22, box.width, 22), [named.name for named in one.series], colours)


def _scale(axes: Axes, one: Filled, defaults: Mapping[str, Any]) -> None:
    most = max(value for named in one.series for _, value in named.line.points)
    if "max" in defaults and most > defaults["max"] / 3:
        axes.set_ylim(defaults.get("min", 0), defaults["max"] * 1.03)
    else:
        axes.autoscale(axis="y")
        axes.set_ylim(0, max(axes.get_ylim()[1], most * 1.05) if most else 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, defaults["unit"])))


def _lines(axes: Axes, one: Filled, colours: Sequence[str], scene: Scene) -> None:
    config = one.panel["fieldConfig"]
    for named, colour in zip(one.series, colours, strict=True):
        wide = any(
            override["matcher"]["options"] == named.name and prop["id"] == "custom.lineWidth"
            for override in config["overrides"]
            for prop in override["properties"]
        )
        for run in _runs(named, scene.step):
            times, values = zip(*run, strict=True)
            axes.plot(times, values, color=colour, linewidth=3.2 if wide else 1.5, marker="." if len(run) == 1 else "")
            if wide:
                axes.fill_between(times, values, color=colour, alpha=0.12, linewidth=0)


def _runs(named: Named, step: float) -> list[list[tuple[float, float]]]:
    """Cut a series where it was not said for a while."""
    runs: list[list[tuple[float, float]]] = []
    for point in named.line.points:
        if runs and point[0] - runs[-1][-1][0] <= 1.5 * step:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _stack(axes: Axes, one: Filled, colours: Sequence[str], _: Scene) -> None:
    times = sorted({at for named in one.series for at, _ in named.line.points})
    rows = [[dict(named.line.points).get(at, 0.0) for at in times] for named in one.series]
    axes.stackplot(times, *rows, colors=list(colours), alpha=0.65, linewidth=0, step="post")


def _legend(sheet: Sheet, box: Box, names: Sequence[str], colours: Sequence[str]) -> None:
    axes = sheet.axes(box)
    x = 0.0
    shown = list(dict.fromkeys(zip(names, colours, strict=True)))
    for place, (name, colour) in enumerate(shown):
        width = (len(name) * 5.6 + 26) / box.width
        if place == MOST or x + width > 0.97:
            axes.text(x, 0.5, f"+{len(shown) - place}", size=7, color=FAINT, va="center")
            break
        axes.add_patch(Rectangle((x, 0.42), 12 / box.width, 0.16, color=colour))
        axes.text(x + 16 / box.width, 0.5, name, size=7, color=INK, va="center")
        x += width


def _stat(sheet: Sheet, box: Box, one: Filled, _: Sequence[tuple[float, str]], __: Scene) -> None:
    tall = box.height > box.width * 0.9
    each = (box.height if tall else box.width) / len(one.series)
    for place, named in enumerate(one.series):
        cell = (
            Box(box.x, box.y + place * each, box.width, each - 4)
            if tall
            else Box(box.x + place * each, box.y, each - 4, box.height)
        )
        _tile(sheet, cell, one, named)


def _tile(sheet: Sheet, box: Box, one: Filled, named: Named) -> None:
    config, target = one.panel["fieldConfig"], one.panel["targets"][0]
    text, colour = state_of(named.line.points[-1][1], config["defaults"])
    name = "" if target["legendFormat"] == "__auto" else named.name
    if one.panel["options"].get("textMode") == "name":
        text, name = name, ""
    if config["overrides"]:
        colour = colour_of(named.name, 0, config)
    axes = sheet.axes(box)
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=colour, alpha=0.85))
    size = min(24, box.width / max(len(text), 3) * 1.05, box.height * 0.3)
    axes.text(0.5, 0.42 if name else 0.5, text, size=size, weight="bold", color="white", ha="center", va="center")
    small = min(8, box.width / max(len(name), 3) * 1.15)
    axes.text(0.5, 0.84, name, size=small, color="white", ha="center", va="center")


def _state_timeline(sheet: Sheet, box: Box, one: Filled, marks: Sequence[tuple[float, str]], scene: Scene) -> None:
    series = sorted(one.series, key=lambda named: named.name)
    longest = max(len(named.name) for named in series)
    axes = sheet.axes(box.inside(min(longest * 5.4 + 8, box.width / 3), 0, 4, 20))
    for row, named in enumerate(series):
        spans = (span for run in _runs(named, scene.step) for span in groupby(run, key=lambda point: point[1]))
        for value, points in spans:
            times = [at for at, _ in points]
            text, colour = state_of(value, one.panel["fieldConfig"]["defaults"])
            width = times[-1] - times[0] + scene.step
            axes.add_patch(Rectangle((times[0], row + 0.12), width, 0.76, facecolor=colour, alpha=0.8))
            if width / (scene.end - scene.start) * box.width > len(text) * 8:
                axes.text(times[0] + width / 2, row + 0.5, text, size=7, color="white", ha="center", va="center")
    for at, colour in marks:
        axes.axvline(at, color=COLOURS[colour], linewidth=1, linestyle=(0, (3, 3)), alpha=0.7)
    _timed(axes, scene)
    axes.set_ylim(len(series), 0)
    axes.set_yticks([row + 0.5 for row in range(len(series))], [named.name for named in series], size=7)


def _table(sheet: Sheet, box: Box, one: Filled, _: Sequence[tuple[float, str]], __: Scene) -> None:
    rows, columns = _cells(one)
    axes = sheet.axes(box)
    each, wide = 19 / box.height, 1 / len(columns)
    for place, column in enumerate(columns):
        axes.text(place * wide, 1 - each / 2, column, size=7.5, color=COLOURS["light-blue"], va="center")
        for down, row in enumerate(rows[: int(box.height / 19) - 1], 1):
            axes.text(place * wide, 1 - (down + 0.5) * each, row.get(column, ""), size=7.5, va="center")


def _cells(one: Filled) -> tuple[list[dict[str, str]], list[str]]:
    """Merge the answers of a table's queries by their labels, and name its columns, as its transformations say."""
    renamed: dict[str, str] = {}
    for step in one.panel.get("transformations", ()):
        renamed |= step["options"].get("renameByName", {})
    units = {
        override["matcher"]["options"]: prop["value"]
        for override in one.panel["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if prop["id"] == "unit"
    }
    rows: list[dict[str, str]] = []
    for named in one.series:
        labels = dict(named.line.labels)
        row = next((row for row in rows if labels.items() <= row.items()), None)
        if row is None:
            rows.append(row := labels)
        if column := renamed.get(f"Value #{named.query}"):
            row[column] = number(named.line.points[-1][1], units.get(column, "short"))
    first = ("namespace", "name", "phase", "pod", "role", *renamed.values())
    columns = [*first, *(column for row in rows for column in row)]
    columns = [one for one in dict.fromkeys(columns) if any(one in row for row in rows)]
    return sorted(rows, key=lambda row: list(row.values())[:3]), columns


DRAWN: Final[Mapping[str, Callable[[Sheet, Box, Filled, Sequence[tuple[float, str]], Scene], None]]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "state-timeline": _state_timeline,
    "table": _table,
}
