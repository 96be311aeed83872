"""A dashboard's JSON and a store → each panel with its query results, named by their legends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.boards.queries import fill_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.boards.loaded_stores import QueryClient, ResultSeries


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Start and end (Unix seconds), resolution, and the values of variables."""

    start: float
    end: float
    step: float
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PanelSeries:
    """A series of a panel; `query` is the refId of its query."""

    name: str
    query: str
    result: ResultSeries


@dataclass(frozen=True, slots=True)
class PanelData:
    """A panel and its series."""

    panel: Mapping[str, Any]
    series: Sequence[PanelSeries]


async def query_panels(board: Mapping[str, Any], store: QueryClient, window: TimeWindow) -> list[PanelData]:
    """Run every query of every panel; a row has none."""
    return [
        PanelData(
            panel,
            [series for target in panel.get("targets", ()) for series in await _query_target(target, store, window)],
        )
        for panel in board["panels"]
    ]


async def query_annotations(
    board: Mapping[str, Any], store: QueryClient, window: TimeWindow
) -> list[tuple[float, str]]:
    """Return the time and colour of each mark: the starts of the annotations' results."""
    marks: list[tuple[float, str]] = []
    for annotation in board["annotations"]["list"]:
        results = await store.query_range(
            fill_variables(annotation["expr"], **window.variables), window.start, window.end, window.step
        )
        for result in results:
            times = [timestamp for timestamp, _ in result.points]
            starts = [
                now for now, previous in zip(times, [0.0, *times], strict=False) if now - previous > 1.5 * window.step
            ]
            marks += [(start, annotation["iconColor"]) for start in starts]
    return marks


async def _query_target(target: Mapping[str, Any], store: QueryClient, window: TimeWindow) -> list[PanelSeries]:
    expr = fill_variables(target["expr"], **window.variables)
    if target["instant"]:
        results = await store.query(expr, window.end)
    else:
        results = await store.query_range(expr, window.start, window.end, window.step)
    return [PanelSeries(_series_name(target["legendFormat"], line.labels), target["refId"], line) for line in results]


def _series_name(legend: str, labels: Mapping[str, str]) -> str:
    if legend == "__auto":
        return ", ".join(text for label, text in labels.items() if label != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend).strip()
