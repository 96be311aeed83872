"""Finds the current and the stable revision without the rollout's own status: from ReplicaSets and event counters.

A revision that no source proves stays unknown (""): a guessed role would page on-call for the wrong pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import BLUE_GREEN, EventDeltas, ReplicaSet, RevisionHashes, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.model import ControllerView, ReplicaCounts, ReplicaSets


EVENT_FIELDS: Final = {
    "RolloutUpdated": "updates",
    "RolloutCompleted": "completions",
    "RolloutAborted": "aborts",
    "SkipSteps": "step_skips",
    "NewReplicaSetCreated": "new_replica_sets",
    "RolloutPaused": "pauses",
    "RolloutResumed": "resumes",
    "RolloutStepCompleted": "completed_steps",
    "TrafficWeightUpdated": "weight_updates",
    "RolloutDeleted": "deletions",
}
"""The field of EventDeltas for each reason of `rollout_events_total` that inference reads."""


OTHER_STEPS: Final = ("AnalysisRunSuccessful", "ExperimentCreated", "StepPluginTransition")
"""Reasons of steps that neither set a weight nor pause."""


def event_deltas(previous: Mapping[str, float], current: Mapping[str, float], *, same_process: bool) -> EventDeltas:
    """Compare the event counters of two scrapes.

    Counters of another process, or that fell, count from 0: the controller deletes those of a deleted rollout after
    65 s, also if a new rollout has the same name by then.
    """
    # The controller deletes all counters of a rollout at once, and with them what it counted since the last tick.
    is_continued = same_process and all(current.get(reason, 0) >= count for reason, count in previous.items())
    if not is_continued:
        previous = {}

    after, before = current.get, previous.get
    grown = {field: after(reason, 0) - before(reason, 0) for reason, field in EVENT_FIELDS.items()}
    other_steps = sum([after(reason, 0) - before(reason, 0) for reason in OTHER_STEPS])
    return EventDeltas(**grown, other_steps=other_steps, process_restarted=not is_continued)


def ahead_of_counters(previous: str, current: str, deltas: EventDeltas | None) -> bool:
    """Return whether the hashes show a new current revision that RolloutUpdated does not count yet."""
    is_new = bool(previous and current) and previous != current
    return is_new and deltas is not None and not (deltas.updates or deltas.process_restarted)


def numbered_ahead(previous: RevisionHashes, current: RevisionHashes, deltas: EventDeltas) -> bool:
    """Return whether the revision numbers show one more revision than RolloutUpdated counts yet."""
    if not previous.number or not current.number or deltas.process_restarted:
        return False
    return current.number - previous.number == deltas.updates + 1


def leads_away(update_state: UpdateState, deltas: EventDeltas) -> bool:
    """Return whether one RolloutUpdated is counted since a rollout was settled: it can only lead away from stable."""
    return update_state is UpdateState.SETTLED and deltas.updates == 1


def is_mid_update(view: ControllerView) -> bool:
    """Return whether, of two revisions in one interval, the later one is still being rolled out."""
    replicas = view.replicas
    # A promoted blueGreen rollout is Completed at once; its preview may have all its pods before.
    if view.strategy == BLUE_GREEN:
        return view.phase != "Completed"
    # A revision is promoted only when all its pods are available.
    return view.phase == "Paused" or (replicas is not None and replicas.updated_available < replicas.desired)


def is_analysed(view: ControllerView) -> bool:
    """Return whether AnalysisRuns of a rollout were counted."""
    return any(reason.startswith("AnalysisRun") for reason in view.event_counts)


def may_be_promoted_before(view: ControllerView, update_state: UpdateState, deltas: EventDeltas) -> bool:
    """Return whether, of a promotion and a revision in one interval, either may have come first.

    blueGreen is in phase Completed from the switch of its active service on: before its promotion as well, if an
    analysis comes between them (postPromotionAnalysis).
    """
    open_count = deltas.updates - deltas.completions + (update_state is UpdateState.UPDATING)
    is_switched = view.strategy == BLUE_GREEN and view.phase == "Completed"
    has_old_pods = view.replicas is not None and view.replicas.old > 0
    return is_switched and has_old_pods and is_analysed(view) and deltas.updates > 0 and open_count > 0


def hash_when_settled(remembered: RevisionHashes, deltas: EventDeltas | None) -> str:
    """Return the hash of the only revision of a rollout that settled or stays settled."""
    if deltas is not None and deltas.completions:
        # Promoted and updated in one interval: the counters do not show in which order.
        return "" if deltas.updates else remembered.current
    if deltas is not None and deltas.updates:
        return remembered.stable  # settled with no promotion: back to the stable revision
    return remembered.stable if remembered.stable == remembered.current else ""


def carry_forward(update_state: UpdateState, previous: RevisionHashes, deltas: EventDeltas | None) -> RevisionHashes:
    """Return what the counters do not contradict of the previous hashes: no ReplicaSets are shown, or outdated ones."""
    if update_state is UpdateState.SETTLED:
        # A restarted controller may have promoted another revision before it ended.
        is_known = deltas is None or not deltas.process_restarted
        settled = hash_when_settled(previous, deltas) if is_known else ""
        # The stable revision, taken up again, has another number than it had, and than the one that it replaced.
        number = previous.number if settled == previous.current else 0
        return RevisionHashes(settled, settled, previous.newest_created_at, number)
    if deltas is None or deltas.completions:
        return RevisionHashes(newest_created_at=previous.newest_created_at)
    is_unseen = deltas.updates > 0 or (previous.current == previous.stable and update_state is not UpdateState.UNKNOWN)
    return replace(previous, current="", number=0) if is_unseen else previous


# By revision annotations


def by_number(replica_sets: ReplicaSets) -> list[ReplicaSet]:
    """Return the ReplicaSets that have a revision annotation, by revision."""
    # Not by age: a rollback takes up an old ReplicaSet, with its old creation time, and raises its number.
    numbered = [replica_set for replica_set in replica_sets.values() if replica_set.revision is not None]
    return sorted(numbered, key=lambda replica_set: replica_set.revision or 0)


def is_status_behind(
    ordered: list[ReplicaSet], previous_hash: str, view: ControllerView, replicas_before: ReplicaCounts | None
) -> bool:
    """Return whether the controller's gauges are still those of the revision before the newest one.

    They lag behind a new ReplicaSet: by 40 ms, or by 8 s while the controller retries a notification webhook inside its
    reconciliation. `previous_hash` is the current revision, `replicas_before` are the gauges at the previous tick.
    """
    replicas = view.replicas
    if replicas is None or len(ordered) == 1 or previous_hash != ordered[-2].hash:
        return False
    newest, before = ordered[-1], ordered[-2]
    pod_count = sum(replica_set.pod_count for replica_set in ordered)
    is_shown = (newest.pod_count, pod_count) == (replicas.updated, replicas.total)
    # A new revision has no pods at first, so that it would change the gauges.
    if replicas == replicas_before and (replicas.updated > newest.pod_count or not is_shown):
        return True
    is_former = before.pod_count == replicas.updated and replicas.total in (pod_count, pod_count - newest.pod_count)
    return is_former and not is_shown


def hashes_by_revision(
    ordered: list[ReplicaSet],
    view: ControllerView,
    update_state: UpdateState,
    previous: RevisionHashes,
    deltas: EventDeltas | None,
    *,
    is_behind: bool,
) -> RevisionHashes:
    """Find the hashes by the ReplicaSets in order of their revision annotations.

    `is_behind`: the newest one is not the current one yet.

    The current revision has the highest number. The stable one is remembered, and moves when a promotion is counted or
    when the phase is Completed. Counters alone would be wrong if a promotion and the next update fall into one
    interval; Completed alone while the page lags behind, and for blueGreen, which is Completed before its promotion.
    """
    current = ordered[-2] if is_behind else ordered[-1]
    hashes = {replica_set.hash for replica_set in ordered}
    stable = previous.stable if previous.stable in hashes else ""
    if deltas is not None and deltas.completions:
        stable = current.hash if is_behind else _promoted_hash(view, update_state, previous.current, deltas, ordered)
    elif _has_lost_pods(stable, ordered, view) and _may_have_missed_promotion(view, deltas):
        stable = ""
    proves_promotion = view.strategy != BLUE_GREEN or (view.replicas is not None and not view.replicas.old)
    if view.phase == "Completed" and not is_behind and proves_promotion and _sizes_match(ordered, current, view):
        stable = current.hash
    # The newest one, which is not current yet, is stable only if it was taken up again.
    is_new = is_behind and ordered[-1].created_at >= current.created_at
    stable = stable or _only_possible_stable(ordered[:-1] if is_new else ordered, view, current)
    return RevisionHashes(current.hash, stable, previous.newest_created_at, current.revision or 0)


def _has_lost_pods(stable: str, ordered: list[ReplicaSet], view: ControllerView) -> bool:
    """Return whether the remembered stable ReplicaSet was scaled to 0 while the rollout was not."""
    desired = view.replicas.desired if view.replicas is not None else 0.0
    return bool(desired) and any(replica_set.hash == stable and not replica_set.desired for replica_set in ordered)


def _may_have_missed_promotion(view: ControllerView, deltas: EventDeltas | None) -> bool:
    """Return whether a remembered stable ReplicaSet without pods may be stable no more.

    One of blueGreen keeps its pods; that of a canary with dynamicStableScale has none at a weight of 100 %.
    """
    return view.strategy == BLUE_GREEN or (deltas is not None and deltas.process_restarted)


def _promoted_hash(
    view: ControllerView, update_state: UpdateState, previous_hash: str, deltas: EventDeltas, ordered: list[ReplicaSet]
) -> str:
    """Return which revision a counted promotion made stable, "" if that is unknown."""
    current = ordered[-1].hash
    if may_be_promoted_before(view, update_state, deltas):
        return ""
    if not is_mid_update(view):
        return current
    if update_state is UpdateState.UPDATING and deltas.updates <= 1 and previous_hash:
        return previous_hash  # it was promoted, and then the next one came
    # How many revisions came after the promotion, at most; an update that was under way needed none to be promoted.
    open_count = deltas.updates - deltas.completions + (update_state is UpdateState.UPDATING)
    if open_count <= 0:
        return current  # each was promoted: a blueGreen rollout does not wait for pods before its first switch
    if open_count == 1 and len(ordered) > 1:
        return ordered[-2].hash
    with_pods = [replica_set.hash for replica_set in ordered[:-1] if replica_set.desired > 0]
    return with_pods[0] if len(with_pods) == 1 else ""


def _sizes_match(replica_sets: Iterable[ReplicaSet], current: ReplicaSet, view: ControllerView) -> bool:
    """Return whether the phase is about the current ReplicaSet: both pages count the same pods."""
    replicas = view.replicas
    if replicas is None:
        return False
    pod_count = sum(replica_set.pod_count for replica_set in replica_sets)
    return (current.pod_count, pod_count) == (replicas.updated, replicas.total)


def _only_possible_stable(ordered: list[ReplicaSet], view: ControllerView, current: ReplicaSet) -> str:
    """Return the stable hash without having seen its promotion, if only one ReplicaSet can have it."""
    if len(ordered) == 1:
        return current.hash
    others = [replica_set for replica_set in ordered if replica_set is not current and replica_set.desired > 0]
    if len(others) != 1:
        return ""
    replicas, is_held = view.replicas, view.phase in ("Abort", "Paused")
    # A former ReplicaSet that was taken up again may be the stable one, while the pods of a later one go.
    if others[0].created_at > current.created_at and not is_held:
        return ""
    is_updating = is_held or (replicas is not None and current.desired < replicas.desired)
    return others[0].hash if is_updating else ""
