"""Dashboards and alerts of Last9 have what Grafana and Prometheus have, and the provider of Terraform accepts them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.boards.__main__ import DASHBOARDS, ROOT, TERRAFORM_FOLDER, files
from tests.boards.last9 import dashboard_request
from tests.boards.last9_alerts import plain_annotation, threshold
from tests.boards.queries import alerts, last9_panel_queries, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
SCHEMA: Final[Json] = json.loads((Path(__file__).parent / "last9_terraform_schema.json").read_text())["resources"]
PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {"string": (str,), "number": (int, float), "bool": (bool,)}
PLACEHOLDER: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
DOCUMENTED_PLACEHOLDER: Final = re.compile(r"\{\{ (\$labels\.[a-z_]\w*|\$value) \}\}")


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_generated_file_is_that_of_its_source(file: Path) -> None:
    assert file.read_text() == files()[file], "python -m tests.boards --write"


def resources() -> Iterator[tuple[str, str, Json]]:
    for file in TERRAFORM_FOLDER.glob("*.tf.json"):
        for kind, named in json.loads(file.read_text())["resource"].items():
            for name, arguments in named.items():
                yield kind, name, arguments


def problems(arguments: Json, schema: Json, place: str) -> Iterator[str]:
    """Yield what a provider with this schema would refuse."""
    attributes, blocks = schema["attributes"], schema.get("blocks", {})
    yield from (
        f"{place}: no {name}" for name, row in attributes.items() if row.get("required") and name not in arguments
    )
    for name, value in arguments.items():
        here = f"{place}.{name}"
        if name in blocks:
            if not isinstance(value, list) or len(value) > blocks[name].get("max_items", len(value)):
                yield f"{here}: not a list of blocks, or too many"
            for part in value:
                yield from problems(part, blocks[name], here)
        elif name not in attributes:
            yield f"{here}: no such argument"
        elif not accepts(attributes[name], value):
            yield f"{here}: {value!r}"
    yield from (
        f"{place}: no {name}" for name, row in blocks.items() if row.get("min_items") and not arguments.get(name)
    )


def accepts(attribute: Json, value: object) -> bool:
    kind = attribute["type"]
    if isinstance(value, str) and value.startswith("${"):
        return True
    if isinstance(kind, list):
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [None]
        return isinstance(value, {"map": dict, "list": list}[kind[0]]) and all(isinstance(part, str) for part in parts)
    if not isinstance(value, PYTHON_TYPES[kind]) or (kind == "number" and isinstance(value, bool)):
        return False
    return value in attribute.get("words", [value])


@pytest.mark.parametrize("resource", list(resources()), ids=lambda resource: f"{resource[0]}.{resource[1]}")
def test_terraform_has_the_arguments_that_the_provider_publishes(resource: tuple[str, str, Json]) -> None:
    kind, name, arguments = resource
    assert list(problems(arguments, SCHEMA[kind], name)) == []


def test_a_wrong_name_type_or_word_would_be_found() -> None:
    schema = SCHEMA["last9_alert"]
    right = {"entity_id": "1", "name": "a", "query": "up", "greater_than": 1, "severity": "breach"}
    assert list(problems(right, schema, "")) == []
    wrongs: tuple[Json, ...] = ({"severity": "info"}, {"greater": 1}, {"greater_than": "1"}, {"properties": [{}, {}]})
    for wrong in wrongs:
        assert list(problems(right | wrong, schema, "")), wrong
    assert list(problems({"name": "a", "query": "up"}, schema, "")) == [": no entity_id"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_sections_have_no_query_and_all_other_panels_have_queries_and_a_place(name: str) -> None:
    (dashboard,) = (arguments for kind, key, arguments in resources() if (kind, key) == ("last9_dashboard", name))
    for panel in dashboard["panel"]:
        is_section = panel["visualization"][0]["type"] == "section"
        assert ("query" in panel, "layout" in panel) == (not is_section, not is_section), panel["name"]
        for query in panel.get("query", ()):
            assert (query["telemetry"], query["query_type"]) == ("metrics", "promql")
        for layout in panel.get("layout", ()):
            assert layout["x"] + layout["w"] <= 12
            assert layout["w"] > 0


@pytest.mark.parametrize("name", DASHBOARDS)
def test_last9_has_every_panel_and_query_of_grafana(name: str) -> None:
    source = DASHBOARDS[name]
    panels = dashboard_request(source)["dashboard"]["panels"]
    expected = [
        entry for row in source.rows for entry in ((row.title, 0), *((p.title, len(p.queries)) for p in row.panels))
    ]
    assert [(panel["name"].split(" (")[0], len(panel["queries"])) for panel in panels] == [
        (title.split(" (")[0], count) for title, count in expected
    ]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_in_a_last9_query_is_one_of_its_dashboard(name: str) -> None:
    dashboard = dashboard_request(DASHBOARDS[name])["dashboard"]
    targets = {variable["target"] for variable in dashboard["variables"]}
    text = json.dumps([dashboard["panels"], [variable["matches"] for variable in dashboard["variables"]]])
    assert set(re.findall(r"\$\{?([a-z_]\w*)", text)) <= targets


def test_every_last9_query_is_promql_that_selects_something() -> None:
    for query in last9_panel_queries():
        assert list(selectors(query.with_variables())), query.location


@pytest.mark.parametrize("name", alerts())
def test_an_alert_of_last9_compares_with_a_number_that_the_provider_takes(name: str) -> None:
    arguments = terraform_alert(name)
    assert arguments["greater_than"] != 0, "the provider takes 0 for no threshold"
    assert arguments["bad_minutes"] == arguments["total_minutes"] >= 1
    assert (arguments["name"], set(arguments["properties"][0]["annotations"])) == (
        name,
        {"summary", "runbook", "severity"},
    )


@pytest.mark.parametrize("name", alerts())
def test_an_annotation_has_documented_placeholders_only_and_the_value_of_the_rule(name: str) -> None:
    arguments = terraform_alert(name)
    texts = [arguments["description"], *arguments["properties"][0]["annotations"].values()]
    assert [
        match for text in texts for match in PLACEHOLDER.findall(text) if not DOCUMENTED_PLACEHOLDER.fullmatch(match)
    ] == []
    if any("$value" in text for text in texts):
        assert not arguments["query"].endswith("* 0 + 1"), "the value would always be 1"


def test_what_is_compared_with_zero_counts_events() -> None:
    for name, rule in alerts().items():
        if re.search(r"> 0(?![.\d])", rule["expr"]):
            names = [selector.name or "" for selector in selectors(rule["expr"])]
            assert all(counter.endswith("_total") for counter in names), name


def terraform_alert(name: str) -> Json:
    (arguments,) = (arguments for kind, key, arguments in resources() if (kind, key) == ("last9_alert", name))
    return arguments


@pytest.mark.parametrize(
    ("expr", "query", "number"),
    [
        ("max(x) > 5", "max(x)", 5),
        ("increase(x_total[5m]) > 0", "increase(x_total[5m])", 0.5),
        ("x == 1", "x == 1", 0.5),
        ("x > 5 and y == 1", "x > 5 and y == 1", 5),
        ("x > 5 or (y == 1)", "x > 5 or (y == 1)", 0.5),
        ("x == 0", "(x == 0) * 0 + 1", 0.5),
        ("x > 5 or y", "(x > 5 or y) * 0 + 1", 0.5),
        ("x > y", "(x > y) * 0 + 1", 0.5),
        ("x < 5", "(x < 5) * 0 + 1", 0.5),
    ],
)
def test_the_threshold_is_below_every_value_that_the_expression_returns(expr: str, query: str, number: float) -> None:
    assert threshold(expr) == (query, number)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a {{ $labels.name }} b", "a {{ $labels.name }} b"),
        ("{{ if $labels.x }}of {{ $labels.x }}{{ else }}of some{{ end }}.", "of {{ $labels.x }} / of some."),
        ("a{{- range printf \"m{a='%s'}\" $labels.a | query }} Cause: {{ .Labels.cause }}{{ end }}", "a"),
        ('{{ if eq $labels.a "b" }}{{ range query }}x{{ with .Labels.y }}, {{ . }}{{ end }}{{ end }}{{ end }}c', "c"),
        ("for {{ $value | humanizeDuration }}", "for {{ $value }} seconds"),
        ('{{ printf "%.0f" $value }} errors', "{{ $value }} errors"),
    ],
)
def test_an_annotation_of_prometheus_becomes_one_of_last9(template: str, text: str) -> None:
    assert plain_annotation(template) == text
