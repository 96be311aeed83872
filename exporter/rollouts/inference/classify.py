"""Classifies the update state of a rollout at a tick: the ladder of evidence.

`LADDER` has one function for each kind of evidence, the strongest first. Each returns the update state, the hashes of
the revisions and the reason, or None if its evidence is missing or contradicted; the first that returns something is
believed. Sources are scraped at their own intervals, so hashes count only if they show everything that the event
counters show. Within one tick the counters may be ahead: the controller counts an event, sends its notifications, which
takes seconds, and only then writes the status. Events that the status does not show yet are `pending`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference import revisions
from exporter.rollouts.model import BLUE_GREEN, CANARY, NO_HASHES, RevisionHashes, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.rollouts.model import (
        ControllerView,
        EventDeltas,
        Observation,
        ReplicaCounts,
        ReplicaSet,
        RolloutState,
    )


_RETRIED: Final = "an aborted update goes on: retried"
NOTHING_NEW: Final = "nothing has happened since"
"""Evidence of a tick in which nothing happened; the state machine keeps the evidence of the previous tick."""
PATIENCE: Final = 30.0
"""Seconds for which a status may lag behind the counters: a failing notification is retried for some 8 s each."""
_GAUGE_PERIOD: Final = 0.5
"""Seconds between two updates of the gauge that shows how long a reconciliation has run (client-go, util/workqueue)."""
_REVISION_EVENTS: Final = frozenset({"RolloutUpdated", "NewReplicaSetCreated", "SkipSteps"})
"""Events of a new current revision, which are pending together."""
_ABORT_EVENTS: Final = frozenset({"RolloutAborted"})
_PROMOTION_EVENTS: Final = frozenset({"RolloutCompleted"})
_RETRY_EVENTS: Final = frozenset({"RolloutPaused", "RolloutStepCompleted"})
"""The first events of an update that is retried; the retry itself is none."""
_NO_EVENTS: Final[frozenset[str]] = frozenset()
_FAILURE_EVENTS: Final = frozenset({"AnalysisRunFailed", "AnalysisRunError", "AnalysisRunInconclusive"})
"""Events after which the controller aborts an update by itself."""
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
class Evidence:
    """What a rung of the ladder looks at: the remembered state and the tick; `view` is the observation's own.

    `has_rollout_state`: rollout state is scraped, at other ticks perhaps. `reconciling_since` as of `TickContext`.
    """

    state: RolloutState | None
    now: float
    observation: Observation
    view: ControllerView
    deltas: EventDeltas | None
    has_rollout_state: bool = False
    reconciling_since: float | None = None

    @property
    def previous(self) -> UpdateState:
        """The update state at the previous tick."""
        return self.state.update_state if self.state is not None else UpdateState.UNKNOWN

    @property
    def hashes(self) -> RevisionHashes:
        """The hashes at the previous tick."""
        return self.state.hashes if self.state is not None else NO_HASHES

    @property
    def replicas_before(self) -> ReplicaCounts | None:
        """The controller's gauges at the previous tick."""
        return self.state.replicas if self.state is not None else None

    @property
    def is_overdue(self) -> bool:
        """Whether the status has not shown a counted event for longer than it may take to write."""
        since = self.state.pending_since if self.state is not None else 0.0
        return since > 0 and self.now - since > PATIENCE

    @property
    def is_unwritten(self) -> bool:
        """Whether the reconciliation goes on that counted the newest events: it writes the status at its end."""
        counted_at = self.state.pending_since if self.state is not None and self.state.pending_since else self.now
        return self.reconciling_since is not None and self.reconciling_since <= counted_at + _GAUGE_PERIOD

    def is_outdated(self, observed_at: float) -> bool:
        """Return whether the counters showed a transition after a source was scraped (`observed_at`, Unix seconds)."""
        if self.state is None or self.deltas is None:
            return False
        # All pages of a tick have its time, so an earlier time means a page of an earlier tick.
        is_older = observed_at < self.now
        has_news = self.deltas.has_transition or self.deltas.process_restarted
        return is_older if is_older and has_news else observed_at <= self.state.last_event_at


@dataclass(frozen=True, slots=True)
class Classification:
    """Update state and hashes at a tick, and the reason.

    `from_hashes`: the sources' hashes at this tick prove it. `pending` are the counted events that it does not show.
    `rung` is the kind of evidence.
    """

    update_state: UpdateState
    reason: str
    hashes: RevisionHashes
    from_hashes: bool = False
    pending: frozenset[str] = _NO_EVENTS
    rung: str = ""


