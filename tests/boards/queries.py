"""The expressions of dashboards and alerts, with Grafana's variables filled in, and their selectors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import yaml

from exporter.config.settings import SeriesSection
from exporter.rollouts.output.catalogue import DERIVED_BY_NAME, FULL, LEAN, STANDARD
from exporter.rollouts.output.durations import NAME as DURATIONS
from exporter.rollouts.output.namespace_counters import NAMESPACE_FAMILIES
from exporter.rollouts.output.targets import TARGET_FAMILIES as TARGETS
from exporter.self_metrics import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHART: Final = Path(__file__).parent.parent.parent / "charts/rollouts-exporter"
RULES: Final = CHART / "rules/alerts.yaml"
LAST9_DASHBOARDS: Final = CHART.parents[1] / "exporter/commands/last9/dashboards"
DELIVERY_RULES: Final = CHART / "rules/delivery.yaml"
VARIABLES: Final = {
    "cluster_label": "k8s_cluster_name",
    "cluster": ".*",
    "namespace": ".*",
    "rollout": ".*",
    "service": ".*",
    "instance": ".*",
    "__rate_interval": "1m",
    "__range": "1h",
    "__range_s": "3600",
}
"""Default values of the variables."""
PASSED_THROUGH: Final = frozenset({
    "analysis_run_info",
    "argo_rollouts_controller_info",
    "analysis_run_reconcile_error",
    "experiment_reconcile_error",
    "notification_send_error",
    "notification_send_success",
    "rollout_events_total",
    "rollout_info",
    "rollout_reconcile",
    "rollout_reconcile_error",
})  # fmt: skip # a table
"""Families of the controller that pass through."""
PHASE_FAMILIES: Final = frozenset({"argo_rollouts_phase", "argo_rollouts_phase_code"})
FOREIGN: Final = frozenset({
    "container_cpu_usage_seconds_total",  # the kubelet's cAdvisor
    "container_memory_working_set_bytes",
    "http_server_request_duration_seconds",  # OpenTelemetry's HTTP metrics, of the service itself
    "kube_pod_container_status_restarts_total",  # kube-state-metrics
    "process_cpu_seconds_total",  # the exporter's own process, on /metrics
    "process_resident_memory_bytes",
    "trace_endpoint_count",  # Last9, of the service's traces
})  # fmt: skip # a table
"""Families that the exporter does not export; the panel or alert names their source."""
SUFFIXES: Final = re.compile(r"_(bucket|count|sum)$")
EXPORTED: Final = frozenset(
    {*DERIVED_BY_NAME, *NAMESPACE_FAMILIES, *TARGETS, DURATIONS, *(row.name for row in DEFINITIONS)}
)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression and its location."""

    location: str
    expr: str

    def with_variables(self, **values: str) -> str:
        """Return the expression with Grafana's variables filled in."""
        return fill_variables(self.expr, **values)


def fill_variables(text: str, **values: str) -> str:
    """Fill in Grafana's variables."""
    return re.sub(r"\$([a-z_]\w*)", lambda match: (VARIABLES | values)[match[1]], text)


def dashboards() -> Mapping[str, dict[str, Any]]:
    """Return the generated dashboards by file name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted((CHART / "dashboards").glob("*.json"))}


def alerts() -> Mapping[str, dict[str, Any]]:
    """Return the alert rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def recording_rules() -> Mapping[str, str]:
    """Return the expression of each recording rule by its name."""
    groups = yaml.safe_load(DELIVERY_RULES.read_text())["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def panel_queries() -> Iterator[Expression]:
    """Yield every query of every panel."""
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Expression(f"{name}: {panel['title']}: {target['refId']}", target["expr"])


def last9_panel_queries() -> Iterator[Expression]:
    """Yield every query of every panel of the dashboards for Last9."""
    for file in sorted(LAST9_DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["dashboard"]["panels"]:
            for query in panel["queries"]:
                yield Expression(f"Last9 {file.stem}: {panel['name']}: {query['name']}", query["expr"])


def annotation_queries() -> Iterator[Expression]:
    """Yield the expressions of annotations, and the series selectors of variables."""
    for name, board in dashboards().items():
        for annotation in board["annotations"]["list"]:
            yield Expression(f"{name}: {annotation['name']}", annotation["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series = re.fullmatch(r"label_values\((.+), \S+\)", variable["definition"])
                assert series, variable
                yield Expression(f"{name}: ${variable['name']}", series[1])


def alert_queries() -> Iterator[Expression]:
    """Yield the expression of every alert."""
    return (Expression(name, rule["expr"]) for name, rule in alerts().items())


def rule_queries() -> Iterator[Expression]:
    """Yield the expression of every recording rule."""
    return (Expression(name, expr) for name, expr in recording_rules().items())


def selectors(expr: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield the selectors of an expression. Raises ValueError if it is not valid PromQL."""
    selectors: list[promql_parser.VectorSelector] = []

    def collect(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            selectors.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expr), collect)
    return iter(selectors)


def used_families(expr: str) -> Iterator[str]:
    """Yield the names of the families of an expression, with Grafana's variables or without.

    Names of counters are patterns, since a store may append _total.
    """
    for selector in selectors(fill_variables(expr)):
        if selector.name:
            yield SUFFIXES.sub("", selector.name)
        patterns = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "__name__"]
        yield from (family for family in PASSED_THROUGH if any(re.fullmatch(text, family) for text in patterns))


def exports(preset: str, family: str) -> bool:
    """Return whether a preset exports a family; those that all presets export have no choice of one."""
    if family in DERIVED_BY_NAME:
        return preset in DERIVED_BY_NAME[family].presets
    passes_through = SeriesSection.parse({"preset": preset}).passes_through(family)
    return passes_through or family not in PASSED_THROUGH


def required_preset(expressions: Iterable[str]) -> str:
    """Return the smallest preset that exports all series of some expressions."""
    families = {family for expr in expressions for family in used_families(expr)}
    # Where the phase is one code, `or` adds it to the expression.
    families -= PHASE_FAMILIES if families >= PHASE_FAMILIES else set()
    presets = (LEAN, STANDARD, FULL)
    return next(preset for preset in presets if all(exports(preset, family) for family in families))
