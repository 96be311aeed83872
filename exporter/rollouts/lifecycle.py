"""The life of a rollout: a state machine from what is sighted at each tick to where it stands, and what has ended.

    first sight ──▶ unknown | settled                       a first deploy is settled: nothing differs from the stable

    settled  ── started ─────▶ updating ── promoted ────▶ settled
                                  │ ▲ └─── rolled back ─▶ settled
                               aborted │ started, retried
                                  ▼ │
                               aborted ─── rolled back, promoted ─▶ settled

Standing is told by the strongest evidence at hand: the rollout's own status, else the revisions of its ReplicaSets,
else phases and event counters. Signals say how it came there, so that updates that began and ended between two
ticks are counted too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.rollouts.fleet import BLUE_GREEN, Process, Standing
from exporter.rollouts.phases import PhaseLog
from exporter.rollouts.revisions import NO_HASHES, Clues, Hashes, by_revision, by_size, clues, starting_over, unheard
from exporter.rollouts.signals import RESULTS, TRANSITIONS, Signal, interval, signals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.fleet import Reading, Sighting


NOTHING_NEW: Final = "nothing has happened since"


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
class Life:
    """All that is remembered of a rollout. `born` is its first sight: from then on its counters count.

    `deployed` is False while one that was made since the first tick has had no revision: its first is no update.
    `news` is when (Unix seconds) the counters last told of something that no hashes showed; hashes heard no later
    are out of date. `early`: at the last tick hashes showed a new revision that was not counted yet.

    It changes only when something happens, so that a rollout at rest costs a comparison.
    """

    born: float
    phases: PhaseLog
    process: Process
    events: Mapping[str, float]
    standing: Standing = Standing.UNKNOWN
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
class Judgement:
    """Where a rollout stands at a tick, by which evidence, with which hashes; `shown`: by hashes that were heard."""

    standing: Standing
    evidence: str
    hashes: Hashes
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """The tick at `at`, the rollout's last one, `before` it, and the hold-down of phases (all in seconds)."""

    at: float
    before: float
    hold_down: float


def advance(life: Life | None, when: Moment, sighting: Sighting, reading: Reading) -> tuple[Life, tuple[Ended, ...]]:
    """Take a rollout from one tick to the next; `reading` is the sighting's own."""
    if life is None:
        return _first(when.at, sighting, reading), ()
    clue = _growth(life, reading, when.before)
    judgement = judge(life, sighting, reading, clue)
    between = interval(life.hashes, judgement.hashes, clue)
    phases = life.phases.seen(reading.phase, when.at, when.hold_down, moved=_moved(clue))
    paused = life.phases.phase == "Paused" and life.standing is Standing.UPDATING
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
        news=when.at if _tells(clue) and not judgement.shown else life.news,
        early=judgement.shown and not clue.updated and _revised(life.hashes, judgement.hashes),
        paused_seconds=life.paused_seconds + (max(when.at - when.before, 0.0) if paused else 0.0),
    )
    happened = signals(life.standing, judgement.standing, between)
    if not happened and life.standing is judgement.standing:
        return aged, ()
    new = Update(_kind(reading, judgement.hashes, sighting, clue), when.at)
    return _follow(aged, happened, judgement, new)


def _growth(life: Life, reading: Reading, since: float) -> Clues:
    """Compare the counters with those last read, without what is no news.

    A first deploy counts as RolloutUpdated and RolloutCompleted, too. What hashes showed early is counted late.
    """
    grown = replace(clues(life.events, reading.events, same_process=life.process == reading.process), since=since)
    if grown.updated and not life.deployed:
        return replace(grown, updated=grown.updated - 1, completed=max(grown.completed - 1, 0))
    return replace(grown, updated=grown.updated - 1) if grown.updated and life.early else grown


def _tells(clue: Clues) -> bool:
    return any((clue.updated, clue.completed, clue.aborted))


def _revised(before: Hashes, after: Hashes) -> bool:
    return bool(before.current and after.current) and before.current != after.current


def _has_revision(reading: Reading) -> bool:
    return bool(reading.events.get("RolloutUpdated")) or (reading.replicas is not None and reading.replicas.total > 0)


