"""Remembers from tick to tick what no page shows later: where an update stopped, why, and what it replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.details import FINISHED_BADLY, NO_DETAILS
from exporter.rollouts.explain import causes
from exporter.rollouts.explain.images import remembered_images
from exporter.rollouts.model import UpdateMemory
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.model import Observation, RolloutState, RolloutStatus

_COUNTS: Final = ("RolloutUpdated", "RolloutAborted", "RolloutStepCompleted")
"""The event counters that show whether something happened between two pages of rollout state."""


def remember(
    before: RolloutState | None, state: RolloutState, observation: Observation, now: float, *, has_rollout_state: bool
) -> RolloutState:
    """Return the state after a tick (`now`, Unix seconds) with its memory; `before` is the state of the tick before.

    `has_rollout_state`: rollout state is scraped, if not at every tick. Between its pages nothing new is known of an
    attempt, so that the counters of the tick at which it came last are the ones to compare with.
    """
    memory, status = _with_bad_run(before, state), observation.status
    is_fresh = status is not None and status.observed_at >= now
    if is_fresh or not has_rollout_state:
        memory = _count_events(before, state, observation, memory)
    if is_fresh and status is not None and status.current_hash:
        memory = _follow_status(state.memory.counts, memory, status)
    elif not has_rollout_state and observation.view is not None:
        memory = _follow_phase(before, state, memory)
    images = remembered_images(memory.images, state.hashes, observation)
    memory = memory if images == memory.images else replace(memory, images=images)
    return state if memory == state.memory else replace(state, memory=memory)


def _count_events(
    before: RolloutState | None, state: RolloutState, observation: Observation, memory: UpdateMemory
) -> UpdateMemory:
    """Return the memory with this tick's counters; those of another process count from its start."""
    if observation.view is None:
        return memory
    counts = {reason: observation.view.event_counts.get(reason, 0.0) for reason in _COUNTS}
    if before is not None and before.process != state.process:
        return replace(memory, counts=counts, counts_before=dict.fromkeys(_COUNTS, 0.0))
    return replace(memory, counts=counts)


def _with_bad_run(before: RolloutState | None, state: RolloutState) -> UpdateMemory:
    bad_run = _bad_run(before.runs, state.runs) if before is not None else ""
    return replace(state.memory, bad_run=bad_run) if bad_run else state.memory


def _bad_run(before: Mapping[str, str], runs: Mapping[str, str]) -> str:
    """Return a run that turned bad since the tick before, "" if there is none."""
    bad = [name for name, phase in runs.items() if phase in FINISHED_BADLY and before.get(name) not in FINISHED_BADLY]
    return max(bad, default="")


def _follow_phase(before: RolloutState | None, state: RolloutState, memory: UpdateMemory) -> UpdateMemory:
    """Follow attempts by the controller's page alone."""
    counts, previous = memory.counts, state.memory.counts
    began = bool(previous) and counts["RolloutUpdated"] > previous["RolloutUpdated"]
    retried = before is not None and before.phases.phase == "Abort" != state.phases.phase
    if not (began or retried):
        return memory
    # An abort that was counted in the same interval may be of the former attempt.
    is_certain = not causes.growth(previous, counts, "RolloutAborted")
    return _new_attempt(memory, previous if is_certain else {})


def _follow_status(previous: Mapping[str, float], memory: UpdateMemory, status: RolloutStatus) -> UpdateMemory:
    """Follow attempts by rollout state; `previous` are the counters of the tick before."""
    details = status.details or NO_DETAILS
    if status.current_hash != memory.hash:
        is_certain = memory.aborted_at is not None or causes.growth(previous, memory.counts, "RolloutAborted") <= 1
        attempt = _new_attempt(memory, previous if memory.hash and is_certain else {})
        attempt = replace(attempt, revision=details.revision, hash=status.current_hash)
        memory = _with_replaced(attempt, replace(memory, counts=previous), status)
    elif details.revision != memory.revision or not causes.is_up_to_date(status):
        # The controller writes a new revision in up to three steps: its number first, the rest is still the former's.
        return memory
    elif not status.aborted and memory.aborted_at is not None:
        retry = _new_attempt(memory, previous)
        memory = replace(
            retry, revision=memory.revision, hash=memory.hash,
            replaced_revision=memory.replaced_revision, replaced_step=memory.replaced_step,
        )  # fmt: skip
    if not causes.is_up_to_date(status):
        return memory
    memory = replace(memory, stable_hash=status.stable_hash)
    if status.aborted:
        return _with_abort(previous, memory, status)
    step = int(status.step_index) if status.step_index is not None else None
    return replace(memory, last_step=step, progressed_at=details.progressed_at)


def _new_attempt(memory: UpdateMemory, previous: Mapping[str, float]) -> UpdateMemory:
    return UpdateMemory(images=memory.images, counts=memory.counts, counts_before=previous)


def _with_replaced(attempt: UpdateMemory, former: UpdateMemory, status: RolloutStatus) -> UpdateMemory:
    """Add the revision that a new one replaced, if that was certainly under way until then."""
    was_under_way = former.hash not in ("", former.stable_hash) and former.aborted_at is None
    if not was_under_way or former.hash == status.stable_hash:
        return attempt
    # Another revision may have come and gone in between, or the former one have been aborted.
    follows = former.revision.isdigit() and attempt.revision == str(int(former.revision) + 1)
    if not follows or causes.growth(former.counts, attempt.counts, "RolloutAborted"):
        return attempt
    certain = not causes.growth(former.counts, attempt.counts, "RolloutStepCompleted")
    return replace(attempt, replaced_revision=former.revision, replaced_step=former.last_step if certain else None)


def _with_abort(previous: Mapping[str, float], memory: UpdateMemory, status: RolloutStatus) -> UpdateMemory:
    """Remember an abort: where it stopped at first sight, and its cause as soon as the message shows it."""
    details = status.details or NO_DETAILS
    aborted_at = details.aborted_at or 0.0
    if memory.aborted_at is None:
        certain = not causes.growth(previous, memory.counts, "RolloutStepCompleted")
        memory = replace(memory, aborted_at=aborted_at, aborted_step=memory.last_step if certain else None)
    elif aborted_at and memory.aborted_at and aborted_at != memory.aborted_at:  # a retry between two ticks
        retry = _new_attempt(memory, previous)
        memory = replace(retry, revision=memory.revision, hash=memory.hash, aborted_at=aborted_at)
    else:
        # `kubectl argo rollouts abort` writes the flag, the controller the time.
        memory = replace(memory, aborted_at=aborted_at or memory.aborted_at)
    if not details.message.startswith(causes.ABORT_PREFIX):
        return memory
    blame = causes.with_remembered(causes.abort_cause(status, details, memory), memory)
    return replace(memory, cause=blame.cause.value, run=blame.run_name, metric=blame.metric_name)
