"""What is looked at to classify a rollout at a tick, what comes out, and the events that matter to both.

The controller counts an event, sends its notifications, which takes seconds, and only then writes the status: within
one tick the counters may be ahead. Events that the status does not show yet are `pending`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import NO_HASHES, UpdateState

if TYPE_CHECKING:
    from exporter.rollouts.model import (
        ControllerView,
        EventDeltas,
        Observation,
        ReplicaCounts,
        RevisionHashes,
        RolloutState,
    )

RETRIED: Final = "an aborted update goes on: retried"
NOTHING_NEW: Final = "nothing has happened since"
"""Evidence of a tick in which nothing happened; the state machine keeps the evidence of the previous tick."""
PATIENCE: Final = 30.0
"""Seconds for which a status may lag behind the counters: a failing notification is retried for some 8 s each."""
GAUGE_PERIOD: Final = 0.5
"""Seconds between two updates of the gauge that shows how long a reconciliation has run (client-go, util/workqueue)."""
REVISION_EVENTS: Final = frozenset({"RolloutUpdated", "NewReplicaSetCreated", "SkipSteps"})
"""Events of a new current revision, which are pending together."""
ABORT_EVENTS: Final = frozenset({"RolloutAborted"})
PROMOTION_EVENTS: Final = frozenset({"RolloutCompleted"})
RETRY_EVENTS: Final = frozenset({"RolloutPaused", "RolloutStepCompleted"})
"""The first events of an update that is retried; the retry itself is none."""
NO_EVENTS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a rung of the ladder looks at: the remembered state and the tick; `view` is the observation's own.

    `has_rollout_state`: rollout state is scraped, at other ticks perhaps. `reconciling_since` as of `TickContext`.
    """

    state: RolloutState | None
    now: float
    observation: Observation
    view: ControllerView
    deltas: EventDeltas | None
    has_rollout_state: bool = False
    reconciling_since: float | None = None

    @property
    def previous(self) -> UpdateState:
        """The update state at the previous tick."""
        return self.state.update_state if self.state is not None else UpdateState.UNKNOWN

    @property
    def hashes(self) -> RevisionHashes:
        """The hashes at the previous tick."""
        return self.state.hashes if self.state is not None else NO_HASHES

    @property
    def replicas_before(self) -> ReplicaCounts | None:
        """The controller's gauges at the previous tick."""
        return self.state.replicas if self.state is not None else None

    @property
    def is_overdue(self) -> bool:
        """Whether the status has not shown a counted event for longer than it may take to write."""
        since = self.state.pending_since if self.state is not None else 0.0
        return since > 0 and self.now - since > PATIENCE

    @property
    def is_reconciling(self) -> bool:
        """Whether any reconciliation goes on."""
        return self.reconciling_since is not None and self.reconciling_since <= self.now + GAUGE_PERIOD

    @property
    def is_unwritten(self) -> bool:
        """Whether the reconciliation goes on that counted the newest events: it writes the status at its end."""
        counted_at = self.state.pending_since if self.state is not None and self.state.pending_since else self.now
        return self.reconciling_since is not None and self.reconciling_since <= counted_at + GAUGE_PERIOD

    @property
    def awaits_status(self) -> bool:
        """Whether the status of the newest events is still to be written, for no longer than that may take."""
        return self.is_unwritten and not self.is_overdue

    def is_outdated(self, observed_at: float) -> bool:
        """Return whether the counters showed a transition after a source was scraped (`observed_at`, Unix seconds)."""
        if self.state is None or self.deltas is None:
            return False
        # All pages of a tick have its time, so an earlier time means a page of an earlier tick.
        is_older = observed_at < self.now
        has_news = self.deltas.has_transition or self.deltas.process_restarted
        return is_older if is_older and has_news else observed_at <= self.state.last_event_at


@dataclass(frozen=True, slots=True)
class Classification:
    """Update state and hashes at a tick, and the reason.

    `from_hashes`: the sources' hashes at this tick prove it. `pending` are the counted events that it does not show.
    `rung` is the kind of evidence.
    """

    update_state: UpdateState
    reason: str
    hashes: RevisionHashes
    from_hashes: bool = False
    pending: frozenset[str] = NO_EVENTS
    rung: str = ""
