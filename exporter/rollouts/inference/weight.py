"""Follows the canary's weight on a traffic router from tick to tick.

Rollout state shows the weight. Without it the weight is estimated from the canary's pods, which have the weight's share
of the desired replicas whenever the controller sets it, but neither before (pods must become available first) nor after
(the next step's pods come first). So an estimate is made only when TrafficWeightUpdated is counted, and then kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference.revisions import OTHER_STEPS
from exporter.rollouts.model import CANARY, RouterWeight, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from exporter.rollouts.inference.evidence import Classification, Evidence
    from exporter.rollouts.model import ControllerView, EventDeltas, ReplicaCounts

_NONE: Final = RouterWeight(0.0)
_NOT_UPDATING: Final = (UpdateState.SETTLED, UpdateState.ABORTED)


def router_weight(evidence: Evidence, result: Classification, deltas: EventDeltas | None) -> RouterWeight | None:
    """Return the canary's weight after a tick; None if the strategy has none. `deltas` are without pending events."""
    view = evidence.view
    if view.strategy != CANARY:
        return None
    before = evidence.state.weight if evidence.state is not None else None
    is_dynamic = _is_dynamic(before, evidence, result)
    exact = _shown_weight(evidence, result)
    if exact is not None:
        return replace(exact, is_dynamic=is_dynamic)
    if view.replicas is None:
        return before
    ready = _ready_pods(evidence, result, view.replicas)
    if result.update_state is UpdateState.UPDATING:
        return _in_update(before, evidence, deltas, view.replicas, ready, is_dynamic=is_dynamic)
    if result.update_state is UpdateState.UNKNOWN:
        return RouterWeight(is_dynamic=is_dynamic)
    if result.update_state is UpdateState.SETTLED:
        stable_ready = ready
    else:  # after an abort the stable pods are those that are not ready yet
        stable_ready = max(view.replicas.available - view.replicas.updated, 0.0)
    return _leaving(before, evidence, result, deltas, stable_ready, is_dynamic=is_dynamic)


def _shown_weight(evidence: Evidence, result: Classification) -> RouterWeight | None:
    """Return the weight that a rollout's status of this very tick shows."""
    status = evidence.observation.status
    if status is None or status.weight is None or status.observed_at < evidence.now:
        return None
    fraction = min(max(status.weight / status.max_weight, 0.0), 1.0) if status.max_weight > 0 else 0.0
    # Once promoted, the weight of the canary is that of the stable revision; a former canary may keep some for a while.
    if result.update_state is UpdateState.SETTLED and status.weight_hash in ("", result.hashes.stable):
        fraction = 0.0
    pods = evidence.view.replicas.updated if evidence.view.replicas is not None else 0.0
    return RouterWeight(fraction, is_exact=True, pod_count=pods)


def _is_dynamic(before: RouterWeight | None, evidence: Evidence, result: Classification) -> bool:
    """Return whether the stable ReplicaSet shrinks in an update, which it does with dynamicStableScale only."""
    replicas = evidence.view.replicas
    if replicas is None:
        return before is not None and before.is_dynamic
    if result.update_state is UpdateState.UPDATING:
        return replicas.old < replicas.desired and replicas.updated > 0
    if before is None:
        return result.update_state is UpdateState.ABORTED and replicas.updated > 0 and replicas.old < replicas.desired
    return before.is_dynamic


def _ready_pods(evidence: Evidence, result: Classification, replicas: ReplicaCounts) -> float:
    """Return how many pods of the current revision are ready."""
    workload = evidence.observation.workload
    if workload is not None and workload.observed_at >= evidence.now and result.hashes.current:
        ready = [pod.ready for pod in workload.pods if pod.hash == result.hashes.current]
        # Fewer than the gauges count: the page is of an earlier moment.
        if len(ready) >= replicas.updated:
            return float(sum(ready))
    return replicas.updated_available


