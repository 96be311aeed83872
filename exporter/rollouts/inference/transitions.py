"""Infers what happened to a rollout between two ticks from its update states and from what the interval shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import Transition, UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.rollouts.model import EventDeltas, RevisionHashes

Transitions = tuple[Transition, ...]

UPDATE_RESULTS: Final = (Transition.PROMOTED, Transition.ABORTED, Transition.ROLLED_BACK, Transition.SUPERSEDED)
"""How an update can end; also the values of the label `result`."""

NEXT_STATE: Final[Mapping[tuple[UpdateState, Transition], UpdateState]] = {
    (UpdateState.UNKNOWN, Transition.STARTED): UpdateState.UPDATING,
    (UpdateState.SETTLED, Transition.STARTED): UpdateState.UPDATING,
    (UpdateState.UPDATING, Transition.SUPERSEDED): UpdateState.UPDATING,
    (UpdateState.UPDATING, Transition.PROMOTED): UpdateState.SETTLED,
    (UpdateState.UPDATING, Transition.ROLLED_BACK): UpdateState.SETTLED,
    (UpdateState.UPDATING, Transition.ABORTED): UpdateState.ABORTED,
    (UpdateState.ABORTED, Transition.STARTED): UpdateState.UPDATING,
    (UpdateState.ABORTED, Transition.RETRIED): UpdateState.UPDATING,
    (UpdateState.ABORTED, Transition.ROLLED_BACK): UpdateState.SETTLED,
}
"""A transition that is not listed for a state leaves it as it is."""


@dataclass(frozen=True, slots=True)
class IntervalSummary:
    """What the time between two ticks shows.

    `promotions`: how often the stable revision moved. `revisions`: how often another revision became the current one.
    `aborted`: an abort was counted. `rolled_back`: an update that ended did so by going back to the stable revision;
    `left_again`: and the next update started after that. `aborted_again`: an aborted update was retried, and aborted.
    """

    promotions: int
    revisions: int
    aborted: bool
    rolled_back: bool
    left_again: bool = False
    aborted_again: bool = False


def summarize_interval(previous: RevisionHashes, current: RevisionHashes, deltas: EventDeltas) -> IntervalSummary:
    """Compare the hashes of two ticks if all are known, else the event counters.

    A restarted process has not counted what happened before it led, so that a missing RolloutCompleted proves no
    rollback then.
    """
    all_known = all((previous.stable, previous.current, current.stable, current.current))
    promoted = previous.stable != current.stable if all_known else deltas.completions > 0
    changed = (all_known and previous.current != current.current) or deltas.updates > 0
    rolled_back = not promoted and (all_known or changed or deltas.step_skips > 0 or not deltas.process_restarted)
    return IntervalSummary(
        # Hashes prove one promotion, even if a restarted controller has counted none.
        promotions=max(int(deltas.completions), 1) if promoted else 0,
        revisions=_count_revisions(previous, current, deltas) if changed else 0,
        aborted=deltas.aborts > 0,  # no count: progressDeadlineAbort emits RolloutAborted twice
        rolled_back=rolled_back,
        # SkipSteps is counted on the way back to the stable revision; the second update left it again.
        left_again=deltas.step_skips > 0 and deltas.updates > 1,
        aborted_again=_is_aborted_again(deltas),
    )


def _is_aborted_again(deltas: EventDeltas) -> bool:
    """Return whether the counters of a rollout that was aborted show a retry, which is no event, and another abort."""
    if deltas.process_restarted or not deltas.aborts:
        return False
    # One alone may be the second event of the former abort, of a deadline, or may have been shown ahead of its event.
    return deltas.aborts > 1 or (not deltas.updates and deltas.has_steps)


def _count_revisions(previous: RevisionHashes, current: RevisionHashes, deltas: EventDeltas) -> int:
    """Count the revisions of an interval in which at least one was applied."""
    counted, numbered = max(int(deltas.updates), 1), current.number - previous.number
    if not 0 < previous.number < current.number:
        return counted
    # A write conflict makes the controller count one revision twice, but number it once. The hashes may be ahead of the
    # counters by one revision.
    return numbered if deltas.process_restarted or numbered <= deltas.updates + 1 else counted


def infer_transitions(previous: UpdateState, current: UpdateState, interval: IntervalSummary) -> Transitions:
    """Return what must have happened, in order; nothing if the update state only became known or unknown."""
    rule = _TRANSITION_RULES.get((previous, current))
    return rule(interval) if rule is not None else ()


_FULL_UPDATE: Final = (Transition.STARTED, Transition.PROMOTED)
"""An update that started and was promoted between two ticks."""
_ABORTED_AGAIN: Final = (Transition.RETRIED, Transition.ABORTED)


def _superseded(count: int) -> Transitions:
    """Return `count` supersessions: every revision that neither was promoted nor is the current one."""
    return (Transition.SUPERSEDED,) * max(count, 0)


def _stayed_settled(interval: IntervalSummary) -> Transitions:
    if not interval.revisions:
        return ()
    if interval.promotions:
        superseded = _superseded(interval.revisions - interval.promotions)
        return (Transition.STARTED, *superseded, Transition.PROMOTED, *_FULL_UPDATE * (interval.promotions - 1))
    return (Transition.STARTED, *_superseded(interval.revisions - 2), *_abort(interval), Transition.ROLLED_BACK)


def _started(interval: IntervalSummary) -> Transitions:
    promoted = _FULL_UPDATE * interval.promotions
    if interval.aborted:
        restart = Transition.STARTED if interval.revisions - interval.promotions > 1 else Transition.RETRIED
        return (*promoted, Transition.STARTED, Transition.ABORTED, restart)
    return (*promoted, Transition.STARTED, *_superseded(interval.revisions - interval.promotions - 1))


def _completed(interval: IntervalSummary) -> Transitions:
    if interval.rolled_back:
        superseded = () if interval.aborted else _superseded(interval.revisions - 1)
        return (*superseded, *_abort(interval), Transition.ROLLED_BACK)
    # A promotion after an abort needs a retry or a new revision in between.
    if interval.aborted:
        return Transition.ABORTED, _restart(interval), Transition.PROMOTED
    # A restarted controller may have counted none, of one that it made before it ended.
    promotions = max(interval.promotions, 1)
    return (
        *_superseded(interval.revisions - promotions + 1),
        Transition.PROMOTED,
        *_FULL_UPDATE * (promotions - 1),
    )


def _continued(interval: IntervalSummary) -> Transitions:
    if interval.promotions:
        superseded = _superseded(interval.revisions - interval.promotions)
        return (*superseded, Transition.PROMOTED, *_FULL_UPDATE * (interval.promotions - 1), Transition.STARTED)
    if interval.aborted:
        return (Transition.ABORTED, _restart(interval), *_superseded(interval.revisions - 1))
    if interval.left_again:
        return (*_superseded(interval.revisions - 2), Transition.ROLLED_BACK, Transition.STARTED)
    return _superseded(interval.revisions)


def _aborted_in_update(interval: IntervalSummary) -> Transitions:
    if interval.promotions:
        return (*_continued(interval), Transition.ABORTED)
    return (*_superseded(interval.revisions), Transition.ABORTED)


def _aborted_from_rest(interval: IntervalSummary) -> Transitions:
    superseded = _superseded(interval.revisions - interval.promotions - 1)
    return (*_FULL_UPDATE * interval.promotions, Transition.STARTED, *superseded, Transition.ABORTED)


def _settled_after_abort(interval: IntervalSummary) -> Transitions:
    if not interval.promotions:
        # The last revision is the stable one again, and the first one replaced the aborted one.
        is_started = interval.revisions > 1
        started = (Transition.STARTED, *_superseded(interval.revisions - 2), *_abort(interval)) if is_started else ()
        return (*started, Transition.ROLLED_BACK)
    superseded = _superseded(interval.revisions - interval.promotions)
    return (_restart(interval), *superseded, Transition.PROMOTED, *_FULL_UPDATE * (interval.promotions - 1))


def _resumed_after_abort(interval: IntervalSummary) -> Transitions:
    if interval.promotions:
        return (_restart(interval), Transition.PROMOTED, *_FULL_UPDATE * (interval.promotions - 1), Transition.STARTED)
    again = _ABORTED_AGAIN if interval.aborted_again else ()
    return (*again, _restart(interval), *_superseded(interval.revisions - 1))


def _aborted_still(interval: IntervalSummary) -> Transitions:
    if interval.revisions:
        return Transition.STARTED, Transition.ABORTED
    return _ABORTED_AGAIN if interval.aborted_again else ()


def _restart(interval: IntervalSummary) -> Transition:
    return Transition.STARTED if interval.revisions else Transition.RETRIED


def _abort(interval: IntervalSummary) -> Transitions:
    return (Transition.ABORTED,) if interval.aborted else ()


_TRANSITION_RULES: Final[Mapping[tuple[UpdateState, UpdateState], Callable[[IntervalSummary], Transitions]]] = {
    (UpdateState.SETTLED, UpdateState.SETTLED): _stayed_settled,
    (UpdateState.SETTLED, UpdateState.UPDATING): _started,
    (UpdateState.SETTLED, UpdateState.ABORTED): _aborted_from_rest,
    (UpdateState.UPDATING, UpdateState.SETTLED): _completed,
    (UpdateState.UPDATING, UpdateState.UPDATING): _continued,
    (UpdateState.UPDATING, UpdateState.ABORTED): _aborted_in_update,
    (UpdateState.ABORTED, UpdateState.SETTLED): _settled_after_abort,
    (UpdateState.ABORTED, UpdateState.UPDATING): _resumed_after_abort,
    (UpdateState.ABORTED, UpdateState.ABORTED): _aborted_still,
    (UpdateState.UNKNOWN, UpdateState.UPDATING): lambda interval: (Transition.STARTED,) if interval.revisions else (),
}
"""By update state before and after. Applied to `NEXT_STATE` from the first, each result ends in the second."""
