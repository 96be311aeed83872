"""Which counted events are not in the status yet, and which writes are ahead of the phase.

The work queue shows whether the reconciliation goes on that counted an event (`Evidence.is_unwritten`); where it does
not, gauges, ReplicaSets and the phase of the tick before are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference import revisions
from exporter.rollouts.inference.evidence import (
    ABORT_EVENTS,
    GAUGE_PERIOD,
    NO_EVENTS,
    PROMOTION_EVENTS,
    REVISION_EVENTS,
)
from exporter.rollouts.model import BLUE_GREEN, CANARY, RevisionHashes, UpdateState

if TYPE_CHECKING:
    from exporter.rollouts.inference.evidence import Evidence
    from exporter.rollouts.model import EventDeltas, ReplicaSet

_FAILURE_EVENTS: Final = frozenset({"AnalysisRunFailed", "AnalysisRunError", "AnalysisRunInconclusive"})
"""Events after which the controller aborts an update by itself."""


def is_aborted_by_user(evidence: Evidence) -> bool:
    """Return whether an abort was counted that is in the status already, although the phase does not show it yet.

    A user aborts by writing the status; the controller counts aborts by analyses and deadlines before it writes them,
    those by deadlines twice.
    """
    view, deltas, state = evidence.view, evidence.deltas, evidence.state
    if deltas is None or deltas.aborts != 1 or state is None or evidence.is_overdue or view.phase == "Abort":
        return False
    if deltas.completions or not _is_abort_of_update(evidence, deltas):
        return False
    # What the controller has written since would show the abort, or that it was retried.
    has_changed = (view.phase, view.replicas) != (state.phases.phase, state.replicas) or deltas.process_restarted
    has_changed = has_changed or deltas.has_steps
    # Events of earlier ticks may be pending, whose reconciliation is over.
    is_running = "RolloutAborted" not in state.pending_counts and evidence.is_reconciling
    is_written = has_changed and not (evidence.is_unwritten or is_running)
    grown = (reason for reason, count in view.event_counts.items() if count > state.event_counts.get(reason, 0.0))
    return not is_written and not _FAILURE_EVENTS.intersection(grown)


def _is_abort_of_update(evidence: Evidence, deltas: EventDeltas) -> bool:
    """Return whether an update was under way when an abort was counted: shown, or counted at an earlier tick."""
    pending = evidence.state.pending_counts.get("RolloutUpdated") if evidence.state is not None else None
    if pending is not None:
        return evidence.view.event_counts.get("RolloutUpdated") == pending and deltas.updates == 1
    return evidence.previous in (UpdateState.UPDATING, UpdateState.ABORTED) and not deltas.updates


def awaits_promotion(evidence: Evidence) -> bool:
    """Return whether the last promotion that was counted is not in the status yet, since its reconciliation goes on."""
    deltas, view, state = evidence.deltas, evidence.view, evidence.state
    if deltas is None or not deltas.completions or not evidence.awaits_status:
        return False
    # The weight goes from the canary to the stable revision once the promotion is written.
    is_complete = state is not None and state.weight is not None and state.weight.fraction == 1.0
    weights_before = deltas.updates + deltas.completed_steps - deltas.resumes + (not is_complete)
    if deltas.weight_updates > weights_before:
        return False
    # The status that shows a promotion shows the phase Completed, too, if all is ready; blueGreen has it before.
    is_new_phase = state is None or state.phases.phase != "Completed"
    is_before_switch = not is_new_phase or revisions.is_analysed(view)
    # The former ReplicaSet of blueGreen keeps its pods until the promotion is written.
    has_old_pods = view.replicas is None or view.replicas.old > 0
    return view.phase != "Completed" or (view.strategy == BLUE_GREEN and is_before_switch and has_old_pods)


def awaits_revision(evidence: Evidence, deltas: EventDeltas) -> bool:
    """Return whether a new revision was counted, but is not in the status yet: nothing shows its pods."""
    view, before = evidence.view, evidence.replicas_before
    if evidence.previous is UpdateState.ABORTED or deltas.updates != 1 or deltas.completions:
        return False
    if not evidence.awaits_status or view.replicas is None or before is None:
        return False
    is_former = view.replicas.updated >= before.updated and view.replicas.old <= before.old
    return is_former and not deltas.has_steps


def is_retried_since(evidence: Evidence) -> bool:
    """Return whether an update whose abort was counted at an earlier tick goes on: it was aborted and retried since."""
    deltas, state = evidence.deltas, evidence.state
    if deltas is None or state is None or not 0 < state.pending_since < evidence.now:
        return False
    if evidence.previous is not UpdateState.UPDATING:
        return False  # what was counted at an earlier tick is no abort
    is_written = evidence.reconciling_since is not None and not evidence.is_unwritten
    return is_written or deltas.has_steps


def is_retried(evidence: Evidence) -> bool:
    """Return whether an aborted update goes on although the phase is still Abort: the retry's first events are sent."""
    deltas, view = evidence.deltas, evidence.view
    if deltas is None or view.phase != "Abort" or not evidence.awaits_status:
        return False
    is_known = evidence.previous in (UpdateState.ABORTED, UpdateState.UPDATING)
    return is_known and deltas.has_steps and not (deltas.updates or deltas.aborts)


