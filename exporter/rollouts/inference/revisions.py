"""Finds the current and the stable revision without the rollout's own status: from ReplicaSets and event counters.

A revision that no source proves stays unknown (""): a guessed role would page on-call for the wrong pods.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.rollouts.model import EventDeltas, ReplicaSet, RevisionHashes, UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.model import ControllerView, Observation, ReplicaSets


def event_deltas(previous: Mapping[str, float], current: Mapping[str, float], *, same_process: bool) -> EventDeltas:
    """Compare the event counters of two scrapes.

    Counters of another process, or that fell, count from 0: the controller deletes those of a deleted rollout after
    65 s, also if a new rollout has the same name by then.
    """

    def growth(reason: str) -> float:
        new = current.get(reason, 0)
        old = previous.get(reason, 0) if same_process else 0
        return new - old if new >= old else new

    return EventDeltas(
        updates=growth("RolloutUpdated"),
        completions=growth("RolloutCompleted"),
        aborts=growth("RolloutAborted"),
        step_skips=growth("SkipSteps"),
        new_replica_sets=growth("NewReplicaSetCreated"),
        resumes=growth("RolloutResumed"),
        completed_steps=growth("RolloutStepCompleted"),
        process_restarted=not same_process,
    )


def ahead_of_counters(previous: str, current: str, deltas: EventDeltas | None) -> bool:
    """Return whether the hashes show a new current revision that RolloutUpdated does not count yet."""
    is_new = bool(previous and current) and previous != current
    return is_new and deltas is not None and not (deltas.updates or deltas.process_restarted)


def is_mid_update(view: ControllerView) -> bool:
    """Return whether, of two revisions in one interval, the later one is still being rolled out."""
    replicas = view.replicas
    # `updated` counts pods of the current revision, whether they are ready or not.
    return view.phase == "Paused" or (replicas is not None and replicas.updated < replicas.desired)


def carry_forward(update_state: UpdateState, previous: RevisionHashes, deltas: EventDeltas | None) -> RevisionHashes:
    """Return what the counters do not contradict of the previous hashes: no ReplicaSets are shown, or outdated ones."""
    if update_state is UpdateState.SETTLED:
        settled = _hash_when_settled(previous, deltas)
        return RevisionHashes(settled, settled, previous.newest_created_at)
    if deltas is None or deltas.completions:
        return RevisionHashes(newest_created_at=previous.newest_created_at)
    return replace(previous, current="") if deltas.updates else previous


# By revision annotations


def hashes_by_revision(
    observation: Observation, update_state: UpdateState, previous: RevisionHashes, deltas: EventDeltas | None
) -> RevisionHashes | None:
    """Find the hashes by the revision annotations of the ReplicaSets; None without annotations.

    The current revision has the highest number: the controller raises the annotation at a rollback, too. The stable
    one is remembered, and moves when a promotion is counted or when the phase is Completed. Counters alone would be
    wrong if a promotion and the next update fall into one interval; Completed alone while the page lags behind.
    """
    replica_sets, view = observation.replica_sets, observation.view
    numbered = [replica_set for replica_set in replica_sets.values() if replica_set.revision is not None]
    ordered = sorted(numbered, key=lambda replica_set: replica_set.revision or 0)
    if not ordered or view is None:
        return None
    # Not the youngest ReplicaSet: a rollback takes up an old one, with its old creation time.
    current = ordered[-1]
    stable = previous.stable if previous.stable in replica_sets else ""
    if deltas is not None and deltas.completions:
        stable = _promoted_hash(view, update_state, previous.current, deltas, ordered)
    is_ahead = ahead_of_counters(previous.current, current.hash, deltas)
    if view.phase == "Completed" and not is_ahead and _sizes_match(replica_sets.values(), current, view):
        stable = current.hash
    return RevisionHashes(current.hash, stable or _only_possible_stable(replica_sets, view, current))


def _promoted_hash(
    view: ControllerView, update_state: UpdateState, previous_hash: str, deltas: EventDeltas, ordered: list[ReplicaSet]
) -> str:
    """Return which revision a counted promotion made stable; `ordered` are the ReplicaSets by revision."""
    current = ordered[-1].hash
    if not is_mid_update(view):
        return current
    if update_state is UpdateState.UPDATING and previous_hash:
        return previous_hash
    return ordered[-2].hash if deltas.updates > deltas.completions and len(ordered) > 1 else current


def _sizes_match(replica_sets: Iterable[ReplicaSet], current: ReplicaSet, view: ControllerView) -> bool:
    """Return whether the phase is about the current ReplicaSet: both pages count the same pods.

    The controller's page lags behind a new ReplicaSet: by 40 ms, or by 8 s while it retries a notification webhook
    inside its reconciliation.
    """
    replicas = view.replicas
    if replicas is None:
        return False
    pod_count = sum(replica_set.pod_count for replica_set in replica_sets)
    return (current.pod_count, pod_count) == (replicas.updated, replicas.total)


def _only_possible_stable(replica_sets: ReplicaSets, view: ControllerView, current: ReplicaSet) -> str:
    """Return the stable hash without having seen its promotion, if only one ReplicaSet can have it."""
    if len(replica_sets) == 1:
        return current.hash
    others = [name for name, replica_set in replica_sets.items() if name != current.hash and replica_set.desired > 0]
    replicas = view.replicas
    is_updating = view.phase in ("Abort", "Paused") or (replicas is not None and current.desired < replicas.desired)
    return others[0] if is_updating and len(others) == 1 else ""


# By sizes of ReplicaSets, without revision annotations


def hashes_by_size(
    observation: Observation, update_state: UpdateState, previous: RevisionHashes, deltas: EventDeltas | None
) -> RevisionHashes:
    """Find the hashes by which ReplicaSets exist, how many pods they have, and what the counters show."""
    replica_sets, view = observation.replica_sets, observation.view
    if not replica_sets or view is None:
        return carry_forward(update_state, previous, deltas)
    newest = max(replica_sets.values(), key=lambda replica_set: replica_set.created_at)
    current, stable = (name if name in replica_sets else "" for name in (previous.current, previous.stable))
    remembered = RevisionHashes(current, stable, newest.created_at)
    if update_state is UpdateState.SETTLED:
        settled = _only_hash_with_pods(replica_sets.values(), view) or _hash_when_settled(remembered, deltas)
        return RevisionHashes(settled, settled, newest.created_at)
    # Sizes alone prove nothing: above 50 % the canary is the larger one.
    if update_state is UpdateState.UNKNOWN:
        return RevisionHashes(newest_created_at=newest.created_at)
    # 0: no ReplicaSets were shown before, so that none is new.
    new = newest.hash if 0 < previous.newest_created_at < newest.created_at else ""
    return _hashes_mid_update(replica_sets, view, remembered, deltas, new=new)


def _only_hash_with_pods(replica_sets: Iterable[ReplicaSet], view: ControllerView) -> str:
    """Return the hash of the only ReplicaSet with pods, if the controller counts no other pods."""
    with_pods = [replica_set for replica_set in replica_sets if replica_set.pod_count > 0]
    replicas = view.replicas
    if len(with_pods) == 1 and replicas is not None and with_pods[0].pod_count == replicas.updated == replicas.total:
        return with_pods[0].hash
    return ""


def _hash_when_settled(remembered: RevisionHashes, deltas: EventDeltas | None) -> str:
    """Return the hash of the only revision of a rollout that settled or stays settled."""
    if deltas is not None and deltas.completions:
        # Promoted and updated in one interval: the counters do not show in which order.
        return "" if deltas.updates else remembered.current
    if deltas is not None and deltas.updates:
        return remembered.stable  # settled with no promotion: back to the stable revision
    return remembered.stable if remembered.stable == remembered.current else ""


def _hashes_mid_update(
    replica_sets: ReplicaSets, view: ControllerView, remembered: RevisionHashes, deltas: EventDeltas | None, *, new: str
) -> RevisionHashes:
    """Find the current revision of an update: a new ReplicaSet's, the remembered one, or the one whose size matches.

    A ReplicaSet newer than all before is created only for a new current revision (a rollback takes up the old one).
    The page that shows it may be scraped after the page that counts it.
    """
    stable = "" if deltas is None or deltas.completions else remembered.stable
    if new and deltas is not None:
        return replace(remembered, current=new, stable=stable if stable != new else "")
    if (deltas is None or not deltas.updates) and remembered.current != stable and remembered.current:
        return replace(remembered, stable=stable)
    if deltas is not None and (deltas.new_replica_sets or not deltas.updates):
        return replace(remembered, current="", stable=stable)
    return _match_by_size(replica_sets, view, replace(remembered, stable=stable))


def _match_by_size(replica_sets: ReplicaSets, view: ControllerView, remembered: RevisionHashes) -> RevisionHashes:
    """Take as current the only ReplicaSet whose pod count is the controller's count of updated pods."""
    updated = view.replicas.updated if view.replicas is not None else None
    sizes = {name: replica_set.pod_count for name, replica_set in replica_sets.items() if replica_set.pod_count > 0}
    matches = [name for name, size in sizes.items() if size == updated and name != remembered.stable]
    if len(matches) != 1:
        return replace(remembered, current="")
    others = [name for name in sizes if name != matches[0]]
    stable = remembered.stable or (others[0] if len(others) == 1 else "")
    return replace(remembered, current=matches[0], stable=stable)
