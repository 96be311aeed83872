"""Classifies the update state of a rollout at a tick: the ladder of evidence.

`LADDER` has one function for each kind of evidence, the strongest first. Each returns the update state, the hashes of
the revisions and the reason, or None if its evidence is missing or contradicted; the first that returns something is
believed. Sources are scraped at their own intervals, so hashes count only if they show everything that the event
counters show, but for events that are still `pending`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference import revisions, sizes
from exporter.rollouts.inference.controller_page import classify_page, sign_of_update
from exporter.rollouts.inference.evidence import (
    ABORT_EVENTS,
    NO_EVENTS,
    PROMOTION_EVENTS,
    RETRIED,
    RETRY_EVENTS,
    REVISION_EVENTS,
    Classification,
)
from exporter.rollouts.inference.unwritten import (
    awaits_promotion,
    is_aborted_by_user,
    is_before_written,
    is_newest_unwritten,
    is_retried,
    is_retried_since,
    unwritten_events,
)
from exporter.rollouts.model import CANARY, NO_HASHES, RevisionHashes, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.rollouts.inference.evidence import Evidence
    from exporter.rollouts.model import Observation, ReplicaSet


def classify_update(evidence: Evidence) -> Classification:
    """Classify a rollout at a tick by the strongest evidence."""
    # The last rung always returns a classification.
    name, result = next((name, result) for name, rung in LADDER if (result := rung(evidence)) is not None)
    return replace(result, rung=name)


def by_state(evidence: Evidence) -> Classification | None:
    """Classify by the rollout's own status; None if that is unknown or contradicted."""
    status = evidence.observation.status
    # `status.stableRS` is empty until the first promotion.
    if status is None or not status.current_hash or not status.stable_hash:
        return None
    number = _number_of(evidence, status.current_hash)
    hashes = RevisionHashes(status.current_hash, status.stable_hash, evidence.hashes.newest_created_at, number)
    if _is_status_of_past(evidence, hashes, status.observed_at):
        return None
    if status.observed_at < evidence.now or evidence.is_outdated(status.observed_at):
        # Nothing counts a retry, so a page of an earlier tick must agree about the abort.
        is_aborted = evidence.view.phase == "Abort" and hashes.current != hashes.stable
        is_outdated = evidence.is_outdated(status.observed_at) or sign_of_update(evidence)
        if is_outdated or is_aborted != (status.aborted and hashes.current != hashes.stable):
            return None
    # `status.abort` or, since 1.11, the outcome of the last update.
    aborted = status.aborted or status.completion == "Aborted"
    return _by_hashes(evidence, hashes, aborted=aborted)


def _is_status_of_past(evidence: Evidence, hashes: RevisionHashes, observed_at: float) -> bool:
    """Return whether a status shows what is over: an earlier page, or one that a restarted source had cached."""
    before = evidence.hashes
    if not before.current or not before.stable or (hashes.current, hashes.stable) == (before.current, before.stable):
        return False
    # A promotion is not taken back. Only the phase proves that it was written.
    is_promoted = before.current == before.stable == hashes.current
    is_written = evidence.view.phase == "Completed" and evidence.view.strategy == CANARY
    return observed_at < evidence.now or (is_promoted and is_written)


def _number_of(evidence: Evidence, current_hash: str) -> int:
    """Return the number of the current revision, 0 if unknown: one that was taken up again has another number since."""
    workload = evidence.observation.workload
    if workload is None or workload.observed_at < evidence.now:
        return evidence.hashes.number if evidence.hashes.current == current_hash else 0
    replica_set = workload.replica_sets.get(current_hash)
    return replica_set.revision or 0 if replica_set is not None else 0


def by_first_deploy(evidence: Evidence) -> Classification | None:
    """Classify a rollout that was created under observation, and that has no stable revision yet: nothing to update."""
    state, view, deltas = evidence.state, evidence.view, evidence.deltas
    if state is None or state.had_promotion or view.phase in ("Completed", "Abort"):
        return None
    completions = view.event_counts.get("RolloutCompleted", 0.0)
    if deltas is None or deltas.process_restarted or completions > state.event_counts.get("RolloutCompleted", 0.0):
        return None
    if deltas.has_steps:
        return None  # without a stable revision no step runs
    ordered, hashes = revisions.by_number(evidence.observation.replica_sets), NO_HASHES
    if ordered:
        newest = ordered[-1]
        hashes = RevisionHashes(newest.hash, newest.hash if len(ordered) == 1 else "", number=newest.revision or 0)
    return Classification(UpdateState.SETTLED, "there is no stable revision yet", hashes)


def by_revisions(evidence: Evidence) -> Classification | None:
    """Classify by the revisions of the ReplicaSets; None if these are unknown or behind the counters."""
    workload, view, deltas = evidence.observation.workload, evidence.view, evidence.deltas
    if workload is None or evidence.is_outdated(workload.observed_at):
        return None
    if workload.observed_at < evidence.now and sign_of_update(evidence):
        return None
    ordered = revisions.by_number(workload.replica_sets)
    if not ordered:
        return None
    is_behind = is_newest_unwritten(evidence, ordered)
    if deltas is not None and not is_behind and awaits_promotion(evidence):
        deltas = replace(deltas, completions=deltas.completions - 1)
    hashes = revisions.hashes_by_revision(
        ordered, view, evidence.previous, evidence.hashes, deltas, is_behind=is_behind
    )
    if not hashes.stable or not hashes.current:
        return None
    is_of_abort = hashes.current == evidence.hashes.current or (deltas is not None and deltas.updates > 0)
    if is_of_abort and hashes.current != hashes.stable and is_aborted_by_user(evidence):
        reason = "RolloutAborted counted, and the current revision is not the stable one"
        return Classification(UpdateState.ABORTED, reason, hashes, from_hashes=True, pending=ABORT_EVENTS)
    if hashes.current != hashes.stable and is_retried(evidence):
        return Classification(UpdateState.UPDATING, RETRIED, hashes, from_hashes=True, pending=RETRY_EVENTS)
    result = _by_hashes(evidence, hashes, aborted=view.phase == "Abort")
    # The status shows all but the newest of the counted revisions.
    is_next_pending = (
        is_behind and deltas is not None and deltas.updates > 1 and hashes.number > evidence.hashes.number > 0
    )
    if result is not None and is_next_pending and not result.pending:
        return replace(result, pending=REVISION_EVENTS)
    return result


