"""The samples of each family of the catalogue, for one rollout."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from exporter.rollouts.inputs.analysis_runs import FINISHED_PHASES, RUN_PHASES
from exporter.rollouts.model import BLUE_GREEN, CANARY, HEALTHS, PHASES, UNKNOWN_PHASE, PodRole, UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rollouts.model import Rollout

LabelledValue = tuple[tuple[str, ...], float]
"""Values of the labels after namespace and name, and the value of the series."""


def phase(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield a sample for each of the seven phases, and for an unknown one."""
    view = rollout.observation.view
    if view is not None:
        for phase in PHASES:
            yield (phase,), float(phase == view.phase)
        if view.phase == UNKNOWN_PHASE:
            yield (UNKNOWN_PHASE,), 1.0


def health(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield a sample for each value of status.phase, if the status is about the current spec."""
    status = rollout.observation.status
    if status is not None and status.generation_observed and status.health:
        for health in HEALTHS:
            yield (health,), float(health == status.health)


def phase_start(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the start of the current phase."""
    if rollout.observation.view is not None:
        yield (), rollout.state.phases.started_at


def pauses(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the start of each pause condition."""
    status = rollout.observation.status
    if status is not None:
        for reason, start in status.pauses:
            yield (reason,), start


def transitions(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the transitions into each phase."""
    counts = rollout.state.phases.transition_counts
    for phase in PHASES:
        yield (phase,), float(counts.get(phase, 0))


def in_progress(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield whether an update is in progress, nothing while that is unknown."""
    state = rollout.state
    if rollout.observation.view is not None and state.update_state is not UpdateState.UNKNOWN:
        yield (state.strategy,), float(state.update_state is UpdateState.UPDATING)


def fraction(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the canary fraction by the best method."""
    if rollout.fraction is not None and rollout.fraction.value is not None:
        yield (), rollout.fraction.value


def estimates(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the canary fraction by each method."""
    if rollout.fraction is not None:
        for method, value in rollout.fraction.estimates.items():
            yield (method,), value


def updated_fraction(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield updated replicas per desired one; during a surge it may exceed 1."""
    view = rollout.observation.view
    if view is not None and view.replicas is not None and view.replicas.desired:
        yield (), view.replicas.updated / view.replicas.desired


def step(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the index of the canary step."""
    status = rollout.observation.status
    if status is not None and status.step_index is not None:
        yield (), status.step_index


def replicas(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the controller's four gauges, and the replicas of other revisions."""
    view = rollout.observation.view
    if view is not None and view.replicas is not None:
        replicas = view.replicas
        yield ("desired",), replicas.desired
        yield ("updated",), replicas.updated
        yield ("available",), replicas.available
        yield ("unavailable",), replicas.unavailable
        yield ("old",), replicas.old


def _by_role(rollout: Rollout, counts: Counter[PodRole]) -> Iterator[LabelledValue]:
    if rollout.observation.workload is None:
        return
    updated_role = {CANARY: PodRole.CANARY, BLUE_GREEN: PodRole.PREVIEW}.get(rollout.state.strategy)
    # These roles have a sample even with no pods, so that alerts can compare with 0.
    always = {PodRole.STABLE, PodRole.OLD, updated_role}
    present = {role for _, role in rollout.pod_roles}
    for role in PodRole:
        if role in always or role in present:
            yield (role.value,), float(counts[role])


def pods(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the number of pods by role."""
    return _by_role(rollout, Counter(role for _, role in rollout.pod_roles))


def pods_ready(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the number of ready pods by role."""
    return _by_role(rollout, Counter(role for pod, role in rollout.pod_roles if pod.ready))


def _revision(rollout: Rollout, pod_template_hash: str) -> str:
    workload = rollout.observation.workload
    replica_set = workload.replica_sets.get(pod_template_hash) if workload is not None else None
    return "" if replica_set is None or replica_set.revision is None else str(replica_set.revision)


def pod_info(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield a sample for each pod."""
    for pod, role in rollout.pod_roles:
        yield (pod.name, pod.uid, role.value, pod.hash, _revision(rollout, pod.hash), pod.node), 1.0


def revision_info(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield a sample for each revision that has pods."""
    roles: dict[str, PodRole] = {}
    for pod, role in rollout.pod_roles:
        if pod.hash:
            roles.setdefault(pod.hash, role)
    for pod_template_hash, role in roles.items():
        yield (pod_template_hash, _revision(rollout, pod_template_hash), role.value), 1.0


def updates(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield completed updates by result."""
    for result in UPDATE_RESULTS:
        yield (result.value,), float(rollout.state.result_counts.get(result, 0))


def last_update(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the duration of the last update with each result."""
    for result, seconds in rollout.state.last_durations.items():
        yield (str(result),), seconds


def paused(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the time paused during updates."""
    yield (), rollout.state.paused_seconds


def analysis_runs(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield existing AnalysisRuns by phase."""
    if rollout.observation.view is not None and (rollout.run_counts or rollout.state.runs):
        for phase in RUN_PHASES:
            yield (phase,), float(rollout.run_counts.get(phase, 0))


def finished_runs(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield finished AnalysisRuns by phase."""
    for phase in FINISHED_PHASES:
        yield (phase,), float(rollout.state.finished_run_counts.get(phase, 0))


def unknown(rollout: Rollout) -> Iterator[LabelledValue]:
    """Yield the reasons why series are absent."""
    for reason in rollout.unknown_reasons:
        yield (reason,), 1.0
