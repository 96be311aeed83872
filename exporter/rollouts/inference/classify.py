"""Classifies the update state of a rollout at a tick by the strongest evidence available.

First by the rollout's own status, then by the revisions of its ReplicaSets, then by the controller's page alone.
Sources are scraped at their own intervals, so hashes count only if they show everything that the event counters show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference import revisions
from exporter.rollouts.model import NO_HASHES, RevisionHashes, UpdateState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.model import ControllerView, EventDeltas, Observation, RolloutState, RolloutStatus


NOTHING_NEW: Final = "nothing has happened since"
"""Evidence of a tick in which nothing happened; the state machine keeps the evidence of the previous tick."""
_MID_UPDATE: Final[Mapping[UpdateState, tuple[str, ...]]] = {
    UpdateState.UNKNOWN: ("Paused", "Timeout"),
    UpdateState.SETTLED: ("Paused",),  # Timeout: old pods may drain for longer than a progress deadline
    UpdateState.UPDATING: (),
    UpdateState.ABORTED: (),
}
"""Phases in which pods of two revisions prove an update, by previous update state.

Not Progressing: a promoted rollout with a router stays in it until its old pods are gone, 30 s by default.
"""


@dataclass(frozen=True, slots=True)
class Classification:
    """Update state and hashes at a tick, and the evidence; `from_hashes`: the sources' hashes at this tick prove it."""

    update_state: UpdateState
    evidence: str
    hashes: RevisionHashes
    from_hashes: bool = False


def classify_update(
    state: RolloutState | None, now: float, observation: Observation, view: ControllerView, deltas: EventDeltas | None
) -> Classification:
    """Classify a rollout at a tick (`now`, Unix seconds) by the strongest evidence; `view` is the observation's own."""
    previous, hashes = (state.update_state, state.hashes) if state is not None else (UpdateState.UNKNOWN, NO_HASHES)
    by_status = _by_status(state, now, observation.status, deltas)
    if by_status is not None:
        return by_status
    workload = observation.workload
    is_outdated = _is_outdated(state, now, workload.observed_at if workload is not None else -math.inf, deltas)
    annotated = revisions.hashes_by_revision(observation, previous, hashes, deltas)
    by_revisions = None if is_outdated else _by_revisions(annotated, hashes, view, deltas)
    if by_revisions is not None:
        return by_revisions
    update_state, evidence = _by_events(previous, observation, view, deltas)
    if is_outdated or (annotated is not None and annotated.stable):
        hashes = revisions.carry_forward(update_state, hashes, deltas)
    else:
        hashes = annotated or revisions.hashes_by_size(observation, update_state, hashes, deltas)
    return Classification(update_state, evidence, hashes)


def _by_status(
    state: RolloutState | None, now: float, status: RolloutStatus | None, deltas: EventDeltas | None
) -> Classification | None:
    """Classify by the rollout's own status; None if that is unknown or behind the counters."""
    # `status.stableRS` is empty until the first promotion.
    if status is None or not status.current_hash or not status.stable_hash:
        return None
    if _is_outdated(state, now, status.observed_at, deltas):
        return None
    hashes = RevisionHashes(status.current_hash, status.stable_hash)
    previous = state.hashes if state is not None else NO_HASHES
    # The status is of another page, which may be older than the abort that the counters show.
    is_behind = deltas is not None and deltas.aborts and not status.aborted
    if is_behind or not _consistent_with_counters(hashes, previous, deltas):
        return None
    return Classification(_by_hashes(hashes, aborted=status.aborted), "rollout state", hashes, from_hashes=True)


def _by_revisions(
    hashes: RevisionHashes | None, previous: RevisionHashes, view: ControllerView, deltas: EventDeltas | None
) -> Classification | None:
    """Classify by the revisions of the ReplicaSets; None if these are incomplete or behind the counters."""
    if hashes is None or not hashes.stable or not _consistent_with_counters(hashes, previous, deltas):
        return None
    # The page may still show the abort of the revision before while a new ReplicaSet exists.
    aborted = view.phase == "Abort" and not revisions.ahead_of_counters(previous.current, hashes.current, deltas)
    return Classification(_by_hashes(hashes, aborted=aborted), "ReplicaSet revisions", hashes, from_hashes=True)


