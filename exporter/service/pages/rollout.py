"""The page of one rollout: its card, steps, revisions, pods, analyses, evidence, series, links and commands."""

from __future__ import annotations

import shlex
from collections import Counter
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final

from exporter.config.outputs import LINK_NAMES, filled_link
from exporter.durations import duration
from exporter.metrics import Series
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.explain.position import current_step
from exporter.rollouts.explain.sentences import quoted, short_image
from exporter.rollouts.explain.words import METHODS, UNKNOWN_REASONS
from exporter.service.pages.fleet import revision_number, step_mark, traffic_share
from exporter.service.pages.timeline import BEGINNINGS, attempt_of
from exporter.web import exposition_writer
from exporter.web.model import (
    AnalysisLine,
    CommandLine,
    EstimateLine,
    FactLine,
    MeasuredMetric,
    PageLink,
    PodLine,
    RevisionLine,
    StepLine,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.rollouts.details import AnalysisRunDetails, CanaryStep, MetricMeasurements
    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import PodRoles, Rollout, RolloutKey
    from exporter.rollouts.output.catalogue import DerivedFamily
    from exporter.service.pages.timeline import TransitionObject

MAX_PODS: Final = 200
"""Pods of a rollout that are listed, those that are not ready first: a page of thousands has no use."""
MAX_ANALYSES: Final = 20
"""AnalysisRuns that are listed, the newest first."""
MAX_SERIES: Final = 200


# Steps


def step_lines(
    rollout: Rollout, explanation: Explanation, transitions: Sequence[TransitionObject], now: float
) -> tuple[StepLine, ...]:
    """Return the steps of the plan; of the newest attempt with the time that each took, as far as it is held."""
    steps, position = rollout.observation.details.plan.steps, explanation.step
    if not steps:
        return ()
    seconds = step_seconds(transitions, now) if position is not None else {}
    mark = step_mark(rollout, explanation)
    is_stopped = mark is not None and mark.is_stopped
    # An aborted update without a mark stopped at a step that is not known.
    reached = mark.index if mark is not None else len(steps) if position is None else -1
    return tuple(
        StepLine(index, step_text(step), _step_state(index, reached, is_stopped=is_stopped), seconds.get(index))
        for index, step in enumerate(steps)
    )


def _step_state(index: int, reached: int, *, is_stopped: bool) -> str:
    if index == reached:
        return "stopped" if is_stopped else "current"
    return "done" if index < reached else "ahead"


def step_text(step: CanaryStep) -> str:
    """Return a step in words, with the spelling of its key in the spec."""
    if step.kind == "setWeight" and step.weight is not None:
        return f"setWeight {step.weight:g}"
    if step.kind == "pause":
        return f"pause {duration(step.duration)}" if step.duration else "pause, for a person"
    if step.route:
        return f"{step.kind} {step.route}" + ("" if step.makes_route else ", removed")
    return step.kind


def step_seconds(transitions: Sequence[TransitionObject], now: float) -> Mapping[int, float]:
    """Return how long the newest attempt took, or has taken, at each step that it was seen to reach."""
    reached = []
    for transition in attempt_of(transitions):
        if transition["type"] in BEGINNINGS:
            reached = [(transition["at"], 0)]
        elif transition["type"] == TransitionType.STEP_REACHED and "step" in transition:
            reached.append((transition["at"], transition["step"]["index"]))
        elif transition["type"] in {TransitionType.ABORTED, TransitionType.PROMOTED, TransitionType.ROLLED_BACK}:
            now = transition["at"]
            break
    spans = pairwise([*reached, (now, -1)])
    # Steps that lie between two that were seen took less than a tick.
    return {index: max(end - start, 0.0) for (start, index), (end, _) in spans}


# Revisions and pods


def revision_lines(rollout: Rollout) -> tuple[RevisionLine, ...]:
    """Return the revisions that have pods or are the current or the stable one, the newest first."""
    hashes, observation = rollout.state.hashes, rollout.observation
    pods = Counter(pod.hash for pod, _ in rollout.pod_roles)
    hashes_to_list = {*pods, hashes.current, hashes.stable} - {""}
    created = {each: replica_set.created_at for each, replica_set in observation.replica_sets.items()}
    newest_first = sorted(hashes_to_list, key=lambda each: (-created.get(each, 0.0), each))
    return tuple(_revision_line(rollout, pod_hash, pods[pod_hash]) for pod_hash in newest_first)


def _revision_line(rollout: Rollout, pod_hash: str, pod_count: int) -> RevisionLine:
    hashes = rollout.state.hashes
    roles = dict.fromkeys(role.value for pod, role in rollout.pod_roles if pod.hash == pod_hash)
    names = [name for name, of_role in (("current", hashes.current), ("stable", hashes.stable)) if of_role == pod_hash]
    images = rollout.state.memory.images.get(pod_hash) or next(
        (pod.images for pod, _ in rollout.pod_roles if pod.hash == pod_hash and pod.images), {}
    )
    return RevisionLine(
        hash=pod_hash,
        roles=", ".join(dict.fromkeys((*names, *roles))),
        number=revision_number(rollout, pod_hash).removeprefix("revision "),
        images=tuple(f"{name} {short_image(image)}" for name, image in images.items()),
        pods=pod_count,
        ready=sum(pod.ready for pod, _ in rollout.pod_roles if pod.hash == pod_hash),
        share=_share_of(rollout, pod_hash),
    )


def _share_of(rollout: Rollout, pod_hash: str) -> float | None:
    """Return a revision's share of the traffic in [0, 1], None if it is not known; old revisions have none of it."""
    hashes, share = rollout.state.hashes, traffic_share(rollout).true
    if share is None or not hashes.stable or not hashes.current:
        return None
    if hashes.stable == hashes.current:
        return 1.0 if pod_hash == hashes.stable else 0.0
    return {hashes.current: share, hashes.stable: 1.0 - share}.get(pod_hash, 0.0)


def pod_lines(pods: PodRoles) -> tuple[PodLine, ...]:
    """Return the pods, at most MAX_PODS, those that are not ready first."""
    ordered = sorted(pods, key=lambda each: (each[0].ready, each[1].value, each[0].name))[:MAX_PODS]
    return tuple(PodLine(pod.name, role.value, pod.hash, pod.ready, pod.node) for pod, role in ordered)


# Analyses


def analysis_lines(rollout: Rollout) -> tuple[AnalysisLine, ...]:
    """Return the AnalysisRuns, the newest first; without rollout state only their names and phases are known."""
    if not rollout.observation.details.runs:
        named = sorted(rollout.state.runs.items())[:MAX_ANALYSES]
        return tuple(AnalysisLine(name, phase=phase) for name, phase in named)
    return tuple(map(_analysis_line, newest_runs(rollout)))


def newest_runs(rollout: Rollout) -> list[AnalysisRunDetails]:
    """Return the AnalysisRuns that rollout state shows, the newest first, at most MAX_ANALYSES."""
    runs = rollout.observation.details.runs
    return sorted(runs, key=lambda run: (-(run.started_at or 0.0), run.name))[:MAX_ANALYSES]


def _analysis_line(run: AnalysisRunDetails) -> AnalysisLine:
    return AnalysisLine(
        run=run.name,
        slot=f"experiment {run.experiment}" if run.experiment else run.slot,
        phase=run.phase,
        message=quoted(run.message),
        started_at=run.started_at,
        completed_at=run.completed_at,
        metrics=tuple(map(_measured_metric, run.metrics)),
    )


def _measured_metric(metric: MetricMeasurements) -> MeasuredMetric:
    names = ("successful", "failed", "inconclusive", "error")
    return MeasuredMetric(
        name=metric.name,
        phase=metric.phase,
        value=quoted(metric.last_value),
        counts=", ".join(f"{count} {name}" for name in names if (count := getattr(metric, name))),
        condition=quoted(metric.success_condition or metric.failure_condition),
        message=quoted(metric.message or metric.last_message),
        is_dry_run=metric.is_dry_run,
    )


# How it is known, and where to look further


def fact_lines(explanation: Explanation) -> tuple[FactLine, ...]:
    """Return the facts that the sentence rests on."""
    return tuple(FactLine(line.text, line.source, line.age) for line in explanation.evidence)


def estimate_lines(rollout: Rollout) -> tuple[EstimateLine, ...]:
    """Return the canary's share by each method, those that cannot be computed, too; none without a canary."""
    fraction = rollout.fraction
    if fraction is None:
        return ()
    return tuple(
        EstimateLine(method, text, fraction.estimates.get(method), is_best=method == fraction.method)
        for method, text in METHODS.items()
    )


def unknown_lines(rollout: Rollout) -> tuple[str, ...]:
    """Return what is unknown of a rollout, and why."""
    return tuple(f"{reason}: {UNKNOWN_REASONS.get(reason, reason)}" for reason in rollout.unknown_reasons)


def series_lines(rollout: Rollout, rows: Iterable[DerivedFamily]) -> tuple[str, ...]:
    """Return the derived series of a rollout as /metrics has them, at most MAX_SERIES."""
    return tuple(islice(_series_lines(rollout, rows), MAX_SERIES))


def _series_lines(rollout: Rollout, rows: Iterable[DerivedFamily]) -> Iterator[str]:
    for row in rows:
        for values, value in row.samples(rollout):
            names = ("namespace", "name", *row.labels)
            series = Series(row.name, tuple(zip(names, (*rollout.key, *values), strict=True)))
            yield exposition_writer.sample_line(series, value)


def command_lines(key: RolloutKey, rollout: Rollout) -> tuple[CommandLine, ...]:
    """Return commands to copy: what to look at, and what can be done now."""
    # The names of Kubernetes need no quotes; those of a page may.
    namespace, name = map(shlex.quote, key)
    argo = "kubectl argo rollouts"
    lines = [
        CommandLine("look at it", f"{argo} get rollout {name} -n {namespace}"),
        CommandLine("its object", f"kubectl get rollout {name} -n {namespace} -o yaml"),
    ]
    if pod_hash := rollout.state.hashes.current:
        selector = f"-l rollouts-pod-template-hash={shlex.quote(pod_hash)}"
        lines.append(CommandLine("pods of the newest revision", f"kubectl get pods -n {namespace} {selector}"))
    for purpose, word in _actions(rollout):
        lines.append(CommandLine(purpose, f"{argo} {word} {name} -n {namespace}"))
    return tuple(lines)


def link_lines(rollout: Rollout, links: Mapping[str, str]) -> tuple[PageLink, ...]:
    """Return the links of the settings, for this rollout."""
    fills = dict(zip(LINK_NAMES, (*rollout.key, rollout.state.hashes.current), strict=True))
    return tuple(PageLink(label, filled_link(link, fills)) for label, link in links.items())


def _actions(rollout: Rollout) -> Sequence[tuple[str, str]]:
    match rollout.state.update_state.value:
        case "aborted":
            return (("try the revision again", "retry rollout"), ("return to the last revision", "undo"))
        case "updating":
            status = rollout.observation.status
            step = current_step(status) if status is not None else None
            skip = [("skip this step", "promote --skip-current-step")] if step is not None else []
            return [("go on", "promote"), *skip, ("give up", "abort")]
    return ()


def details_json(
    rollout: Rollout, explanation: Explanation, transitions: Sequence[TransitionObject], now: float
) -> dict[str, Any]:
    """Return the members of /api/rollouts/NAMESPACE/NAME beyond those of /api/rollouts: steps and analyses."""
    steps = rollout.observation.details.plan.steps or ()
    lines = step_lines(rollout, explanation, transitions, now)
    return {
        "steps": [_step_json(step, line) for step, line in zip(steps, lines, strict=True)],
        "analyses": [_run_json(run) for run in newest_runs(rollout)],
    }


def _step_json(step: CanaryStep, line: StepLine) -> dict[str, Any]:
    members = {
        "index": line.index,
        "kind": step.kind,
        "state": line.state,
        "weight": step.weight,
        "duration": step.duration,
        "seconds": line.seconds,
    }
    return {name: value for name, value in members.items() if value is not None}


def _run_json(run: AnalysisRunDetails) -> dict[str, Any]:
    return {
        "name": run.name,
        "slot": run.slot,
        "phase": run.phase,
        "message": run.message,
        "started": run.started_at,
        "completed": run.completed_at,
        "metrics": [
            {
                "name": metric.name,
                "phase": metric.phase,
                "successful": metric.successful,
                "failed": metric.failed,
                "inconclusive": metric.inconclusive,
                "error": metric.error,
                "last": metric.last_value,
            }
            for metric in run.metrics
        ],
    }
