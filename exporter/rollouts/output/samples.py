"""What each family of the catalogue says of a rollout: (extra label values, value) pairs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from exporter.rollouts.inputs import analysis_runs as runs
from exporter.rollouts.model import BLUE_GREEN, CANARY, HEALTHS, PHASES, UNKNOWN_PHASE, PodRole, UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rollouts.model import Rollout

LabelledValue = tuple[tuple[str, ...], float]
"""Values of the extra labels, and the value of the series."""


def phase(rollout: Rollout) -> Iterator[LabelledValue]:
    """One of the seven phases is 1, or the eighth, Unknown."""
    reading = rollout.observation.view
    if reading is not None:
        for phase in PHASES:
            yield (phase,), float(phase == reading.phase)
        if reading.phase == UNKNOWN_PHASE:
            yield (UNKNOWN_PHASE,), 1.0


def health(rollout: Rollout) -> Iterator[LabelledValue]:
    """One of status.phase's four values is 1, when the status is of the present spec."""
    state = rollout.observation.status
    if state is not None and state.generation_observed and state.health:
        for health in HEALTHS:
            yield (health,), float(health == state.health)


def phase_start(rollout: Rollout) -> Iterator[LabelledValue]:
    """When the phase began."""
    if rollout.observation.view is not None:
        yield (), rollout.state.phases.started_at


def pauses(rollout: Rollout) -> Iterator[LabelledValue]:
    """When each pause condition began."""
    state = rollout.observation.status
    if state is not None:
        for reason, start in state.pauses:
            yield (reason,), start


def transitions(rollout: Rollout) -> Iterator[LabelledValue]:
    """Entries into each phase."""
    entries = rollout.state.phases.transition_counts
    for phase in PHASES:
        yield (phase,), float(entries.get(phase, 0))


def in_progress(rollout: Rollout) -> Iterator[LabelledValue]:
    """Whether an update is under way; nothing while that is unknown."""
    life = rollout.state
    if rollout.observation.view is not None and life.update_state is not UpdateState.UNKNOWN:
        yield (life.strategy,), float(life.update_state is UpdateState.UPDATING)


def fraction(rollout: Rollout) -> Iterator[LabelledValue]:
    """The canary's share by the best method."""
    if rollout.fraction is not None and rollout.fraction.value is not None:
        yield (), rollout.fraction.value


def estimates(rollout: Rollout) -> Iterator[LabelledValue]:
    """The canary's share by each method."""
    if rollout.fraction is not None:
        for method, value in rollout.fraction.estimates.items():
            yield (method,), value


def updated_fraction(rollout: Rollout) -> Iterator[LabelledValue]:
    """The article's formula, unclamped."""
    reading = rollout.observation.view
    if reading is not None and reading.replicas is not None and reading.replicas.desired:
        yield (), reading.replicas.updated / reading.replicas.desired


def step(rollout: Rollout) -> Iterator[LabelledValue]:
    """The index of the canary step."""
    state = rollout.observation.status
    if state is not None and state.step_index is not None:
        yield (), state.step_index


def replicas(rollout: Rollout) -> Iterator[LabelledValue]:
    """The controller's four gauges, and the pods of other revisions."""
    reading = rollout.observation.view
    if reading is not None and reading.replicas is not None:
        replicas = reading.replicas
        yield ("desired",), replicas.desired
        yield ("updated",), replicas.updated
        yield ("available",), replicas.available
        yield ("unavailable",), replicas.unavailable
        yield ("old",), replicas.old


def _by_role(rollout: Rollout, counted: Counter[PodRole]) -> Iterator[LabelledValue]:
    if rollout.observation.workload is None:
        return
    moving = {CANARY: PodRole.CANARY, BLUE_GREEN: PodRole.PREVIEW}.get(rollout.state.strategy)
    always = (PodRole.STABLE, PodRole.OLD) if moving is None else (PodRole.STABLE, moving, PodRole.OLD)
    for role in PodRole:
        if role in always or any(one is role for _, one in rollout.pod_roles):
            yield (role.value,), float(counted[role])


def pods(rollout: Rollout) -> Iterator[LabelledValue]:
    """Pods by role."""
    return _by_role(rollout, Counter(role for _, role in rollout.pod_roles))


def pods_ready(rollout: Rollout) -> Iterator[LabelledValue]:
    """Ready pods by role."""
    return _by_role(rollout, Counter(role for pod, role in rollout.pod_roles if pod.ready))


def _revision(rollout: Rollout, digest: str) -> str:
    workload = rollout.observation.workload
    one = workload.replica_sets.get(digest) if workload is not None else None
    return "" if one is None or one.revision is None else str(one.revision)


def pod_info(rollout: Rollout) -> Iterator[LabelledValue]:
    """Each pod, with its role."""
    for pod, role in rollout.pod_roles:
        yield (pod.name, pod.uid, role.value, pod.hash, _revision(rollout, pod.hash), pod.node), 1.0


def revision_info(rollout: Rollout) -> Iterator[LabelledValue]:
    """Each revision that has pods."""
    seen: dict[str, PodRole] = {}
    for pod, role in rollout.pod_roles:
        if pod.hash:
            seen.setdefault(pod.hash, role)
    for digest, role in seen.items():
        yield (digest, _revision(rollout, digest), role.value), 1.0


def updates(rollout: Rollout) -> Iterator[LabelledValue]:
    """Updates by how they ended."""
    for result in UPDATE_RESULTS:
        yield (result.value,), float(rollout.state.result_counts.get(result, 0))


def last_update(rollout: Rollout) -> Iterator[LabelledValue]:
    """How long the last update took, by how it ended."""
    for result, seconds in rollout.state.last_durations.items():
        yield (str(result),), seconds


def paused(rollout: Rollout) -> Iterator[LabelledValue]:
    """Time paused during updates."""
    yield (), rollout.state.paused_seconds


def analysis_runs(rollout: Rollout) -> Iterator[LabelledValue]:
    """AnalysisRuns by phase."""
    if rollout.observation.view is not None and (rollout.run_counts or rollout.state.runs):
        for phase in runs.RUN_PHASES:
            yield (phase,), float(rollout.run_counts.get(phase, 0))


def finished_runs(rollout: Rollout) -> Iterator[LabelledValue]:
    """AnalysisRuns seen to finish."""
    for phase in runs.FINISHED_PHASES:
        yield (phase,), float(rollout.state.finished_run_counts.get(phase, 0))


def unknown(rollout: Rollout) -> Iterator[LabelledValue]:
    """What is not known."""
    for reason in rollout.unknown_reasons:
        yield (reason,), 1.0
