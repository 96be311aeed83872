"""What must have happened between two ticks, and that it leads from where a rollout stood to where it stands."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest

from exporter.rollouts.inference.revisions import Clues, Hashes
from exporter.rollouts.inference.transitions import TRANSITIONS, Interval, Signal, interval, signals
from exporter.rollouts.model import UpdateState

SETTLED, UPDATING, ABORTED, UNKNOWN = (
    UpdateState.SETTLED,
    UpdateState.UPDATING,
    UpdateState.ABORTED,
    UpdateState.UNKNOWN,
)
STARTED, PROMOTED, BACK = Signal.STARTED, Signal.PROMOTED, Signal.ROLLED_BACK
ABORT, RETRIED, SUPERSEDED = Signal.ABORTED, Signal.RETRIED, Signal.SUPERSEDED

QUIET: Final = Clues()
BEFORE: Final = Hashes("old", "old")
MOVING: Final = Hashes("new", "old")
AFTER: Final = Hashes("new", "new")


@pytest.mark.parametrize("before", [SETTLED, UPDATING, ABORTED])
@pytest.mark.parametrize("after", [SETTLED, UPDATING, ABORTED])
def test_whatever_is_known_of_an_interval_the_signals_lead_to_where_the_rollout_stands(
    before: UpdateState, after: UpdateState
) -> None:
    for promotions, revised, aborted, returned in product((0, 1, 2), (False, True), (False, True), (False, True)):
        between = Interval(promotions, revised, aborted, back=not promotions, returned=returned)
        standing = before
        for signal in signals(before, after, between):
            assert (standing, signal) in TRANSITIONS, f"{signal} cannot happen to what is {standing}"
            standing = TRANSITIONS[standing, signal]
        assert standing is after, between


@pytest.mark.parametrize(
    ("before", "after", "clue", "hashes", "happened"),
    [
        (SETTLED, SETTLED, QUIET, (BEFORE, BEFORE), ()),
        (SETTLED, UPDATING, Clues(updated=1), (BEFORE, MOVING), (STARTED,)),
        (SETTLED, SETTLED, Clues(updated=1, completed=1), (BEFORE, AFTER), (STARTED, PROMOTED)),
        (SETTLED, SETTLED, Clues(updated=2, skipped=1), (BEFORE, BEFORE), (STARTED, BACK)),
        (SETTLED, SETTLED, Clues(updated=2, aborted=1), (BEFORE, BEFORE), (STARTED, ABORT, BACK)),
        (
            SETTLED,
            UPDATING,
            Clues(updated=2, completed=1),
            (BEFORE, Hashes("next", "new")),
            (STARTED, PROMOTED, STARTED),
        ),
        (SETTLED, ABORTED, Clues(updated=1, aborted=1), (BEFORE, MOVING), (STARTED, ABORT)),
        (UPDATING, SETTLED, Clues(completed=1), (MOVING, AFTER), (PROMOTED,)),
        (UPDATING, SETTLED, Clues(updated=1, skipped=1), (MOVING, BEFORE), (BACK,)),
        (UPDATING, SETTLED, Clues(updated=1, completed=1), (MOVING, Hashes("next", "next")), (SUPERSEDED, PROMOTED)),
        (UPDATING, SETTLED, Clues(aborted=1, completed=1), (MOVING, AFTER), (ABORT, RETRIED, PROMOTED)),
        (UPDATING, UPDATING, QUIET, (MOVING, MOVING), ()),
        (UPDATING, UPDATING, Clues(updated=1), (MOVING, Hashes("next", "old")), (SUPERSEDED,)),
        (UPDATING, UPDATING, Clues(updated=2, skipped=1), (MOVING, Hashes("next", "old")), (BACK, STARTED)),
        (UPDATING, UPDATING, Clues(aborted=1), (MOVING, MOVING), (ABORT, RETRIED)),
        (UPDATING, UPDATING, Clues(updated=1, completed=1), (MOVING, Hashes("next", "new")), (PROMOTED, STARTED)),
        (UPDATING, ABORTED, Clues(aborted=1), (MOVING, MOVING), (ABORT,)),
        (UPDATING, ABORTED, Clues(aborted=2), (MOVING, MOVING), (ABORT,)),
        (ABORTED, UPDATING, QUIET, (MOVING, MOVING), (RETRIED,)),
        (ABORTED, UPDATING, Clues(updated=1), (MOVING, Hashes("next", "old")), (STARTED,)),
        (ABORTED, SETTLED, Clues(updated=1, skipped=1), (MOVING, BEFORE), (BACK,)),
        (ABORTED, SETTLED, Clues(completed=1), (MOVING, AFTER), (RETRIED, PROMOTED)),
        (ABORTED, ABORTED, Clues(updated=1, aborted=1), (MOVING, Hashes("next", "old")), (STARTED, ABORT)),
        (UNKNOWN, SETTLED, Clues(completed=1), (Hashes(), AFTER), ()),
        (UNKNOWN, UPDATING, Clues(updated=1), (Hashes(), MOVING), (STARTED,)),
    ],
)
def test_what_happened_is_told_from_counters_and_hashes(
    before: UpdateState, after: UpdateState, clue: Clues, hashes: tuple[Hashes, Hashes], happened: tuple[Signal, ...]
) -> None:
    assert signals(before, after, interval(*hashes, clue)) == happened
    if UNKNOWN not in (before, after) and PROMOTED not in happened[1:]:
        told = signals(before, after, interval(Hashes(), Hashes(), clue))
        assert told == happened, "counters alone tell the same"


def test_without_hashes_the_end_of_an_update_without_a_promotion_counted_is_a_rollback_unless_the_process_is_new() -> (
    None
):
    assert signals(UPDATING, SETTLED, interval(Hashes(), Hashes(), QUIET)) == (BACK,)
    assert signals(UPDATING, SETTLED, interval(Hashes(), Hashes(), Clues(restarted=True))) == (PROMOTED,)