def classify_update(evidence: Evidence) -> Classification:
    """Classify a rollout at a tick by the strongest evidence."""
    # The last rung always returns a classification.
    name, result = next((name, result) for name, rung in LADDER if (result := rung(evidence)) is not None)
    return replace(result, rung=name)


# The rungs


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
        is_outdated = evidence.is_outdated(status.observed_at) or _sign_of_update(evidence)
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
    if workload.observed_at < evidence.now and _sign_of_update(evidence):
        return None
    ordered = revisions.by_number(workload.replica_sets)
    if not ordered:
        return None
    is_behind = _is_status_behind(evidence, ordered)
    if deltas is not None and not is_behind and _awaits_promotion(evidence):
        deltas = replace(deltas, completions=deltas.completions - 1)
    hashes = revisions.hashes_by_revision(
        ordered, view, evidence.previous, evidence.hashes, deltas, is_behind=is_behind
    )
    if not hashes.stable or not hashes.current:
        return None
    if _is_aborted_by_user(evidence) and hashes.current == evidence.hashes.current != hashes.stable:
        reason = "RolloutAborted counted, and the current revision is not the stable one"
        return Classification(UpdateState.ABORTED, reason, hashes, from_hashes=True, pending=_ABORT_EVENTS)
    if hashes.current != hashes.stable and _is_retried(evidence):
        return Classification(UpdateState.UPDATING, _RETRIED, hashes, from_hashes=True, pending=_RETRY_EVENTS)
    return _by_hashes(evidence, hashes, aborted=view.phase == "Abort")


def _is_status_behind(evidence: Evidence, ordered: list[ReplicaSet]) -> bool:
    """Return whether the status does not show the newest revision yet.

    The controller creates the ReplicaSet of a new revision before it writes the status.
    """
    if evidence.is_overdue or len(ordered) == 1:
        return False
    is_written = _is_creation_over(evidence, ordered)
    if is_written is not None:
        return not is_written and evidence.hashes.current == ordered[-2].hash
    return (
        revisions.is_status_behind(ordered, evidence.hashes.current, evidence.view, evidence.replicas_before)
        or _shows_former_abort(evidence)
        or _shows_former_promotion(evidence, ordered)
    )


def _is_creation_over(evidence: Evidence, ordered: list[ReplicaSet]) -> bool | None:
    """Return whether the reconciliation is over that created the newest ReplicaSet; None if that is unknown."""
    newest, since = ordered[-1], evidence.reconciling_since
    is_youngest = all(newest.created_at > replica_set.created_at for replica_set in ordered[:-1])
    # Creation times are whole seconds.
    created_until = newest.created_at + 1 + _GAUGE_PERIOD
    if since is None or not is_youngest or evidence.now <= created_until:
        return False if since is not None and is_youngest and since <= created_until else None
    # A ReplicaSet that was taken up again may be the youngest, too.
    is_new = evidence.deltas is not None and evidence.deltas.new_replica_sets > 0
    return since > created_until if is_new else None


def by_sizes(evidence: Evidence) -> Classification | None:
    """Classify by the controller's page, and find the hashes by which ReplicaSets exist and how many pods they have."""
    workload = evidence.observation.workload
    if workload is None or not workload.replica_sets or evidence.is_outdated(workload.observed_at):
        return None
    result = by_events(evidence)
    ordered = revisions.by_number(workload.replica_sets)
    if ordered:  # the revisions are known, but not the stable one
        is_settled, newest = result.update_state is UpdateState.SETTLED, ordered[-1]
        hashes = result.hashes if is_settled else RevisionHashes(newest.hash, number=newest.revision or 0)
        return replace(result, hashes=hashes)
    if result.pending:
        return result
    hashes = revisions.hashes_by_size(
        workload.replica_sets,
        evidence.view,
        result.update_state,
        evidence.hashes,
        evidence.deltas,
        evidence.replicas_before,
    )
    return replace(result, hashes=hashes)


def by_events(evidence: Evidence) -> Classification:
    """Classify by the controller's page alone: phase, event counters, replica gauges."""
    update_state, reason, pending = _by_page(evidence)
    if _is_aborted_by_user(evidence):
        update_state, reason, pending = UpdateState.ABORTED, "RolloutAborted counted", _ABORT_EVENTS
    if pending:
        return Classification(update_state, reason, evidence.hashes, pending=pending)
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