def _in_update(
    before: RouterWeight | None,
    evidence: Evidence,
    deltas: EventDeltas | None,
    replicas: ReplicaCounts,
    ready: float,
    *,
    is_dynamic: bool,
) -> RouterWeight:
    if _is_shown_later(before, evidence):
        return _until_shown(before, evidence, deltas, is_dynamic=is_dynamic)
    estimate = replace(_estimate(before, evidence, replicas, ready, is_dynamic=is_dynamic), is_dynamic=is_dynamic)
    if before is None or evidence.previous is UpdateState.UNKNOWN:
        return replace(estimate, fraction=None, is_decoupled=True) if _had_spare_steps(evidence.view) else estimate
    if before.fraction is None and not before.is_decoupled:
        return estimate
    grown = deltas.weight_updates if deltas is not None else 0.0
    if deltas is not None and (deltas.updates > 0 or evidence.previous in _NOT_UPDATING):
        # With dynamicStableScale the former weight stays until the stable pods are back.
        is_held = before.is_dynamic and evidence.previous is UpdateState.UPDATING and not deltas.weight_updates
        if deltas.updates > 0:
            grown = max(grown - 1, 0.0)  # the first event of a revision sets its weight to 0
        before = before if is_held else RouterWeight(0.0)
    elif deltas is not None and before.fraction == 0.0 and not (replicas.updated or deltas.completed_steps):
        grown = max(grown - 1, 0.0)  # the same, counted later than the revision
    spare_steps = before.spare_steps + _spare_steps(evidence, deltas, grown)
    is_decoupled = before.is_decoupled or spare_steps > 0
    estimate = replace(estimate, spare_steps=spare_steps, is_decoupled=is_decoupled)
    if replicas.updated == 0 and replicas.desired:
        return replace(estimate, fraction=0.0, low=0.0)
    if grown:
        return replace(estimate, fraction=None) if is_decoupled else estimate
    held = replace(before, is_dynamic=is_dynamic, spare_steps=spare_steps, is_decoupled=is_decoupled)
    is_narrowed = _is_steady(evidence, deltas, replicas) and not before.is_exact and not is_decoupled
    return _narrowed(held, estimate) if is_narrowed else held


def _is_shown_later(before: RouterWeight | None, evidence: Evidence) -> bool:
    """Return whether rollout state shows the weight of this rollout, at other ticks than this one."""
    return evidence.has_rollout_state and (before is None or before.is_exact)


def _until_shown(
    before: RouterWeight | None, evidence: Evidence, deltas: EventDeltas | None, *, is_dynamic: bool
) -> RouterWeight:
    """Return the weight that rollout state showed last, unknown if it has changed: the next page will show it."""
    if before is None or deltas is None:
        return before or RouterWeight(None, is_exact=True, is_dynamic=is_dynamic)
    is_new = deltas.updates > 0 or evidence.previous is UpdateState.SETTLED
    # The first event of a revision sets its weight to 0.
    if is_new and deltas.weight_updates <= 1:
        return RouterWeight(0.0, is_exact=True, is_dynamic=is_dynamic)
    return replace(before, fraction=None if deltas.weight_updates else before.fraction, is_dynamic=is_dynamic)


def _estimate(
    before: RouterWeight | None, evidence: Evidence, replicas: ReplicaCounts, ready: float, *, is_dynamic: bool
) -> RouterWeight:
    """Return the weight by the pods of a tick in which it changed; unknown while the next step's pods are coming."""
    # A pause begins after the pods of the step before it became available.
    if evidence.view.phase == "Paused":
        return _share(replicas.updated, replicas.desired)
    # `ready` pods are available only after minReadySeconds.
    canary = min(ready, replicas.updated_available)
    if canary >= replicas.updated:
        return _share(canary, replicas.desired)
    # The stable ReplicaSet has given up its pods for the weight, and not yet for the next one.
    if is_dynamic:
        return _share(min(max(replicas.desired - replicas.old, 0.0), canary), replicas.desired)
    previous_pods = (before.fraction or 0.0) * replicas.desired if before is not None else 0.0
    return _share(canary, replicas.desired) if canary - previous_pods <= 1.0 else RouterWeight(pod_count=canary)


def _share(canary: float, desired: float) -> RouterWeight:
    """Return the weights for which the controller makes `canary` pods: it rounds up the weight's share of `desired`."""
    if not desired:
        return RouterWeight(0.0)
    return RouterWeight(min(canary / desired, 1.0), max(canary - 1, 0.0) / desired, pod_count=canary)


def _narrowed(held: RouterWeight, estimate: RouterWeight) -> RouterWeight:
    """Return what the complete pods of a pause say about the weight: besides, if the rollout was scaled.

    If they contradict what is held, it was taken while the gauges were behind the event.
    """
    if held.fraction is None or estimate.fraction is None:
        return held
    low, high = max(held.low, estimate.low), min(held.fraction, estimate.fraction)
    return replace(held, low=low, fraction=high) if low < high else estimate


