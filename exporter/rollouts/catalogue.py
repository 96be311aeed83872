"""The derived series: one table, a row a family; everything said of a rollout is said here.

Adding a series is a row and a function from a Rollout to (extra label values, value) pairs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.family import Kind
from exporter.rollouts.fleet import BLUE_GREEN, CANARY, HEALTHS, PHASES, UNKNOWN_PHASE, Role, Standing
from exporter.rollouts.lifecycle import RESULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.rollouts.rollout import Rollout

Said = "Iterable[tuple[tuple[str, ...], float]]"
RUN_PHASES: Final = ("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")
FINISHED_RUN_PHASES: Final = ("Successful", "Failed", "Error", "Inconclusive")


@dataclass(frozen=True, slots=True)
class Row:
    """A family of the catalogue.

    `labels` come after namespace and name. `identity` counts how many of them tell one thing (a pod, a revision)
    from another in an info series: when only the others change, the former series is said as 0 for a while.
    `held` is what must answer before an absence means anything: the controller or kube-state-metrics.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    say: Callable[[Rollout], Iterable[tuple[tuple[str, ...], float]]]
    workload: bool = False
    identity: int = 0


def _phase(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    reading = rollout.sighting.reading
    if reading is not None:
        for phase in PHASES:
            yield (phase,), float(phase == reading.phase)
        if reading.phase == UNKNOWN_PHASE:
            yield (UNKNOWN_PHASE,), 1.0


def _health(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    state = rollout.sighting.state
    if state is not None and state.observed and state.health:
        for health in HEALTHS:
            yield (health,), float(health == state.health)


def _phase_start(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    if rollout.sighting.reading is not None:
        yield (), rollout.life.phases.start


def _transitions(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    entries = rollout.life.phases.entries
    for phase in PHASES:
        yield (phase,), float(entries.get(phase, 0))


def _in_progress(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    life = rollout.life
    if rollout.sighting.reading is not None and life.standing is not Standing.UNKNOWN:
        yield (life.strategy,), float(life.standing is Standing.UPDATING)


def _fraction(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    if rollout.fraction is not None and rollout.fraction.best is not None:
        yield (), rollout.fraction.best


def _estimates(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    if rollout.fraction is not None:
        for method, value in rollout.fraction.estimates.items():
            yield (method,), value


def _updated_fraction(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    reading = rollout.sighting.reading
    if reading is not None and reading.replicas is not None and reading.replicas.desired:
        yield (), reading.replicas.updated / reading.replicas.desired


def _step(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    state = rollout.sighting.state
    if state is not None and state.step is not None:
        yield (), state.step


def _replicas(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    reading = rollout.sighting.reading
    if reading is not None and reading.replicas is not None:
        replicas = reading.replicas
        yield ("desired",), replicas.desired
        yield ("updated",), replicas.updated
        yield ("available",), replicas.available
        yield ("unavailable",), replicas.unavailable
        yield ("old",), replicas.old


def _by_role(rollout: Rollout, counted: Counter[Role]) -> Iterator[tuple[tuple[str, ...], float]]:
    if rollout.sighting.workload is None:
        return
    moving = {CANARY: Role.CANARY, BLUE_GREEN: Role.PREVIEW}.get(rollout.life.strategy)
    always = (Role.STABLE, Role.OLD) if moving is None else (Role.STABLE, moving, Role.OLD)
    for role in Role:
        if role in always or any(one is role for _, one in rollout.roles):
            yield (role.value,), float(counted[role])


def _pods(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    return _by_role(rollout, Counter(role for _, role in rollout.roles))


def _pods_ready(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    return _by_role(rollout, Counter(role for pod, role in rollout.roles if pod.ready))


def _revision(rollout: Rollout, digest: str) -> str:
    workload = rollout.sighting.workload
    one = workload.replica_sets.get(digest) if workload is not None else None
    return "" if one is None or one.revision is None else str(one.revision)


def _pod_info(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    for pod, role in rollout.roles:
        yield (pod.name, pod.uid, role.value, pod.hash, _revision(rollout, pod.hash), pod.node), 1.0


def _revision_info(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    seen: dict[str, Role] = {}
    for pod, role in rollout.roles:
        if pod.hash:
            seen.setdefault(pod.hash, role)
    for digest, role in seen.items():
        yield (digest, _revision(rollout, digest), role.value), 1.0


def _updates(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    for result in RESULTS:
        yield (result.value,), float(rollout.life.results.get(result, 0))


def _last_update(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    for result, seconds in rollout.life.last_seconds.items():
        yield (str(result),), seconds


def _paused(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    yield (), rollout.life.paused_seconds


def _runs(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    if rollout.sighting.reading is not None and (rollout.runs or rollout.life.runs):
        for phase in RUN_PHASES:
            yield (phase,), float(rollout.runs.get(phase, 0))


def _finished_runs(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    for phase in FINISHED_RUN_PHASES:
        yield (phase,), float(rollout.life.runs_finished.get(phase, 0))


def _unknown(rollout: Rollout) -> Iterator[tuple[tuple[str, ...], float]]:
    for reason in rollout.unknown:
        yield (reason,), 1.0


ROWS: Final = (
    Row("argo_rollouts_phase", Kind.GAUGE, ("phase",), "The rollout's phase, one of seven is 1 (Unknown: a phase this exporter does not know).", _phase),
    Row("argo_rollouts_health", Kind.GAUGE, ("health",), "The object's own status.phase, one of four is 1; with rollout state only.", _health),
    Row("argo_rollouts_phase_start_timestamp_seconds", Kind.GAUGE, (), "When the present phase was first seen (Unix seconds).", _phase_start),
    Row("argo_rollouts_phase_transitions_total", Kind.COUNTER, ("phase",), "Entries into each phase since the rollout was first seen.", _transitions),
    Row("argo_rollouts_update_in_progress", Kind.GAUGE, ("strategy",), "1 while the wanted revision differs from the stable one and is not aborted; absent while unknown.", _in_progress),
    Row("argo_rollouts_canary_fraction", Kind.GAUGE, (), "Share of traffic on the canary, 0 to 1, by the best method known; absent while unknown.", _fraction),
    Row("argo_rollouts_canary_fraction_estimate", Kind.GAUGE, ("method",), "The canary's share by each method that could be computed.", _estimates),
    Row("argo_rollouts_updated_fraction", Kind.GAUGE, (), "Updated replicas per desired one, unclamped: 1 at rest.", _updated_fraction),
    Row("argo_rollouts_canary_step_index", Kind.GAUGE, (), "Index of the present canary step; with rollout state only.", _step),
    Row("argo_rollouts_replicas", Kind.GAUGE, ("state",), "The controller's replica counts; old is available + unavailable - updated.", _replicas),
    Row("argo_rollouts_pods", Kind.GAUGE, ("role",), "Pods that are not terminating, by role.", _pods, workload=True),
    Row("argo_rollouts_pods_ready", Kind.GAUGE, ("role",), "Ready pods by role.", _pods_ready, workload=True),
    Row("argo_rollouts_pod_info", Kind.GAUGE, ("pod", "uid", "role", "pod_template_hash", "revision", "node"), "1 for each pod: its role, revision and node.", _pod_info, workload=True, identity=2),
    Row("argo_rollouts_revision_info", Kind.GAUGE, ("pod_template_hash", "revision", "role"), "1 for each revision that has pods.", _revision_info, workload=True, identity=1),
    Row("argo_rollouts_updates_total", Kind.COUNTER, ("result",), "Updates that ended: promoted, aborted, rolled_back, superseded.", _updates),
    Row("argo_rollouts_last_update_duration_seconds", Kind.GAUGE, ("result",), "How long the last update that ended so took.", _last_update),
    Row("argo_rollouts_pause_seconds_total", Kind.COUNTER, (), "Time spent Paused during updates.", _paused),
    Row("argo_rollouts_analysis_runs", Kind.GAUGE, ("phase",), "AnalysisRuns that exist, by phase: a stock, old runs are kept.", _runs),
    Row("argo_rollouts_analysis_runs_total", Kind.COUNTER, ("phase",), "AnalysisRuns that were seen to finish.", _finished_runs),
    Row("argo_rollouts_unknown", Kind.GAUGE, ("reason",), "1 while something of this rollout is not known, and why.", _unknown),
)  # fmt: skip # a table
BY_NAME: Final = {row.name: row for row in ROWS}
