"""The last status of each rollout that can be believed: over gaps in rollout state, and against stale pages of it.

While kube-state-metrics restarts, it serves no page or an empty one, and then, for a moment, perhaps what an API server
had cached. A status is kept for the grace period, until a page that shows rollouts says otherwise or the controller
counts an event that may have changed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.rollouts.model import ControllerView, RolloutKey, RolloutStatus

_REVISION_EVENTS: Final = ("RolloutUpdated", "RolloutCompleted", "RolloutAborted", "SkipSteps", "RolloutDeleted")
"""After these, an earlier status shows other revisions than the object has."""
_STABLE_EVENTS: Final = ("RolloutCompleted", "RolloutDeleted")
"""After these, the object has another stable revision."""


@dataclass(frozen=True, slots=True)
class RememberedStatuses:
    """The statuses on the pages of `updated_at` (Unix seconds), and what decides about those of the next pages.

    `held` are the rollouts whose status the last pages do not show, or contradict, with the time (Unix seconds) at
    which it was shown last; `outdated` the statuses that were held when an event was counted that changed them;
    `former_stable` the stable hashes that an object had before, of the same generation.
    """

    updated_at: float = 0.0
    statuses: Mapping[RolloutKey, RolloutStatus] = field(default_factory=dict)
    held: Mapping[RolloutKey, float] = field(default_factory=dict)
    outdated: Mapping[RolloutKey, RolloutStatus] = field(default_factory=dict)
    former_stable: Mapping[RolloutKey, frozenset[str]] = field(default_factory=dict)


class LastStatuses:
    """Remembers the last believable status of each rollout; `_refused` are those of the last pages that are not."""

    def __init__(
        self, grace: float, remembered: RememberedStatuses, event_counts: Mapping[RolloutKey, Mapping[str, float]]
    ) -> None:
        self._grace = grace
        self._updated_at = remembered.updated_at
        self._statuses = dict(remembered.statuses)
        self._held = dict(remembered.held)
        self._refused: dict[RolloutKey, RolloutStatus] = {}
        self._former_stable = dict(remembered.former_stable)
        self._outdated = dict(remembered.outdated)
        self._event_counts = {key: event_counts[key] for key in self._statuses if key in event_counts}

    def update(
        self,
        now: float,
        statuses: Mapping[RolloutKey, RolloutStatus],
        changed: Collection[RolloutKey],
        *,
        complete: bool,
    ) -> set[RolloutKey]:
        """Follow the `statuses` on pages scraped `now`; return the rollouts whose status is another one.

        `changed` are the rollouts that the pages before did not show so; what `complete` pages do not show is gone.
        """
        before = {key: self._statuses.get(key) for key in {*changed, *self._held}}
        for key in before:
            status = statuses.get(key)
            self._refused.pop(key, None)
            if status is not None and self._is_believable(key, status, now):
                self._believe(key, status)
            elif (status is None and complete) or now - self._shown_at(key) > self._grace:
                self._forget(key)
            elif key in self._statuses:
                self._held.setdefault(key, self._updated_at)
                if status is not None:
                    self._refused[key] = status
        self._updated_at = now
        return {key for key, status in before.items() if self._statuses.get(key) is not status}

    def get(
        self, key: RolloutKey, now: float, view: ControllerView | None, replica_sets: Collection[str]
    ) -> RolloutStatus | None:
        """Return the status at a tick without what the controller's counters contradict, None if none is left.

        `replica_sets` are the hashes of the rollout's ReplicaSets, as far as they are shown.
        """
        refused = self._refused.get(key)
        if refused is not None and (self._was_deleted(key, view) or self._was_replaced(key, refused, replica_sets)):
            self._forget(key)
            self._believe(key, refused)
        status = self._statuses.get(key)
        if status is None:
            return None
        shown_at = self._shown_at(key)
        if view is not None:
            counts = self._event_counts.get(key, view.event_counts)
            self._event_counts[key] = view.event_counts
            if shown_at < now and view.event_counts != counts:
                # A rollout that was settled must have another revision before it is promoted again.
                reasons = ("RolloutDeleted",) if status.stable_hash == status.current_hash else _STABLE_EVENTS
                if status.stable_hash and _has_grown(reasons, counts, view.event_counts):
                    self._former_stable[key] = self._former_stable.get(key, frozenset()) | {status.stable_hash}
                if _has_grown(_REVISION_EVENTS, counts, view.event_counts):
                    self._outdated.setdefault(key, status)
                status = self._statuses[key] = _without_outdated(status, counts, view.event_counts)
        return replace(status, observed_at=shown_at)

    @property
    def remembered(self) -> RememberedStatuses:
        """What the next process needs."""
        return RememberedStatuses(
            self._updated_at, dict(self._statuses), dict(self._held), dict(self._outdated), dict(self._former_stable)
        )

    def _was_deleted(self, key: RolloutKey, view: ControllerView | None) -> bool:
        """Return whether a deletion was counted since: the status of another object of this name is not older."""
        if view is None:
            return False
        counts = self._event_counts.get(key, view.event_counts)
        return view.event_counts.get("RolloutDeleted", 0.0) > counts.get("RolloutDeleted", 0.0)

    def _was_replaced(self, key: RolloutKey, refused: RolloutStatus, replica_sets: Collection[str]) -> bool:
        """Return whether the ReplicaSets are those of another object: a stable one exists as long as its rollout."""
        stable_hash = self._statuses[key].stable_hash
        return refused.current_hash in replica_sets and bool(stable_hash) and stable_hash not in replica_sets

    def _shown_at(self, key: RolloutKey) -> float:
        return self._held.get(key, self._updated_at)

    def _believe(self, key: RolloutKey, status: RolloutStatus) -> None:
        previous = self._statuses.get(key)
        self._statuses[key] = status
        self._held.pop(key, None)
        self._outdated.pop(key, None)
        same_spec = previous is not None and (previous.uid, previous.generation) == (status.uid, status.generation)
        if previous is None or not same_spec or not status.stable_hash:
            self._former_stable.pop(key, None)
        elif previous.stable_hash not in ("", status.stable_hash):
            self._former_stable[key] = self._former_stable.get(key, frozenset()) | {previous.stable_hash}

    def _forget(self, key: RolloutKey) -> None:
        for by_key in (
            self._statuses, self._held, self._refused, self._former_stable, self._outdated, self._event_counts,
        ):  # fmt: skip # a table
            by_key.pop(key, None)

    def _is_believable(self, key: RolloutKey, status: RolloutStatus, now: float) -> bool:
        """Return whether a status is not older than the known one, or that one was not shown for too long."""
        previous = self._statuses.get(key)
        if previous is None or previous.uid != status.uid or now - self._shown_at(key) > self._grace:
            return True
        outdated = self._outdated.get(key)
        if outdated is not None and replace(outdated, observed_at=status.observed_at) == status:
            return False  # what an API server had cached
        # Another object of the same name has no stable revision at first.
        if previous.stable_hash and not status.stable_hash:
            return True
        pairs = ((previous.generation, status.generation), (previous.observed_generation, status.observed_generation))
        if any(old is not None and new is not None and new < old for old, new in pairs):
            return False
        # A stable revision comes back only by another spec.
        is_same = previous.generation in (None, status.generation)
        return not (is_same and status.stable_hash in self._former_stable.get(key, frozenset()))


def _without_outdated(
    status: RolloutStatus, counts: Mapping[str, float], new_counts: Mapping[str, float]
) -> RolloutStatus:
    """Return a status of an earlier tick without what may have changed since: the controller has counted events."""
    # Steps and pauses change nothing of the revisions.
    status = replace(status, weight=None, step_index=None, health="", pauses=(), generation_observed=False)
    if not _has_grown(_REVISION_EVENTS, counts, new_counts):
        return status
    generation, observed_generation = status.generation, status.observed_generation
    if _has_grown(("RolloutDeleted",), counts, new_counts):
        generation = observed_generation = None
    elif observed_generation is not None and _has_grown(("RolloutUpdated",), counts, new_counts):
        observed_generation += 1  # at least: a revision comes from a spec that was not reconciled before
    return replace(
        status, stable_hash="", current_hash="", generation=generation, observed_generation=observed_generation
    )


def _has_grown(reasons: Collection[str], counts: Mapping[str, float], new_counts: Mapping[str, float]) -> bool:
    return any(new_counts.get(reason) != counts.get(reason) for reason in reasons)
