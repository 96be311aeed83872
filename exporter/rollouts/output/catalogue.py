"""The catalogue of derived series: one row for each family, and the function that computes its samples for one rollout.

To add a series, add a row and its function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricType, Source
from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from exporter.rollouts.inputs.controller import FINISHED_PHASES, RUN_PHASES
from exporter.rollouts.model import BLUE_GREEN, CANARY, HEALTHS, PHASES, UNKNOWN_PHASE, PodRole, UpdateState

if TYPE_CHECKING:
    from exporter.rollouts.model import Rollout

_Samples = Iterator[tuple[tuple[str, ...], float]]
"""The values of the labels after namespace and name, and the value of each series."""


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
    samples: Callable[[Rollout], _Samples]
    help: str
    source: Source = Source.ARGO
    identity_labels: int = 0


def _phase(rollout: Rollout) -> _Samples:
    view = rollout.observation.view
    if view is not None:
        # All seven, with zeros: with one series, a store would show the former phase beside the new one for minutes.
        for phase in PHASES:
            yield (phase,), float(phase == view.phase)
        if view.phase == UNKNOWN_PHASE:
            yield (UNKNOWN_PHASE,), 1.0


def _health(rollout: Rollout) -> _Samples:
    """Yield nothing while the status is about an older spec, or older than the phase that the controller shows."""
    status = rollout.observation.status
    is_older = status is not None and status.observed_at < rollout.state.phases.since
    if status is not None and status.generation_observed and status.health and not is_older:
        for health in HEALTHS:
            yield (health,), float(health == status.health)


def _phase_start(rollout: Rollout) -> _Samples:
    if rollout.observation.view is not None:
        yield (), rollout.state.phases.started_at


def _pauses(rollout: Rollout) -> _Samples:
    status = rollout.observation.status
    if status is not None:
        for reason, start in status.pauses:
            yield (reason,), start


def _transitions(rollout: Rollout) -> _Samples:
    # All phases from the start on, since `increase()` misses a counter that begins at 1.
    counts = rollout.state.phases.transition_counts
    for phase in PHASES:
        yield (phase,), float(counts.get(phase, 0))


def _in_progress(rollout: Rollout) -> _Samples:
    state = rollout.state
    if rollout.is_current and state.update_state is not UpdateState.UNKNOWN:
        yield (state.strategy,), float(state.update_state is UpdateState.UPDATING)


def _fraction(rollout: Rollout) -> _Samples:
    if rollout.fraction is not None and rollout.fraction.value is not None:
        yield (), rollout.fraction.value


def _estimates(rollout: Rollout) -> _Samples:
    if rollout.fraction is not None:
        for method, value in rollout.fraction.estimates.items():
            yield (method,), value


def _updated_fraction(rollout: Rollout) -> _Samples:
    """Yield the quotient; during a surge it may exceed 1."""
    view = rollout.observation.view
    if view is not None and view.replicas is not None and view.replicas.desired:
        yield (), view.replicas.updated / view.replicas.desired


def _step(rollout: Rollout) -> _Samples:
    status = rollout.observation.status
    if status is not None and status.step_index is not None:
        yield (), status.step_index


def _replicas(rollout: Rollout) -> _Samples:
    view = rollout.observation.view
    if view is not None and view.replicas is not None:
        replicas = view.replicas
        yield ("desired",), replicas.desired
        yield ("updated",), replicas.updated
        yield ("available",), replicas.available
        yield ("unavailable",), replicas.unavailable
        yield ("old",), replicas.old


def _by_role(rollout: Rollout, counts: Counter[PodRole]) -> _Samples:
    if rollout.observation.workload is None:
        return
    updated_role = {CANARY: PodRole.CANARY, BLUE_GREEN: PodRole.PREVIEW}.get(rollout.state.strategy)
    # These roles have a sample even with no pods, so that alerts can compare with 0.
    always = {PodRole.STABLE, PodRole.OLD, updated_role}
    present = {role for _, role in rollout.pod_roles}
    for role in PodRole:
        if role in always or role in present:
            yield (role.value,), float(counts[role])


def _pods(rollout: Rollout) -> _Samples:
    return _by_role(rollout, Counter(role for _, role in rollout.pod_roles))


def _pods_ready(rollout: Rollout) -> _Samples:
    return _by_role(rollout, Counter(role for pod, role in rollout.pod_roles if pod.ready))


def _revision(rollout: Rollout, pod_template_hash: str) -> str:
    workload = rollout.observation.workload
    replica_set = workload.replica_sets.get(pod_template_hash) if workload is not None else None
    return "" if replica_set is None or replica_set.revision is None else str(replica_set.revision)


def _pod_info(rollout: Rollout) -> _Samples:
    for pod, role in rollout.pod_roles:
        yield (pod.name, pod.uid, role.value, pod.hash, _revision(rollout, pod.hash), pod.node), 1.0


def _revision_info(rollout: Rollout) -> _Samples:
    roles: dict[str, PodRole] = {}
    for pod, role in rollout.pod_roles:
        if pod.hash:
            roles.setdefault(pod.hash, role)
    for pod_template_hash, role in roles.items():
        yield (pod_template_hash, _revision(rollout, pod_template_hash), role.value), 1.0


def _updates(rollout: Rollout) -> _Samples:
    for result in UPDATE_RESULTS:
        yield (result.value,), float(rollout.state.result_counts.get(result, 0))


def _last_update(rollout: Rollout) -> _Samples:
    for result, seconds in rollout.state.last_durations.items():
        yield (str(result),), seconds


def _paused(rollout: Rollout) -> _Samples:
    yield (), rollout.state.paused_seconds


def _analysis_runs(rollout: Rollout) -> _Samples:
    if rollout.observation.view is not None and (rollout.run_counts or rollout.state.runs):
        for phase in RUN_PHASES:
            yield (phase,), float(rollout.run_counts.get(phase, 0))


def _finished_runs(rollout: Rollout) -> _Samples:
    for phase in FINISHED_PHASES:
        yield (phase,), float(rollout.state.finished_run_counts.get(phase, 0))


def _unknown(rollout: Rollout) -> _Samples:
    for reason in rollout.unknown_reasons:
        yield (reason,), 1.0


_GAUGE, _COUNTER = MetricType.GAUGE, MetricType.COUNTER
_KUBE_STATE_METRICS, _ROLLOUT_STATE = Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE
DERIVED_FAMILIES: Final = (
    DerivedFamily("argo_rollouts_phase", _GAUGE, ("phase",), _phase,
        "1 for the phase of the rollout, 0 for the other six (Unknown: a phase this exporter does not know)."),
    DerivedFamily("argo_rollouts_health", _GAUGE, ("health",), _health,
        "1 for the value of status.phase, 0 for the other three; needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_phase_start_timestamp_seconds", _GAUGE, (), _phase_start,
        "When the current phase was first seen (Unix seconds)."),
    DerivedFamily("argo_rollouts_pause_start_timestamp_seconds", _GAUGE, ("reason",), _pauses,
        "Start of each pause condition, by reason (Unix seconds); needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_phase_transitions_total", _COUNTER, ("phase",), _transitions,
        "Transitions into each phase since the rollout was first seen."),
    DerivedFamily("argo_rollouts_update_in_progress", _GAUGE, ("strategy",), _in_progress,
        "1 while the current revision differs from the stable one and is not aborted; absent while unknown."),
    DerivedFamily("argo_rollouts_canary_fraction", _GAUGE, (), _fraction,
        "The canary's share of traffic, 0 to 1, by the best method, without header and mirror routes; else absent."),
    DerivedFamily("argo_rollouts_canary_fraction_estimate", _GAUGE, ("method",), _estimates,
        "The canary's share of traffic by each method that can be computed."),
    DerivedFamily("argo_rollouts_updated_fraction", _GAUGE, (), _updated_fraction,
        "Updated replicas divided by desired replicas, not clamped; 1 at rest."),
    DerivedFamily("argo_rollouts_canary_step_index", _GAUGE, (), _step,
        "Index of the current canary step; needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_replicas", _GAUGE, ("state",), _replicas,
        "Replica counts of the controller; old is available + unavailable - updated."),
    DerivedFamily("argo_rollouts_pods", _GAUGE, ("role",), _pods,
        "Pods by role, without terminating ones.", _KUBE_STATE_METRICS),
    DerivedFamily("argo_rollouts_pods_ready", _GAUGE, ("role",), _pods_ready,
        "Ready pods by role.", _KUBE_STATE_METRICS),
    DerivedFamily("argo_rollouts_pod_info", _GAUGE, ("pod", "uid", "role", "pod_template_hash", "revision", "node"),
        _pod_info, "1 for each pod, with its role, revision and node.", _KUBE_STATE_METRICS, identity_labels=2),
    DerivedFamily("argo_rollouts_revision_info", _GAUGE, ("pod_template_hash", "revision", "role"), _revision_info,
        "1 for each revision that has pods.", _KUBE_STATE_METRICS, identity_labels=1),
    DerivedFamily("argo_rollouts_updates_total", _COUNTER, ("result",), _updates,
        "Completed updates, by result: promoted, aborted, rolled_back, superseded."),
    DerivedFamily("argo_rollouts_last_update_duration_seconds", _GAUGE, ("result",), _last_update,
        "Duration of the last update with each result."),
    DerivedFamily("argo_rollouts_pause_seconds_total", _COUNTER, (), _paused,
        "Time spent in phase Paused during updates."),
    DerivedFamily("argo_rollouts_analysis_runs", _GAUGE, ("phase",), _analysis_runs,
        "Existing AnalysisRuns, by phase; finished ones exist until they are deleted."),
    DerivedFamily("argo_rollouts_analysis_runs_total", _COUNTER, ("phase",), _finished_runs,
        "AnalysisRuns that finished while they were watched, by phase."),
    DerivedFamily("argo_rollouts_unknown", _GAUGE, ("reason",), _unknown,
        "1 for each reason why a series of the rollout is absent."),
)  # fmt: skip # a table
DERIVED_BY_NAME: Final = {row.name: row for row in DERIVED_FAMILIES}
