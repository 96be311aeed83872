"""The catalogue of derived series: one row for each family, and the function that computes its samples for one rollout.

To add a series, add a row and its function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricType, Source
from exporter.rollouts.details import RUNNING_PHASES
from exporter.rollouts.explain.position import routes, step_position, wait
from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from exporter.rollouts.inputs.controller import FINISHED_PHASES, RUN_PHASES
from exporter.rollouts.model import BLUE_GREEN, CANARY, HEALTHS, PHASES, UNKNOWN_PHASE, PodRole, UpdateState

if TYPE_CHECKING:
    from exporter.rollouts.details import AnalysisRunDetails, Images
    from exporter.rollouts.model import Rollout

_Samples = Iterator[tuple[tuple[str, ...], float]]
"""The values of the labels after namespace and name, and the value of each series."""


LEAN, STANDARD, FULL, ARTICLE = "lean", "standard", "full", "article"
"""The values of `series.preset`."""
ALL_PRESETS: Final = frozenset({LEAN, STANDARD, FULL, ARTICLE})


@dataclass(frozen=True, slots=True)
class DerivedFamily:
    """A family of the catalogue.

    `labels` follow namespace and name. `samples` returns label values and value of each series of a rollout. A series
    that is absent is stale only if the last pages of `source` show everything. In an info family the first
    `identity_labels` labels (0: none; None: no info family) identify a thing of the rollout (a pod, a revision): if
    only others change, the series with the old labels is exported as 0 for a while; with `ends_as_zero` also one whose
    thing is gone. `presets` are the values of `series.preset` that export it; others do on request.
    """

    name: str
    type: MetricType
    labels: tuple[str, ...]
    samples: Callable[[Rollout], _Samples]
    help: str
    source: Source = Source.ARGO
    identity_labels: int | None = None
    ends_as_zero: bool = False
    presets: frozenset[str] = ALL_PRESETS

    @property
    def is_info(self) -> bool:
        """Whether a series that is replaced is exported as 0 for a while."""
        return self.identity_labels is not None


def _phase(rollout: Rollout) -> _Samples:
    view = rollout.observation.view
    if view is not None:
        # All seven, with zeros: with one series, a store would show the former phase beside the new one for minutes.
        for phase in PHASES:
            yield (phase,), float(phase == view.phase)
        if view.phase == UNKNOWN_PHASE:
            yield (UNKNOWN_PHASE,), 1.0


def _phase_code(rollout: Rollout) -> _Samples:
    view = rollout.observation.view
    if view is not None:
        yield (), PHASE_CODES[view.phase]


def _health(rollout: Rollout) -> _Samples:
    """Yield nothing while the status is about an older spec, or older than the phase that the controller shows."""
    status, phases = rollout.observation.status, rollout.state.phases
    if status is None or not (status.generation_observed and status.health):
        return
    # A canary is in phase Completed only while all of it is ready: a restarted source may show what it had cached.
    is_outdated = (rollout.state.strategy, phases.phase, status.health) == (CANARY, "Completed", "Progressing")
    if rollout.observation.has_status_since(phases.since) and not is_outdated:
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
    updated_role = _UPDATED_ROLES.get(rollout.state.strategy)
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


def _last_result(rollout: Rollout) -> _Samples:
    account = rollout.state.account
    if account.result:
        yield (account.result, account.cause, account.metric), 1.0


def _waiting(rollout: Rollout) -> _Samples:
    if rollout.state.account.activity:
        yield (rollout.state.account.activity,), 1.0


def _exposure(rollout: Rollout) -> _Samples:
    if rollout.state.strategy == CANARY:
        yield (), rollout.state.account.exposure_seconds


def _lead_time(rollout: Rollout) -> _Samples:
    if rollout.state.account.lead_seconds is not None:
        yield (), rollout.state.account.lead_seconds


def _step_count(rollout: Rollout) -> _Samples:
    steps = rollout.observation.details.plan.steps
    if steps:
        yield (), float(len(steps))


def _step_kind(rollout: Rollout) -> _Samples:
    status = rollout.observation.status
    position = step_position(status) if status is not None and not status.aborted else None
    if position is not None:
        yield (position.kind,), 1.0


def _pause_end(rollout: Rollout) -> _Samples:
    status = rollout.observation.status
    until = wait(status).until if status is not None else None
    if until is not None:
        yield (), until


def _routes(rollout: Rollout) -> _Samples:
    status = rollout.observation.status
    if status is not None:
        for kind, count in Counter(routes(status).values()).items():
            yield (kind,), float(count)


def _present_run(rollout: Rollout) -> AnalysisRunDetails | None:
    """Return the AnalysisRun that is under way, else the one that ended last."""
    runs = [run for run in rollout.observation.details.runs if not run.experiment]
    return max(
        runs, key=lambda run: (run.phase in RUNNING_PHASES, run.completed_at or run.started_at or 0.0), default=None
    )


def _measurements(rollout: Rollout) -> _Samples:
    run = _present_run(rollout)
    for metric in run.metrics if run is not None else ():
        yield (metric.name, "Successful"), float(metric.successful)
        yield (metric.name, "Failed"), float(metric.failed)
        yield (metric.name, "Inconclusive"), float(metric.inconclusive)
        yield (metric.name, "Error"), float(metric.error)


def _values(rollout: Rollout) -> _Samples:
    run = _present_run(rollout)
    for metric in run.metrics if run is not None else ():
        number = _measured_number(metric.last_value)
        if number is not None:
            yield (metric.name,), number


def _measured_number(text: str) -> float | None:
    """Return a measured value that is a number, or a list with one (`[0.82]`, as Prometheus has it)."""
    try:
        number = float(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return number if isfinite(number) else None


def _versions(rollout: Rollout) -> _Samples:
    """Yield the images of the stable and the current revision, as far as they were ever shown."""
    hashes, images = rollout.state.hashes, rollout.state.memory.images
    if hashes.stable in images:
        yield from _images(PodRole.STABLE, images[hashes.stable])
    if hashes.current != hashes.stable and hashes.current in images:
        yield from _images(_UPDATED_ROLES.get(rollout.state.strategy, PodRole.CANARY), images[hashes.current])


def _images(role: PodRole, images: Images) -> _Samples:
    for image in sorted(set(images.values()))[:_MAX_IMAGES]:
        name, tag = _split_image(image)
        yield (role.value, name, tag), 1.0


def _split_image(image: str) -> tuple[str, str]:
    """Split an image into name and tag, its digest if it has no tag; the registry may have a port."""
    name, _, digest = image.partition("@")
    path, colon, tag = name.rpartition(":")
    return (path, tag) if colon and "/" not in tag else (name, digest)


def _experiments(rollout: Rollout) -> _Samples:
    experiments = rollout.observation.details.experiments
    if experiments:
        counts = Counter(experiment.phase or "Pending" for experiment in experiments)
        for phase in RUN_PHASES:
            yield (phase,), float(counts[phase])


def _no_labels(_: Rollout) -> _Samples:
    yield from ()


_UPDATED_ROLES: Final = {CANARY: PodRole.CANARY, BLUE_GREEN: PodRole.PREVIEW}
"""What the pods of a revision are that is not stable yet."""
_MAX_IMAGES: Final = 3
"""Images of a revision that are exported: each costs a series at rest, and a pod may have many sidecars."""
UNKNOWN: Final = "argo_rollouts_unknown"
LABELS: Final = "argo_rollouts_labels"
PHASE_CODES: Final = {phase: float(code) for code, phase in enumerate((*PHASES, UNKNOWN_PHASE), 1)}
"""The values of `argo_rollouts_phase_code`: part of the public interface, so a new phase gets a new number."""
_NOT_LEAN: Final = ALL_PRESETS - {LEAN}
_COMPLETE: Final = frozenset({FULL, ARTICLE})
"""Presets of families that a rollout can do without: each repeats another one, or is of use in a few cases only."""
_FULL: Final = frozenset({FULL})
_GAUGE, _COUNTER = MetricType.GAUGE, MetricType.COUNTER
_KUBE_STATE_METRICS, _ROLLOUT_STATE = Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE
DERIVED_FAMILIES: Final = (
    DerivedFamily("argo_rollouts_phase", _GAUGE, ("phase",), _phase,
        "1 for the phase of the rollout, 0 for the other six (Unknown: a phase this exporter does not know).",
        presets=_NOT_LEAN),
    DerivedFamily("argo_rollouts_phase_code", _GAUGE, (), _phase_code,
        f"The phase as a number: {', '.join(f'{code:.0f} {phase}' for phase, code in PHASE_CODES.items())}.",
        presets=frozenset({LEAN, FULL})),
    DerivedFamily("argo_rollouts_health", _GAUGE, ("health",), _health,
        "1 for the value of status.phase, 0 for the other three; needs rollout state.", _ROLLOUT_STATE,
        presets=_COMPLETE),
    DerivedFamily("argo_rollouts_phase_start_timestamp_seconds", _GAUGE, (), _phase_start,
        "When the current phase was first seen (Unix seconds)."),
    DerivedFamily("argo_rollouts_pause_start_timestamp_seconds", _GAUGE, ("reason",), _pauses,
        "Start of each pause condition, by reason (Unix seconds); needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_phase_transitions_total", _COUNTER, ("phase",), _transitions,
        "Transitions into each phase since the rollout was first seen.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_update_in_progress", _GAUGE, ("strategy",), _in_progress,
        "1 while the current revision differs from the stable one and is not aborted; absent while unknown."),
    DerivedFamily("argo_rollouts_canary_fraction", _GAUGE, (), _fraction,
        "The canary's share of traffic, 0 to 1, by the best method, without header and mirror routes; else absent."),
    DerivedFamily("argo_rollouts_canary_fraction_estimate", _GAUGE, ("method",), _estimates,
        "The canary's share of traffic by each method that can be computed.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_updated_fraction", _GAUGE, (), _updated_fraction,
        "Updated replicas divided by desired replicas, not clamped; 1 at rest.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_canary_step_index", _GAUGE, (), _step,
        "Index of the current canary step; needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_replicas", _GAUGE, ("state",), _replicas,
        "Replica counts of the controller; old is available + unavailable - updated.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_pods", _GAUGE, ("role",), _pods,
        "Pods by role, without terminating ones.", _KUBE_STATE_METRICS),
    DerivedFamily("argo_rollouts_pods_ready", _GAUGE, ("role",), _pods_ready,
        "Ready pods by role.", _KUBE_STATE_METRICS, presets=_COMPLETE),
    DerivedFamily("argo_rollouts_pod_info", _GAUGE, ("pod", "uid", "role", "pod_template_hash", "revision", "node"),
        _pod_info, "1 for each pod, with its role, revision and node.", _KUBE_STATE_METRICS, identity_labels=2,
        presets=_NOT_LEAN),
    DerivedFamily("argo_rollouts_revision_info", _GAUGE, ("pod_template_hash", "revision", "role"), _revision_info,
        "1 for each revision that has pods.", _KUBE_STATE_METRICS, identity_labels=1, presets=_COMPLETE),
    DerivedFamily("argo_rollouts_updates_total", _COUNTER, ("result",), _updates,
        "Completed updates, by result: promoted, aborted, rolled_back, superseded."),
    DerivedFamily("argo_rollouts_last_update_duration_seconds", _GAUGE, ("result",), _last_update,
        "Duration of the last update with each result.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_pause_seconds_total", _COUNTER, (), _paused,
        "Time spent in phase Paused during updates.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_analysis_runs", _GAUGE, ("phase",), _analysis_runs,
        "Existing AnalysisRuns, by phase; finished ones exist until they are deleted.", presets=_COMPLETE),
    DerivedFamily("argo_rollouts_analysis_runs_total", _COUNTER, ("phase",), _finished_runs,
        "AnalysisRuns that finished while they were watched, by phase."),
    DerivedFamily(UNKNOWN, _GAUGE, ("reason",), _unknown,
        "1 for each reason why a series of the rollout is absent; never_shown: no controller ever showed the rollout."),
    DerivedFamily("argo_rollouts_last_update_info", _GAUGE, ("result", "cause", "analysis_metric"), _last_result,
        "1 for the result of the last update; of an abort with its cause and the metric that failed.",
        identity_labels=0, ends_as_zero=True),
    DerivedFamily("argo_rollouts_update_waiting", _GAUGE, ("activity",), _waiting,
        "1 for what an update under way waits for: pods, timer, person, analysis, experiment, plugin, unknown.",
        identity_labels=0, ends_as_zero=True),
    DerivedFamily("argo_rollouts_canary_steps", _GAUGE, (), _step_count,
        "Number of canary steps; needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_canary_step_info", _GAUGE, ("kind",), _step_kind,
        "1 for the kind of the current canary step during an update (done: behind the last); needs rollout state.",
        _ROLLOUT_STATE, identity_labels=0, ends_as_zero=True),
    DerivedFamily("argo_rollouts_pause_end_timestamp_seconds", _GAUGE, (), _pause_end,
        "When the timed pause that is under way ends (Unix seconds); needs rollout state.", _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_canary_routes", _GAUGE, ("kind",), _routes,
        "Header and mirror routes to the canary. They reach it at weight 0; canary_fraction is without their traffic.",
        _ROLLOUT_STATE),
    DerivedFamily("argo_rollouts_canary_exposure_seconds_total", _COUNTER, (), _exposure,
        "Integral of canary_fraction over time: 60 is a minute of all traffic, or ten minutes of 10 %.",
        presets=_NOT_LEAN),
    DerivedFamily("argo_rollouts_version_info", _GAUGE, ("role", "image", "tag"), _versions,
        "1 for each image of the stable and the new revision, three at most; from pods, or the template.",
        identity_labels=2, ends_as_zero=True, presets=_NOT_LEAN),
    DerivedFamily("argo_rollouts_last_lead_time_seconds", _GAUGE, (), _lead_time,
        "Time from commit to promotion of the last promoted revision; needs lifecycle.commit_time."),
    DerivedFamily("argo_rollouts_analysis_measurements", _GAUGE, ("analysis_metric", "phase"), _measurements,
        "Measurements of the AnalysisRun under way, or last ended; needs rollout state.", _ROLLOUT_STATE,
        presets=_FULL),
    DerivedFamily("argo_rollouts_analysis_value", _GAUGE, ("analysis_metric",), _values,
        "Last value of each metric of that AnalysisRun, if it is a number; needs rollout state.", _ROLLOUT_STATE,
        presets=_FULL),
    DerivedFamily("argo_rollouts_experiments", _GAUGE, ("phase",), _experiments,
        "Existing experiments of the rollout, by phase; needs rollout state.", _ROLLOUT_STATE, presets=_FULL),
    DerivedFamily(LABELS, _GAUGE, (), _no_labels,
        "1, with the labels of the Rollout object that series.labels names; needs rollout state.", _ROLLOUT_STATE,
        identity_labels=0, presets=_FULL),
)  # fmt: skip # a table
DERIVED_BY_NAME: Final = {row.name: row for row in DERIVED_FAMILIES}
DEFAULT_FAMILIES: Final = tuple(row for row in DERIVED_FAMILIES if STANDARD in row.presets)


def selected_families(
    preset: str,
    is_requested: Callable[[str], bool],
    is_dropped: Callable[[str], bool],
    labels: Sequence[str],
) -> tuple[DerivedFamily, ...]:
    """Return the rows of a preset and those on request, without dropped ones.

    The family of labels is exported if there are `labels` to export.
    """
    rows = [
        row
        for row in DERIVED_FAMILIES
        if row.name != LABELS and (preset in row.presets or is_requested(row.name)) and not is_dropped(row.name)
    ]
    return (*rows, _labels_row(labels)) if labels and not is_dropped(LABELS) else tuple(rows)


def _labels_row(labels: Sequence[str]) -> DerivedFamily:
    def samples(rollout: Rollout) -> _Samples:
        values = tuple(rollout.observation.details.labels.get(label, "") for label in labels)
        if any(values):
            yield values, 1.0

    return replace(DERIVED_BY_NAME[LABELS], labels=tuple(labels), samples=samples)