def _first(at: float, sighting: Sighting, reading: Reading) -> Life:
    judgement = judge(None, sighting, reading, _since_creation(sighting, reading))
    moving = judgement.standing is Standing.UPDATING
    return Life(
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


def _since_creation(sighting: Sighting, reading: Reading) -> Clues | None:
    """Read the counters of a rollout that was made since the last tick: all they count happened since.

    One made again under its old name inherits the counters of the deleted one (observed.md 3.4.7).
    """
    if not sighting.first_deploy or reading.events.get("RolloutDeleted"):
        return None
    return clues({}, reading.events, same_process=False)


def _moved(clue: Clues) -> bool:
    """Tell whether any event accounts for a change of phase."""
    return any((clue.resumed, clue.updated, clue.completed, clue.aborted, clue.stepped))


def _routed(reading: Reading, sighting: Sighting) -> bool:
    """Tell whether traffic goes through a router; the label knows only some of them (argo-rollouts.md 1.3)."""
    if reading.router or reading.events.get("TrafficWeightUpdated"):
        return True
    return sighting.state is not None and sighting.state.weight is not None


def judge(life: Life | None, sighting: Sighting, reading: Reading, clue: Clues | None) -> Judgement:
    """Tell where a rollout stands, by the strongest evidence there is."""
    was = life.standing if life is not None else Standing.UNKNOWN
    hashes = life.hashes if life is not None else NO_HASHES
    state = sighting.state
    if state is not None and state.current and state.stable:
        known = Hashes(state.current, state.stable)
        unseen = clue is not None and clue.aborted > 0 and not state.aborted
        if not unseen and _timely(life, state.at, known, clue):
            return Judgement(_by_hashes(known, aborted=state.aborted), "rollout state", known, shown=True)
    workload = sighting.workload
    heard = workload.at if workload is not None else -math.inf
    revised = by_revision(sighting, was, hashes, clue)
    if revised is not None and revised.stable and _timely(life, heard, revised, clue):
        aborted = reading.phase == "Abort"
        return Judgement(_by_hashes(revised, aborted=aborted), "ReplicaSet revisions", revised, shown=True)
    standing, evidence = _by_events(was, sighting, reading, clue)
    if heard <= _news(life, clue) or (revised is not None and revised.stable):
        return Judgement(standing, evidence, unheard(standing, hashes, clue))
    return Judgement(standing, evidence, revised or by_size(sighting, standing, hashes, clue))


def _news(life: Life | None, clue: Clues | None) -> float:
    """Return the time (Unix seconds) up to which what was heard is out of date: sources are asked at their own pace."""
    if life is None or clue is None:
        return 0.0
    return clue.since if _tells(clue) else life.news


def _timely(life: Life | None, heard: float, known: Hashes, clue: Clues | None) -> bool:
    """Tell whether hashes show all that the counters told; pages of one tick differ by some milliseconds, too."""
    if life is None or clue is None:
        return True
    if heard <= _news(life, clue) or (clue.updated and known.current == life.hashes.current):
        return False
    return not clue.completed or known.stable != life.hashes.stable


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


def _kind(reading: Reading, hashes: Hashes, sighting: Sighting, clue: Clues | None) -> str:
    """Name the kind of an update: blueGreen, rollback (to a ReplicaSet older than the stable one), or canary."""
    if reading.strategy == BLUE_GREEN:
        return "blueGreen"
    sets = sighting.workload.replica_sets if sighting.workload is not None else {}
    current, stable = sets.get(hashes.current), sets.get(hashes.stable)
    if current is not None and stable is not None:
        return "rollback" if current.created < stable.created else "canary"
    return "rollback" if clue is not None and clue.updated and not clue.created else "canary"


def _follow(life: Life, happened: Iterable[Signal], now: Judgement, new: Update) -> tuple[Life, tuple[Ended, ...]]:
    """Walk the table of transitions, counting what ends; `new` is what an update would be that begins now."""
    standing, update = life.standing, life.update
    ended: list[Ended] = []
    for signal in happened:
        if update is not None and signal in RESULTS and standing is Standing.UPDATING:
            ended.append(Ended(signal, None if update.since is None or new.since is None else new.since - update.since))
        standing = TRANSITIONS.get((standing, signal), standing)
        update = _update(standing, signal, update, new)
    if standing is not now.standing:  # evidence came late, with nothing that says what happened
        update = replace(new, since=None) if now.standing is Standing.UPDATING else None
    results, last = dict(life.results), dict(life.last_seconds)
    for one in ended:
        results[one.result] = results.get(one.result, 0) + 1
        if one.seconds is not None:
            last[one.result] = one.seconds
    return replace(life, standing=now.standing, update=update, results=results, last_seconds=last), tuple(ended)


def _update(standing: Standing, signal: Signal, update: Update | None, new: Update) -> Update | None:
    if standing is not Standing.UPDATING:
        return None
    return new if signal in (Signal.STARTED, Signal.RETRIED, Signal.SUPERSEDED) else update