def _is_steady(evidence: Evidence, deltas: EventDeltas | None, replicas: ReplicaCounts) -> bool:
    """Return whether the pods of a pause are complete: it has just begun, or nothing has changed since."""
    is_complete = replicas.updated_available == replicas.updated and not replicas.unavailable
    before = evidence.replicas_before
    # `updated` follows `desired` within a second of a scaling.
    is_unchanged = before is not None and (replicas.desired, replicas.updated) == (before.desired, before.updated)
    is_unchanged = is_unchanged or (deltas is not None and deltas.pauses > 0)
    return evidence.view.phase == "Paused" and is_complete and is_unchanged


def _spare_steps(evidence: Evidence, deltas: EventDeltas | None, weight_updates: float) -> float:
    """Return how many steps neither set a weight nor paused nor analysed: mostly setCanaryScale."""
    if deltas is None or deltas.process_restarted or evidence.state is None:
        return 0.0
    spare = deltas.completed_steps - weight_updates - deltas.resumes - deltas.other_steps
    # A user promotes by removing the pause from the status, which is no RolloutResumed.
    phases = (evidence.state.phases.phase, evidence.view.phase)
    ended_pauses = deltas.pauses + (phases[0] == "Paused") - (phases[1] == "Paused")
    return spare if spare <= 0 else max(spare - max(ended_pauses - deltas.resumes, 0.0), 0.0)


def _had_spare_steps(view: ControllerView) -> bool:
    """Return whether the counters show such steps of an update at first sight, of a controller's first one at least."""
    # Each promotion sets a weight once or twice, so that after several of them the sum proves nothing.
    counts = view.event_counts
    if counts.get("RolloutCompleted", 0.0) > 1:
        return False
    # Each revision and each abort sets the weight to 0.
    resets = counts.get("RolloutUpdated", 0.0) + counts.get("RolloutAborted", 0.0)
    weights = max(counts.get("TrafficWeightUpdated", 0.0) - resets, 0.0)
    ended_pauses = counts.get("RolloutPaused", 0.0) - (view.phase == "Paused")
    others = sum(counts.get(reason, 0.0) for reason in OTHER_STEPS)
    return counts.get("RolloutStepCompleted", 0.0) > weights + ended_pauses + others


def _is_promoted(evidence: Evidence, result: Classification, deltas: EventDeltas | None) -> bool:
    """Return whether the stable revision of a settled rollout is another one than before the tick, as far as known."""
    before, after = evidence.hashes.stable, result.hashes.stable
    if before and after:
        return before != after
    return deltas is None or deltas.completions > 0 or deltas.process_restarted


def _is_weight_held(deltas: EventDeltas | None) -> bool:
    """Return whether the weight is as it was at the last tick: each change is an event, which is counted at once."""
    return deltas is not None and not (deltas.weight_updates or deltas.process_restarted)


def _leaving(
    before: RouterWeight | None,
    evidence: Evidence,
    result: Classification,
    deltas: EventDeltas | None,
    stable_ready: float,
    *,
    is_dynamic: bool,
) -> RouterWeight:
    """Return the weight after an abort or on the way back to the stable revision.

    It drops to 0 at once; with dynamicStableScale only as far as the stable ReplicaSet is ready (Argo Rollouts 1.9).
    """
    replicas = evidence.view.replicas
    if replicas is None:
        return before or _NONE
    held = before.fraction if before is not None else 1.0
    is_settled = result.update_state is UpdateState.SETTLED
    # Completed: the stable revision has all of its pods, and the weight.
    is_complete = is_settled and (evidence.view.phase == "Completed" or _is_promoted(evidence, result, deltas))
    is_over = before is None or is_complete
    if evidence.previous is UpdateState.UPDATING and result.update_state is UpdateState.ABORTED:
        is_dynamic = is_dynamic or (replicas.old < replicas.desired and replicas.updated > 0)
        if is_dynamic and deltas is not None and deltas.weight_updates:
            held = None
    # The controller takes pods off the canary only after the weight.
    if result.update_state is UpdateState.ABORTED and not replicas.updated:
        held = 0.0
    is_exact = _is_shown_later(before, evidence)
    if is_dynamic and is_exact:
        return RouterWeight(None, is_exact=True, is_dynamic=True)  # the next page of rollout state will show it
    if is_over or not is_dynamic or not replicas.desired or held == 0.0:
        return replace(_NONE, is_exact=is_exact, is_dynamic=is_dynamic and not is_over)
    if held is None or not _is_weight_held(deltas):
        missing = max(1.0 - stable_ready / replicas.desired, 0.0)
        held = missing if held is None else min(held, missing)
    return RouterWeight(held, pod_count=replicas.updated, is_dynamic=is_dynamic)