def by_sizes(evidence: Evidence) -> Classification | None:
    """Classify by the controller's page, and find the hashes by which ReplicaSets exist and how many pods they have."""
    workload = evidence.observation.workload
    if workload is None or not workload.replica_sets or evidence.is_outdated(workload.observed_at):
        return None
    result = by_events(evidence)
    ordered = revisions.by_number(workload.replica_sets)
    if ordered:  # the revisions are known, but not the stable one
        return _by_newest(evidence, ordered, result)
    if result.pending:
        return result
    if result.update_state is UpdateState.UPDATING and sizes.is_stable_updated(
        workload.replica_sets, evidence.view, evidence.hashes, evidence.deltas
    ):
        reason = "RolloutUpdated counted, and the stable ReplicaSet has the updated pods"
        hashes = RevisionHashes(evidence.hashes.stable, evidence.hashes.stable, evidence.hashes.newest_created_at)
        return Classification(UpdateState.SETTLED, reason, hashes)
    hashes = sizes.hashes_by_size(
        workload.replica_sets,
        evidence.view,
        result.update_state,
        evidence.hashes,
        evidence.deltas,
        evidence.replicas_before,
    )
    return replace(result, hashes=hashes)


def _by_newest(evidence: Evidence, ordered: list[ReplicaSet], result: Classification) -> Classification:
    """Return a classification by the controller's page with the newest revision as the current one."""
    newest, before, stable = ordered[-1], evidence.hashes, result.hashes.stable
    if result.update_state is UpdateState.SETTLED:
        return result
    if newest.hash == before.current == before.stable and newest.revision == before.number:
        return result  # the page is from before the update
    has_pods = any(replica_set.hash == stable and replica_set.desired for replica_set in ordered)
    # A page that shows no newer revision than before may be from before a promotion, too.
    stable = stable if has_pods and (newest.revision or 0) > before.number else ""
    return replace(result, hashes=RevisionHashes(newest.hash, stable, number=newest.revision or 0))


def by_events(evidence: Evidence) -> Classification:
    """Classify by the controller's page alone: phase, event counters, replica gauges."""
    update_state, reason, pending = classify_page(evidence)
    if is_aborted_by_user(evidence):
        update_state, reason, pending = UpdateState.ABORTED, "RolloutAborted counted", ABORT_EVENTS
    if pending:
        hashes = evidence.hashes
        if update_state is UpdateState.UPDATING and hashes.current == hashes.stable:
            hashes = replace(hashes, current="", number=0)  # of the revision that is about to be promoted
        return Classification(update_state, reason, hashes, pending=pending)
    hashes = revisions.carry_forward(update_state, evidence.hashes, evidence.deltas)
    return Classification(update_state, reason, hashes)


LADDER: Final[tuple[tuple[str, Callable[[Evidence], Classification | None]], ...]] = (
    ("rollout state", by_state),
    ("first deploy", by_first_deploy),
    ("ReplicaSet revisions", by_revisions),
    ("ReplicaSet sizes", by_sizes),
    ("controller's page", by_events),
)
"""The kinds of evidence by name, the strongest first; `explain` prints the name of the one that was believed."""


def observed_after(observation: Observation, last_event_at: float) -> bool:
    """Return whether all sources were scraped after the counters last showed a transition (Unix seconds)."""
    sources = (source for source in (observation.workload, observation.status) if source is not None)
    return all(source.observed_at > last_event_at for source in sources)


def _by_hashes(evidence: Evidence, hashes: RevisionHashes, *, aborted: bool) -> Classification | None:
    """Classify by both hashes; None if the phase contradicts them, or the counters for too long."""
    deltas, pending = evidence.deltas, unwritten_events(evidence, hashes, aborted=aborted)
    if pending == ABORT_EVENTS and is_retried_since(evidence):
        pending = NO_EVENTS
    if is_before_written(evidence, pending):
        return None
    if pending and evidence.is_overdue:
        # One RolloutUpdated must change the current revision, a RolloutCompleted the stable one: the page is frozen.
        if deltas is not None and (deltas.updates == 1 or pending & PROMOTION_EVENTS):
            return None
        pending = NO_EVENTS  # there and back again, or aborted and retried
    if hashes.current == hashes.stable:
        update_state, reason = UpdateState.SETTLED, "the current revision is the stable one"
    elif aborted:
        update_state, reason = UpdateState.ABORTED, "the current revision is not the stable one, and is aborted"
    else:
        update_state, reason = UpdateState.UPDATING, "the current revision is not the stable one"
    return Classification(update_state, reason, hashes, from_hashes=True, pending=pending)
