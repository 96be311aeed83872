"""What happened to a rollout between two ticks, told from where it stood and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.rollouts.inference.revisions import Clues, Hashes


class Signal(StrEnum):
    """One thing that can happen to a rollout."""

    STARTED = "started"
    SUPERSEDED = "superseded"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    RETRIED = "retried"


Signals = tuple[Signal, ...]

RESULTS: Final = (Signal.PROMOTED, Signal.ABORTED, Signal.ROLLED_BACK, Signal.SUPERSEDED)
"""The ways an update ends; also the values of the label `result`."""

TRANSITIONS: Final[Mapping[tuple[UpdateState, Signal], UpdateState]] = {
    (UpdateState.UNKNOWN, Signal.STARTED): UpdateState.UPDATING,
    (UpdateState.SETTLED, Signal.STARTED): UpdateState.UPDATING,
    (UpdateState.UPDATING, Signal.SUPERSEDED): UpdateState.UPDATING,
    (UpdateState.UPDATING, Signal.PROMOTED): UpdateState.SETTLED,
    (UpdateState.UPDATING, Signal.ROLLED_BACK): UpdateState.SETTLED,
    (UpdateState.UPDATING, Signal.ABORTED): UpdateState.ABORTED,
    (UpdateState.ABORTED, Signal.STARTED): UpdateState.UPDATING,
    (UpdateState.ABORTED, Signal.RETRIED): UpdateState.UPDATING,
    (UpdateState.ABORTED, Signal.ROLLED_BACK): UpdateState.SETTLED,
}


@dataclass(frozen=True, slots=True)
class Interval:
    """What is known of the time between two ticks.

    `promotions`: how often the stable revision moved. `revised`: another was wanted. `aborted`: an abort was counted.
    `back`: if an update ended, the wanted revision went back to the stable one; `returned`: and left it again.
    """

    promotions: int
    revised: bool
    aborted: bool
    back: bool
    returned: bool = False


def interval(before: Hashes, after: Hashes, clue: Clues) -> Interval:
    """Compare hashes where all are known, else go by what the controller counted."""
    known = all((before.stable, before.current, after.stable, after.current))
    promoted = before.stable != after.stable if known else clue.completed > 0
    revised = (known and before.current != after.current) or clue.updated > 0
    back = not promoted and (known or revised or clue.skipped > 0 or not clue.restarted)
    promotions = max(int(clue.completed), 1) if promoted else 0
    return Interval(promotions, revised, clue.aborted > 0, back, returned=clue.skipped > 0 and clue.updated > 1)


_WHOLE: Final = (Signal.STARTED, Signal.PROMOTED)


def signals(before: UpdateState, after: UpdateState, between: Interval) -> Signals:
    """Say what must have happened, in order; nothing where the rollout merely came to be known."""
    path = _PATHS.get((before, after))
    return path(between) if path is not None else ()


def _stayed_settled(between: Interval) -> Signals:
    if not between.revised:
        return ()
    if between.promotions:
        return _WHOLE * between.promotions
    return (Signal.STARTED, *_aborted(between), Signal.ROLLED_BACK)


def _began(between: Interval) -> Signals:
    return (*_WHOLE * between.promotions, Signal.STARTED)


def _finished(between: Interval) -> Signals:
    if between.back:
        return (*_aborted(between), Signal.ROLLED_BACK)
    if between.aborted:
        return Signal.ABORTED, _anew(between), Signal.PROMOTED
    if between.revised and between.promotions == 1:
        return Signal.SUPERSEDED, Signal.PROMOTED
    return (Signal.PROMOTED, *_WHOLE * (between.promotions - 1))


def _went_on(between: Interval) -> Signals:
    if between.promotions:
        return (Signal.PROMOTED, *_WHOLE * (between.promotions - 1), Signal.STARTED)
    if between.aborted:
        return Signal.ABORTED, _anew(between)
    if between.returned:
        return Signal.ROLLED_BACK, Signal.STARTED
    return (Signal.SUPERSEDED,) if between.revised else ()


def _after_abort(between: Interval) -> Signals:
    return (_anew(between), Signal.PROMOTED) if between.promotions else (Signal.ROLLED_BACK,)


def _anew(between: Interval) -> Signal:
    return Signal.STARTED if between.revised else Signal.RETRIED


def _aborted(between: Interval) -> Signals:
    return (Signal.ABORTED,) if between.aborted else ()


_PATHS: Final[Mapping[tuple[UpdateState, UpdateState], Callable[[Interval], Signals]]] = {
    (UpdateState.SETTLED, UpdateState.SETTLED): _stayed_settled,
    (UpdateState.SETTLED, UpdateState.UPDATING): _began,
    (UpdateState.SETTLED, UpdateState.ABORTED): lambda _: (Signal.STARTED, Signal.ABORTED),
    (UpdateState.UPDATING, UpdateState.SETTLED): _finished,
    (UpdateState.UPDATING, UpdateState.UPDATING): _went_on,
    (UpdateState.UPDATING, UpdateState.ABORTED): lambda it: (
        *((Signal.SUPERSEDED,) if it.revised else ()),
        Signal.ABORTED,
    ),
    (UpdateState.ABORTED, UpdateState.SETTLED): _after_abort,
    (UpdateState.ABORTED, UpdateState.UPDATING): lambda it: (_anew(it),),
    (UpdateState.ABORTED, UpdateState.ABORTED): lambda it: (Signal.STARTED, Signal.ABORTED) if it.revised else (),
    (UpdateState.UNKNOWN, UpdateState.UPDATING): lambda it: (Signal.STARTED,) if it.revised else (),
}
