"""A transition as it is reported, and its types."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.explain.model import Cause, RevisionImages, StepPosition
    from exporter.rollouts.model import AttemptEvent, AttemptKey, RolloutKey


class TransitionType(StrEnum):
    """What happened; the values of the member `type`, which are public."""

    UPDATE_STARTED = "update_started"
    STEP_REACHED = "step_reached"
    PAUSED = "paused"
    RESUMED = "resumed"
    ANALYSIS_STARTED = "analysis_started"
    ANALYSIS_ENDED = "analysis_ended"
    ABORTED = "aborted"
    RETRIED = "retried"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    DELETED = "deleted"
    LEADER_CHANGED = "leader_changed"


ATTEMPT_BEGINNINGS: Final = frozenset({TransitionType.UPDATE_STARTED, TransitionType.RETRIED})
ATTEMPT_ENDS: Final = frozenset({
    TransitionType.PROMOTED,
    TransitionType.ABORTED,
    TransitionType.ROLLED_BACK,
    TransitionType.SUPERSEDED,
})  # fmt: skip # a table
"""The transitions that begin and end an attempt at an update; so does a deletion."""


@dataclass(frozen=True, slots=True)
class ReportedTransition:
    """A transition at the time of a tick (`timestamp`, Unix seconds); what is not known is None or "".

    `rollout` is None of a new leader. `revision`, `hash` and `images` are those of the update that the transition is
    about: of one that ended, not of what followed. `step` is where it was then. `fraction` is the canary's share after
    it. `duration` (seconds) is that of the update that ended, of the pause, of the AnalysisRun, or of the time in which
    the rollout was degraded. `attempt` is the one that it begins, ends or is part of, None if that was not reported to
    begin. `uid`, `strategy` and `labels` are the rollout's. `run` and `phase` are the name of an AnalysisRun, and its
    phase at its end ("" if it was cut short). `history` are the transitions of the attempt that this one ends.
    """

    timestamp: float
    rollout: RolloutKey | None
    type: TransitionType
    sentence: str
    revision: str = ""
    hash: str = ""
    cause: Cause | None = None
    step: StepPosition | None = None
    images: RevisionImages | None = None
    fraction: float | None = None
    duration: float | None = None
    attempt: AttemptKey | None = None
    uid: str = ""
    strategy: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    phase: str = ""
    history: tuple[AttemptEvent, ...] = ()
