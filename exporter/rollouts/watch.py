"""The core: `step(at, pages)` turns one tick's pages into what is said, for run, once, replay and the tests alike.

No I/O, no clock, no log: time and pages come in, a Cycle goes out, and what must outlive the process is a Memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.family import Cycle, Family, Source
from exporter.rollouts import durations, runs
from exporter.rollouts.fleet import UNKNOWN_PHASE
from exporter.rollouts.hearing import Hearing
from exporter.rollouts.leadership import Controller, Verdict, judge
from exporter.rollouts.lifecycle import Life, advance
from exporter.rollouts.passthrough import passed
from exporter.rollouts.reading import analysis_runs, read
from exporter.rollouts.rollout import Asked, Rollout, join
from exporter.rollouts.saying import Sayer
from exporter.rollouts.staleness import Held, Ledger
from exporter.rollouts.targets import Target, Targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.family import Labels, Page
    from exporter.rollouts.durations import Durations
    from exporter.rollouts.fleet import Key, Process, Reading
    from exporter.rollouts.rules import Rules

LONGEST: Final = 86_400.0
"""Seconds after which a rollout that no leader shows is forgotten, leader or not."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What must outlive a restart: so much of the past that the next tick says what it would have said anyway."""

    at: float = 0.0
    lives: Mapping[Key, Life] = field(default_factory=dict)
    led: frozenset[Process] = frozenset()
    infos: frozenset[tuple[str, Labels]] = frozenset()
    fading: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    durations: Mapping[tuple[str, str], Durations] = field(default_factory=dict)


