"""The expressions of dashboards and alerts: found, with Grafana's variables filled in, and what they ask for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import yaml

from exporter.rollouts.output.catalogue import DERIVED_BY_NAME
from exporter.rollouts.output.durations import NAME as DURATIONS
from exporter.rollouts.output.targets import TARGET_FAMILIES as TARGETS
from exporter.self_metrics import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHART: Final = Path(__file__).parent.parent.parent / "charts/rollouts-exporter"
RULES: Final = CHART / "rules/alerts.yaml"
PLACE: Final = {
    "cluster_label": "k8s_cluster_name",
    "cluster": ".*",
    "namespace": ".*",
    "rollout": ".*",
    "service": ".*",
    "instance": ".*",
    "__rate_interval": "1m",
    "__range": "1h",
}
"""What the variables stand for, unless told otherwise."""
PASSED: Final = frozenset({
    "analysis_run_info",
    "analysis_run_reconcile_error",
    "experiment_reconcile_error",
    "notification_send_error",
    "notification_send_success",
    "rollout_events_total",
    "rollout_reconcile",
    "rollout_reconcile_error",
})  # fmt: skip # a table
"""Families of the controller that pass through."""
OTHERS: Final = frozenset({
    "container_cpu_usage_seconds_total",  # the kubelet's cAdvisor
    "container_memory_working_set_bytes",
    "http_server_request_duration_seconds",  # OpenTelemetry's HTTP metrics, of the service itself
    "kube_pod_container_status_restarts_total",  # kube-state-metrics
    "process_cpu_seconds_total",  # the exporter's own process, on /metrics
    "process_resident_memory_bytes",
    "trace_endpoint_count",  # Last9, of the service's traces
})  # fmt: skip # a table
"""Families of others, each from a source that the panel or the alert names."""
SUFFIXES: Final = re.compile(r"_(bucket|count|sum)$")
OWN: Final = frozenset({*DERIVED_BY_NAME, *TARGETS, DURATIONS, *(row.name for row in DEFINITIONS)})


@dataclass(frozen=True, slots=True)
class Asked:
    """An expression, and where it stands."""

    where: str
    expr: str

    def filled(self, **values: str) -> str:
        """Return it as a store is asked."""
        return filled(self.expr, **values)


def filled(text: str, **values: str) -> str:
    """Fill in Grafana's variables."""
    return re.sub(r"\$([a-z_]\w*)", lambda found: (PLACE | values)[found[1]], text)


def boards() -> Mapping[str, dict[str, Any]]:
    """Return the dashboards as they ship, by the names of their files."""
    return {file.stem: json.loads(file.read_text()) for file in sorted((CHART / "dashboards").glob("*.json"))}


def alerts() -> Mapping[str, dict[str, Any]]:
    """Return the alerts as they ship, by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panel_queries() -> Iterator[Asked]:
    """Yield every query of every panel."""
    for name, board in boards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Asked(f"{name}: {panel['title']}: {target['refId']}", target["expr"])


def mark_queries() -> Iterator[Asked]:
    """Yield every query of an annotation, and the series that a variable's choices come of."""
    for name, board in boards().items():
        for mark in board["annotations"]["list"]:
            yield Asked(f"{name}: {mark['name']}", mark["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series = re.fullmatch(r"label_values\((.+), \S+\)", variable["definition"])
                assert series, variable
                yield Asked(f"{name}: ${variable['name']}", series[1])


def alert_queries() -> Iterator[Asked]:
    """Yield the expression of every alert."""
    return (Asked(name, rule["expr"]) for name, rule in alerts().items())


def selectors(expr: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield the selectors of an expression. Raises ValueError when it is no PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def look(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expr), look)
    return iter(found)
