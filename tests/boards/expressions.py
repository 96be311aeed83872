"""Variables, selectors and expressions that the dashboards share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.explain.model import Activity
from exporter.rollouts.model import HEALTHS, PHASES, UNKNOWN_PHASE
from tests.boards.panels import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER: Final = '$cluster_label=~"$cluster"'
ROLLOUT: Final = f'{CLUSTER},namespace=~"$namespace",name=~"$rollout"'
KEY: Final = "$cluster_label, namespace, name"
"""The labels that identify a rollout."""
ROLLOUT_LEGEND: Final = "{{k8s_cluster_name}}{{cluster}} {{namespace}}/{{name}}"
"""The legend of a rollout; Grafana omits missing labels."""
WINDOW: Final = "$__rate_interval"
VISIBLE: Final = "argo_rollouts_phase_start_timestamp_seconds"
"""A series of each rollout that a leading controller shows, in every preset."""
DEGRADED: Final = 'phase=~"Abort|Timeout|Error|InvalidSpec"'
ERRORS: Final = '__name__=~"rollout_reconcile_error(_total)?"'
"""Both names: a store appends _total to a counter received over OTLP, but not to a scraped one."""

CLUSTER_LABEL: Final = Variable(
    "cluster_label",
    "Cluster label",
    "Label of the cluster: k8s_cluster_name for series pushed over OTLP, cluster in most Prometheus set-ups.",
    choices=("k8s_cluster_name", "cluster"),
)
CLUSTERS: Final = Variable(
    "cluster",
    "Cluster",
    "Cluster of the rollouts; All also matches series without a cluster label.",
    label="$cluster_label",
    family=VISIBLE,
    multiple=True,
    include_all=True,
)


def number_states(*words: str) -> Mapping[int, str]:
    """Number state names from 1."""
    return dict(enumerate(words, 1))


PHASE_STATES: Final = number_states(*PHASES, UNKNOWN_PHASE)
HEALTH_STATES: Final = number_states(*HEALTHS)
ACTIVITY_STATES: Final = number_states(*Activity)
RUN_STATES: Final = number_states("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")


def state_number(family: str, label: str, selector: str, numbered: Mapping[int, str], by: str = KEY) -> str:
    """Return an expression for the number of the state that is 1 in a one-hot family, by the labels of `by`."""
    each = (f'{family}{{{selector},{label}="{word}"}} * {number}' for number, word in numbered.items())
    return f"max by ({by}) ({' or '.join(each)}) > 0"


def phase_number(selector: str, by: str = KEY) -> str:
    """Return an expression for the number of the phase, which preset lean exports as it is."""
    one_hot = state_number("argo_rollouts_phase", "phase", selector, PHASE_STATES, by)
    return f"({one_hot} or max by ({by}) (argo_rollouts_phase_code{{{selector}}}))"
