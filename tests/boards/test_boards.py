"""What every dashboard keeps to, and what every expression may ask for."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from exporter.rollouts.output.catalogue import DERIVED_BY_NAME
from exporter.rollouts.output.targets import TARGET_FAMILIES as TARGETS
from exporter.rollouts.output.targets import TARGET_LABELS
from tests.boards.__main__ import BOARDS, FOLDER, text
from tests.boards.queries import (
    OTHERS,
    OWN,
    PASSED,
    SUFFIXES,
    Asked,
    alert_queries,
    boards,
    mark_queries,
    panel_queries,
    selectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import promql_parser

EVERYTHING = [*panel_queries(), *mark_queries(), *alert_queries()]
FORMED = re.compile(r"(?P<plain>\w+)\(_total\)\?")
"""A name in both its forms."""
CHANGED = {name for name in PASSED if name.endswith(("_error", "_success"))}
"""Counters of the controller that OTLP's translation renames."""
PLACES = {"cluster", "k8s_cluster_name", "namespace", "name", "instance", "__name__"}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in board["panels"] if panel["type"] != "row")


@pytest.mark.parametrize("name", BOARDS)
def test_the_file_is_what_its_source_makes(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == text(BOARDS[name]), "python -m tests.boards --write"


def test_there_is_no_other_dashboard_and_each_has_an_address_of_its_own() -> None:
    assert set(boards()) == set(BOARDS)
    assert len({board["uid"] for board in boards().values()}) == len(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_can_be_imported_anywhere(name: str) -> None:
    board = boards()[name]
    assert board["schemaVersion"] >= 39
    assert board["templating"]["list"][0]["type"] == "datasource"
    assert "id" not in board, "an id belongs to one Grafana"
    assert {panel["datasource"]["uid"] for panel in panels(board)} == {"${datasource}"}
    assert {one["datasource"]["uid"] for panel in panels(board) for one in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_in_which_unit_and_stands_clear(name: str) -> None:
    placed = list(panels(boards()[name]))
    assert len({panel["id"] for panel in boards()[name]["panels"]}) == len(boards()[name]["panels"])
    for panel in placed:
        assert panel["description"].endswith((".", "!"))
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
        assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"])
    assert not [(one["title"], other["title"]) for one, other in combinations(placed, 2) if _meet(one, other)]


def _meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    assert a["x"] + a["w"] <= 24
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not (beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def test_every_variable_in_an_expression_is_one_of_its_dashboard_or_grafanas_own() -> None:
    for name, board in boards().items():
        chosen = {one["name"] for one in board["templating"]["list"]}
        used = set(
            re.findall(r"\$\{?([a-z_]\w*)", json.dumps([board["panels"], board["annotations"], board["templating"]]))
        )
        own = {one for one in used if one.startswith("__")}
        assert used - own <= chosen, name
        assert own <= {"__rate_interval", "__range", "__data", "__all", "__url_time_range"}


def test_links_lead_to_dashboards_that_there_are() -> None:
    addresses = {board["uid"] for board in boards().values()}
    linked = set(re.findall(r"/d/([\w-]+)", json.dumps(list(boards().values()))))
    assert linked
    assert linked <= addresses
    assert all(set(link["tags"]) <= set(board["tags"]) for board in boards().values() for link in board["links"])


def names(selector: promql_parser.VectorSelector) -> list[str]:
    """Return the families that a selector asks for, a name in both its forms as the plain one."""
    spelt = [selector.name or "", *(one.value for one in selector.matchers.matchers if one.name == "__name__")]
    return [found["plain"] if (found := FORMED.fullmatch(one)) else one for one in spelt if one]


@pytest.mark.parametrize("asked", EVERYTHING, ids=lambda asked: asked.where)
def test_an_expression_asks_only_for_series_that_there_are(asked: Asked) -> None:
    found = [name for selector in selectors(asked.filled()) for name in names(selector)]
    assert found
    for name in found:
        assert {name, SUFFIXES.sub("", name)} & (OWN | PASSED | OTHERS), name


@pytest.mark.parametrize("asked", EVERYTHING, ids=lambda asked: asked.where)
def test_an_expression_asks_derived_series_only_for_labels_that_they_have(asked: Asked) -> None:
    for selector in selectors(asked.filled()):
        row = DERIVED_BY_NAME.get(selector.name or "")
        labels = row.labels if row else TARGET_LABELS if selector.name in TARGETS else None
        if labels is not None:
            assert {one.name for one in selector.matchers.matchers} <= PLACES | set(labels), selector


@pytest.mark.parametrize("asked", EVERYTHING, ids=lambda asked: asked.where)
def test_counters_that_a_translation_renames_are_asked_for_in_both_forms(asked: Asked) -> None:
    for selector in selectors(asked.filled()):
        if set(names(selector)) & CHANGED:
            assert selector.name is None
            assert any(FORMED.fullmatch(one.value) for one in selector.matchers.matchers)
