"""Which events the counters of a tick show that are not accounted for yet, and which of them the status shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference.revisions import EVENT_FIELDS, event_deltas, is_mid_update
from exporter.rollouts.model import NOTHING, EventDeltas, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.rollouts.inference.evidence import Classification
    from exporter.rollouts.model import ControllerView, RolloutState, TickContext


_HANDOVER: Final = 10.0
"""Seconds for which nobody leads before a standby does, at least: it waits for the end of the lease, of 15 s."""
_ABORT_EVENT_COUNT: Final = 2
"""How often RolloutAborted is counted at most for one abort: twice for one by a deadline (progressDeadlineAbort)."""
_CLOCK_SKEW: Final = 5.0
"""Seconds by which the clocks of exporter and controller may differ."""


def new_event_deltas(state: RolloutState, context: TickContext, view: ControllerView) -> EventDeltas:
    """Compare the event counters with the previous ones, without events that are already known.

    A first deploy counts as RolloutUpdated and RolloutCompleted, too. What the hashes showed ahead of the counters is
    counted a tick late.
    """
    if _led_beside(state, context, view):
        return EventDeltas(process_restarted=True)
    deltas = event_deltas(state.event_counts, view.event_counts, same_process=state.process == view.process)
    is_known_update = not state.had_revision or state.ahead_of_counters
    if not (state.had_promotion or deltas.completions or deltas.has_steps):
        return replace(deltas, updates=0)  # revisions before the first promotion replace nothing
    # The first deploy is promoted before the first update begins.
    is_first = not state.had_promotion and state.update_state is UpdateState.SETTLED
    # Steps are skipped while there is no stable revision, so those that are counted are of the update after it.
    is_next = is_mid_update(view) or deltas.has_steps
    is_known_promotion = state.promotion_ahead or (is_first and (deltas.updates <= is_known_update or is_next))
    return replace(
        deltas,
        updates=max(deltas.updates - is_known_update, 0),
        completions=max(deltas.completions - is_known_promotion, 0),
        aborts=deltas.aborts if deltas.aborts > _ABORT_EVENT_COUNT or not state.abort_ahead else 0,
    )


def is_abort_ahead(state: RolloutState, view: ControllerView, deltas: EventDeltas, result: Classification) -> bool:
    """Return whether the hashes of a tick show an abort that the controller's page neither counts nor shows yet."""
    if result.update_state is not UpdateState.ABORTED or not result.from_hashes or view.phase == "Abort":
        return False
    is_new = state.update_state is not UpdateState.ABORTED or state.abort_ahead
    return is_new and not (deltas.aborts or deltas.process_restarted)


def _led_beside(state: RolloutState, context: TickContext, view: ControllerView) -> bool:
    """Return whether the process led already when the former one was seen to lead: that of another cluster, say.

    What its counters show is no growth since then, and may be about other rollouts of the same names.
    """
    was_running = 0 < view.process.start_time < context.last_seen_at - _CLOCK_SKEW
    return state.process != view.process and was_running and context.now - context.last_seen_at < _HANDOVER


def consumed_counts(state: RolloutState, view: ControllerView, pending: Collection[str]) -> Mapping[str, float]:
    """Return the counters of a tick without the growth that is pending: the next tick finds it again."""
    if not pending:
        return view.event_counts
    before = state.event_counts if state.process == view.process else {}
    counts = {reason: count for reason, count in view.event_counts.items() if reason not in pending}
    return counts | {reason: count for reason, count in before.items() if reason in pending}


def pending_counts(view: ControllerView, pending: Collection[str]) -> Mapping[str, float]:
    """Return the counters of the events that are pending."""
    return {reason: count for reason, count in view.event_counts.items() if reason in pending} or NOTHING


def without_pending(deltas: EventDeltas, pending: Collection[str]) -> EventDeltas:
    """Return the growth of the counters that the status shows."""
    if not pending:
        return deltas
    hidden = {field for reason, field in EVENT_FIELDS.items() if reason in pending}
    counts = {field: 0.0 if field in hidden else getattr(deltas, field) for field in EVENT_FIELDS.values()}
    return EventDeltas(**counts, other_steps=deltas.other_steps, process_restarted=deltas.process_restarted)
