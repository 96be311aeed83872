"""Whether a rollout needs a person, and the other groups that it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.explain.causes import is_up_to_date
from exporter.rollouts.explain.model import Cause
from exporter.rollouts.explain.position import PERSON
from exporter.rollouts.model import UpdateState
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import Rollout

_FAILED_PHASES: Final = frozenset({"Abort", "Timeout", "InvalidSpec", "Error"})


def urgency_of(rollout: Rollout, explanation: Explanation) -> Urgency:
    """Return the group that a rollout is shown in: the most urgent one."""
    return urgencies(rollout, explanation)[0]


def urgencies(rollout: Rollout, explanation: Explanation) -> tuple[Urgency, ...]:
    """Return all groups that a rollout is in, the most urgent first: an aborted one needs a person, and has failed.

    Nothing of it changes with time alone. Of a rollout that no source shows now, it is the last known state.
    """
    has_failed = _has_failed(rollout)
    update_state = rollout.state.update_state
    groups = {
        Urgency.PERSON: _needs_person(rollout, explanation, has_failed=has_failed),
        Urgency.FAILED: has_failed,
        Urgency.UPDATING: update_state is UpdateState.UPDATING,
        Urgency.UNKNOWN: update_state is UpdateState.UNKNOWN or not rollout.was_shown,
    }
    return tuple(urgency for urgency in Urgency if groups.get(urgency)) or (Urgency.REST,)


def _has_failed(rollout: Rollout) -> bool:
    observation, state = rollout.observation, rollout.state
    if state.update_state is UpdateState.ABORTED:
        return True
    status = observation.status
    if status is not None and status.current_hash:
        return status.health == "Degraded" and is_up_to_date(status)
    return (observation.view.phase if observation.view is not None else state.phases.phase) in _FAILED_PHASES


def _needs_person(rollout: Rollout, explanation: Explanation, *, has_failed: bool) -> bool:
    """Return whether nothing goes on unless a person acts.

    Whoever aborted an update is aware of it, so that this alone needs nobody else.
    """
    if explanation.waits_for == PERSON or explanation.paused_by:
        return True
    if has_failed:
        return explanation.cause is not Cause.PERSON
    is_updating = rollout.state.update_state is UpdateState.UPDATING
    return is_updating and bool(rollout.observation.details.replica_failure)