def unwritten_events(evidence: Evidence, hashes: RevisionHashes, *, aborted: bool) -> frozenset[str]:
    """Return the counted events that hashes do not show yet."""
    deltas, previous = evidence.deltas, evidence.hashes
    if deltas is None:
        return NO_EVENTS
    # Another process may have counted before what its predecessor wrote.
    if deltas.process_restarted and not (evidence.is_unwritten or _has_left_stable(evidence, hashes)):
        return NO_EVENTS
    pending = NO_EVENTS
    if deltas.updates and hashes.current == previous.current and _is_same_number(hashes, previous, deltas):
        pending |= REVISION_EVENTS
    # Of a settled rollout with no new revision only the first deploy can still be counted.
    is_moving = deltas.updates > 0 or evidence.previous is not UpdateState.SETTLED
    if deltas.completions and hashes.stable == previous.stable and is_moving:
        pending |= PROMOTION_EVENTS
    is_same = (hashes.current, hashes.stable) == (previous.current, previous.stable)
    is_before_abort = is_same and evidence.previous is UpdateState.UPDATING
    # An update that began since the last tick: the page of the status was made before that of the controller.
    is_before_phase = evidence.previous is UpdateState.SETTLED and evidence.view.phase == "Abort"
    if deltas.aborts and not aborted and (is_before_abort or is_before_phase):
        pending |= ABORT_EVENTS
    return pending


def _has_left_stable(evidence: Evidence, hashes: RevisionHashes) -> bool:
    """Return whether the counters of another process show that a rollout has left the stable revision of the hashes."""
    deltas = evidence.deltas
    if deltas is None or deltas.completions or hashes.current != hashes.stable:
        return False
    return revisions.leads_away(evidence.previous, deltas)


def is_before_written(evidence: Evidence, pending: frozenset[str]) -> bool:
    """Return whether hashes without the `pending` events are from before a status that the controller's page shows.

    An aborted rollout leaves the phase Abort with the status of its next revision. Of a settled one the steps begin
    after that is written.
    """
    deltas, phase = evidence.deltas, evidence.view.phase
    if deltas is None or deltas.updates != 1 or not pending >= REVISION_EVENTS:
        return False
    has_left = evidence.previous is UpdateState.ABORTED and phase not in ("Abort", "InvalidSpec")
    return has_left or (evidence.previous is UpdateState.SETTLED and deltas.has_steps)


def _is_same_number(hashes: RevisionHashes, previous: RevisionHashes, deltas: EventDeltas) -> bool:
    """Return whether an unchanged current revision was not left and taken up again, which raises its number."""
    if hashes.number and previous.number:
        return hashes.number == previous.number
    return deltas.updates == 1


def is_newest_unwritten(evidence: Evidence, ordered: list[ReplicaSet]) -> bool:
    """Return whether the status does not show the newest revision yet.

    The controller creates the ReplicaSet of a new revision before it writes the status.
    """
    if evidence.is_overdue or len(ordered) == 1:
        return False
    updates = evidence.deltas.updates if evidence.deltas is not None else 0.0
    is_written = _is_creation_over(evidence, ordered)
    if is_written is not None:
        return not is_written and (evidence.hashes.current == ordered[-2].hash or updates > 1)
    # Not even counted, where the one before it is.
    if (
        updates
        and evidence.deltas is not None
        and revisions.numbered_ahead(evidence.hashes, _newest(ordered), evidence.deltas)
    ):
        return True
    return (
        revisions.is_status_behind(ordered, evidence.hashes.current, evidence.view, evidence.replicas_before)
        or shows_former_abort(evidence)
        or _is_next_uncounted(evidence, ordered)
        or _shows_former_promotion(evidence, ordered)
    )


def _newest(ordered: list[ReplicaSet]) -> RevisionHashes:
    return RevisionHashes(ordered[-1].hash, number=ordered[-1].revision or 0)


def _is_creation_over(evidence: Evidence, ordered: list[ReplicaSet]) -> bool | None:
    """Return whether the reconciliation is over that created the newest ReplicaSet; None if that is unknown."""
    newest, since = ordered[-1], evidence.reconciling_since
    is_youngest = all(newest.created_at > replica_set.created_at for replica_set in ordered[:-1])
    # Creation times are whole seconds.
    created_until = newest.created_at + 1 + GAUGE_PERIOD
    if since is None or not is_youngest or evidence.now <= created_until:
        return False if since is not None and is_youngest and since <= created_until else None
    # A ReplicaSet that was taken up again may be the youngest, too.
    is_new = evidence.deltas is not None and evidence.deltas.new_replica_sets > 0
    return since > created_until if is_new else None


def shows_former_abort(evidence: Evidence) -> bool:
    """Return whether the phase is still that of the revision that was aborted before the newest one."""
    deltas = evidence.deltas
    return (
        evidence.view.phase == "Abort"
        and evidence.previous is UpdateState.ABORTED
        and deltas is not None
        and deltas.updates > 0
        and not deltas.aborts
    )


def _is_next_uncounted(evidence: Evidence, ordered: list[ReplicaSet]) -> bool:
    """Return whether an aborted rollout has its next ReplicaSet on a page made after that of the controller.

    That one counts neither the revision nor another abort, so its phase is that of the revision before.
    """
    deltas = evidence.deltas
    is_aborted = evidence.view.phase == "Abort" and evidence.previous is UpdateState.ABORTED
    is_next = evidence.hashes.current == ordered[-2].hash
    return is_aborted and is_next and deltas is not None and not (deltas.has_transition or deltas.process_restarted)


def _shows_former_promotion(evidence: Evidence, ordered: list[ReplicaSet]) -> bool:
    """Return whether the phase Completed is still that of the revision before the newest one.

    A canary has it once promoted, and no promotion of the newest one was counted.
    """
    deltas, newest, before = evidence.deltas, ordered[-1], ordered[-2]
    return (
        (evidence.view.phase, evidence.view.strategy) == ("Completed", CANARY)
        and evidence.previous is UpdateState.SETTLED
        and evidence.hashes.current == before.hash
        and newest.created_at > before.created_at
        and deltas is not None
        and deltas.updates == 1
        and not (deltas.completions or deltas.process_restarted)
    )