class Watch:
    """Watches a fleet from tick to tick."""

    def __init__(self, rules: Rules, memory: Memory | None = None) -> None:
        memory = memory or Memory()
        self._rules = rules
        self._at = memory.at
        self._lives = dict(memory.lives)
        self._led = memory.led
        self._hearing = Hearing(rules)
        self._sayer = Sayer(memory.infos, dict(memory.fading))
        self._histograms = durations.Histograms(dict(memory.durations))
        self._ledger = Ledger()
        self._targets = Targets()
        self._rollouts: tuple[Rollout, ...] = ()
        self.overflow = 0
        """Series left out of the last cycle, beyond `series.limit`."""
        self.unknown_phases = 0
        """Rollouts of the last cycle in a phase that this exporter does not know."""

    @property
    def memory(self) -> Memory:
        """What to keep for the next process."""
        return Memory(
            self._at,
            dict(self._lives),
            self._led,
            frozenset(self._sayer.infos),
            dict(self._sayer.fading),
            dict(self._histograms.kept),
        )

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """The rollouts as the last tick knew them."""
        return self._rollouts

    @property
    def targets(self) -> Sequence[Target]:
        """The target addresses as the last tick knew them."""
        return self._targets.all

    @property
    def leading(self) -> bool:
        """Whether a controller led at the last tick."""
        return bool(self._led)

    def step(self, at: float, pages: Iterable[Page]) -> Cycle:
        """Take one tick's pages (those of sources that were not due are simply not there); `at` never goes back."""
        at = max(at, self._at + 0.001)
        pages = tuple(pages)
        controllers = judge(pages, self._led)
        leaders = [one for one in controllers if one.verdict is Verdict.LEADER]
        self._targets.saw(pages, controllers)
        self._hearing.take(at, pages, self._lives)
        readings = self._readings(leaders)
        if self._rules.sidecar and not leaders:
            return self._silent(at)
        self._live(at, readings, leaders)
        self._forget(at, readings, leaders)
        self._rollouts = tuple(self._joined(readings, leaders=bool(leaders)))
        self.unknown_phases = sum(one.phase == UNKNOWN_PHASE for one in readings.values())
        families = self._families(at, leaders)
        ended = self._ledger.close(at, families, self._held(at, readings, leaders))
        self._led = frozenset(one.process for one in leaders) or self._still_leading(controllers)
        self._at = at
        return Cycle(at, families, ended)

    def _silent(self, at: float) -> Cycle:
        """Say nothing of rollouts: another sidecar's controller leads, and its series go on under the same names."""
        self._lives.clear()
        self._led = frozenset()
        self._rollouts = ()
        self._ledger = Ledger()
        self._sayer = Sayer()
        self._histograms = durations.Histograms()
        self._at = at
        return Cycle(at, self._targets.families(at))

    def _still_leading(self, controllers: Sequence[Controller]) -> frozenset[Process]:
        """Keep a leader whose page only failed: the process may well be the same at the next tick."""
        down = {one.page.target for one in controllers if one.verdict is Verdict.DOWN}
        return frozenset(process for process in self._led if process.target in down)

    # Looking --------------------------------------------------------------------------------------------------------

    def _readings(self, leaders: Iterable[Controller]) -> dict[Key, Reading]:
        readings: dict[Key, Reading] = {}
        for leader in leaders:
            for key, reading in read(leader.page).items():
                if self._rules.watched(key[0]):
                    readings.setdefault(key, reading)
        return readings

    # Lives ----------------------------------------------------------------------------------------------------------

    def _live(self, at: float, readings: Mapping[Key, Reading], leaders: Sequence[Controller]) -> None:
        steady = {one.process for one in leaders if one.steady} if at - self._at <= self._rules.grace else set()
        owned = runs.by_rollout((run for one in leaders for run in analysis_runs(one.page)), readings)
        for key, reading in readings.items():
            life = self._lives.get(key)
            first_deploy = life is None and reading.process in steady
            sighting = self._hearing.sighting(key, reading, first_deploy=first_deploy)
            aged, ended = advance(life, at, sighting, reading, self._rules.hold_down)
            own = owned.get(key, {})
            if own or aged.runs:
                aged = runs.follow(aged, own, first=life is None, whole=reading.process in steady)
            self._lives[key] = aged
            self._histograms.count(key[0], ended)

    def _forget(self, at: float, readings: Mapping[Key, Reading], leaders: Sequence[Controller]) -> None:
        """Let go of rollouts that are truly gone: unshown by the very process that showed them, or for long."""
        steady = {one.process for one in leaders if one.steady}
        for key, life in list(self._lives.items()):
            if key not in readings:
                absent = at - life.at
                shown_otherwise = bool(steady) and absent > self._rules.grace
                if life.process in steady or shown_otherwise or absent > LONGEST:
                    del self._lives[key]

    def _joined(self, readings: Mapping[Key, Reading], *, leaders: bool) -> Iterable[Rollout]:
        asked = Asked(leaders, self._hearing.asked)
        for key in sorted(self._lives):
            life = self._lives[key]
            sighting = self._hearing.sighting(key, readings.get(key))
            yield replace(
                join(key, life, sighting, asked, router=self._rules.named_router(key)), runs=_counted(life.runs)
            )

    # Saying ---------------------------------------------------------------------------------------------------------

    def _families(self, at: float, leaders: Sequence[Controller]) -> tuple[Family, ...]:
        said: list[Family] = []
        if self._rules.derive:
            said += self._sayer.families(self._rollouts, at, self._rules.ended_info)
            histogram = self._histograms.family()
            said += [histogram] if histogram is not None else []
        said += self._targets.families(at)
        pods = {(rollout.key[0], pod.name) for rollout in self._rollouts for pod, _ in rollout.roles}
        said += passed([one.page for one in leaders], self._hearing.pages, self._rules, pods)
        return self._capped(said)

    def _capped(self, families: Iterable[Family]) -> tuple[Family, ...]:
        kept: list[Family] = []
        room = self._rules.most_series
        self.overflow = 0
        for family in families:
            fitting = family if len(family) <= room else _cut(family, room)
            self.overflow += len(family) - len(fitting)
            room -= len(fitting)
            kept += [fitting] if len(fitting) else []
        return tuple(kept)

    def _held(self, at: float, readings: Mapping[Key, Reading], leaders: Sequence[Controller]) -> Held:
        steady = bool(leaders) and all(one.steady for one in leaders)
        proven = self._hearing.proven | ({Source.ARGO} if steady else set())
        return Held(at, self._rules.grace, self._lives, readings.keys(), proven)


def _counted(own: Mapping[str, str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for phase in own.values():
        counted[phase] = counted.get(phase, 0) + 1
    return counted


def _cut(family: Family, room: int) -> Family:
    starts = None if family.starts is None else family.starts[:room]
    return Family(family.name, family.kind, family.help, family.series[:room], family.values[:room], starts)
