"""Follows what is last of a rollout from tick to tick, as far as transitions compare it: step, pauses, degradation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.explain.causes import is_up_to_date
from exporter.rollouts.explain.position import step_position
from exporter.rollouts.model import ShownState, Transition, UpdateState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.rollouts.model import AttemptKey, Observation, RolloutState, RolloutStatus, UpdateTransition

SPEC_PAUSED: Final = "spec.paused"
"""Stands for the reason of a pause by `spec.paused`, which has no condition."""
PHASE: Final = "phase"
"""Stands for the reason of a pause that only the controller's page shows."""
_DEGRADED: Final = frozenset({"InvalidSpec", "Timeout", "Error"})
_WELL: Final = frozenset({"Completed", "Progressing", "Paused"})
RESTARTS: Final = frozenset({Transition.STARTED, Transition.RETRIED, Transition.SUPERSEDED})
"""What begins an attempt."""

Pauses = tuple[tuple[str, float], ...]


def follow(
    before: RolloutState | None,
    state: RolloutState,
    observation: Observation,
    changes: Sequence[UpdateTransition],
    now: float,
) -> ShownState:
    """Return what is shown after a tick (`now`, Unix seconds); `before` is None, or the state of the tick before."""
    last = before.last_shown if before is not None else ShownState()
    transitions = {change.transition for change in changes}
    status = observation.status if observation.status is not None and _is_valid(state, observation.status) else None
    attempt = _attempt(before, state, changes, now)
    return ShownState(
        hash=state.hashes.current,
        step=_step(last, state, status, restarted=not transitions.isdisjoint(RESTARTS)),
        pauses=_pauses(last, state, observation, status, now),
        degraded_since=_degraded_since(before, state, transitions, now) if observation.view else last.degraded_since,
        attempt=attempt,
        history=last.history if attempt is not None and attempt == last.attempt else (),
    )


def _attempt(
    before: RolloutState | None, state: RolloutState, changes: Sequence[UpdateTransition], now: float
) -> AttemptKey | None:
    """Return the attempt that is under way, None if it was not reported to begin."""
    is_same = before is not None and before.first_seen == state.first_seen
    attempt, begun = before.last_shown.attempt if before is not None and is_same else None, 0
    for change in changes:
        if change.transition in RESTARTS:
            attempt, begun = (now, begun), begun + 1
        elif change.ends_update:
            attempt = None
    # An update may be over without a transition, when its evidence is gone.
    return attempt if state.update_state is UpdateState.UPDATING else None


def _is_valid(state: RolloutState, status: RolloutStatus) -> bool:
    """Return whether a status is of the current revision throughout.

    The controller writes a new revision in up to three steps: its number first, while the rest is still the former's.
    """
    is_same = status.details is None or status.details.revision == state.memory.revision
    return is_up_to_date(status) and status.current_hash == state.hashes.current and is_same


def _step(
    last: ShownState, state: RolloutState, status: RolloutStatus | None, *, restarted: bool
) -> tuple[int, int, str] | None:
    """Return the step that the update reached; after an abort, where it stopped, since the index is 0 again."""
    if state.update_state is UpdateState.SETTLED:
        return None
    former = None if restarted or last.hash != state.hashes.current else last.step
    if state.update_state is not UpdateState.UPDATING or status is None or status.step_index is None:
        return former
    position = step_position(status)
    if position is None:
        return int(status.step_index), 0, ""
    return position.index, position.count, position.kind


def _pauses(
    last: ShownState, state: RolloutState, observation: Observation, status: RolloutStatus | None, now: float
) -> Pauses:
    if status is not None:
        return _pauses_of_status(last.pauses, state, status, now)
    if observation.status is not None or observation.view is None:
        return last.pauses
    # A phase within its hold-down is no change yet.
    phase = (state.phases.hold_down_from or (state.phases.phase,))[0]
    if phase != "Paused":
        return ()
    return last.pauses or ((PHASE, state.phases.started_at),)


def _pauses_of_status(pauses: Pauses, state: RolloutState, status: RolloutStatus, now: float) -> Pauses:
    if state.update_state is UpdateState.ABORTED:
        return ()
    # By the first configuration of rollout state, a pause without a condition; while a rollout is being resumed it is
    # shown so for a moment, too.
    is_paused = status.details.plan.is_paused if status.details is not None else not status.pauses
    was_paused = dict(pauses).keys() - {SPEC_PAUSED}
    if not is_paused or status.health != "Paused" or (status.details is None and was_paused):
        return status.pauses
    return (*status.pauses, (SPEC_PAUSED, dict(pauses).get(SPEC_PAUSED, now)))


def _degraded_since(
    before: RolloutState | None, state: RolloutState, transitions: set[Transition], now: float
) -> float | None:
    """Return since when a rollout is degraded for another reason than the abort of an update, None if it is not."""
    since, phase = before.last_shown.degraded_since if before is not None else None, state.phases.phase
    if phase in _WELL or (Transition.ABORTED in transitions and phase != "InvalidSpec"):
        return None
    return since if since is not None else now if _is_degraded(before, state) else None


def _is_degraded(before: RolloutState | None, state: RolloutState) -> bool:
    phase = state.phases.phase
    if phase == "Abort":  # set on a rollout at rest; after the abort of an update the phase lags behind the next one
        states = {state.update_state, before.update_state if before is not None else state.update_state}
        return states == {UpdateState.SETTLED} and (before is None or before.phases.phase != "Abort")
    return phase == "InvalidSpec" or (phase in _DEGRADED and state.update_state is not UpdateState.ABORTED)
