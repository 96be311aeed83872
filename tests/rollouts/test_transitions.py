"""What must have happened between two ticks, and that it leads from where a rollout stood to where it stands."""

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
STARTED, PROMOTED, BACK = Transition.STARTED, Transition.PROMOTED, Transition.ROLLED_BACK
ABORT, RETRIED, SUPERSEDED = Transition.ABORTED, Transition.RETRIED, Transition.SUPERSEDED

QUIET: Final = EventDeltas()
BEFORE: Final = RevisionHashes("old", "old")
MOVING: Final = RevisionHashes("new", "old")
AFTER: Final = RevisionHashes("new", "new")


@pytest.mark.parametrize("before", [SETTLED, UPDATING, ABORTED])
@pytest.mark.parametrize("after", [SETTLED, UPDATING, ABORTED])
def test_whatever_is_known_of_an_interval_the_signals_lead_to_where_the_rollout_stands(
    before: UpdateState, after: UpdateState
) -> None:
    for promotions, revised, aborted, returned in product((0, 1, 2), (False, True), (False, True), (False, True)):
        between = IntervalSummary(promotions, revised, aborted, rolled_back=not promotions, left_again=returned)
        standing = before
        for signal in infer_transitions(before, after, between):
            assert (standing, signal) in NEXT_STATE, f"{signal} cannot happen to what is {standing}"
            standing = NEXT_STATE[standing, signal]
        assert standing is after, between


@pytest.mark.parametrize(
    ("before", "after", "clue", "hashes", "happened"),
    [
        (SETTLED, SETTLED, QUIET, (BEFORE, BEFORE), ()),
        (SETTLED, UPDATING, EventDeltas(updates=1), (BEFORE, MOVING), (STARTED,)),
        (SETTLED, SETTLED, EventDeltas(updates=1, completions=1), (BEFORE, AFTER), (STARTED, PROMOTED)),
        (SETTLED, SETTLED, EventDeltas(updates=2, step_skips=1), (BEFORE, BEFORE), (STARTED, BACK)),
        (SETTLED, SETTLED, EventDeltas(updates=2, aborts=1), (BEFORE, BEFORE), (STARTED, ABORT, BACK)),
        (
            SETTLED,
            UPDATING,
            EventDeltas(updates=2, completions=1),
            (BEFORE, RevisionHashes("next", "new")),
            (STARTED, PROMOTED, STARTED),
        ),
        (SETTLED, ABORTED, EventDeltas(updates=1, aborts=1), (BEFORE, MOVING), (STARTED, ABORT)),
        (UPDATING, SETTLED, EventDeltas(completions=1), (MOVING, AFTER), (PROMOTED,)),
        (UPDATING, SETTLED, EventDeltas(updates=1, step_skips=1), (MOVING, BEFORE), (BACK,)),
        (UPDATING, SETTLED, EventDeltas(updates=1, completions=1), (MOVING, RevisionHashes("next", "next")), (SUPERSEDED, PROMOTED)),
        (UPDATING, SETTLED, EventDeltas(aborts=1, completions=1), (MOVING, AFTER), (ABORT, RETRIED, PROMOTED)),
        (UPDATING, UPDATING, QUIET, (MOVING, MOVING), ()),
        (UPDATING, UPDATING, EventDeltas(updates=1), (MOVING, RevisionHashes("next", "old")), (SUPERSEDED,)),
        (UPDATING, UPDATING, EventDeltas(updates=2, step_skips=1), (MOVING, RevisionHashes("next", "old")), (BACK, STARTED)),
        (UPDATING, UPDATING, EventDeltas(aborts=1), (MOVING, MOVING), (ABORT, RETRIED)),
        (UPDATING, UPDATING, EventDeltas(updates=1, completions=1), (MOVING, RevisionHashes("next", "new")), (PROMOTED, STARTED)),
        (UPDATING, ABORTED, EventDeltas(aborts=1), (MOVING, MOVING), (ABORT,)),
        (UPDATING, ABORTED, EventDeltas(aborts=2), (MOVING, MOVING), (ABORT,)),
        (ABORTED, UPDATING, QUIET, (MOVING, MOVING), (RETRIED,)),
        (ABORTED, UPDATING, EventDeltas(updates=1), (MOVING, RevisionHashes("next", "old")), (STARTED,)),
        (ABORTED, SETTLED, EventDeltas(updates=1, step_skips=1), (MOVING, BEFORE), (BACK,)),
        (ABORTED, SETTLED, EventDeltas(completions=1), (MOVING, AFTER), (RETRIED, PROMOTED)),
        (ABORTED, ABORTED, EventDeltas(updates=1, aborts=1), (MOVING, RevisionHashes("next", "old")), (STARTED, ABORT)),
        (UNKNOWN, SETTLED, EventDeltas(completions=1), (RevisionHashes(), AFTER), ()),
        (UNKNOWN, UPDATING, EventDeltas(updates=1), (RevisionHashes(), MOVING), (STARTED,)),
    ],
)
def test_what_happened_is_told_from_counters_and_hashes(
    before: UpdateState, after: UpdateState, clue: EventDeltas, hashes: tuple[RevisionHashes, RevisionHashes], happened: tuple[Transition, ...]
) -> None:
    assert infer_transitions(before, after, summarize_interval(*hashes, clue)) == happened
    if UNKNOWN not in (before, after) and PROMOTED not in happened[1:]:
        told = infer_transitions(before, after, summarize_interval(RevisionHashes(), RevisionHashes(), clue))
        assert told == happened, "counters alone tell the same"


def test_without_hashes_the_end_of_an_update_without_a_promotion_counted_is_a_rollback_unless_the_process_is_new() -> (
    None
):
    assert infer_transitions(UPDATING, SETTLED, summarize_interval(RevisionHashes(), RevisionHashes(), QUIET)) == (BACK,)
    assert infer_transitions(UPDATING, SETTLED, summarize_interval(RevisionHashes(), RevisionHashes(), EventDeltas(process_restarted=True))) == (PROMOTED,)
