"""Transitions between two ticks: inferred from the interval, and consistent with the update states at both ends."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest

from exporter.rollouts.inference.transitions import NEXT_STATE, IntervalSummary, infer_transitions, summarize_interval
from exporter.rollouts.model import EventDeltas, RevisionHashes, Transition, UpdateState

SETTLED, UPDATING, ABORTED, UNKNOWN = (
    UpdateState.SETTLED,
    UpdateState.UPDATING,
    UpdateState.ABORTED,
    UpdateState.UNKNOWN,
)
STARTED, PROMOTED, ROLLED_BACK = Transition.STARTED, Transition.PROMOTED, Transition.ROLLED_BACK
ABORT, RETRIED, SUPERSEDED = Transition.ABORTED, Transition.RETRIED, Transition.SUPERSEDED

QUIET: Final = EventDeltas()
BEFORE: Final = RevisionHashes("old", "old")
MID_UPDATE: Final = RevisionHashes("new", "old")
AFTER: Final = RevisionHashes("new", "new")


@pytest.mark.parametrize("before", [SETTLED, UPDATING, ABORTED])
@pytest.mark.parametrize("after", [SETTLED, UPDATING, ABORTED])
def test_inferred_transitions_always_lead_from_the_previous_to_the_current_state(
    before: UpdateState, after: UpdateState
) -> None:
    for promotions, changed, aborted, left_again in product((0, 1, 2), (False, True), (False, True), (False, True)):
        interval = IntervalSummary(promotions, changed, aborted, rolled_back=not promotions, left_again=left_again)
        state = before
        for transition in infer_transitions(before, after, interval):
            assert (state, transition) in NEXT_STATE, f"{state} has no transition {transition}"
            state = NEXT_STATE[state, transition]
        assert state is after, interval


@pytest.mark.parametrize(
    ("before", "after", "deltas", "hashes", "transitions"),
    [
        (SETTLED, SETTLED, QUIET, (BEFORE, BEFORE), ()),
        (SETTLED, UPDATING, EventDeltas(updates=1), (BEFORE, MID_UPDATE), (STARTED,)),
        (SETTLED, SETTLED, EventDeltas(updates=1, completions=1), (BEFORE, AFTER), (STARTED, PROMOTED)),
        (SETTLED, SETTLED, EventDeltas(updates=2, step_skips=1), (BEFORE, BEFORE), (STARTED, ROLLED_BACK)),
        (SETTLED, SETTLED, EventDeltas(updates=2, aborts=1), (BEFORE, BEFORE), (STARTED, ABORT, ROLLED_BACK)),
        (
            SETTLED,
            UPDATING,
            EventDeltas(updates=2, completions=1),
            (BEFORE, RevisionHashes("next", "new")),
            (STARTED, PROMOTED, STARTED),
        ),
        (SETTLED, ABORTED, EventDeltas(updates=1, aborts=1), (BEFORE, MID_UPDATE), (STARTED, ABORT)),
        (UPDATING, SETTLED, EventDeltas(completions=1), (MID_UPDATE, AFTER), (PROMOTED,)),
        (UPDATING, SETTLED, EventDeltas(updates=1, step_skips=1), (MID_UPDATE, BEFORE), (ROLLED_BACK,)),
        (
            UPDATING,
            SETTLED,
            EventDeltas(updates=1, completions=1),
            (MID_UPDATE, RevisionHashes("next", "next")),
            (SUPERSEDED, PROMOTED),
        ),
        (UPDATING, SETTLED, EventDeltas(aborts=1, completions=1), (MID_UPDATE, AFTER), (ABORT, RETRIED, PROMOTED)),
        (UPDATING, UPDATING, QUIET, (MID_UPDATE, MID_UPDATE), ()),
        (UPDATING, UPDATING, EventDeltas(updates=1), (MID_UPDATE, RevisionHashes("next", "old")), (SUPERSEDED,)),
        (
            UPDATING,
            UPDATING,
            EventDeltas(updates=2, step_skips=1),
            (MID_UPDATE, RevisionHashes("next", "old")),
            (ROLLED_BACK, STARTED),
        ),
        (UPDATING, UPDATING, EventDeltas(aborts=1), (MID_UPDATE, MID_UPDATE), (ABORT, RETRIED)),
        (
            UPDATING,
            UPDATING,
            EventDeltas(updates=1, completions=1),
            (MID_UPDATE, RevisionHashes("next", "new")),
            (PROMOTED, STARTED),
        ),
        (UPDATING, ABORTED, EventDeltas(aborts=1), (MID_UPDATE, MID_UPDATE), (ABORT,)),
        (UPDATING, ABORTED, EventDeltas(aborts=2), (MID_UPDATE, MID_UPDATE), (ABORT,)),
        (ABORTED, UPDATING, QUIET, (MID_UPDATE, MID_UPDATE), (RETRIED,)),
        (ABORTED, UPDATING, EventDeltas(updates=1), (MID_UPDATE, RevisionHashes("next", "old")), (STARTED,)),
        (ABORTED, SETTLED, EventDeltas(updates=1, step_skips=1), (MID_UPDATE, BEFORE), (ROLLED_BACK,)),
        (ABORTED, SETTLED, EventDeltas(completions=1), (MID_UPDATE, AFTER), (RETRIED, PROMOTED)),
        (
            ABORTED,
            ABORTED,
            EventDeltas(updates=1, aborts=1),
            (MID_UPDATE, RevisionHashes("next", "old")),
            (STARTED, ABORT),
        ),
        (UNKNOWN, SETTLED, EventDeltas(completions=1), (RevisionHashes(), AFTER), ()),
        (UNKNOWN, UPDATING, EventDeltas(updates=1), (RevisionHashes(), MID_UPDATE), (STARTED,)),
    ],
)
def test_transitions_are_inferred_from_counters_and_hashes(
    before: UpdateState,
    after: UpdateState,
    deltas: EventDeltas,
    hashes: tuple[RevisionHashes, RevisionHashes],
    transitions: tuple[Transition, ...],
) -> None:
    assert infer_transitions(before, after, summarize_interval(*hashes, deltas)) == transitions
    if UNKNOWN not in (before, after) and PROMOTED not in transitions[1:]:
        by_counters = infer_transitions(before, after, summarize_interval(RevisionHashes(), RevisionHashes(), deltas))
        assert by_counters == transitions


@pytest.mark.parametrize(
    ("deltas", "transition"), [(QUIET, ROLLED_BACK), (EventDeltas(process_restarted=True), PROMOTED)]
)
def test_without_hashes_an_end_without_a_counted_promotion_is_a_rollback_unless_the_process_is_new(
    deltas: EventDeltas, transition: Transition
) -> None:
    interval = summarize_interval(RevisionHashes(), RevisionHashes(), deltas)
    assert infer_transitions(UPDATING, SETTLED, interval) == (transition,)
