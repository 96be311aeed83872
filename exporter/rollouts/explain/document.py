"""An explanation as the JSON of `replay --format explanations` and of the API; what is not known is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.rollouts.explain.model import Cause

if TYPE_CHECKING:
    from exporter.rollouts.details import MetricMeasurements
    from exporter.rollouts.explain.model import Explanation, ReplacedRevision, RevisionImages, StepPosition

_COUNTS = ("count", "successful", "failed", "inconclusive", "error")


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Return the object of a rollout."""
    members = {
        "sentence": explanation.sentence,
        "next": explanation.next_action,
        "activity": explanation.activity and explanation.activity.value,
        "revision": explanation.revision,
        "cause": explanation.cause and explanation.cause.value,
        "run": explanation.run,
        "slot": explanation.slot,
        "metric": _metric(explanation.metric),
        "experiment": {"name": explanation.experiment} if explanation.experiment else None,
        "step": step_json(explanation.step),
        "stopped_at": explanation.stopped_at,
        "pause": [{"reason": pause.reason, "since": pause.since} for pause in explanation.pauses],
        "until": explanation.until,
        "paused_by": explanation.paused_by,
        "waits_for": explanation.waits_for,
        "images": images_json(explanation.images),
        "replaces": _replaced(explanation.replaces),
        "routes": [{"name": name, "kind": kind} for name, kind in explanation.routes.items()],
        "message": explanation.message,
    }
    return {name: value for name, value in members.items() if value not in (None, "", [], {})}


def evidence_json(explanation: Explanation) -> list[dict[str, Any]]:
    """Return the facts that an explanation rests on; `age` is in seconds."""
    return [
        {"text": line.text, "source": line.source, **({"age": round(line.age, 3)} if line.age is not None else {})}
        for line in explanation.evidence
    ]


def _metric(metric: MetricMeasurements | None) -> dict[str, Any] | None:
    if metric is None:
        return None
    counts = {name: count for name in _COUNTS if (count := getattr(metric, name))}
    texts = {"phase": metric.phase, "last": metric.last_value}
    return {"name": metric.name, **{name: text for name, text in texts.items() if text}, **counts}


def step_json(step: StepPosition | None) -> dict[str, Any] | None:
    """Return the position of a canary in its steps."""
    return {"index": step.index, "of": step.count, "kind": step.kind} if step is not None else None


def images_json(images: RevisionImages | None) -> dict[str, Any] | None:
    """Return the images of both revisions by container."""
    return {"current": dict(images.current), "stable": dict(images.stable)} if images is not None else None


def _replaced(replaced: ReplacedRevision | None) -> dict[str, Any] | None:
    if replaced is None:
        return None
    step = {"step": replaced.step} if replaced.step is not None else {}
    return {"revision": replaced.revision, "cause": Cause.NEW_REVISION.value, **step}
