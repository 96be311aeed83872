"""The derived series: one table, a row a family.

Adding a series is a row here and a function in `said`.
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

    `labels` come after namespace and name. `identity` counts how many of them tell one thing (a pod, a revision)
    from another in an info series: when only the others change, the former series is said as 0 for a while.
    `source` is who must answer before an absence means anything.
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
        "The rollout's phase, one of seven is 1 (Unknown: a phase this exporter does not know).",
        samples.phase,
    ),
    DerivedFamily(
        "argo_rollouts_health",
        MetricType.GAUGE,
        ("health",),
        "The object's own status.phase, one of four is 1; with rollout state only.",
        samples.health,
        source=Source.ROLLOUT_STATE,
    ),
    DerivedFamily(
        "argo_rollouts_phase_start_timestamp_seconds",
        MetricType.GAUGE,
        (),
        "When the present phase was first seen (Unix seconds).",
        samples.phase_start,
    ),
    DerivedFamily(
        "argo_rollouts_pause_start_timestamp_seconds",
        MetricType.GAUGE,
        ("reason",),
        "Since when it is paused, and why (Unix seconds); with rollout state only.",
        samples.pauses,
        source=Source.ROLLOUT_STATE,
    ),
    DerivedFamily(
        "argo_rollouts_phase_transitions_total",
        MetricType.COUNTER,
        ("phase",),
        "Entries into each phase since the rollout was first seen.",
        samples.transitions,
    ),
    DerivedFamily(
        "argo_rollouts_update_in_progress",
        MetricType.GAUGE,
        ("strategy",),
        "1 while the wanted revision differs from the stable one and is not aborted; absent while unknown.",
        samples.in_progress,
    ),
    DerivedFamily(
        "argo_rollouts_canary_fraction",
        MetricType.GAUGE,
        (),
        "Share of traffic on the canary, 0 to 1, by the best method known; absent while unknown.",
        samples.fraction,
    ),
    DerivedFamily(
        "argo_rollouts_canary_fraction_estimate",
        MetricType.GAUGE,
        ("method",),
        "The canary's share by each method that could be computed.",
        samples.estimates,
    ),
    DerivedFamily(
        "argo_rollouts_updated_fraction",
        MetricType.GAUGE,
        (),
        "Updated replicas per desired one, unclamped: 1 at rest.",
        samples.updated_fraction,
    ),
    DerivedFamily(
        "argo_rollouts_canary_step_index",
        MetricType.GAUGE,
        (),
        "Index of the present canary step; with rollout state only.",
        samples.step,
        source=Source.ROLLOUT_STATE,
    ),
    DerivedFamily(
        "argo_rollouts_replicas",
        MetricType.GAUGE,
        ("state",),
        "The controller's replica counts; old is available + unavailable - updated.",
        samples.replicas,
    ),
    DerivedFamily(
        "argo_rollouts_pods",
        MetricType.GAUGE,
        ("role",),
        "Pods that are not terminating, by role.",
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
        "1 for each pod: its role, revision and node.",
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
        "Updates that ended: promoted, aborted, rolled_back, superseded.",
        samples.updates,
    ),
    DerivedFamily(
        "argo_rollouts_last_update_duration_seconds",
        MetricType.GAUGE,
        ("result",),
        "How long the last update that ended so took.",
        samples.last_update,
    ),
    DerivedFamily(
        "argo_rollouts_pause_seconds_total", MetricType.COUNTER, (), "Time spent Paused during updates.", samples.paused
    ),
    DerivedFamily(
        "argo_rollouts_analysis_runs",
        MetricType.GAUGE,
        ("phase",),
        "AnalysisRuns that exist, by phase: a stock, old runs are kept.",
        samples.analysis_runs,
    ),
    DerivedFamily(
        "argo_rollouts_analysis_runs_total",
        MetricType.COUNTER,
        ("phase",),
        "AnalysisRuns that were seen to finish.",
        samples.finished_runs,
    ),
    DerivedFamily(
        "argo_rollouts_unknown",
        MetricType.GAUGE,
        ("reason",),
        "1 while something of this rollout is not known, and why.",
        samples.unknown,
    ),
)
DERIVED_BY_NAME: Final = {row.name: row for row in DERIVED_FAMILIES}
