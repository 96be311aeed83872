"""The first state of a rollout, and of one that was deleted and created again under the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.inference.aspects import (
    NOT_AT_REST,
    evidence_text,
    has_promotion,
    has_revision,
    pods_checksum,
    shows_router,
    update_kind,
)
from exporter.rollouts.inference.classify import classify_update
from exporter.rollouts.inference.evidence import Evidence
from exporter.rollouts.inference.revisions import event_deltas
from exporter.rollouts.inference.weight import router_weight
from exporter.rollouts.model import CANARY, PhaseHistory, RolloutState, Update, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from exporter.rollouts.model import ControllerView, EventDeltas, Observation, RevisionHashes, TickContext


def is_reborn(state: RolloutState, observation: Observation, deltas: EventDeltas) -> bool:
    """Return whether the rollout was deleted and created again under the same name."""
    uid = observation.status.uid if observation.status is not None else ""
    # The counters of another process do not show what was deleted before it led.
    if deltas.process_restarted and _has_lost_revisions(state.hashes, observation):
        return True
    return bool(deltas.deletions and not deltas.process_restarted) or bool(uid and state.uid and uid != state.uid)


def _has_lost_revisions(hashes: RevisionHashes, observation: Observation) -> bool:
    """Return whether the ReplicaSets are another object's: the stable one stays, and revision numbers only grow."""
    replica_sets = observation.replica_sets
    if not hashes.stable or not replica_sets or not {hashes.stable, hashes.current}.isdisjoint(replica_sets):
        return False
    return max(replica_set.revision or 0 for replica_set in replica_sets.values()) < hashes.number


def reborn_state(
    former: RolloutState, context: TickContext, observation: Observation, view: ControllerView, deltas: EventDeltas
) -> RolloutState:
    """Return the first state of a rollout whose name the `former` one had; that one's counters go on for 65 s."""
    if _shows_former(observation, former):  # pages that were made before that of the controller
        observation = replace(observation, status=None, workload=None)
    observation = replace(observation, first_deploy=True)
    state = first_state(context, observation, view)
    # Revisions and promotions of this interval may be the new object's.
    return replace(
        state,
        had_revision=state.had_revision or deltas.updates > 0,
        had_promotion=state.had_promotion or deltas.completions > 0,
        last_event_at=context.now - 0.001,
    )


def _shows_former(observation: Observation, former: RolloutState) -> bool:
    """Return whether pages still show a deleted rollout: a new one has another uid, other hashes, lower numbers."""
    status, hashes = observation.status, former.hashes
    if status is not None and status.uid and former.uid:
        return status.uid == former.uid
    if status is not None and hashes.current:
        return (status.current_hash, status.stable_hash) == (hashes.current, hashes.stable)
    replica_set = observation.replica_sets.get(hashes.current)
    return replica_set is not None and (replica_set.revision or 0) == hashes.number


def _of_this_tick(observation: Observation, now: float) -> Observation:
    """Return an observation without pages of earlier ticks, which may be about a former rollout of the same name."""
    workload, status = observation.workload, observation.status
    return replace(
        observation,
        workload=workload if workload is not None and workload.observed_at >= now else None,
        status=status if status is not None and status.observed_at >= now else None,
    )


def first_state(context: TickContext, observation: Observation, view: ControllerView) -> RolloutState:
    """Return the state of a rollout at first sight; `view` is the observation's own."""
    now, observation = context.now, _of_this_tick(observation, context.now)
    deltas = _deltas_since_creation(observation, view)
    evidence = Evidence(None, now, observation, view, deltas, context.has_rollout_state)
    result = classify_update(evidence)
    is_updating = result.update_state is UpdateState.UPDATING
    has_router = shows_router(view, observation)
    return RolloutState(
        first_seen=now,
        # The phase at first sight is no transition: it may have begun long before.
        phases=PhaseHistory(view.phase, now),
        process=view.process,
        event_counts=view.event_counts,
        update_state=result.update_state,
        evidence=evidence_text(result),
        update=Update(update_kind(view, result.hashes, observation, None), None) if is_updating else None,
        hashes=result.hashes,
        has_router=has_router,
        strategy=view.strategy,
        had_revision=not observation.first_deploy or has_revision(view) or bool(result.hashes.current),
        had_promotion=has_promotion(None, view)
        or result.update_state in NOT_AT_REST
        or not (observation.first_deploy or _is_in_first_deploy(observation, view)),
        ahead_of_counters=is_updating and result.from_hashes and _shows_no_update(view),
        replicas=view.replicas,
        pods_checksum=pods_checksum(observation),
        pods_newer=True,
        weight=router_weight(evidence, result, deltas) if has_router or context.has_router else None,
        uid=observation.status.uid if observation.status is not None else "",
    )


def _shows_no_update(view: ControllerView) -> bool:
    """Return whether the controller's page is of a rollout without update, and so from before one that hashes show."""
    has_old_pods = view.replicas is not None and view.replicas.old > 0
    # blueGreen is Completed from the switch of its service on, while the former set keeps its pods.
    return view.phase == "Completed" and (view.strategy == CANARY or not has_old_pods)


def _is_in_first_deploy(observation: Observation, view: ControllerView) -> bool:
    """Return whether a rollout at first sight has no stable revision yet: it has one revision, and promoted none."""
    status = observation.status
    if status is not None and status.current_hash:
        return not status.stable_hash
    numbers = [replica_set.revision for replica_set in observation.replica_sets.values()]
    counts = view.event_counts
    is_counted = bool(counts.get("RolloutUpdated")) and not counts.get("RolloutCompleted")
    return numbers == [1] and is_counted and view.phase != "Abort"


def _deltas_since_creation(observation: Observation, view: ControllerView) -> EventDeltas | None:
    """Return the counters of a rollout created since the last tick: all that they count happened since then.

    None for any other. RolloutDeleted shows that they are the counters of a deleted rollout of the same name: the
    controller keeps these for 65 s.
    """
    if not observation.first_deploy or view.event_counts.get("RolloutDeleted"):
        return None
    return event_deltas({}, view.event_counts, same_process=False)
