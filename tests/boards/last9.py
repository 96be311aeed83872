"""The Grafana dashboards → dashboards of Last9, as a body of its REST API and as Terraform.

Last9 has no descriptions, value names, annotations and time-range variables: titles carry what a reader needs of them,
and windows are fixed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tests.boards.panels import GRID_COLUMNS, Dashboard, Panel, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.boards.panels import Variable

Json = dict[str, Any]

LAST9_COLUMNS: Final = 12
"""Columns of Last9's grid: a panel of full width has 12 in the examples of its Terraform provider."""
PUSHED_CLUSTER_LABEL: Final = "k8s_cluster_name"
"""The label that the store makes of the attribute k8s.cluster.name; Last9 has no scraped series of the exporter."""
RATE_WINDOW: Final = "5m"
"""Window of rates, instead of Grafana's variable: at least four scrapes, and that of the article."""
RESULT_DAYS: Final = 7
"""Days that a single number covers, instead of the time range of the page."""
UNITS: Final = {"s": "s", "bytes": "bytes-iec", "percentunit": "percent"}
"""Grafana's units whose like Last9 has; the others are in the title or need none."""
RATES: Final = {"ops", "reqps"}
COLOURS: Final = {
    "green": "#22c55e", "yellow": "#eab308", "orange": "#f97316", "red": "#ef4444", "blue": "#3b82f6", "text": "#64748b"
}  # fmt: skip # a table
"""The palette of the provider's examples."""
KINDS: Final = {"stat": "stat", "table": "table"}
"""Kinds that Last9 has, too; every other panel is a time series."""
LOWEST: Final = 0.0
"""Value of a threshold without a minimum."""


def dashboard_request(board: Dashboard) -> Json:
    """Return the body that creates a dashboard; its tags mark it as one of this exporter."""
    return {
        "dashboard": {
            "name": board.title,
            "panels": list(_panels(board)),
            "variables": [
                _variable(variable, board) for variable in board.variables if variable.name != "cluster_label"
            ],
            "time": {"relative_time": _minutes(board.time_range)},
        },
        "metadata": {
            "_category": "custom",
            "_type": "metrics",
            "tags": ["argo-rollouts", "managed-by:rollouts-exporter", board.uid],
        },
    }


def _panels(board: Dashboard) -> Iterator[Json]:
    """Yield a section and its panels per row, from left to right."""
    y = 0
    for row in board.rows:
        yield {"name": row.title, "version": 1, "visualization": {"type": "section", "full_width": True}, "queries": []}
        x = tallest = 0
        for panel in row.panels:
            width = panel.width * LAST9_COLUMNS // GRID_COLUMNS
            if x + width > LAST9_COLUMNS:
                y, x, tallest = y + tallest, 0, 0
            yield _panel(panel, board, {"x": x, "y": y, "w": width, "h": panel.height})
            x, tallest = x + width, max(tallest, panel.height)
        y += tallest


def _panel(panel: Panel, board: Dashboard, layout: Json) -> Json:
    unit = UNITS.get(panel.unit, "")
    return {
        "name": _title(panel),
        "version": 1,  # with 0 the API drops the query type
        "telemetry": "metrics",
        **({"unit": unit} if unit else {}),
        "layout": layout,
        "visualization": _visualization(panel),
        "queries": [_query(query, chr(ord("A") + number), panel, board) for number, query in enumerate(panel.queries)],
    }


def _title(panel: Panel) -> str:
    remarks = [
        *([", ".join(f"{number} {word}" for number, word in panel.states.items())] if panel.states else ()),
        *(["per second"] if panel.unit in RATES else ()),
        *([f"{RESULT_DAYS} days"] if panel.kind == "stat" and "$__range" in _text(panel) else ()),
        *([panel.requirement.removeprefix(" Requires ").removesuffix(".")] if panel.requirement else ()),
    ]
    return f"{panel.title} ({'; '.join(remarks)})" if remarks else panel.title


def _text(panel: Panel) -> str:
    return " ".join(query.expr for query in panel.queries)


