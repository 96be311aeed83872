"""Which revision is wanted and which is stable: from a rollout's own status, else from its ReplicaSets.

What no source can tell stays unknown (""): a role guessed is a page at night for the wrong pods.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.rollouts.model import ReplicaSet, UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.model import ControllerView, Observation


@dataclass(frozen=True, slots=True)
class Hashes:
    """Pod-template hashes: `current` is the wanted revision's, `stable` the last promoted one's; "" is unknown.

    `newest` is when the youngest ReplicaSet seen so far was made (Unix seconds).
    """

    current: str = ""
    stable: str = ""
    newest: float = 0.0


@dataclass(frozen=True, slots=True)
class Clues:
    """By how much a controller's event counters have grown since they were last read.

    `restarted`: they are another process's, and count only what happened since it took over.
    """

    updated: float = 0
    completed: float = 0
    aborted: float = 0
    skipped: float = 0
    created: float = 0
    resumed: float = 0
    stepped: float = 0
    restarted: bool = False

    @property
    def tells(self) -> bool:
        """Whether they tell of a revision wanted, promoted or aborted."""
        return any((self.updated, self.completed, self.aborted))


NO_HASHES: Final = Hashes()


def clues(before: Mapping[str, float], now: Mapping[str, float], *, same_process: bool) -> Clues:
    """Compare two readings of the counters; those of a new process, or that fell, count from nothing."""

    def growth(reason: str) -> float:
        new = now.get(reason, 0)
        old = before.get(reason, 0) if same_process else 0
        return new - old if new >= old else new

    return Clues(
        updated=growth("RolloutUpdated"),
        completed=growth("RolloutCompleted"),
        aborted=growth("RolloutAborted"),
        skipped=growth("SkipSteps"),
        created=growth("NewReplicaSetCreated"),
        resumed=growth("RolloutResumed"),
        stepped=growth("RolloutStepCompleted"),
        restarted=not same_process,
    )


def early(before: str, after: str, clue: Clues | None) -> bool:
    """Tell whether hashes show a new wanted revision before the controller's page counts it."""
    revised = bool(before and after) and before != after
    return revised and clue is not None and not (clue.updated or clue.restarted)


def starting_over(reading: ControllerView) -> bool:
    """Tell, of two revisions in one interval, whether the later one is still on its way."""
    replicas = reading.replicas
    return reading.phase == "Paused" or (replicas is not None and replicas.updated < replicas.desired)


def by_revision(sighting: Observation, was: UpdateState, hashes: Hashes, clue: Clues | None) -> Hashes | None:
    """Judge by revision annotations, None without any.

    The wanted revision has the highest number, also after a rollback. The stable one is remembered, and moves when
    a promotion is counted, or when a Completed phase agrees with the wanted ReplicaSet's size (rule 3 of
    facts/observed.md 5).
    """
    sets = _sets(sighting)
    ordered = sorted((one for one in sets.values() if one.revision is not None), key=_revision)
    reading = sighting.reading
    if not ordered or reading is None:
        return None
    current = ordered[-1]
    stable = hashes.stable if hashes.stable in sets else ""
    if clue is not None and clue.completed:
        stable = _promoted(reading, was, Hashes(current.hash, hashes.current), clue, ordered)
    lagging = early(hashes.current, current.hash, clue)
    if reading.phase == "Completed" and not lagging and _agrees(sets.values(), current, reading):
        stable = current.hash
    return Hashes(current.hash, stable or _evident_stable(sighting, reading, current))


def _revision(one: ReplicaSet) -> int:
    return one.revision or 0


def _promoted(reading: ControllerView, was: UpdateState, hashes: Hashes, clue: Clues, ordered: list[ReplicaSet]) -> str:
    """Say which revision a counted promotion was of; `hashes` are the wanted one's now and before (as stable)."""
    if not starting_over(reading):
        return hashes.current
    if was is UpdateState.UPDATING and hashes.stable:
        return hashes.stable
    return ordered[-2].hash if clue.updated > clue.completed and len(ordered) > 1 else hashes.current


def _agrees(sets: Iterable[ReplicaSet], current: ReplicaSet, reading: ControllerView) -> bool:
    """Tell whether a Completed phase is of the wanted revision: the page may lag behind its new ReplicaSet."""
    replicas = reading.replicas
    if replicas is None:
        return False
    return (current.pods, sum(one.pods for one in sets)) == (replicas.updated, replicas.total)


