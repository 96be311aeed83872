"""What a tick shows of a rollout besides its update state: router, kind of update, first promotion, pods."""

from __future__ import annotations

import zlib
from sys import intern
from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import BLUE_GREEN, UpdateState

if TYPE_CHECKING:
    from exporter.rollouts.inference.evidence import Classification
    from exporter.rollouts.model import ControllerView, EventDeltas, Observation, RevisionHashes, RolloutState

NOT_AT_REST: Final = (UpdateState.UPDATING, UpdateState.ABORTED)
"""States of a rollout that has a stable revision."""


def evidence_text(result: Classification) -> str:
    """Return the kind of evidence and the reason that were believed."""
    return intern(f"{result.rung}: {result.reason}")  # of thousands of rollouts, few differ


def has_revision(view: ControllerView) -> bool:
    """Return whether a revision was ever applied; a rollout whose spec is invalid from the start has none."""
    # The counters of a deleted rollout of the same name go on.
    is_counted = view.event_counts.get("RolloutUpdated") and not view.event_counts.get("RolloutDeleted")
    return bool(is_counted) or (view.replicas is not None and view.replicas.total > 0)


def has_promotion(state: RolloutState | None, view: ControllerView) -> bool:
    """Return whether the first deploy is counted; `state` is of the last tick, None at first sight."""
    if view.phase == "Completed":
        return True
    count = view.event_counts.get("RolloutCompleted", 0)
    if state is not None and state.process == view.process:
        return count > state.event_counts.get("RolloutCompleted", 0)
    return bool(count) and not view.event_counts.get("RolloutDeleted")


def pods_checksum(observation: Observation) -> int:
    """Return a number that changes whenever a pod of the rollout comes, goes, becomes ready or unready."""
    pods = observation.workload.pods if observation.workload is not None else ()
    return zlib.crc32("\n".join([f"{pod.uid} {pod.ready}" for pod in pods]).encode())


def shows_router(view: ControllerView, observation: Observation) -> bool:
    """Return whether a router splits the traffic.

    `rollout_info{traffic_router}` is "" for Traefik, Apisix and every plugin, so weights prove one, too: the
    controller sets them only with a router.
    """
    if view.router or view.event_counts.get("TrafficWeightUpdated"):
        return True
    return observation.status is not None and observation.status.weight is not None


def update_kind(
    view: ControllerView, hashes: RevisionHashes, observation: Observation, deltas: EventDeltas | None
) -> str:
    """Return the kind of an update: blueGreen, rollback (to an older ReplicaSet than the stable one), or canary."""
    if view.strategy == BLUE_GREEN:
        return "blueGreen"
    replica_sets = observation.replica_sets
    current, stable = replica_sets.get(hashes.current), replica_sets.get(hashes.stable)
    if current is not None and stable is not None:
        # False if a creation time is unknown (NaN).
        return "rollback" if current.created_at < stable.created_at else "canary"
    # A rollback takes up the ReplicaSet of its revision, so that no new one is counted.
    return "rollback" if deltas is not None and deltas.updates and not deltas.new_replica_sets else "canary"