# Hashes against counters


def _by_hashes(evidence: Evidence, hashes: RevisionHashes, *, aborted: bool) -> Classification | None:
    """Classify by both hashes; None if the counters contradict them for too long."""
    deltas, pending = evidence.deltas, _not_shown(evidence, hashes, aborted=aborted)
    if pending == _ABORT_EVENTS and _is_retried_since(evidence):
        pending = _NO_EVENTS
    if pending and evidence.is_overdue:
        # One RolloutUpdated must change the current revision, a RolloutCompleted the stable one: the page is frozen.
        if deltas is not None and (deltas.updates == 1 or pending & _PROMOTION_EVENTS):
            return None
        pending = _NO_EVENTS  # there and back again, or aborted and retried
    if hashes.current == hashes.stable:
        update_state, reason = UpdateState.SETTLED, "the current revision is the stable one"
    elif aborted:
        update_state, reason = UpdateState.ABORTED, "the current revision is not the stable one, and is aborted"
    else:
        update_state, reason = UpdateState.UPDATING, "the current revision is not the stable one"
    return Classification(update_state, reason, hashes, from_hashes=True, pending=pending)


def _is_aborted_by_user(evidence: Evidence) -> bool:
    """Return whether an abort was counted that is in the status already, although the phase does not show it yet.

    A user aborts by writing the status; the controller counts aborts by analyses and deadlines before it writes them,
    those by deadlines twice.
    """
    view, deltas, state = evidence.view, evidence.deltas, evidence.state
    if deltas is None or deltas.aborts != 1 or state is None or evidence.is_overdue or view.phase == "Abort":
        return False
    if evidence.previous not in (UpdateState.UPDATING, UpdateState.ABORTED) or deltas.updates or deltas.completions:
        return False
    # What the controller has written since would show the abort, or that it was retried.
    has_changed = (view.phase, view.replicas) != (state.phases.phase, state.replicas) or deltas.process_restarted
    has_changed = has_changed or deltas.has_steps
    is_written = has_changed and not evidence.is_unwritten
    grown = (reason for reason, count in view.event_counts.items() if count > state.event_counts.get(reason, 0.0))
    return not is_written and not _FAILURE_EVENTS.intersection(grown)


def _awaits_promotion(evidence: Evidence) -> bool:
    """Return whether the last promotion that was counted is not in the status yet, since its reconciliation goes on."""
    deltas, view, state = evidence.deltas, evidence.view, evidence.state
    if deltas is None or not deltas.completions or not evidence.is_unwritten or evidence.is_overdue:
        return False
    # The weight goes from the canary to the stable revision once the promotion is written.
    is_complete = state is not None and state.weight is not None and state.weight.fraction == 1.0
    weights_before = deltas.updates + deltas.completed_steps - deltas.resumes + (not is_complete)
    if deltas.weight_updates > weights_before:
        return False
    # The status that shows a promotion shows the phase Completed, too, if all is ready; blueGreen has it before.
    is_new_phase = state is None or state.phases.phase != "Completed"
    return view.phase != "Completed" or (view.strategy == BLUE_GREEN and not (is_new_phase and not _is_analysed(view)))


def _is_analysed(view: ControllerView) -> bool:
    """Return whether AnalysisRuns of a rollout were counted."""
    return any(reason.startswith("AnalysisRun") for reason in view.event_counts)


def _is_retried_since(evidence: Evidence) -> bool:
    """Return whether an update whose abort was counted at an earlier tick goes on: it was aborted and retried since."""
    deltas, state = evidence.deltas, evidence.state
    if deltas is None or state is None or not 0 < state.pending_since < evidence.now:
        return False
    is_written = evidence.reconciling_since is not None and not evidence.is_unwritten
    return is_written or deltas.has_steps


def _is_retried(evidence: Evidence) -> bool:
    """Return whether an aborted update goes on although the phase is still Abort: the retry's first events are sent."""
    deltas, view = evidence.deltas, evidence.view
    if deltas is None or view.phase != "Abort" or not evidence.is_unwritten or evidence.is_overdue:
        return False
    is_known = evidence.previous in (UpdateState.ABORTED, UpdateState.UPDATING)
    return is_known and deltas.has_steps and not (deltas.updates or deltas.aborts)


