"""Rollouts and targets → plain values for /api/rollouts, the status page and `explain`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from exporter.rollouts.explain.causes import is_up_to_date
from exporter.rollouts.explain.document import evidence_json, explanation_json, images_json, step_json
from exporter.rollouts.explain.explain import explain
from exporter.rollouts.explain.position import set_weight
from exporter.rollouts.inputs.leadership import ControllerRole
from exporter.service.pages.fleet import role_pods
from exporter.service.pages.rollout import details_json
from exporter.service.pages.urgency import urgency_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import Rollout, RolloutKey
    from exporter.rollouts.tracker import TrackerStatus
    from exporter.service.pages.timeline import TransitionObject


def rollouts_json(tracker: TrackerStatus, now: float) -> Iterator[dict[str, Any]]:
    """Yield the rollouts as objects of /api/rollouts at the time of a tick (`now`, Unix seconds)."""
    for rollout in (*tracker.rollouts, *tracker.unshown):
        yield rollout_json(rollout, tracker.last_seen.get(rollout.key, 0.0), now)


def has_leader(tracker: TrackerStatus) -> bool:
    """Return whether the last page of a leading controller could be read."""
    return any(target.role is ControllerRole.LEADER for target in tracker.targets)


def rollout_details_json(
    tracker: TrackerStatus, key: RolloutKey, now: float, transitions: Sequence[TransitionObject] = ()
) -> dict[str, Any] | None:
    """Return a rollout with its complete explanation, steps and analyses, None if no source shows it.

    `transitions` are those of the rollout, oldest first; by them, how long each step took.
    """
    for rollout in (*tracker.rollouts, *tracker.unshown):
        if rollout.key == key:
            explanation = explain(rollout, now)
            members = {**explanation_json(explanation), "evidence": evidence_json(explanation)}
            return {
                **_rollout_json(rollout, explanation, tracker.last_seen.get(key, 0.0)),
                "explanation": members,
                **details_json(rollout, explanation, transitions, now),
            }
    return None


def rollout_json(rollout: Rollout, last_seen: float, now: float) -> dict[str, Any]:
    """Return a rollout as an object of /api/rollouts at the time of a tick (`now`, Unix seconds).

    `last_seen` is when a leader exported it last (Unix seconds).
    """
    return _rollout_json(rollout, explain(rollout, now), last_seen)


def _rollout_json(rollout: Rollout, explanation: Explanation, last_seen: float) -> dict[str, Any]:
    # The keys are public; some are older than the names in the code.
    state, view = rollout.state, rollout.observation.view
    return {
        "namespace": rollout.key[0],
        "name": rollout.key[1],
        "urgency": urgency_of(rollout, explanation).value,
        "strategy": state.strategy,
        "phase": view.phase if view is not None else None,
        "phase_since": state.phases.started_at,
        "standing": state.update_state.value,
        "evidence": state.evidence,
        "update": {"kind": state.update.kind, "since": state.update.started_at} if state.update is not None else None,
        "controller": state.process.target,
        "last_seen": last_seen,
        "router": state.has_router,
        "revisions": {"wanted": state.hashes.current, "stable": state.hashes.stable},
        "images": images_json(explanation.images),
        "replicas": _replicas(rollout),
        "fraction": _fraction(rollout),
        "set_weight": set_weight(rollout),
        "pods": _pods(rollout),
        "pods_ready": _ready_pods(rollout),
        "updates": {str(result): count for result, count in state.result_counts.items()},
        "unknown": list(rollout.unknown_reasons),
        "sentence": explanation.sentence,
        "cause": explanation.cause and explanation.cause.value,
        "next": explanation.next_action,
        "step": step_json(explanation.step),
        "stopped_at": explanation.stopped_at,
        "waits_for": explanation.waits_for or None,
        "spec_observed": _spec_observed(rollout),
    }


def _spec_observed(rollout: Rollout) -> bool | None:
    """Return whether the controller has taken up the current spec; None if rollout state does not show it."""
    status = rollout.observation.status
    return None if status is None or status.generation is None else is_up_to_date(status)


def _replicas(rollout: Rollout) -> dict[str, float] | None:
    view = rollout.observation.view
    if view is None or view.replicas is None:
        return None
    replicas = view.replicas
    return {
        "desired": replicas.desired,
        "updated": replicas.updated,
        "available": replicas.available,
        "unavailable": replicas.unavailable,
    }


def _pods(rollout: Rollout) -> dict[str, int] | None:
    """Return the number of pods by role; None while no complete page of kube-state-metrics shows them."""
    return None if rollout.observation.workload is None else dict(Counter(role.value for _, role in rollout.pod_roles))


def _ready_pods(rollout: Rollout) -> dict[str, int] | None:
    """Return the number of ready pods by role, 0 where no pod of a role is ready; None as of `pods`."""
    if rollout.observation.workload is None:
        return None
    return {pods.role: pods.ready for pods in role_pods(rollout)}


def _fraction(rollout: Rollout) -> dict[str, Any] | None:
    if rollout.fraction is None:
        return None
    fraction = rollout.fraction
    return {
        "best": fraction.value,
        "method": fraction.method,
        "why": fraction.reason,
        "estimates": dict(fraction.estimates),
    }
