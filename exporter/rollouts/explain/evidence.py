"""The facts that an explanation rests on, each with its source and age."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.details import BAD_PHASES
from exporter.rollouts.explain.model import EvidenceLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rollouts.details import AnalysisRunDetails, MetricMeasurements, RolloutDetails
    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import Rollout

_STATE = "rollout state"


def evidence(rollout: Rollout, explanation: Explanation, now: float) -> Iterator[EvidenceLine]:
    """Yield the facts, those of the strongest source first."""
    status, state = rollout.observation.status, rollout.state
    if status is not None and status.details is not None:
        yield from _state_lines(status.details, explanation, now, max(now - status.observed_at, 0.0))
    if rollout.observation.view is not None:
        age = now - state.phases.started_at
        yield EvidenceLine(f"phase {rollout.observation.view.phase}", f"controller {state.process.target}", age)
    if explanation.images is not None:
        for role, images in (("current", explanation.images.current), ("stable", explanation.images.stable)):
            text = ", ".join(f"{container} {image}" for container, image in images.items())
            yield EvidenceLine(f"images of the {role} revision: {text}", "pods or pod template")
    if explanation.replaces is not None:
        step = f" at step {explanation.replaces.step + 1}" if explanation.replaces.step is not None else ""
        yield EvidenceLine(f"it replaced revision {explanation.replaces.revision}{step}", _STATE)
    for name, kind in explanation.routes.items():
        yield EvidenceLine(f"{kind} route {name} reaches the canary, at weight 0, too", _STATE)
    if status is None:
        text = "message, step, pauses and analyses are not known without rollout state"
        yield EvidenceLine(text, "setting rollout_state")
    elif status.details is None:
        text = "messages and analyses are not known with this configuration of custom-resource state"
        yield EvidenceLine(text, "charts/rollouts-exporter/sidecar/rollout-state.yaml")


def _state_lines(details: RolloutDetails, explanation: Explanation, now: float, age: float) -> Iterator[EvidenceLine]:
    if details.message:
        yield EvidenceLine(f"message: {_one_line(details.message)}", _STATE, age)
    for pause in explanation.pauses:
        yield EvidenceLine(f"pause {pause.reason}", _STATE, max(now - pause.since, 0.0))
    run = next((run for run in details.runs if run.name == explanation.run), None)
    if run is not None:
        yield from _run_lines(run, now)


def _run_lines(run: AnalysisRunDetails, now: float) -> Iterator[EvidenceLine]:
    age = max(now - run.completed_at, 0.0) if run.completed_at is not None else None
    yield EvidenceLine(f"analysis {run.name} {run.phase}: {_one_line(run.message)}", _STATE, age)
    for metric in run.metrics:
        if metric.phase in BAD_PHASES and not metric.is_dry_run:
            yield EvidenceLine(_metric_text(metric), _STATE)


def _metric_text(metric: MetricMeasurements) -> str:
    names = ("successful", "failed", "inconclusive", "error")
    counts = ", ".join(f"{count} {name}" for name in names if (count := getattr(metric, name)))
    last = metric.last_value or _one_line(metric.last_message)
    condition = metric.success_condition or metric.failure_condition
    parts = (f"last {last}" if last else "", counts, f"condition {condition}" if condition else "")
    return f"metric {metric.name} {metric.phase}: {'; '.join(filter(None, parts))}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