def _not_shown(evidence: Evidence, hashes: RevisionHashes, *, aborted: bool) -> frozenset[str]:
    """Return the counted events that hashes do not show yet."""
    deltas, previous = evidence.deltas, evidence.hashes
    # Another process may have counted before what its predecessor wrote.
    if deltas is None or (deltas.process_restarted and not evidence.is_unwritten):
        return _NO_EVENTS
    pending = _NO_EVENTS
    if deltas.updates and hashes.current == previous.current and _is_same_number(hashes, previous, deltas):
        pending |= _REVISION_EVENTS
    # Of a settled rollout with no new revision only the first deploy can still be counted.
    is_moving = deltas.updates > 0 or evidence.previous is not UpdateState.SETTLED
    if deltas.completions and hashes.stable == previous.stable and is_moving:
        pending |= _PROMOTION_EVENTS
    is_same = (hashes.current, hashes.stable) == (previous.current, previous.stable)
    if deltas.aborts and not aborted and is_same and evidence.previous is UpdateState.UPDATING:
        pending |= _ABORT_EVENTS
    return pending


def _is_same_number(hashes: RevisionHashes, previous: RevisionHashes, deltas: EventDeltas) -> bool:
    """Return whether an unchanged current revision was not left and taken up again, which raises its number."""
    if hashes.number and previous.number:
        return hashes.number == previous.number
    return deltas.updates == 1


def _shows_former_abort(evidence: Evidence) -> bool:
    """Return whether the phase is still that of the revision that was aborted before the newest one."""
    deltas = evidence.deltas
    return (
        evidence.view.phase == "Abort"
        and evidence.previous is UpdateState.ABORTED
        and deltas is not None
        and deltas.updates > 0
        and not deltas.aborts
    )


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


# The controller's page


_Verdict = tuple[UpdateState, str, frozenset[str]]


def _by_page(evidence: Evidence) -> _Verdict:
    previous, view, deltas = evidence.previous, evidence.view, evidence.deltas
    if view.phase == "Completed":
        return _by_completed(evidence) if view.strategy != BLUE_GREEN else _by_completed_blue_green(evidence)
    if view.phase == "Abort":
        return _by_abort(evidence)
    if evidence.observation.first_deploy and (deltas is None or deltas.updates <= 1):
        return _by_first_deploy(evidence)
    if deltas is not None and (deltas.completions or deltas.updates):
        return _by_revision_events(evidence, deltas)
    is_overdue = evidence.is_overdue or _is_retried_since(evidence)
    if deltas is not None and deltas.aborts and previous is UpdateState.UPDATING and not is_overdue:
        return previous, NOTHING_NEW, _ABORT_EVENTS
    # InvalidSpec hides the phase below it.
    if previous is UpdateState.ABORTED and view.phase != "InvalidSpec":
        return UpdateState.UPDATING, "left phase Abort without a new revision: retried", _NO_EVENTS
    reason = _sign_of_update(evidence)
    if reason:
        return UpdateState.UPDATING, reason, _NO_EVENTS
    return previous, NOTHING_NEW if previous is not UpdateState.UNKNOWN else "begun before anyone looked", _NO_EVENTS


def _by_revision_events(evidence: Evidence, deltas: EventDeltas) -> _Verdict:
    """Classify an interval in which revisions or promotions were counted, of which the last may not be written yet."""
    if _awaits_promotion(evidence):
        return _before_promotion(evidence, deltas)
    if _awaits_revision(evidence, deltas):
        return evidence.previous, NOTHING_NEW, _REVISION_EVENTS
    return (*_by_event_counts(evidence, deltas), _NO_EVENTS)


def _before_promotion(evidence: Evidence, deltas: EventDeltas) -> _Verdict:
    """Classify a rollout whose last promotion is counted, but not in the status yet."""
    before = replace(deltas, completions=deltas.completions - 1)
    if before.completions or before.updates:
        return (*_by_event_counts(replace(evidence, deltas=before), before), _PROMOTION_EVENTS)
    reason = NOTHING_NEW if evidence.previous is UpdateState.UPDATING else "RolloutCompleted counted: about to end"
    return UpdateState.UPDATING, reason, _PROMOTION_EVENTS


def _awaits_revision(evidence: Evidence, deltas: EventDeltas) -> bool:
    """Return whether a new revision was counted, but is not in the status yet: nothing shows its pods."""
    view, before = evidence.view, evidence.replicas_before
    if evidence.previous is UpdateState.ABORTED or deltas.updates != 1 or deltas.completions:
        return False
    if not evidence.is_unwritten or evidence.is_overdue or view.replicas is None or before is None:
        return False
    is_former = view.replicas.updated >= before.updated and view.replicas.old <= before.old
    return is_former and not deltas.has_steps


