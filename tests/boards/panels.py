"""Panels, variables and annotations in a few words → the JSON that Grafana 12 imports.

Grafana's own defaults are left out of the JSON: it fills them in, and a diff shows what was meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.boards.colours import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]

SCHEMA: Final = 41
"""The schema of Grafana 12."""
WIDTH: Final = 24
"""Columns of Grafana's grid."""
SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and what its series are called; `instant` asks for the last value only."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `steps` are (from value, colour) thresholds; `states` names whole numbers, from 0 or as given.

    `words` are series that have a colour of their own (COLOURS), `thick` is the one that matters most. `more` is laid
    over the panel's JSON as it is.
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
    words: Sequence[str] = ()
    thick: str = ""
    stacked: bool = False
    most: float | None = None
    more: Json = field(default_factory=dict)

    def json(self, number: int, x: int, y: int) -> Json:
        """Return it, placed on the grid."""
        return {
            "id": number,
            "title": self.title,
            "description": self.description,
            "type": self.kind,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [_target(query, chr(ord("A") + place), self.kind) for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": OPTIONS[self.kind],
            **self.more,
        }

    def _overrides(self) -> list[Json]:
        drawn = [{"id": "custom.lineWidth", "value": 4}, {"id": "custom.fillOpacity", "value": 12}]
        return [
            *(_override(word, {"id": "color", "value": _fixed(word)}) for word in self.words),
            *([_override(self.thick, *drawn)] if self.thick else ()),
        ]

    def _defaults(self) -> Json:
        coloured = {"mode": "thresholds" if self.kind in {"stat", "state-timeline"} else "palette-classic"}
        defaults: Json = {
            "unit": self.unit,
            "color": coloured,
            "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": to} for at, to in self.steps]},
        }
        if self.unit == "percentunit":
            defaults |= {"min": 0, "max": 1}
        if self.kind == "timeseries":
            defaults["min"] = 0
            defaults["custom"] = {"fillOpacity": 60 if self.stacked else 0, "lineWidth": 0 if self.stacked else 2}
            if self.stacked:
                defaults["custom"]["stacking"] = {"mode": "normal"}
        if self.most is not None:
            defaults["max"] = self.most
        if self.states:
            defaults["mappings"] = [{"type": "value", "options": dict(_named(self.states))}]
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


def _target(query: Query, reference: str, kind: str) -> Json:
    instant = query.instant or kind in {"stat", "table"}
    return {
        "refId": reference,
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": instant,
        "range": not instant,
        "format": "table" if kind == "table" else "time_series",
    }


def _override(name: str, *properties: Json) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}


def _fixed(word: str) -> Json:
    return {"mode": "fixed", "fixedColor": COLOURS[word]}


def _named(states: Mapping[int, str]) -> Iterator[tuple[str, Json]]:
    for place, (number, word) in enumerate(states.items()):
        yield str(number), {"text": word, "color": COLOURS.get(word, "text"), "index": place}


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard: the values of `label` among the series of `of`, or those of `listed`."""

    name: str
    title: str
    description: str
    label: str = ""
    of: str = ""
    listed: Sequence[str] = ()
    many: bool = False
    everything: bool = False

    def json(self) -> Json:
        """Return it; that which is listed has its first value chosen."""
        common = {"name": self.name, "label": self.title, "description": self.description, "allowCustomValue": True}
        if self.listed:
            first = {"text": self.listed[0], "value": self.listed[0], "selected": True}
            return {**common, "type": "custom", "query": ",".join(self.listed), "current": first}
        query = f"label_values({self.of}, {self.label})"
        chosen = {"text": "All", "value": "$__all"} if self.everything else {}
        return {
            **common,
            "type": "query",
            "datasource": SOURCE,
            "definition": query,
            "query": {"query": query, "refId": f"{self.name}-values"},
            "refresh": 2,
            "sort": 1,
            "multi": self.many,
            "includeAll": self.everything,
            **({"allValue": ".*", "current": chosen} if self.everything else {}),
        }


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on the time axis, wherever the expression has a value."""

    name: str
    expr: str
    title: str
    colour: str

    def json(self) -> Json:
        """Return it."""
        return {
            "name": self.name,
            "datasource": SOURCE,
            "enable": True,
            "iconColor": self.colour,
            "expr": self.expr,
            "step": "30s",
            "titleFormat": self.title,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A heading with the panels under it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; `uid` never changes, since links and bookmarks hold it."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]
    annotations: Sequence[Annotation] = ()
    span: str = "now-3h"

    def json(self) -> Json:
        """Return what Grafana imports."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["argo-rollouts", "progressive-delivery"],
            "schemaVersion": SCHEMA,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.span, "to": "now"},
            "links": [LINK],
            "templating": {"list": [DATASOURCE, *(one.json() for one in self.variables)]},
            "annotations": {"list": [one.json() for one in self.annotations]},
            "panels": list(_placed(self.rows)),
        }


LINK: Final[Json] = {
    "type": "dashboards",
    "title": "Argo Rollouts",
    "tags": ["argo-rollouts"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
}
"""Links to all dashboards of this tag, with the choices and the time kept."""
DATASOURCE: Final[Json] = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _placed(rows: Sequence[Row]) -> Iterator[Json]:
    """Place panels from left to right, row by row."""
    number = y = 0
    for row in rows:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                y, x, tallest = y + tallest, 0, 0
            number += 1
            yield panel.json(number, x, y)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
