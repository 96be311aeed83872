"""Accounts for the time of updates from tick to tick: by activity, by the canary's exposure, and by how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.explain.explain import explain
from exporter.rollouts.explain.model import Activity, Cause
from exporter.rollouts.explain.position import activity
from exporter.rollouts.model import Transition, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.rollouts.model import Rollout, UpdateAccount, UpdateTransition

_CAUSE_OF_RESULT: Final = {
    Transition.SUPERSEDED.value: Cause.NEW_REVISION.value,
    Transition.ABORTED.value: Cause.UNKNOWN.value,
}
"""The cause, as far as the result alone shows it; a promotion has none."""


def elapsed(account: UpdateAccount, now: float) -> float:
    """Return the seconds from a tick, whose account this is, to `now` (Unix seconds); 0 if they do not count."""
    return max(now - account.counted_until, 0.0) if account.counted_until is not None else 0.0


def continue_account(rollout: Rollout, changes: Sequence[UpdateTransition], now: float) -> UpdateAccount:
    """Return the account of a rollout after a tick (`now`, Unix seconds); its state has the account of the tick before.

    An interval counts for what was at its start: what happened within is unknown.
    """
    before, state = rollout.state.account, rollout.state
    fraction = rollout.fraction.value if rollout.fraction is not None and rollout.fraction.value is not None else 0.0
    is_updating = state.update_state is UpdateState.UPDATING
    account = replace(
        before,
        counted_until=now if is_updating or fraction else None,
        # Whether an update is under way is inferred; what it does is read from the status, which may lag behind.
        activity=(activity(rollout) or Activity.UNKNOWN).value if is_updating else "",
        fraction=fraction,
        exposure_seconds=before.exposure_seconds + before.fraction * elapsed(before, now),
    )
    return _with_result(account, rollout, changes, now)


def abort_causes(changes: Iterable[UpdateTransition], after: UpdateAccount) -> list[str]:
    """Return the cause of each update that was aborted at a tick; only of the last end the cause is known."""
    ends = [change.transition for change in changes if change.ends_update]
    last = len(ends) - 1
    return [
        after.cause if place == last else Cause.UNKNOWN.value
        for place, end in enumerate(ends)
        if end is Transition.ABORTED
    ]


def _with_result(
    account: UpdateAccount, rollout: Rollout, changes: Iterable[UpdateTransition], now: float
) -> UpdateAccount:
    """Return the account with the result of the last update that ended, and the cause of an abort once it is known."""
    ends = [change.transition for change in changes if change.ends_update]
    result = ends[-1].value if ends else account.result
    is_aborted = rollout.state.update_state is UpdateState.ABORTED and result == Transition.ABORTED
    if not ends and not (is_aborted and account.cause == Cause.UNKNOWN):
        return account
    ended_at = now if ends else account.ended_at
    cause, metric = _CAUSE_OF_RESULT.get(result, ""), ""
    if is_aborted:
        explanation = explain(rollout, now)
        cause = (explanation.cause or Cause.UNKNOWN).value
        metric = explanation.metric.name if explanation.metric is not None else ""
    if result == Transition.PROMOTED:
        account = replace(account, lead_seconds=_lead_seconds(rollout, now))
    return replace(account, result=result, cause=cause, metric=metric, ended_at=ended_at)


def _lead_seconds(rollout: Rollout, now: float) -> float | None:
    """Return the time since the commit of the current revision, None if no source shows it."""
    replica_set = rollout.observation.replica_sets.get(rollout.state.hashes.current)
    if replica_set is None or replica_set.committed_at is None:
        return None
    return max(now - replica_set.committed_at, 0.0)
