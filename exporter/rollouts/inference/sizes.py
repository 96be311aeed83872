"""Finds the current and the stable revision without revision annotations: which ReplicaSets exist, and their pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.inference.revisions import hash_when_settled
from exporter.rollouts.model import RevisionHashes, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.rollouts.model import ControllerView, EventDeltas, ReplicaCounts, ReplicaSet, ReplicaSets


def hashes_by_size(
    replica_sets: ReplicaSets,
    view: ControllerView,
    update_state: UpdateState,
    previous: RevisionHashes,
    deltas: EventDeltas | None,
    replicas_before: ReplicaCounts | None,
) -> RevisionHashes:
    """Find the hashes by which ReplicaSets exist, how many pods they have, and what the counters show.

    `replicas_before` are the gauges at the previous tick.
    """
    newest_at = max(replica_set.created_at for replica_set in replica_sets.values())
    current, stable = (name if name in replica_sets else "" for name in (previous.current, previous.stable))
    remembered = RevisionHashes(current, stable, newest_at)
    if update_state is UpdateState.SETTLED:
        settled = _hash_at_rest(replica_sets, view, remembered, deltas)
        return RevisionHashes(settled, settled, newest_at)
    # Sizes alone prove nothing: above 50 % the canary is the larger one.
    if update_state is UpdateState.UNKNOWN:
        return RevisionHashes(newest_created_at=newest_at)
    promoted = _promoted_by_former_process(replica_sets, view, stable, deltas)
    if promoted:
        return RevisionHashes("", promoted, newest_at)
    new = _new_hash(replica_sets.values(), previous.newest_created_at)
    new = new or _taken_up_hash(replica_sets.values(), remembered, deltas, replicas_before)
    # While pods come and go, either page may be behind the other.
    is_steady = deltas is not None and not deltas.updates and view.replicas == replicas_before
    hashes = _hashes_mid_update(replica_sets, view, remembered, deltas, new=new, is_steady=is_steady)
    if deltas is not None and not deltas.updates:
        hashes = _with_pods(replica_sets, view, hashes)
    return _without_contradicted(replica_sets, view, hashes) if is_steady else hashes


def _hash_at_rest(
    replica_sets: ReplicaSets, view: ControllerView, remembered: RevisionHashes, deltas: EventDeltas | None
) -> str:
    """Return the hash of the only revision of a rollout that settled or stays settled, "" if it is unknown."""
    # A restarted controller may have promoted another revision before it ended.
    is_known = deltas is None or not deltas.process_restarted
    settled = _only_hash_with_pods(replica_sets.values(), view)
    settled = settled or (hash_when_settled(remembered, deltas) if is_known else "")
    # One promotion moves the stable revision, so that a page which does not show that is an earlier one.
    is_outdated = deltas is not None and deltas.completions == 1 and settled == remembered.stable
    return "" if is_outdated else settled


def _promoted_by_former_process(
    replica_sets: ReplicaSets, view: ControllerView, stable: str, deltas: EventDeltas | None
) -> str:
    """Return the revision that was promoted while no page was scraped: it has all pods, and is not the updated one."""
    if deltas is None or not (deltas.process_restarted and deltas.updates) or view.replicas is None:
        return ""
    with_pods = [replica_set for replica_set in replica_sets.values() if replica_set.desired > 0]
    if len(with_pods) != 1 or not stable or with_pods[0].hash == stable:
        return ""
    return with_pods[0].hash if with_pods[0].pod_count > view.replicas.updated else ""


def _new_hash(replica_sets: Collection[ReplicaSet], newest_before: float) -> str:
    """Return the hash of the newest ReplicaSet, "" if it was there before or is not known among several.

    `newest_before` is 0 if no ReplicaSets were shown before, so that none is new. Times are in seconds.
    """
    newest_at = max(replica_set.created_at for replica_set in replica_sets)
    if not 0 < newest_before < newest_at:
        return ""
    newest = [replica_set for replica_set in replica_sets if replica_set.created_at == newest_at]
    if len(newest) > 1:
        newest = [replica_set for replica_set in newest if replica_set.desired > 0]
    return newest[0].hash if len(newest) == 1 else ""


def _taken_up_hash(
    replica_sets: Collection[ReplicaSet],
    remembered: RevisionHashes,
    deltas: EventDeltas | None,
    replicas_before: ReplicaCounts | None,
) -> str:
    """Return the hash of a former ReplicaSet that a settled rollout went back to: the only one that has pods again."""
    was_settled = remembered.stable == remembered.current and replicas_before is not None and not replicas_before.old
    if not was_settled or deltas is None or deltas.updates != 1 or deltas.completions or deltas.new_replica_sets:
        return ""
    others = [item.hash for item in replica_sets if item.desired > 0 and item.hash != remembered.stable]
    return others[0] if remembered.stable and len(others) == 1 else ""


def _only_hash_with_pods(replica_sets: Iterable[ReplicaSet], view: ControllerView) -> str:
    """Return the hash of the only ReplicaSet with pods, if the controller counts no other pods."""
    with_pods = [replica_set for replica_set in replica_sets if replica_set.pod_count > 0]
    replicas = view.replicas
    if len(with_pods) == 1 and replicas is not None and with_pods[0].pod_count == replicas.updated == replicas.total:
        return with_pods[0].hash
    return ""


def _hashes_mid_update(
    replica_sets: ReplicaSets,
    view: ControllerView,
    remembered: RevisionHashes,
    deltas: EventDeltas | None,
    *,
    new: str,
    is_steady: bool,
) -> RevisionHashes:
    """Find the current revision of an update: a new ReplicaSet's, the remembered one, or the one whose size matches.

    A ReplicaSet newer than all before is created only for a new current revision (a rollback takes up the old one).
    The page that shows it may be scraped after the page that counts it.
    """
    stable = "" if deltas is None or deltas.completions else remembered.stable
    if new and deltas is not None and deltas.updates <= max(deltas.new_replica_sets, 1):
        return replace(remembered, current=new, stable=stable if stable != new else "")
    if (deltas is None or not deltas.updates) and remembered.current != stable and remembered.current:
        return replace(remembered, stable=stable)
    # Of a new ReplicaSet and one that was taken up again, either may have come last, which a pause shows.
    is_moving = not (is_steady and view.phase == "Paused")
    if deltas is not None and (deltas.new_replica_sets or (not deltas.updates and is_moving)):
        return replace(remembered, current="", stable=stable)
    return _match_by_size(replica_sets, view, replace(remembered, stable=stable))


def _without_contradicted(replica_sets: ReplicaSets, view: ControllerView, hashes: RevisionHashes) -> RevisionHashes:
    """Return what the pods do not contradict, if both pages count the same ones and none come or go.

    The stable ReplicaSet has pods, unless dynamicStableScale moved all to the current one. The current one has the
    updated pods; if not, it was replaced by one that was created in the same second.
    """
    replicas, pod_count = view.replicas, sum(replica_set.pod_count for replica_set in replica_sets.values())
    is_complete = all(replica_set.desired == replica_set.pod_count for replica_set in replica_sets.values())
    if replicas is None or pod_count != replicas.total or not is_complete or not hashes.current:
        return hashes
    others = [replica_set for name, replica_set in replica_sets.items() if name not in (hashes.current, hashes.stable)]
    if hashes.stable and not replica_sets[hashes.stable].desired and any(other.desired > 0 for other in others):
        hashes = replace(hashes, stable="")
    current = replica_sets[hashes.current]
    matches = [item for item in others if item.created_at == current.created_at and item.pod_count == replicas.updated]
    return replace(hashes, current=matches[0].hash) if current.pod_count != replicas.updated and matches else hashes


def _with_pods(replica_sets: ReplicaSets, view: ControllerView, hashes: RevisionHashes) -> RevisionHashes:
    """Return hashes whose current ReplicaSet has pods if any are updated: one without them was left at once."""
    updated = view.replicas.updated if view.replicas is not None else 0.0
    current = replica_sets.get(hashes.current)
    if current is None or current.desired or current.pod_count or not updated:
        return hashes
    return _match_by_size(replica_sets, view, hashes)


def is_stable_updated(
    replica_sets: ReplicaSets, view: ControllerView, previous: RevisionHashes, deltas: EventDeltas | None
) -> bool:
    """Return whether a revision without a ReplicaSet of its own can only be the stable one: it has the updated pods."""
    if deltas is None or deltas.updates != 1 or deltas.new_replica_sets or deltas.completions or view.replicas is None:
        return False
    if not previous.current or previous.current == previous.stable or not view.replicas.updated:
        return False
    pod_counts = {name: replica_set.pod_count for name, replica_set in replica_sets.items()}
    matches = [name for name, count in pod_counts.items() if count == view.replicas.updated]
    is_same_moment = sum(pod_counts.values()) == view.replicas.total
    return is_same_moment and [name for name in matches if name != previous.current] == [previous.stable]


def _match_by_size(replica_sets: ReplicaSets, view: ControllerView, remembered: RevisionHashes) -> RevisionHashes:
    """Take as current the only ReplicaSet whose pod count is the controller's count of updated pods."""
    updated = view.replicas.updated if view.replicas is not None else None
    sizes = {name: replica_set.pod_count for name, replica_set in replica_sets.items() if replica_set.pod_count > 0}
    matches = [name for name, size in sizes.items() if size == updated and name != remembered.stable]
    # A page that counts other pods is of another moment.
    is_same_moment = view.replicas is not None and sum(sizes.values()) == view.replicas.total
    if len(matches) != 1 or not is_same_moment:
        return replace(remembered, current="")
    others = [name for name in sizes if name != matches[0]]
    stable = remembered.stable or (others[0] if len(others) == 1 else "")
    return replace(remembered, current=matches[0], stable=stable)
