"""Panels, variables and annotations → the JSON that Grafana 12 imports.

The JSON omits Grafana's defaults, so that a diff shows only intended changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.rollouts.output.catalogue import LEAN
from tests.boards.colours import COLOURS
from tests.boards.queries import required_preset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]

SCHEMA_VERSION: Final = 41
"""The schema of Grafana 12."""
GRID_COLUMNS: Final = 24
"""Columns of Grafana's grid."""
DATASOURCE_REF: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and its legend; `instant` requests only the last value."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `steps` are (minimum, colour) thresholds; `states` maps values to names.

    `coloured_series` have the colour of their name in COLOURS, `thick_series` has a thick line. `extra` is merged into
    the panel's JSON.
    """

    title: str
    description: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ((None, "green"),)
    states: Mapping[int, str] = field(default_factory=dict)
    coloured_series: Sequence[str] = ()
    thick_series: str = ""
    stacked: bool = False
    max_value: float | None = None
    extra: Json = field(default_factory=dict)

    @property
    def requirement(self) -> str:
        """A sentence with the preset that its series need, if lean does not export all of them."""
        preset = required_preset(query.expr for query in self.queries)
        return f" Requires series.preset {preset}." if preset != LEAN else ""

    def json(self, number: int, x: int, y: int) -> Json:
        """Return the JSON at a grid position."""
        return {
            "id": number,
            "title": self.title,
            "description": self.description + self.requirement,
            "type": self.kind,
            "datasource": DATASOURCE_REF,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [_target(query, chr(ord("A") + index), self.kind) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": OPTIONS[self.kind],
            **self.extra,
        }

    def _overrides(self) -> list[Json]:
        line_style = [{"id": "custom.lineWidth", "value": 4}, {"id": "custom.fillOpacity", "value": 12}]
        return [
            *(_override(word, {"id": "color", "value": _fixed_colour(word)}) for word in self.coloured_series),
            *([_override(self.thick_series, *line_style)] if self.thick_series else ()),
        ]

    def _defaults(self) -> Json:
        coloured = {"mode": "thresholds" if self.kind in {"stat", "state-timeline"} else "palette-classic"}
        defaults: Json = {
            "unit": self.unit,
            "color": coloured,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"value": minimum, "color": colour} for minimum, colour in self.steps],
            },
        }
        if self.unit == "percentunit":
            defaults |= {"min": 0, "max": 1}
        if self.kind == "timeseries":
            defaults["min"] = 0
            defaults["custom"] = {"fillOpacity": 60 if self.stacked else 0, "lineWidth": 0 if self.stacked else 2}
            if self.stacked:
                defaults["custom"]["stacking"] = {"mode": "normal"}
        if self.max_value is not None:
            defaults["max"] = self.max_value
        if self.states:
            defaults["mappings"] = [{"type": "value", "options": dict(_value_mappings(self.states))}]
        return defaults


OPTIONS: Final[Mapping[str, Json]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"]},
    },
    "state-timeline": {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": False}},
    "table": {"showHeader": True, "cellHeight": "sm"},
}


def stat(
    title: str,
    description: str,
    query: str | Query | Sequence[Query],
    unit: str = "short",
    *steps: tuple[float | None, str],
    height: int = 4,
    text: str = "auto",
) -> Panel:
    """Return a panel with one value; its `text` is Grafana's text mode, auto: a name only where there are several."""
    queries = [Query(query)] if isinstance(query, str) else [query] if isinstance(query, Query) else query
    extra = {"options": {**OPTIONS["stat"], "textMode": text}}
    steps = steps or ((None, "blue"),)
    return Panel(title, description, queries, "stat", unit, width=4, height=height, steps=steps, extra=extra)


