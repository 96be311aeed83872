"""The table of derived series, one row for each family.

To add a series, add a row here and a function to `samples`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricType, Source
from exporter.rollouts.output import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.rollouts.model import Rollout


@dataclass(frozen=True, slots=True)
class DerivedFamily:
    """A family of the catalogue.

    `labels` follow namespace and name. `samples` returns label values and value of each series of a rollout. A series
    that is absent is stale only if the last pages of `source` show everything. In an info family the first
    `identity_labels` labels identify a thing (a pod, a revision): if only others change, the series with the old labels
    is exported as 0 for a while.
    """

    name: str
    type: MetricType
    labels: tuple[str, ...]
    help: str
    samples: Callable[[Rollout], Iterable[samples.LabelledValue]]
    source: Source = Source.ARGO
    identity_labels: int = 0


DERIVED_FAMILIES: Final = (
    DerivedFamily(
        "argo_rollouts_phase",
        MetricType.GAUGE,
        ("phase",),
        "1 for the phase of the rollout, 0 for the other six (Unknown: a phase this exporter does not know).",
        samples.phase,
    ),
    DerivedFamily(
        "argo_rollouts_health",
        MetricType.GAUGE,
        ("health",),
        "1 for the value of status.phase, 0 for the other three; needs rollout state.",
        samples.health,
        source=Source.ROLLOUT_STATE,
    ),
    DerivedFamily(
        "argo_rollouts_phase_start_timestamp_seconds",
        MetricType.GAUGE,
        (),
        "When the current phase was first seen (Unix seconds).",
        samples.phase_start,
    ),
    DerivedFamily(
        "argo_rollouts_pause_start_timestamp_seconds",
        MetricType.GAUGE,
        ("reason",),
        "Start of each pause condition, by reason (Unix seconds); needs rollout state.",
        samples.pauses,
        source=Source.ROLLOUT_STATE,
    ),
    DerivedFamily(
        "argo_rollouts_phase_transitions_total",
        MetricType.COUNTER,
        ("phase",),
        "Transitions into each phase since the rollout was first seen.",
        samples.transitions,
    ),
    DerivedFamily(
        "argo_rollouts_update_in_progress",
        MetricType.GAUGE,
        ("strategy",),
        "1 while the current revision differs from the stable one and is not aborted; absent while unknown.",
        samples.in_progress,
    ),
    DerivedFamily(
        "argo_rollouts_canary_fraction",
        MetricType.GAUGE,
        (),
        "The canary's share of traffic, 0 to 1, by the best available method; absent while unknown.",
        samples.fraction,
    ),
    DerivedFamily(
        "argo_rollouts_canary_fraction_estimate",
        MetricType.GAUGE,
        ("method",),
        "The canary's share of traffic by each method that can be computed.",
        samples.estimates,
    ),
    DerivedFamily(
        "argo_rollouts_updated_fraction",
        MetricType.GAUGE,
        (),
        "Updated replicas divided by desired replicas, not clamped; 1 at rest.",
        samples.updated_fraction,
    ),
    DerivedFamily(
        "argo_rollouts_canary_step_index",
        MetricType.GAUGE,
        (),
        "Index of the current canary step; needs rollout state.",
        samples.step,
        source=Source.ROLLOUT_STATE,
    ),
    DerivedFamily(
        "argo_rollouts_replicas",
        MetricType.GAUGE,
        ("state",),
        "Replica counts of the controller; old is available + unavailable - updated.",
        samples.replicas,
    ),
    DerivedFamily(
        "argo_rollouts_pods",
        MetricType.GAUGE,
        ("role",),
        "Pods by role, without terminating ones.",
        samples.pods,
        source=Source.KUBE_STATE_METRICS,
    ),
    DerivedFamily(
        "argo_rollouts_pods_ready",
        MetricType.GAUGE,
        ("role",),
        "Ready pods by role.",
        samples.pods_ready,
        source=Source.KUBE_STATE_METRICS,
    ),
    DerivedFamily(
        "argo_rollouts_pod_info",
        MetricType.GAUGE,
        ("pod", "uid", "role", "pod_template_hash", "revision", "node"),
        "1 for each pod, with its role, revision and node.",
        samples.pod_info,
        source=Source.KUBE_STATE_METRICS,
        identity_labels=2,
    ),
    DerivedFamily(
        "argo_rollouts_revision_info",
        MetricType.GAUGE,
        ("pod_template_hash", "revision", "role"),
        "1 for each revision that has pods.",
        samples.revision_info,
        source=Source.KUBE_STATE_METRICS,
        identity_labels=1,
    ),
    DerivedFamily(
        "argo_rollouts_updates_total",
        MetricType.COUNTER,
        ("result",),
        "Completed updates, by result: promoted, aborted, rolled_back, superseded.",
        samples.updates,
    ),
    DerivedFamily(
        "argo_rollouts_last_update_duration_seconds",
        MetricType.GAUGE,
        ("result",),
        "Duration of the last update with each result.",
        samples.last_update,
    ),
    DerivedFamily(
        "argo_rollouts_pause_seconds_total",
        MetricType.COUNTER,
        (),
        "Time spent in phase Paused during updates.",
        samples.paused,
    ),
    DerivedFamily(
        "argo_rollouts_analysis_runs",
        MetricType.GAUGE,
        ("phase",),
        "Existing AnalysisRuns, by phase; finished ones exist until they are deleted.",
        samples.analysis_runs,
    ),
    DerivedFamily(
        "argo_rollouts_analysis_runs_total",
        MetricType.COUNTER,
        ("phase",),
        "AnalysisRuns that finished while they were watched, by phase.",
        samples.finished_runs,
    ),
    DerivedFamily(
        "argo_rollouts_unknown",
        MetricType.GAUGE,
        ("reason",),
        "1 for each reason why a series of the rollout is absent.",
        samples.unknown,
    ),
)
DERIVED_BY_NAME: Final = {row.name: row for row in DERIVED_FAMILIES}
