"""Classifies a rollout by the controller's page alone: phase, event counters, replica gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference import revisions
from exporter.rollouts.inference.evidence import (
    ABORT_EVENTS,
    NO_EVENTS,
    NOTHING_NEW,
    PROMOTION_EVENTS,
    RETRIED,
    RETRY_EVENTS,
    REVISION_EVENTS,
)
from exporter.rollouts.inference.unwritten import (
    awaits_promotion,
    awaits_revision,
    is_retried,
    is_retried_since,
    shows_former_abort,
)
from exporter.rollouts.model import BLUE_GREEN, CANARY, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.inference.evidence import Evidence
    from exporter.rollouts.model import ControllerView, EventDeltas

_MID_UPDATE: Final[Mapping[UpdateState, tuple[str, ...]]] = {
    UpdateState.UNKNOWN: ("Paused", "Timeout"),
    UpdateState.SETTLED: ("Paused",),  # Timeout: old pods may drain for longer than a progress deadline
    UpdateState.UPDATING: (),
    UpdateState.ABORTED: (),
}
"""Phases in which pods of two revisions prove an update, by previous update state.

Not Progressing: a promoted rollout with a router stays in it until its old pods are gone, 30 s by default.
"""
_Verdict = tuple[UpdateState, str, frozenset[str]]


def classify_page(evidence: Evidence) -> _Verdict:
    """Return the update state by the page, the reason, and the counted events that it does not show yet."""
    previous, view, deltas = evidence.previous, evidence.view, evidence.deltas
    if view.phase == "Completed":
        return _by_completed(evidence) if view.strategy != BLUE_GREEN else _by_completed_blue_green(evidence)
    if view.phase == "Abort":
        return _by_abort(evidence)
    if evidence.observation.first_deploy and (deltas is None or deltas.updates <= 1):
        return _by_first_deploy(evidence)
    if deltas is not None and (deltas.completions or deltas.updates):
        return _by_revision_events(evidence, deltas)
    is_overdue = evidence.is_overdue or is_retried_since(evidence)
    if deltas is not None and deltas.aborts and previous is UpdateState.UPDATING and not is_overdue:
        return previous, NOTHING_NEW, ABORT_EVENTS
    # InvalidSpec hides the phase below it.
    if previous is UpdateState.ABORTED and view.phase != "InvalidSpec":
        return UpdateState.UPDATING, "left phase Abort without a new revision: retried", NO_EVENTS
    reason = sign_of_update(evidence)
    if reason:
        return UpdateState.UPDATING, reason, NO_EVENTS
    return previous, NOTHING_NEW if previous is not UpdateState.UNKNOWN else "begun before anyone looked", NO_EVENTS


def _by_revision_events(evidence: Evidence, deltas: EventDeltas) -> _Verdict:
    """Classify an interval in which revisions or promotions were counted, of which the last may not be written yet."""
    if awaits_promotion(evidence):
        return _before_promotion(evidence, deltas)
    if awaits_revision(evidence, deltas):
        return evidence.previous, NOTHING_NEW, REVISION_EVENTS
    return (*_by_event_counts(evidence, deltas), NO_EVENTS)


def _before_promotion(evidence: Evidence, deltas: EventDeltas) -> _Verdict:
    """Classify a rollout whose last promotion is counted, but not in the status yet."""
    before = replace(deltas, completions=deltas.completions - 1)
    if before.completions or before.updates:
        return (*_by_event_counts(replace(evidence, deltas=before), before), PROMOTION_EVENTS)
    reason = NOTHING_NEW if evidence.previous is UpdateState.UPDATING else "RolloutCompleted counted: about to end"
    return UpdateState.UPDATING, reason, PROMOTION_EVENTS


def _by_first_deploy(evidence: Evidence) -> _Verdict:
    """Classify a rollout that was created since the last tick, at most one of whose revisions was counted."""
    replicas = evidence.view.replicas
    # The first revision is promoted at once. Counters that go on from a deleted rollout prove no second one.
    if evidence.deltas is None and replicas is not None and replicas.old > 0:
        return UpdateState.UPDATING, "pods of two revisions since the first deploy", NO_EVENTS
    return UpdateState.SETTLED, "first deploy: there is no other revision", NO_EVENTS


def sign_of_update(evidence: Evidence) -> str:
    """Return why an update must be under way although none was counted since the rollout settled, "" for no reason."""
    previous, view, deltas = evidence.previous, evidence.view, evidence.deltas
    if previous not in (UpdateState.SETTLED, UpdateState.UNKNOWN) or view.replicas is None:
        return ""
    # `spec.paused` pauses without an event.
    if view.phase == "Paused" and deltas is not None and deltas.pauses and not deltas.process_restarted:
        return "RolloutPaused counted"
    if _has_completed_steps(evidence):
        return "RolloutStepCompleted counted"
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


def _has_completed_steps(evidence: Evidence) -> bool:
    """Return whether a settled rollout completed steps since the last tick, which only an update has."""
    deltas, state = evidence.deltas, evidence.state
    if state is None or deltas is None or not deltas.completed_steps or deltas.process_restarted:
        return False
    is_settled = evidence.previous is UpdateState.SETTLED and not state.promotion_ahead
    return (
        is_settled and not (deltas.updates or deltas.completions) and evidence.view.phase in ("Progressing", "Paused")
    )


def _by_completed(evidence: Evidence) -> _Verdict:
    # The controller sets Completed only if the stable revision is the current one.
    deltas = evidence.deltas
    if (
        deltas is not None
        and not deltas.process_restarted
        and deltas.updates == 1
        and not deltas.completions
        and (evidence.previous is UpdateState.SETTLED or evidence.is_unwritten)
        and not evidence.is_overdue
    ):
        return UpdateState.SETTLED, NOTHING_NEW, REVISION_EVENTS
    return UpdateState.SETTLED, "phase Completed", NO_EVENTS


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
        return previous, NOTHING_NEW, ABORT_EVENTS
    if previous is UpdateState.UNKNOWN:
        return previous, "phase Completed with pods of two revisions: perhaps before the promotion", NO_EVENTS
    if previous is UpdateState.SETTLED and (deltas is None or not deltas.updates):
        return previous, NOTHING_NEW, NO_EVENTS
    if _reuses_stable(evidence) or (previous is UpdateState.SETTLED and not _is_newly_analysed(evidence)):
        return UpdateState.SETTLED, "phase Completed on a former ReplicaSet: back to the stable revision", NO_EVENTS
    return UpdateState.UPDATING, "phase Completed, but no promotion was counted", NO_EVENTS


def _by_promotion_of_blue_green(evidence: Evidence, deltas: EventDeltas) -> _Verdict:
    if awaits_promotion(evidence):
        return _before_promotion(evidence, deltas)
    if revisions.may_be_promoted_before(evidence.view, evidence.previous, deltas):
        return UpdateState.UNKNOWN, "RolloutUpdated and RolloutCompleted counted, in any order", NO_EVENTS
    return UpdateState.SETTLED, "RolloutCompleted counted", NO_EVENTS


def _is_newly_analysed(evidence: Evidence) -> bool:
    """Return whether AnalysisRuns were counted since the last tick, without which the switch is the promotion."""
    state, counts = evidence.state, evidence.view.event_counts
    before = state.event_counts if state is not None and state.process == evidence.view.process else {}
    return any(reason.startswith("AnalysisRun") and counts[reason] > before.get(reason, 0.0) for reason in counts)


def _reuses_stable(evidence: Evidence) -> bool:
    """Return whether the current revision of a blueGreen rollout must be the stable one, since it made none."""
    deltas, update = evidence.deltas, evidence.state.update if evidence.state is not None else None
    if deltas is not None and deltas.updates:
        return not deltas.new_replica_sets and not revisions.leads_away(evidence.previous, deltas)
    return update is not None and update.reuses_replica_set


def _by_abort(evidence: Evidence) -> _Verdict:
    """Classify by the phase Abort, which lasts until a retry or a new revision."""
    previous, view, deltas = evidence.previous, evidence.view, evidence.deltas
    if is_retried(evidence):
        return UpdateState.UPDATING, RETRIED, RETRY_EVENTS
    if _aborted_at_rest(previous, view, deltas):
        return previous, "aborted at rest", NO_EVENTS
    if is_aborted_when_promoted(evidence):
        return UpdateState.SETTLED, "RolloutCompleted counted, and aborted at rest", NO_EVENTS
    if shows_former_abort(evidence) and not evidence.is_overdue:
        return previous, NOTHING_NEW, REVISION_EVENTS
    return UpdateState.ABORTED, "phase Abort", NO_EVENTS


def is_aborted_when_promoted(evidence: Evidence) -> bool:
    """Return whether the phase Abort is that of a revision that was promoted just before: it has not been retried."""
    deltas = evidence.deltas
    if deltas is None or not deltas.completions or deltas.process_restarted or evidence.view.phase != "Abort":
        return False
    open_count = deltas.updates - deltas.completions + (evidence.previous is UpdateState.UPDATING)
    return evidence.previous in (UpdateState.UPDATING, UpdateState.SETTLED) and open_count <= 0


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
    may_be_back = previous is not UpdateState.UNKNOWN and not revisions.leads_away(previous, deltas)
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