def label_table(
    title: str, description: str, expr: str, width: int, height: int = 5, *, filterable: bool = False
) -> Panel:
    """Return a table of the labels of info series."""
    custom = {"align": "left", **({"filterable": True} if filterable else {})}
    hidden = {"excludeByName": {"Time": True, "Value": True}, "renameByName": {}}
    extra = {
        "fieldConfig": {"defaults": {"custom": custom}, "overrides": []},
        "transformations": [{"id": "organize", "options": hidden}],
    }
    return Panel(title, description, [Query(expr)], "table", width=width, height=height, extra=extra)


def _target(query: Query, reference: str, kind: str) -> Json:
    instant = query.instant or kind in {"stat", "table"}
    return {
        "refId": reference,
        "datasource": DATASOURCE_REF,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": instant,
        "range": not instant,
        "format": "table" if kind == "table" else "time_series",
    }


def _override(name: str, *properties: Json) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}


def _fixed_colour(name: str) -> Json:
    return {"mode": "fixed", "fixedColor": COLOURS[name]}


def _value_mappings(states: Mapping[int, str]) -> Iterator[tuple[str, Json]]:
    for index, (number, text) in enumerate(states.items()):
        yield str(number), {"text": text, "color": COLOURS.get(text, "text"), "index": index}


@dataclass(frozen=True, slots=True)
class Variable:
    """A dashboard variable: the values of `label` in the series of `family`, or those of `choices`."""

    name: str
    title: str
    description: str
    label: str = ""
    family: str = ""
    choices: Sequence[str] = ()
    multiple: bool = False
    include_all: bool = False

    def json(self) -> Json:
        """Return the JSON; the first of `choices` is the default."""
        common = {"name": self.name, "label": self.title, "description": self.description, "allowCustomValue": True}
        if self.choices:
            default = {"text": self.choices[0], "value": self.choices[0], "selected": True}
            return {**common, "type": "custom", "query": ",".join(self.choices), "current": default}
        query = f"label_values({self.family}, {self.label})"
        default = {"text": "All", "value": "$__all"} if self.include_all else {}
        return {
            **common,
            "type": "query",
            "datasource": DATASOURCE_REF,
            "definition": query,
            "query": {"query": query, "refId": f"{self.name}-values"},
            "refresh": 2,
            "sort": 1,
            "multi": self.multiple,
            "includeAll": self.include_all,
            **({"allValue": ".*", "current": default} if self.include_all else {}),
        }


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on the time axis where the expression has a value."""

    name: str
    expr: str
    title: str
    colour: str

    def json(self) -> Json:
        """Return the JSON."""
        return {
            "name": self.name,
            "datasource": DATASOURCE_REF,
            "enable": True,
            "iconColor": self.colour,
            "expr": self.expr,
            "step": "30s",
            "titleFormat": self.title,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A row: a heading and its panels."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard; `uid` never changes, since links and bookmarks contain it."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]
    annotations: Sequence[Annotation] = ()
    time_range: str = "now-3h"

    def json(self) -> Json:
        """Return what Grafana imports."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["argo-rollouts", "progressive-delivery"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.time_range, "to": "now"},
            "links": [DASHBOARD_LINK],
            "templating": {"list": [DATASOURCE_VARIABLE, *(variable.json() for variable in self.variables)]},
            "annotations": {"list": [annotation.json() for annotation in self.annotations]},
            "panels": list(_lay_out(self.rows)),
        }


DASHBOARD_LINK: Final[Json] = {
    "type": "dashboards",
    "title": "Argo Rollouts",
    "tags": ["argo-rollouts"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
}
"""Links to all dashboards with the tag; they keep variables and time range."""
DATASOURCE_VARIABLE: Final[Json] = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
}


def _lay_out(rows: Sequence[Row]) -> Iterator[Json]:
    """Yield the panels with grid positions, from left to right, row by row."""
    number = y = 0
    for row in rows:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "gridPos": {"x": 0, "y": y, "w": GRID_COLUMNS, "h": 1}}
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > GRID_COLUMNS:
                y, x, tallest = y + tallest, 0, 0
            number += 1
            yield panel.json(number, x, y)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
