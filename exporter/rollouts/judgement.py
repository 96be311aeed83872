"""Where a rollout stands, judged by the strongest evidence at hand.

Its own status, else the revisions of its ReplicaSets, else phases and event counters. Sources are asked at their own
pace, so what was heard counts only while the counters tell of nothing younger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.fleet import Standing
from exporter.rollouts.revisions import NO_HASHES, Clues, Hashes, by_revision, by_size, early, starting_over, unheard

if TYPE_CHECKING:
    from exporter.rollouts.fleet import Reading, Sighting
    from exporter.rollouts.lifecycle import Life

NOTHING_NEW: Final = "nothing has happened since"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where a rollout stands at a tick, by which evidence, with which hashes; `shown`: by hashes that were heard."""

    standing: Standing
    evidence: str
    hashes: Hashes
    shown: bool = False


def judge(life: Life | None, at: float, sighting: Sighting, reading: Reading, clue: Clues | None) -> Judgement:
    """Tell where a rollout stands at a tick, by the strongest evidence there is."""
    was = life.standing if life is not None else Standing.UNKNOWN
    hashes = life.hashes if life is not None else NO_HASHES
    state = sighting.state
    if state is not None and state.current and state.stable:
        known = Hashes(state.current, state.stable)
        unseen = clue is not None and clue.aborted > 0 and not state.aborted
        if not (unseen or _outdated(life, at, state.at, clue)) and _shows(known, hashes, clue):
            return Judgement(_by_hashes(known, aborted=state.aborted), "rollout state", known, shown=True)
    workload = sighting.workload
    heard = workload.at if workload is not None else -math.inf
    revised = by_revision(sighting, was, hashes, clue)
    outdated = _outdated(life, at, heard, clue)
    if revised is not None and revised.stable and not outdated and _shows(revised, hashes, clue):
        aborted = reading.phase == "Abort" and not early(hashes.current, revised.current, clue)
        return Judgement(_by_hashes(revised, aborted=aborted), "ReplicaSet revisions", revised, shown=True)
    standing, evidence = _by_events(was, sighting, reading, clue)
    if outdated or (revised is not None and revised.stable):
        return Judgement(standing, evidence, unheard(standing, hashes, clue))
    return Judgement(standing, evidence, revised or by_size(sighting, standing, hashes, clue))


def _outdated(life: Life | None, at: float, heard: float, clue: Clues | None) -> bool:
    """Tell whether the counters told something after a source was heard: sources are asked at their own pace."""
    if life is None or clue is None:
        return False
    return heard < at if tells(clue) else heard <= life.news


def _shows(known: Hashes, before: Hashes, clue: Clues | None) -> bool:
    """Tell whether hashes show what the counters tell: pages of one tick are some milliseconds apart, too."""
    if clue is None:
        return True
    if clue.updated and known.current == before.current:
        return False
    return not clue.completed or known.stable != before.stable


def heard_since(sighting: Sighting, news: float) -> bool:
    """Tell whether all that was heard of a rollout is younger than what its counters told last."""
    heard = (one.at for one in (sighting.workload, sighting.state) if one is not None)
    return all(at > news for at in heard)


def _by_hashes(hashes: Hashes, *, aborted: bool) -> Standing:
    if hashes.current == hashes.stable:
        return Standing.SETTLED
    return Standing.ABORTED if aborted else Standing.UPDATING


def _by_events(was: Standing, sighting: Sighting, reading: Reading, clue: Clues | None) -> tuple[Standing, str]:
    """Judge by the controller's page alone: its phase, its event counters, its replica gauges."""
    if reading.phase == "Completed":
        return Standing.SETTLED, "phase Completed"
    if reading.phase == "Abort":
        return (was, "aborted at rest") if _at_rest(was, reading, clue) else (Standing.ABORTED, "phase Abort")
    if sighting.first_deploy and (clue is None or clue.updated <= 1):
        return Standing.SETTLED, "first deploy: there is no other revision"
    if clue is not None and (clue.completed or clue.updated):
        return _by_counts(was, reading, clue)
    if was is Standing.ABORTED:
        return Standing.UPDATING, "left phase Abort without a new revision: retried"
    replicas = reading.replicas
    two = replicas is not None and replicas.old > 0
    if was is not Standing.UPDATING and two and reading.phase in ("Paused", "Timeout"):
        return Standing.UPDATING, f"phase {reading.phase} with pods of two revisions"
    return was, NOTHING_NEW if was is not Standing.UNKNOWN else "begun before anyone looked"


def _at_rest(was: Standing, reading: Reading, clue: Clues | None) -> bool:
    """Tell an abort of nothing: a settled rollout can be aborted, too."""
    if was is not Standing.SETTLED or clue is None or clue.updated:
        return False
    return not clue.restarted or (reading.replicas is not None and not reading.replicas.old)


def _by_counts(was: Standing, reading: Reading, clue: Clues) -> tuple[Standing, str]:
    """Judge an interval in which revisions were wanted or promoted."""
    if clue.completed:
        open_end = clue.updated > (0 if was is Standing.UPDATING else clue.completed)
        if open_end and starting_over(reading):
            return Standing.UPDATING, "RolloutUpdated counted after RolloutCompleted"
        return Standing.SETTLED, "RolloutCompleted counted"
    if clue.skipped and not (clue.updated > 1 and starting_over(reading)):
        return Standing.SETTLED, "SkipSteps counted: back to the stable revision"
    return Standing.UPDATING, "RolloutUpdated counted"


def tells(clue: Clues) -> bool:
    """Tell whether the counters told of anything that hashes would show, too."""
    return any((clue.updated, clue.completed, clue.aborted))