def _is_outdated(state: RolloutState | None, now: float, observed_at: float, deltas: EventDeltas | None) -> bool:
    """Return whether the counters showed a transition after a source was scraped (`observed_at`, Unix seconds)."""
    if state is None or deltas is None:
        return False
    # All pages of a tick have its time, so an earlier time means a page of an earlier tick.
    return observed_at < now if deltas.has_transition else observed_at <= state.last_event_at


def _consistent_with_counters(hashes: RevisionHashes, previous: RevisionHashes, deltas: EventDeltas | None) -> bool:
    """Return whether hashes show what the counters show: even the pages of one tick are some 10 ms apart."""
    if deltas is None:
        return True
    if deltas.updates and hashes.current == previous.current:
        return False
    return not deltas.completions or hashes.stable != previous.stable


def observed_after(observation: Observation, last_event_at: float) -> bool:
    """Return whether all sources were scraped after the counters last showed a transition (Unix seconds)."""
    sources = (source for source in (observation.workload, observation.status) if source is not None)
    return all(source.observed_at > last_event_at for source in sources)


def _by_hashes(hashes: RevisionHashes, *, aborted: bool) -> UpdateState:
    if hashes.current == hashes.stable:
        return UpdateState.SETTLED
    return UpdateState.ABORTED if aborted else UpdateState.UPDATING


def _by_events(
    previous: UpdateState, observation: Observation, view: ControllerView, deltas: EventDeltas | None
) -> tuple[UpdateState, str]:
    """Classify by the controller's page alone: phase, event counters, replica gauges."""
    # The controller sets Completed only if the stable revision is the current one.
    if view.phase == "Completed":
        return UpdateState.SETTLED, "phase Completed"
    if view.phase == "Abort":
        at_rest = _aborted_at_rest(previous, view, deltas)
        return (previous, "aborted at rest") if at_rest else (UpdateState.ABORTED, "phase Abort")
    if observation.first_deploy and (deltas is None or deltas.updates <= 1):
        return UpdateState.SETTLED, "first deploy: there is no other revision"
    if deltas is not None and (deltas.completions or deltas.updates):
        return _by_event_counts(previous, view, deltas)
    if previous is UpdateState.ABORTED:  # Abort lasts until a retry or a new revision
        return UpdateState.UPDATING, "left phase Abort without a new revision: retried"
    if view.phase in _MID_UPDATE[previous] and view.replicas is not None and view.replicas.old > 0:
        return UpdateState.UPDATING, f"phase {view.phase} with pods of two revisions"
    return previous, NOTHING_NEW if previous is not UpdateState.UNKNOWN else "begun before anyone looked"


def _aborted_at_rest(previous: UpdateState, view: ControllerView, deltas: EventDeltas | None) -> bool:
    """Return whether no update was aborted: `abort` can be set on a settled rollout, too."""
    if previous is not UpdateState.SETTLED or deltas is None or deltas.updates:
        return False
    return not deltas.process_restarted or (view.replicas is not None and not view.replicas.old)


def _by_event_counts(previous: UpdateState, view: ControllerView, deltas: EventDeltas) -> tuple[UpdateState, str]:
    """Classify an interval in which revisions were applied or promoted.

    RolloutUpdated counts a new current revision, RolloutCompleted a promotion, SkipSteps a rollback to the stable one.
    """
    if deltas.completions:
        is_open = deltas.updates > (0 if previous is UpdateState.UPDATING else deltas.completions)
        if is_open and revisions.is_mid_update(view):
            return UpdateState.UPDATING, "RolloutUpdated counted after RolloutCompleted"
        return UpdateState.SETTLED, "RolloutCompleted counted"
    if deltas.step_skips and not (deltas.updates > 1 and revisions.is_mid_update(view)):
        return UpdateState.SETTLED, "SkipSteps counted: back to the stable revision"
    return UpdateState.UPDATING, "RolloutUpdated counted"
