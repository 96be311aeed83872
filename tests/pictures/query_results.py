"""A dashboard's JSON and a store → each panel with what the store answers, named as Grafana names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.boards.queries import filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.boards.loaded_stores import Line, Store


@dataclass(frozen=True, slots=True)
class Scene:
    """The time that is shown (Unix seconds), its resolution, and the values of variables."""

    start: float
    end: float
    step: float
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """A series as a panel shows it; `query` is its refId."""

    name: str
    query: str
    line: Line


@dataclass(frozen=True, slots=True)
class Filled:
    """A panel with its series."""

    panel: Mapping[str, Any]
    series: Sequence[Named]


async def panels(board: Mapping[str, Any], store: Store, scene: Scene) -> list[Filled]:
    """Ask every query of every panel; a row has none."""
    return [
        Filled(panel, [one for target in panel.get("targets", ()) for one in await _asked(target, store, scene)])
        for panel in board["panels"]
    ]


async def marks(board: Mapping[str, Any], store: Store, scene: Scene) -> list[tuple[float, str]]:
    """Return when each annotation has a mark (its first moment), and its colour."""
    found: list[tuple[float, str]] = []
    for mark in board["annotations"]["list"]:
        lines = await store.over(filled(mark["expr"], **scene.values), scene.start, scene.end, scene.step)
        for line in lines:
            times = [at for at, _ in line.points]
            begun = [at for at, before in zip(times, [0.0, *times], strict=False) if at - before > 1.5 * scene.step]
            found += [(at, mark["iconColor"]) for at in begun]
    return found


async def _asked(target: Mapping[str, Any], store: Store, scene: Scene) -> list[Named]:
    expr = filled(target["expr"], **scene.values)
    if target["instant"]:
        lines = await store.at(expr, scene.end)
    else:
        lines = await store.over(expr, scene.start, scene.end, scene.step)
    return [Named(_name(target["legendFormat"], line.labels), target["refId"], line) for line in lines]


def _name(form: str, labels: Mapping[str, str]) -> str:
    if form == "__auto":
        return ", ".join(text for label, text in labels.items() if label != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form).strip()
