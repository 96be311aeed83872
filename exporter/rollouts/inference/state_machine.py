"""The life of a rollout: a state machine from what is sighted at each tick to where it stands, and what has ended.

    first sight ──▶ unknown | settled                       a first deploy is settled: nothing differs from the stable

    settled  ── started ─────▶ updating ── promoted ────▶ settled
                                  │ ▲ └─── rolled back ─▶ settled
                               aborted │ started, retried
                                  ▼ │
                               aborted ─── rolled back, promoted ─▶ settled

Where it stands is judged by the strongest evidence at hand (judgement). Signals say how it came there, so that
updates that began and ended between two ticks are counted too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.rollouts.inference.classify import NOTHING_NEW, Judgement, judge
from exporter.rollouts.inference.phases import PhaseLog
from exporter.rollouts.inference.revisions import NO_HASHES, Clues, Hashes, clues, early
from exporter.rollouts.inference.transitions import RESULTS, TRANSITIONS, Signal, interval, signals
from exporter.rollouts.model import BLUE_GREEN, ControllerProcess, UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.model import ControllerView, Observation


@dataclass(frozen=True, slots=True)
class Update:
    """An update under way; `since` (Unix seconds) is None when it began before anyone looked."""

    kind: str
    since: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """An update that ended, and how long it took (seconds, None when its beginning was not seen)."""

    result: Signal
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RolloutState:
    """All that is remembered of a rollout. `born` is its first sight: from then on its counters count.

    `deployed` is False while one that was made since the first tick has had no revision: its first is no update.
    `news` is when (Unix seconds) the counters last told of something that no hashes showed; hashes heard no later
    are out of date. `early`: at the last tick hashes showed a new revision that was not counted yet.

    It changes only when something happens, so that a rollout at rest costs a comparison.
    """

    born: float
    phases: PhaseLog
    process: ControllerProcess
    events: Mapping[str, float]
    standing: UpdateState = UpdateState.UNKNOWN
    evidence: str = "first sight"
    update: Update | None = None
    hashes: Hashes = NO_HASHES
    router: bool = False
    strategy: str = ""
    deployed: bool = True
    news: float = 0.0
    early: bool = False
    results: Mapping[str, int] = field(default_factory=dict)
    last_seconds: Mapping[str, float] = field(default_factory=dict)
    paused_seconds: float = 0.0
    runs: Mapping[str, str] = field(default_factory=dict)
    runs_finished: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """The tick at `at`, the rollout's last one, `before` it, and the hold-down of phases (all in seconds)."""

    at: float
    before: float
    hold_down: float


def advance(
    life: RolloutState | None, when: Moment, sighting: Observation, reading: ControllerView
) -> tuple[RolloutState, tuple[Ended, ...]]:
    """Take a rollout from one tick to the next; `reading` is the sighting's own."""
    if life is None:
        return _first(when.at, sighting, reading), ()
    clue = _growth(life, reading)
    judgement = judge(life, when.at, sighting, reading, clue)
    ahead = early(life.hashes.current, judgement.hashes.current, clue)
    between = interval(life.hashes, judgement.hashes if judgement.shown or not ahead else life.hashes, clue)
    phases = life.phases.seen(reading.phase, when.at, when.hold_down, moved=_moved(clue))
    paused = life.phases.phase == "Paused" and life.standing is UpdateState.UPDATING
    aged = replace(
        life,
        phases=phases,
        process=reading.process,
        events=reading.events,
        evidence=judgement.evidence if judgement.evidence is not NOTHING_NEW else life.evidence,
        hashes=judgement.hashes,
        router=life.router or _routed(reading, sighting),
        strategy=reading.strategy,
        deployed=life.deployed or _has_revision(reading),
        news=when.at if clue.tells and not judgement.shown else life.news,
        early=ahead and judgement.shown,
        paused_seconds=life.paused_seconds + (max(when.at - when.before, 0.0) if paused else 0.0),
    )
    happened = signals(life.standing, judgement.standing, between)
    if not happened and life.standing is judgement.standing:
        return aged, ()
    new = Update(_kind(reading, judgement.hashes, sighting, clue), when.at)
    return _follow(aged, happened, judgement, new)