def _by_first_deploy(evidence: Evidence) -> _Verdict:
    """Classify a rollout that was created since the last tick, at most one of whose revisions was counted."""
    replicas = evidence.view.replicas
    # The first revision is promoted at once. Counters that go on from a deleted rollout prove no second one.
    if evidence.deltas is None and replicas is not None and replicas.old > 0:
        return UpdateState.UPDATING, "pods of two revisions since the first deploy", _NO_EVENTS
    return UpdateState.SETTLED, "first deploy: there is no other revision", _NO_EVENTS


def _sign_of_update(evidence: Evidence) -> str:
    """Return why an update must be under way although none was counted since the rollout settled, "" for no reason."""
    previous, view, deltas = evidence.previous, evidence.view, evidence.deltas
    if previous not in (UpdateState.SETTLED, UpdateState.UNKNOWN) or view.replicas is None:
        return ""
    # `spec.paused` pauses without an event.
    if view.phase == "Paused" and deltas is not None and deltas.pauses and not deltas.process_restarted:
        return "RolloutPaused counted"
    if view.phase in _MID_UPDATE[previous] and view.replicas.old > 0:
        return f"phase {view.phase} with pods of two revisions"
    before = evidence.replicas_before
    # `updated` begins again with each revision; pods that are lost leave the total, too.
    if previous is UpdateState.SETTLED and before is not None:
        is_new = view.replicas.updated < before.updated and view.replicas.old > before.old
        if is_new and view.replicas.total >= before.total and view.replicas.desired == before.desired:
            return "updated replicas turned into old ones"
        # Pods of older revisions only go once a revision is promoted.
        is_grown = view.replicas.old > before.old and view.replicas.updated == before.updated
        if is_grown and view.phase in ("Progressing", "Timeout") and view.replicas.desired == before.desired:
            return "pods of another revision came"
    return ""


def _by_completed(evidence: Evidence) -> _Verdict:
    # The controller sets Completed only if the stable revision is the current one.
    deltas = evidence.deltas
    if (
        deltas is not None
        and not deltas.process_restarted
        and deltas.updates == 1
        and not deltas.completions
        and evidence.previous is UpdateState.SETTLED
        and not evidence.is_overdue
    ):
        return UpdateState.SETTLED, NOTHING_NEW, _REVISION_EVENTS
    return UpdateState.SETTLED, "phase Completed", _NO_EVENTS


def _by_completed_blue_green(evidence: Evidence) -> _Verdict:
    """Classify a blueGreen rollout in phase Completed, which it has from the switch of its active service on.

    Its revision is stable only after the analysis that follows (postPromotionAnalysis), when RolloutCompleted is
    counted; the former set keeps its pods until then.
    """
    previous, deltas, replicas = evidence.previous, evidence.deltas, evidence.view.replicas
    has_old_pods = replicas is not None and replicas.old > 0
    if deltas is not None and deltas.completions:
        return _by_promotion_of_blue_green(evidence, deltas)
    if not has_old_pods or evidence.observation.first_deploy:
        return _by_completed(evidence)
    if deltas is not None and deltas.aborts and previous is UpdateState.UPDATING and evidence.is_unwritten:
        return previous, NOTHING_NEW, _ABORT_EVENTS
    if previous is UpdateState.UNKNOWN:
        return previous, "phase Completed with pods of two revisions: perhaps before the promotion", _NO_EVENTS
    if previous is UpdateState.SETTLED and (deltas is None or not deltas.updates):
        return previous, NOTHING_NEW, _NO_EVENTS
    if _reuses_stable(evidence):
        return UpdateState.SETTLED, "phase Completed on a former ReplicaSet: back to the stable revision", _NO_EVENTS
    return UpdateState.UPDATING, "phase Completed, but no promotion was counted", _NO_EVENTS


def _by_promotion_of_blue_green(evidence: Evidence, deltas: EventDeltas) -> _Verdict:
    if _awaits_promotion(evidence):
        return _before_promotion(evidence, deltas)
    if revisions.may_be_promoted_before(evidence.view, evidence.previous, deltas):
        return UpdateState.UNKNOWN, "RolloutUpdated and RolloutCompleted counted, in any order", _NO_EVENTS
    return UpdateState.SETTLED, "RolloutCompleted counted", _NO_EVENTS


