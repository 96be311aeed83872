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

    `promotions`: how often the stable revision moved. `revision_changed`: another revision became the current one.
    `aborted`: an abort was counted. `rolled_back`: an update that ended did so by going back to the stable revision;
    `left_again`: and the next update started after that.
    """

    promotions: int
    revision_changed: bool
    aborted: bool
    rolled_back: bool
    left_again: bool = False


def summarize_interval(previous: RevisionHashes, current: RevisionHashes, deltas: EventDeltas) -> IntervalSummary:
    """Compare the hashes of two ticks if all are known, else use the event counters.

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
        revision_changed=changed,
        aborted=deltas.aborts > 0,  # no count: progressDeadlineAbort emits RolloutAborted twice
        rolled_back=rolled_back,
        # SkipSteps is counted on the way back to the stable revision; the second update left it again.
        left_again=deltas.step_skips > 0 and deltas.updates > 1,
    )


def infer_transitions(previous: UpdateState, current: UpdateState, interval: IntervalSummary) -> Transitions:
    """Return what must have happened, in order; nothing if the update state only became known or unknown."""
    rule = _TRANSITION_RULES.get((previous, current))
    return rule(interval) if rule is not None else ()


_FULL_UPDATE: Final = (Transition.STARTED, Transition.PROMOTED)
"""An update that started and was promoted between two ticks."""


def _stayed_settled(interval: IntervalSummary) -> Transitions:
    if not interval.revision_changed:
        return ()
    if interval.promotions:
        return _FULL_UPDATE * interval.promotions
    return (Transition.STARTED, *_abort(interval), Transition.ROLLED_BACK)


def _started(interval: IntervalSummary) -> Transitions:
    return (*_FULL_UPDATE * interval.promotions, Transition.STARTED)


def _completed(interval: IntervalSummary) -> Transitions:
    if interval.rolled_back:
        return (*_abort(interval), Transition.ROLLED_BACK)
    # A promotion after an abort needs a retry or a new revision in between.
    if interval.aborted:
        return Transition.ABORTED, _restart(interval), Transition.PROMOTED
    if interval.revision_changed and interval.promotions == 1:
        return Transition.SUPERSEDED, Transition.PROMOTED
    return (Transition.PROMOTED, *_FULL_UPDATE * (interval.promotions - 1))


def _continued(interval: IntervalSummary) -> Transitions:
    if interval.promotions:
        return (Transition.PROMOTED, *_FULL_UPDATE * (interval.promotions - 1), Transition.STARTED)
    if interval.aborted:
        return Transition.ABORTED, _restart(interval)
    if interval.left_again:
        return Transition.ROLLED_BACK, Transition.STARTED
    return (Transition.SUPERSEDED,) if interval.revision_changed else ()


def _settled_after_abort(interval: IntervalSummary) -> Transitions:
    return (_restart(interval), Transition.PROMOTED) if interval.promotions else (Transition.ROLLED_BACK,)


def _restart(interval: IntervalSummary) -> Transition:
    return Transition.STARTED if interval.revision_changed else Transition.RETRIED


def _abort(interval: IntervalSummary) -> Transitions:
    return (Transition.ABORTED,) if interval.aborted else ()


_TRANSITION_RULES: Final[Mapping[tuple[UpdateState, UpdateState], Callable[[IntervalSummary], Transitions]]] = {
    (UpdateState.SETTLED, UpdateState.SETTLED): _stayed_settled,
    (UpdateState.SETTLED, UpdateState.UPDATING): _started,
    (UpdateState.SETTLED, UpdateState.ABORTED): lambda _: (Transition.STARTED, Transition.ABORTED),
    (UpdateState.UPDATING, UpdateState.SETTLED): _completed,
    (UpdateState.UPDATING, UpdateState.UPDATING): _continued,
    (UpdateState.UPDATING, UpdateState.ABORTED): lambda interval: (
        (Transition.SUPERSEDED, Transition.ABORTED) if interval.revision_changed else (Transition.ABORTED,)
    ),
    (UpdateState.ABORTED, UpdateState.SETTLED): _settled_after_abort,
    (UpdateState.ABORTED, UpdateState.UPDATING): lambda interval: (_restart(interval),),
    (UpdateState.ABORTED, UpdateState.ABORTED): lambda interval: (
        (Transition.STARTED, Transition.ABORTED) if interval.revision_changed else ()
    ),
    (UpdateState.UNKNOWN, UpdateState.UPDATING): lambda interval: (
        (Transition.STARTED,) if interval.revision_changed else ()
    ),
}
"""By update state before and after. Applied to `NEXT_STATE` from the first, each result ends in the second."""
