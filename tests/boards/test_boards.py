"""Dashboards can be imported, are complete, and query only existing series and labels."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from exporter.rollouts.output.catalogue import DERIVED_BY_NAME
from exporter.rollouts.output.targets import TARGET_FAMILIES as TARGETS
from exporter.rollouts.output.targets import TARGET_LABELS
from tests.boards.__main__ import DASHBOARDS, FOLDER, dashboard_json
from tests.boards.queries import (
    EXPORTED,
    FOREIGN,
    PASSED_THROUGH,
    SUFFIXES,
    Expression,
    alert_queries,
    annotation_queries,
    dashboards,
    panel_queries,
    rule_queries,
    selectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import promql_parser

EXPRESSIONS = [*panel_queries(), *annotation_queries(), *alert_queries(), *rule_queries()]
BOTH_FORMS = re.compile(r"(?P<plain>\w+)\(_total\)\?")
"""Matches a name with an optional _total."""
RENAMED = {name for name in PASSED_THROUGH if name.endswith(("_error", "_success"))}
"""Counters of the controller to which a store appends _total when they are pushed over OTLP."""
LOCATION_LABELS = {"cluster", "k8s_cluster_name", "namespace", "name", "instance", "__name__"}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in board["panels"] if panel["type"] != "row")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_file_is_generated_from_its_source(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == dashboard_json(DASHBOARDS[name]), "python -m tests.boards --write"


def test_every_dashboard_has_a_source_and_a_unique_uid() -> None:
    assert set(dashboards()) == set(DASHBOARDS)
    assert len({board["uid"] for board in dashboards().values()}) == len(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_can_be_imported_into_any_grafana(name: str) -> None:
    board = dashboards()[name]
    assert board["schemaVersion"] >= 39
    assert board["templating"]["list"][0]["type"] == "datasource"
    assert "id" not in board, "an id is specific to one Grafana"
    assert {panel["datasource"]["uid"] for panel in panels(board)} == {"${datasource}"}
    assert {target["datasource"]["uid"] for panel in panels(board) for target in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_a_description_and_a_unit_and_overlaps_no_other(name: str) -> None:
    placed = list(panels(dashboards()[name]))
    assert len({panel["id"] for panel in dashboards()[name]["panels"]}) == len(dashboards()[name]["panels"])
    for panel in placed:
        assert panel["description"].endswith((".", "!"))
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert not [(a["title"], b["title"]) for a, b in combinations(placed, 2) if _overlap(a, b)]


def _overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    a, b = first["gridPos"], second["gridPos"]
    assert a["x"] + a["w"] <= 24
    side_by_side = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not (side_by_side or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def test_every_variable_in_an_expression_is_defined_by_the_dashboard_or_by_grafana() -> None:
    for name, board in dashboards().items():
        defined = {variable["name"] for variable in board["templating"]["list"]}
        used = set(
            re.findall(r"\$\{?([a-z_]\w*)", json.dumps([board["panels"], board["annotations"], board["templating"]]))
        )
        builtin = {name for name in used if name.startswith("__")}
        assert used - builtin <= defined, name
        assert builtin <= {"__rate_interval", "__range", "__range_s", "__data", "__all", "__url_time_range"}


def test_links_lead_to_existing_dashboards() -> None:
    uids = {board["uid"] for board in dashboards().values()}
    linked = set(re.findall(r"/d/([\w-]+)", json.dumps(list(dashboards().values()))))
    assert linked
    assert linked <= uids
    assert all(set(link["tags"]) <= set(board["tags"]) for board in dashboards().values() for link in board["links"])


def family_names(selector: promql_parser.VectorSelector) -> list[str]:
    """Return the families that a selector selects; of a name in both forms the plain one."""
    matchers = selector.matchers.matchers
    names = [selector.name or "", *(matcher.value for matcher in matchers if matcher.name == "__name__")]
    return [match["plain"] if (match := BOTH_FORMS.fullmatch(name)) else name for name in names if name]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.location)
def test_expression_queries_only_existing_series(expression: Expression) -> None:
    names = [name for selector in selectors(expression.with_variables()) for name in family_names(selector)]
    assert names
    for name in names:
        assert {name, SUFFIXES.sub("", name)} & (EXPORTED | PASSED_THROUGH | FOREIGN), name


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.location)
def test_expression_selects_only_existing_labels_of_derived_series(expression: Expression) -> None:
    for selector in selectors(expression.with_variables()):
        row = DERIVED_BY_NAME.get(selector.name or "")
        labels = row.labels if row else TARGET_LABELS if selector.name in TARGETS else None
        if labels is not None:
            assert {matcher.name for matcher in selector.matchers.matchers} <= LOCATION_LABELS | set(labels), selector


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.location)
def test_renamed_counters_are_queried_in_both_forms(expression: Expression) -> None:
    for selector in selectors(expression.with_variables()):
        if set(family_names(selector)) & RENAMED:
            assert selector.name is None
            assert any(BOTH_FORMS.fullmatch(matcher.value) for matcher in selector.matchers.matchers)