def _reuses_stable(evidence: Evidence) -> bool:
    """Return whether the current revision of a blueGreen rollout must be the stable one, since it made none."""
    deltas, update = evidence.deltas, evidence.state.update if evidence.state is not None else None
    if deltas is not None and deltas.updates:
        # From the stable revision, one RolloutUpdated can only lead away.
        is_away = evidence.previous is UpdateState.SETTLED and deltas.updates == 1
        return not deltas.new_replica_sets and not is_away
    return update is not None and update.reuses_replica_set


def _by_abort(evidence: Evidence) -> _Verdict:
    """Classify by the phase Abort, which lasts until a retry or a new revision."""
    previous, view, deltas = evidence.previous, evidence.view, evidence.deltas
    if _is_retried(evidence):
        return UpdateState.UPDATING, _RETRIED, _RETRY_EVENTS
    if _aborted_at_rest(previous, view, deltas):
        return previous, "aborted at rest", _NO_EVENTS
    if _shows_former_abort(evidence) and not evidence.is_overdue:
        return previous, NOTHING_NEW, _REVISION_EVENTS
    return UpdateState.ABORTED, "phase Abort", _NO_EVENTS


def _aborted_at_rest(previous: UpdateState, view: ControllerView, deltas: EventDeltas | None) -> bool:
    """Return whether no update was aborted: `abort` can be set on a settled rollout, too."""
    if previous is not UpdateState.SETTLED or deltas is None or deltas.updates:
        return False
    return not deltas.process_restarted or (view.replicas is not None and not view.replicas.old)


def _by_event_counts(evidence: Evidence, deltas: EventDeltas) -> tuple[UpdateState, str]:
    """Classify an interval in which revisions were applied or promoted.

    RolloutUpdated counts a new current revision, RolloutCompleted a promotion, SkipSteps a rollback to the stable one,
    or to one within rollbackWindow.
    """
    previous, view = evidence.previous, evidence.view
    if deltas.completions:
        is_open = deltas.updates > (0 if previous is UpdateState.UPDATING else deltas.completions)
        if is_open and revisions.is_mid_update(view):
            return UpdateState.UPDATING, "RolloutUpdated counted after RolloutCompleted"
        return UpdateState.SETTLED, "RolloutCompleted counted"
    # From the stable revision one RolloutUpdated can only lead away.
    may_be_back = deltas.updates > 1 if previous is UpdateState.SETTLED else previous is not UpdateState.UNKNOWN
    if may_be_back and _is_back(evidence, deltas):
        skipped = "SkipSteps" if deltas.step_skips else "no new ReplicaSet"
        return UpdateState.SETTLED, f"{skipped} counted: back to the stable revision"
    return UpdateState.UPDATING, "RolloutUpdated counted"


def _left_stable_again(evidence: Evidence, deltas: EventDeltas) -> bool:
    """Return whether, of the way back and a new revision in one interval, the revision came last.

    It is under way for its steps, the way back only for as long as its pods take: of a canary with a router, the stable
    revision has them all.
    """
    view = evidence.view
    is_from_update = evidence.previous in (UpdateState.UPDATING, UpdateState.ABORTED)
    if not (is_from_update and deltas.updates > 1 and deltas.new_replica_sets and deltas.step_skips):
        return False
    is_canary = view.strategy == CANARY and view.phase == "Progressing"
    return is_canary and view.replicas is not None and view.replicas.updated < view.replicas.desired


def _is_back(evidence: Evidence, deltas: EventDeltas) -> bool:
    """Return whether the last of the counted revisions is the stable one again.

    The stable ReplicaSet has its pods at once; that of an older revision begins with none.
    """
    view, before = evidence.view, evidence.replicas_before
    has_steps = bool(view.event_counts.get("RolloutStepCompleted"))
    is_reused = deltas.new_replica_sets < deltas.updates
    if view.phase == "Paused" or not (deltas.step_skips or (is_reused and not has_steps)):
        return False
    if _left_stable_again(evidence, deltas):
        return False
    if view.strategy != CANARY or view.replicas is None or before is None:
        return bool(deltas.step_skips) and is_reused
    stable_before = before.updated if evidence.previous is UpdateState.SETTLED else before.old
    is_as_before = view.replicas.updated >= min(stable_before, view.replicas.desired)
    return view.replicas.updated > 0 and (is_as_before or view.replicas.updated >= view.replicas.old)
