"""What the dashboards have in common: variables, selectors, and how a one-hot family becomes a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import HEALTHS, PHASES, UNKNOWN_PHASE
from tests.boards.panels import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER: Final = '$cluster_label=~"$cluster"'
ONE: Final = f'{CLUSTER},namespace=~"$namespace",name=~"$rollout"'
KEY: Final = "$cluster_label, namespace, name"
"""What tells rollouts apart."""
NAMED: Final = "{{k8s_cluster_name}}{{cluster}} {{namespace}}/{{name}}"
"""How it is called; Grafana leaves out a label that is not there."""
EVERY: Final = "$__rate_interval"
DEGRADED: Final = 'phase=~"Abort|Timeout|Error|InvalidSpec"'
ERRORS: Final = '__name__=~"rollout_reconcile_error(_total)?"'
"""In both forms: a store that takes OTLP appends _total, a Prometheus that scrapes does not (facts of stores)."""

CLUSTER_LABEL: Final = Variable(
    "cluster_label",
    "Cluster label",
    "The label that names the cluster: k8s_cluster_name as Last9 stores OTLP, cluster as most Prometheus set it.",
    listed=("k8s_cluster_name", "cluster"),
)
CLUSTERS: Final = Variable(
    "cluster",
    "Cluster",
    "All, where no series names a cluster.",
    label="$cluster_label",
    of="argo_rollouts_phase",
    many=True,
    everything=True,
)


def states(*words: str) -> Mapping[int, str]:
    """Number the words from 1."""
    return dict(enumerate(words, 1))


PHASE_STATES: Final = states(*PHASES, UNKNOWN_PHASE)
HEALTH_STATES: Final = states(*HEALTHS)
RUN_STATES: Final = states("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")


def state(family: str, label: str, selector: str, numbered: Mapping[int, str], by: str = KEY) -> str:
    """Return an expression whose value is the number of the word that is 1 in a one-hot family, for each `by`."""
    each = (f'{family}{{{selector},{label}="{word}"}} * {number}' for number, word in numbered.items())
    return f"max by ({by}) ({' or '.join(each)}) > 0"
