"""What the dashboards have in common: variables, selectors, and how a one-hot family becomes a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import HEALTHS, PHASES, UNKNOWN_PHASE
from tests.boards.panels import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER: Final = '$cluster_label=~"$cluster"'
ROLLOUT: Final = f'{CLUSTER},namespace=~"$namespace",name=~"$rollout"'
ROLLOUT_LABELS: Final = "$cluster_label, namespace, name"
"""What tells rollouts apart."""
ROLLOUT_LEGEND: Final = "{{k8s_cluster_name}}{{cluster}} {{namespace}}/{{name}}"
"""How it is called; Grafana leaves out a label that is not there."""
RATE_WINDOW: Final = "$__rate_interval"
DEGRADED: Final = 'phase=~"Abort|Timeout|Error|InvalidSpec"'
ERRORS: Final = '__name__=~"rollout_reconcile_error(_total)?"'
"""In both forms: a store that takes OTLP appends _total, a Prometheus that scrapes does not (facts of stores)."""

CLUSTER_LABEL: Final = Variable(
    "cluster_label",
    "Cluster label",
    "Label of the cluster: k8s_cluster_name for series pushed over OTLP, cluster in most Prometheus set-ups.",
    listed=("k8s_cluster_name", "cluster"),
)
CLUSTERS: Final = Variable(
    "cluster",
    "Cluster",
    "Cluster of the rollouts; All also matches series without a cluster label.",
    label="$cluster_label",
    of="argo_rollouts_phase",
    many=True,
    everything=True,
)


def number_states(*words: str) -> Mapping[int, str]:
    """Number the words from 1."""
    return dict(enumerate(words, 1))


PHASE_STATES: Final = number_states(*PHASES, UNKNOWN_PHASE)
HEALTH_STATES: Final = number_states(*HEALTHS)
RUN_STATES: Final = number_states("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")


def state_number(family: str, label: str, selector: str, numbered: Mapping[int, str], by: str = ROLLOUT_LABELS) -> str:
    """Return an expression whose value is the number of the word that is 1 in a one-hot family, for each `by`."""
    each = (f'{family}{{{selector},{label}="{word}"}} * {number}' for number, word in numbered.items())
    return f"max by ({by}) ({' or '.join(each)}) > 0"