def _evident_stable(sighting: Observation, reading: ControllerView, current: ReplicaSet) -> str:
    """Find a stable revision that was never seen promoted, where there is only one it can be."""
    sets = _sets(sighting)
    if len(sets) == 1:
        return current.hash
    others = [one for one in sets.values() if one.hash != current.hash and one.wanted > 0]
    replicas = reading.replicas
    moving = reading.phase in ("Abort", "Paused") or (replicas is not None and current.wanted < replicas.desired)
    return others[0].hash if moving and len(others) == 1 else ""


def _sets(sighting: Observation) -> Mapping[str, ReplicaSet]:
    return sighting.workload.replica_sets if sighting.workload is not None else {}


def by_size(sighting: Observation, standing: UpdateState, before: Hashes, clue: Clues | None) -> Hashes:
    """Judge without revision annotations: by which ReplicaSets exist, how large they are, and what was counted."""
    sets = _sets(sighting)
    reading = sighting.reading
    if not sets or reading is None:
        return unheard(standing, before, clue)
    newest = max(sets.values(), key=lambda one: one.created)
    current, stable = (name if name in sets else "" for name in (before.current, before.stable))
    known = Hashes(current, stable, newest.created)
    if standing is UpdateState.SETTLED:
        settled = _only(sets.values(), reading) or _settled(known, clue)
        return Hashes(settled, settled, newest.created)
    if standing is UpdateState.UNKNOWN:
        return Hashes(newest=newest.created)
    return _moving(sets, reading, known, clue, new=newest.hash if 0 < before.newest < newest.created else "")


def unheard(standing: UpdateState, before: Hashes, clue: Clues | None) -> Hashes:
    """Keep, while no ReplicaSets are shown that are up to date, what the counters do not contradict."""
    if standing is UpdateState.SETTLED:
        settled = _settled(before, clue)
        return Hashes(settled, settled, before.newest)
    if clue is None or clue.completed:
        return Hashes(newest=before.newest)
    return replace(before, current="") if clue.updated else before


def _only(sets: Iterable[ReplicaSet], reading: ControllerView) -> str:
    """Return the one ReplicaSet that has pods, when the controller says that there are no others."""
    alive = [one for one in sets if one.pods > 0]
    replicas = reading.replicas
    if len(alive) == 1 and replicas is not None and alive[0].pods == replicas.updated == replicas.total:
        return alive[0].hash
    return ""


def _settled(known: Hashes, clue: Clues | None) -> str:
    """Return the stable revision of a rollout that settled, or stays so."""
    if clue is not None and clue.completed:
        return "" if clue.updated else known.current
    if clue is not None and clue.updated:
        return known.stable
    return known.stable if known.stable == known.current else ""


def _moving(
    sets: Mapping[str, ReplicaSet], reading: ControllerView, known: Hashes, clue: Clues | None, *, new: str
) -> Hashes:
    """Find the wanted revision of an update: newly created, remembered, or told by its size alone.

    A ReplicaSet younger than all before is only ever made for a new wanted revision; the page that shows it may
    come after the one that counts it.
    """
    stable = "" if clue is None or clue.completed else known.stable
    if new and clue is not None:
        return replace(known, current=new, stable=stable if stable != new else "")
    if (clue is None or not clue.updated) and known.current != stable and known.current:
        return replace(known, stable=stable)
    if clue is not None and (clue.created or not clue.updated):
        return replace(known, current="", stable=stable)
    return _fitting(sets, reading, replace(known, stable=stable))


def _fitting(sets: Mapping[str, ReplicaSet], reading: ControllerView, known: Hashes) -> Hashes:
    """Find the one ReplicaSet whose size is the controller's count of updated pods."""
    updated = reading.replicas.updated if reading.replicas is not None else None
    alive = [one for one in sets.values() if one.pods > 0]
    fitting = [one.hash for one in alive if one.pods == updated and one.hash != known.stable]
    if len(fitting) != 1:
        return replace(known, current="")
    others = [one.hash for one in alive if one.hash != fitting[0]]
    stable = known.stable or (others[0] if len(others) == 1 else "")
    return replace(known, current=fitting[0], stable=stable)