def _growth(life: RolloutState, reading: ControllerView) -> Clues:
    """Compare the counters with those last read, without what is no news.

    A first deploy counts as RolloutUpdated and RolloutCompleted, too. What hashes showed early is counted late.
    """
    grown = clues(life.events, reading.events, same_process=life.process == reading.process)
    if grown.updated and not life.deployed:
        return replace(grown, updated=grown.updated - 1, completed=max(grown.completed - 1, 0))
    return replace(grown, updated=grown.updated - 1) if grown.updated and life.early else grown


def _has_revision(reading: ControllerView) -> bool:
    return bool(reading.events.get("RolloutUpdated")) or (reading.replicas is not None and reading.replicas.total > 0)


def _first(at: float, sighting: Observation, reading: ControllerView) -> RolloutState:
    judgement = judge(None, at, sighting, reading, _since_creation(sighting, reading))
    moving = judgement.standing is UpdateState.UPDATING
    return RolloutState(
        born=at,
        phases=PhaseLog(reading.phase, at),
        process=reading.process,
        events=reading.events,
        standing=judgement.standing,
        evidence=judgement.evidence,
        update=Update(_kind(reading, judgement.hashes, sighting, None), None) if moving else None,
        hashes=judgement.hashes,
        router=_routed(reading, sighting),
        strategy=reading.strategy,
        deployed=not sighting.first_deploy or _has_revision(reading),
    )


def _since_creation(sighting: Observation, reading: ControllerView) -> Clues | None:
    """Read the counters of a rollout that was made since the last tick: all they count happened since.

    One made again under its old name inherits the counters of the deleted one (observed.md 3.4.7).
    """
    if not sighting.first_deploy or reading.events.get("RolloutDeleted"):
        return None
    return clues({}, reading.events, same_process=False)


def _moved(clue: Clues) -> bool:
    """Tell whether any event accounts for a change of phase."""
    return any((clue.resumed, clue.updated, clue.completed, clue.aborted, clue.stepped))


def _routed(reading: ControllerView, sighting: Observation) -> bool:
    """Tell whether traffic goes through a router; the label knows only some of them (argo-rollouts.md 1.3)."""
    if reading.router or reading.events.get("TrafficWeightUpdated"):
        return True
    return sighting.state is not None and sighting.state.weight is not None


def _kind(reading: ControllerView, hashes: Hashes, sighting: Observation, clue: Clues | None) -> str:
    """Name the kind of an update: blueGreen, rollback (to a ReplicaSet older than the stable one), or canary."""
    if reading.strategy == BLUE_GREEN:
        return "blueGreen"
    sets = sighting.workload.replica_sets if sighting.workload is not None else {}
    current, stable = sets.get(hashes.current), sets.get(hashes.stable)
    if current is not None and stable is not None:
        return "rollback" if current.created < stable.created else "canary"
    return "rollback" if clue is not None and clue.updated and not clue.created else "canary"


def _follow(
    life: RolloutState, happened: Iterable[Signal], now: Judgement, new: Update
) -> tuple[RolloutState, tuple[Ended, ...]]:
    """Walk the table of transitions, counting what ends; `new` is what an update would be that begins now."""
    standing, update = life.standing, life.update
    ended: list[Ended] = []
    for signal in happened:
        if update is not None and signal in RESULTS and standing is UpdateState.UPDATING:
            ended.append(Ended(signal, None if update.since is None or new.since is None else new.since - update.since))
        standing = TRANSITIONS.get((standing, signal), standing)
        update = _update(standing, signal, update, new)
    if standing is not now.standing:  # evidence came late, with nothing that says what happened
        update = replace(new, since=None) if now.standing is UpdateState.UPDATING else None
    results, last = dict(life.results), dict(life.last_seconds)
    for one in ended:
        results[one.result] = results.get(one.result, 0) + 1
        if one.seconds is not None:
            last[one.result] = one.seconds
    return replace(life, standing=now.standing, update=update, results=results, last_seconds=last), tuple(ended)


def _update(standing: UpdateState, signal: Signal, update: Update | None, new: Update) -> Update | None:
    if standing is not UpdateState.UPDATING:
        return None
    return new if signal in (Signal.STARTED, Signal.RETRIED, Signal.SUPERSEDED) else update