def _visualization(panel: Panel) -> Json:
    kind = KINDS.get(panel.kind, "timeseries")
    visualization: Json = {"type": kind, "full_width": panel.width == GRID_COLUMNS}
    if kind == "timeseries":
        visualization["timeseries_config"] = {"display_type": "area" if panel.stacked else "line"}
    if kind == "stat" and not panel.states:
        factor = _factor(panel)
        visualization["stat_config"] = {
            "thresholds": [
                {"value": LOWEST if minimum is None else minimum * factor, "color": COLOURS[colour]}
                for minimum, colour in panel.steps
            ]
        }
    return visualization


def _factor(panel: Panel) -> float:
    return 100.0 if panel.unit == "percentunit" else 1.0


def _query(query: Query, name: str, panel: Panel, board: Dashboard) -> Json:
    expr = with_windows(query.expr, panel.kind, board)
    legend = query.legend.replace("{{k8s_cluster_name}}{{cluster}}", "{{k8s_cluster_name}}")
    return {
        "name": name,
        "expr": f"100 * ({expr})" if panel.unit == "percentunit" else expr,
        "type": "range",
        "telemetry": "metrics",
        "query_type": "promql",
        "legend": {"type": "custom" if legend else "auto", "value": legend},
        "legend_placement": "bottom",
    }


def with_windows(expr: str, kind: str, board: Dashboard) -> str:
    """Fill in the variables that only Grafana has; those of the dashboard stay."""
    days = f"{RESULT_DAYS}d" if kind == "stat" else board.time_range.removeprefix("now-")
    seconds = str(RESULT_DAYS * 86_400)
    windows = {"cluster_label": PUSHED_CLUSTER_LABEL, "__rate_interval": RATE_WINDOW, "__range": days}
    windows["__range_s"] = seconds
    return re.sub(r"\$([a-z_]\w*)", lambda match: windows.get(match[1], match[0]), expr)


def _variable(variable: Variable, board: Dashboard) -> Json:
    return {
        "display_name": variable.title,
        "target": variable.name,
        "type": "label",
        "source": with_windows(variable.label, "", board),
        "matches": [with_windows(variable.family, "", board)],
        "multiple": variable.multiple,
        "internal": False,
        "values": [],
        "current_values": [".*"],  # every query matches by =~
    }


def _minutes(time_range: str) -> int:
    """Return the minutes of a range such as now-3h."""
    return int(time_range.removeprefix("now-").removesuffix("h")) * 60


def dashboard_resource(board: Dashboard) -> Json:
    """Return the arguments of the Terraform resource last9_dashboard."""
    request = dashboard_request(board)
    dashboard, metadata = request["dashboard"], request["metadata"]
    tags = ["argo-rollouts", "terraform", board.uid]  # not those by which `last9 apply` recognises its own
    return {
        "region": "${var.region}",
        "name": dashboard["name"],
        "relative_time": dashboard["time"]["relative_time"],
        "metadata": [{"category": metadata["_category"], "type": metadata["_type"], "tags": tags}],
        "variable": [
            {key: escaped(value) for key, value in variable.items() if key != "values"}
            for variable in dashboard["variables"]
        ],
        "panel": [_panel_block(panel) for panel in dashboard["panels"]],
    }


def _panel_block(panel: Json) -> Json:
    visualization = dict(panel["visualization"])
    if "timeseries_config" in visualization:
        visualization["timeseries_config"] = [visualization["timeseries_config"]]
    if "stat_config" in visualization:
        visualization["stat_config"] = [{"threshold": visualization["stat_config"]["thresholds"]}]
    block: Json = {key: panel[key] for key in ("name", "version", "telemetry", "unit") if key in panel}
    layout: Json = {"layout": [panel["layout"]]} if "layout" in panel else {}
    queries: Json = {"query": [_query_block(query) for query in panel["queries"]]} if panel["queries"] else {}
    return {**block, **layout, "visualization": [visualization], **queries}


def _query_block(query: Json) -> Json:
    flat = {key: value for key, value in query.items() if key != "legend"}
    legend = {"legend_type": query["legend"]["type"], "legend_value": query["legend"]["value"]}
    return {key: escaped(value) for key, value in {**flat, **legend}.items() if value}


def escaped(value: Any) -> Any:
    """Return a value for a file .tf.json, where `${` and `%{` in strings begin an expression of Terraform."""
    if isinstance(value, list):
        return [escaped(part) for part in value]
    return re.sub(r"([$%])\{", r"\1\1{", value) if isinstance(value, str) else value
