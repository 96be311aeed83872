"""Where a rollout stands at a tick: by its own status, else by the revisions of its ReplicaSets, else by events.

Hashes count only where they show all that the controller's counters tell: sources are asked at their own pace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference.revisions import (
    NO_HASHES,
    Clues,
    Hashes,
    by_revision,
    by_size,
    early,
    starting_over,
    unheard,
)
from exporter.rollouts.model import UpdateState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.inference.state_machine import RolloutState
    from exporter.rollouts.model import ControllerView, Observation, RolloutStatus


NOTHING_NEW: Final = "nothing has happened since"
_MID_UPDATE: Final[Mapping[UpdateState, tuple[str, ...]]] = {
    UpdateState.UNKNOWN: ("Paused", "Timeout"),
    UpdateState.SETTLED: ("Paused",),  # old pods may drain for longer than a progress deadline
    UpdateState.UPDATING: (),
    UpdateState.ABORTED: (),
}
"""Phases in which pods of two revisions tell an update, by where the rollout stood."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where a rollout stands at a tick, by which evidence, with which hashes; `shown`: by hashes that were heard."""

    standing: UpdateState
    evidence: str
    hashes: Hashes
    shown: bool = False


def judge(
    life: RolloutState | None, at: float, sighting: Observation, reading: ControllerView, clue: Clues | None
) -> Judgement:
    """Tell where a rollout stands at a tick (Unix seconds), by the strongest evidence there is."""
    was, before = (life.standing, life.hashes) if life is not None else (UpdateState.UNKNOWN, NO_HASHES)
    told = _by_state(life, at, sighting.state, clue)
    if told is not None:
        return told
    outdated = _outdated(life, at, sighting.workload.at if sighting.workload is not None else -math.inf, clue)
    revised = by_revision(sighting, was, before, clue)
    if revised is not None and revised.stable and not outdated and _shows(revised, before, clue):
        aborted = reading.phase == "Abort" and not early(before.current, revised.current, clue)
        return Judgement(_by_hashes(revised, aborted=aborted), "ReplicaSet revisions", revised, shown=True)
    standing, evidence = _by_events(was, sighting, reading, clue)
    if outdated or (revised is not None and revised.stable):
        return Judgement(standing, evidence, unheard(standing, before, clue))
    return Judgement(standing, evidence, revised or by_size(sighting, standing, before, clue))


def _by_state(
    life: RolloutState | None, at: float, state: RolloutStatus | None, clue: Clues | None
) -> Judgement | None:
    """Judge by the rollout's own status, None where that is unknown or behind the counters."""
    if state is None or not state.current or not state.stable or _outdated(life, at, state.at, clue):
        return None
    known = Hashes(state.current, state.stable)
    before = life.hashes if life is not None else NO_HASHES
    if (clue is not None and clue.aborted and not state.aborted) or not _shows(known, before, clue):
        return None
    return Judgement(_by_hashes(known, aborted=state.aborted), "rollout state", known, shown=True)


def _outdated(life: RolloutState | None, at: float, heard: float, clue: Clues | None) -> bool:
    """Tell whether the counters told something after a source was heard: sources are asked at their own pace."""
    if life is None or clue is None:
        return False
    return heard < at if clue.tells else heard <= life.news


def _shows(known: Hashes, before: Hashes, clue: Clues | None) -> bool:
    """Tell whether hashes show what the counters tell: pages of one tick are some milliseconds apart, too."""
    if clue is None:
        return True
    if clue.updated and known.current == before.current:
        return False
    return not clue.completed or known.stable != before.stable


def heard_since(sighting: Observation, news: float) -> bool:
    """Tell whether all that was heard of a rollout is younger than what its counters told last."""
    heard = (one.at for one in (sighting.workload, sighting.state) if one is not None)
    return all(at > news for at in heard)


def _by_hashes(hashes: Hashes, *, aborted: bool) -> UpdateState:
    if hashes.current == hashes.stable:
        return UpdateState.SETTLED
    return UpdateState.ABORTED if aborted else UpdateState.UPDATING


def _by_events(
    was: UpdateState, sighting: Observation, reading: ControllerView, clue: Clues | None
) -> tuple[UpdateState, str]:
    """Judge by the controller's page alone: its phase, its event counters, its replica gauges."""
    if reading.phase == "Completed":
        return UpdateState.SETTLED, "phase Completed"
    if reading.phase == "Abort":
        return (was, "aborted at rest") if _at_rest(was, reading, clue) else (UpdateState.ABORTED, "phase Abort")
    if sighting.first_deploy and (clue is None or clue.updated <= 1):
        return UpdateState.SETTLED, "first deploy: there is no other revision"
    if clue is not None and (clue.completed or clue.updated):
        return _by_counts(was, reading, clue)
    if was is UpdateState.ABORTED:
        return UpdateState.UPDATING, "left phase Abort without a new revision: retried"
    if reading.phase in _MID_UPDATE[was] and reading.replicas is not None and reading.replicas.old > 0:
        return UpdateState.UPDATING, f"phase {reading.phase} with pods of two revisions"
    return was, NOTHING_NEW if was is not UpdateState.UNKNOWN else "begun before anyone looked"


def _at_rest(was: UpdateState, reading: ControllerView, clue: Clues | None) -> bool:
    """Tell an abort of nothing: a settled rollout can be aborted, too."""
    if was is not UpdateState.SETTLED or clue is None or clue.updated:
        return False
    return not clue.restarted or (reading.replicas is not None and not reading.replicas.old)


def _by_counts(was: UpdateState, reading: ControllerView, clue: Clues) -> tuple[UpdateState, str]:
    """Judge an interval in which revisions were wanted or promoted."""
    if clue.completed:
        open_end = clue.updated > (0 if was is UpdateState.UPDATING else clue.completed)
        if open_end and starting_over(reading):
            return UpdateState.UPDATING, "RolloutUpdated counted after RolloutCompleted"
        return UpdateState.SETTLED, "RolloutCompleted counted"
    if clue.skipped and not (clue.updated > 1 and starting_over(reading)):
        return UpdateState.SETTLED, "SkipSteps counted: back to the stable revision"
    return UpdateState.UPDATING, "RolloutUpdated counted"
