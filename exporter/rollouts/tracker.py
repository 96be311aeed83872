"""The core: `step(at, pages)` turns one tick's pages into what is said, for run, once, replay and the tests alike.

No I/O, no clock, no log: time and pages come in, a Cycle goes out, and what must outlive the process is a Memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricFamily, MetricsSnapshot, Source
from exporter.rollouts.inference.classify import observed_after
from exporter.rollouts.inference.join import AvailableSources, join
from exporter.rollouts.inference.state_machine import advance
from exporter.rollouts.inputs import analysis_runs
from exporter.rollouts.inputs.controller import Reader
from exporter.rollouts.inputs.leadership import Controller, Verdict, judge
from exporter.rollouts.inputs.sources import Hearing
from exporter.rollouts.model import UNKNOWN_PHASE, Observation, Rollout, RolloutState, TickContext
from exporter.rollouts.output import durations
from exporter.rollouts.output.pass_through import Passing
from exporter.rollouts.output.renderer import Infos, Sayer
from exporter.rollouts.output.staleness import Held, Ledger
from exporter.rollouts.output.targets import Target, Targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.metrics import Labels, ScrapeResult
    from exporter.rollouts.model import ControllerProcess, ControllerView, Observation, RolloutKey
    from exporter.rollouts.output.durations import Durations
    from exporter.rollouts.policy import TrackingPolicy


# No more series than allowed: the last ones are left out, and counted.


def capped(families: Iterable[MetricFamily], most: int) -> tuple[tuple[MetricFamily, ...], int]:
    """Return families of at most so many series together, and how many were left out."""
    kept: list[MetricFamily] = []
    room, overflow = most, 0
    for family in families:
        fitting = family if len(family) <= room else _first(family, room)
        overflow += len(family) - len(fitting)
        room -= len(fitting)
        kept += [fitting] if len(fitting) else []
    return tuple(kept), overflow


def _first(family: MetricFamily, many: int) -> MetricFamily:
    starts = None if family.start_times is None else family.start_times[:many]
    return MetricFamily(family.name, family.type, family.help, family.series[:many], family.values[:many], starts)


# rooms


NO_RUNS: Final[Mapping[str, str]] = {}
LONGEST: Final = 86_400.0
"""Seconds after which a rollout that no leader shows is forgotten, leader or not."""


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What must outlive a restart: so much of the past that the next tick says what it would have said anyway."""

    at: float = 0.0
    lives: Mapping[RolloutKey, RolloutState] = field(default_factory=dict)
    seen: Mapping[RolloutKey, float] = field(default_factory=dict)
    led: frozenset[ControllerProcess] = frozenset()
    infos: Infos = Infos()  # noqa: RUF009 - it is frozen
    fading: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    durations: Mapping[tuple[str, str], Durations] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrackerStatus:
    """What the last tick left, for readers on other threads: replaced after each tick, never changed."""

    rollouts: tuple[Rollout, ...] = ()
    last_seen: Mapping[RolloutKey, float] = field(default_factory=dict)
    """When a leader exported each rollout last (Unix seconds)."""
    targets: tuple[Target, ...] = ()
    leading: bool = False
    """Whether a controller leads."""
    overflow: int = 0
    """Series left out beyond `series.limit`."""
    unknown_phases: int = 0
    """Rollouts in a phase that this exporter does not know."""


class RolloutTracker:
    """Watches a fleet from tick to tick; `status` is what other threads may read."""

    def __init__(self, rules: TrackingPolicy, memory: TrackerState | None = None) -> None:
        memory = memory or TrackerState()
        self._rules = rules
        self._at = memory.at
        self._lives = dict(memory.lives)
        self._seen = dict(memory.seen)
        self._known: dict[RolloutKey, Rollout] = {}
        self._resting: set[RolloutKey] = set()
        self._asked = AvailableSources(has_leader=False, has_workload_source=False)
        self._led_at = float("-inf")
        self._readers: dict[str, Reader] = {}
        self._led = memory.led
        self._hearing = Hearing(rules)
        self._sayer = Sayer(memory.infos, dict(memory.fading))
        self._histograms = durations.Histograms(dict(memory.durations))
        self._passing = Passing(rules)
        self._ledger = Ledger()
        self._targets = Targets()
        self.status = TrackerStatus(leading=bool(self._led))

    @property
    def memory(self) -> TrackerState:
        """What to keep for the next process."""
        return TrackerState(
            self._at,
            dict(self._lives),
            dict(self._seen),
            self._led,
            self._sayer.infos,
            dict(self._sayer.fading),
            dict(self._histograms.kept),
        )

    def process(self, at: float, pages: Iterable[ScrapeResult]) -> MetricsSnapshot:
        """Take one tick's pages (those of sources that were not due are simply not there); `at` never goes back."""
        at = max(at, self._at + 0.001)
        pages = tuple(pages)
        controllers = judge(pages, self._led)
        leaders = [one for one in controllers if one.verdict is Verdict.LEADER]
        self._targets.saw(pages, controllers)
        self._hearing.take(at, pages, self._lives)
        if self._rules.sidecar and not leaders:
            return self._silent(at, controllers)
        if self._rules.sidecar and not any(one.process in self._led for one in leaders):
            self._start_over()
        readings: dict[RolloutKey, ControllerView] = {}
        rollouts: tuple[Rollout, ...] = ()
        if self._rules.derive:
            readings = self._readings(leaders)
            self._live(at, readings, leaders)
            self._forget(at, readings, leaders)
            rollouts = tuple(self._known[key] for key in sorted(self._lives))
        families, overflow = self._families(at, rollouts, leaders)
        ended = self._ledger.close(at, families, self._held(at, readings, controllers))
        self._led = frozenset(one.process for one in leaders) | self._still_leading(controllers)
        self._led_at = at if leaders else self._led_at
        self._at = at
        unknown_phases = sum(one.phase == UNKNOWN_PHASE for one in readings.values())
        self.status = TrackerStatus(
            rollouts, dict(self._seen), tuple(self._targets.all), bool(self._led), overflow, unknown_phases
        )
        return MetricsSnapshot(at, families, ended)

    def _silent(self, at: float, controllers: Sequence[Controller]) -> MetricsSnapshot:
        """Say nothing of rollouts: another sidecar's controller leads, and its series go on under the same names.

        While our own controller does not answer it may still lead, so nothing is forgotten before the grace ends.
        """
        down = any(one.verdict is Verdict.DOWN for one in controllers)
        if not down or at - self._led_at > self._rules.grace:
            self._start_over()
        self._ledger = Ledger()
        self._at = at
        self.status = replace(
            self.status,
            rollouts=(),
            last_seen=dict(self._seen),
            targets=tuple(self._targets.all),
            leading=bool(self._led),
        )
        return MetricsSnapshot(at, self._targets.families(at))

    def _start_over(self) -> None:
        """Forget all rollouts: another sidecar may have said them meanwhile, so our counters begin anew."""
        self._lives.clear()
        self._known.clear()
        self._seen.clear()
        self._resting.clear()
        self._led = frozenset()
        self._sayer = Sayer()
        self._histograms = durations.Histograms()

    def _still_leading(self, controllers: Sequence[Controller]) -> frozenset[ControllerProcess]:
        """Keep a leader whose page only failed: the process may well be the same at the next tick."""
        down = {one.page.target for one in controllers if one.verdict is Verdict.DOWN}
        return frozenset(process for process in self._led if process.target in down)

    # Looking --------------------------------------------------------------------------------------------------------

    def _readings(self, leaders: Sequence[Controller]) -> dict[RolloutKey, ControllerView]:
        readings: dict[RolloutKey, ControllerView] = {}
        watched = self._rules.watched
        self._readers = {one.page.target: self._readers.get(one.page.target) or Reader() for one in leaders}
        for leader in leaders:
            found = self._readers[leader.page.target].read(leader.page)
            if watched is not None:
                found = {key: reading for key, reading in found.items() if watched(key[0])}
            readings = found | readings if readings else found
        return readings

    def _runs(self, leaders: Iterable[Controller]) -> list[tuple[str, str, str]]:
        return [run for one in leaders for run in self._readers[one.page.target].runs(one.page)]

    # Lives ----------------------------------------------------------------------------------------------------------

    def _live(self, at: float, readings: Mapping[RolloutKey, ControllerView], leaders: Sequence[Controller]) -> None:
        """Take every rollout to this tick."""
        asked = AvailableSources(bool(leaders), self._hearing.asked)
        if asked != self._asked:
            self._resting.clear()
        self._asked = asked
        steady = {one.process for one in leaders if one.steady} if at - self._at <= self._rules.grace else set()
        owned = analysis_runs.by_rollout(self._runs(leaders), readings)
        for key in {**self._lives, **readings}:
            reading, known = readings.get(key), self._known.get(key)
            if known is not None and self._rests(key, known, reading, owned):
                continue
            made = reading is not None and key not in self._lives and reading.process in steady
            sighting = self._hearing.sighting(key, reading, first_deploy=made)
            same = known is not None and known.observation == sighting
            if not (same and key in self._resting and owned.get(key, NO_RUNS) == self._lives[key].runs):
                whole = reading is not None and reading.process in steady
                self._age(key, at, sighting, analysis_runs.Seen(owned.get(key, NO_RUNS), whole), same=same)
        self._seen.update(dict.fromkeys(readings, at))

    def _rests(
        self,
        key: RolloutKey,
        known: Rollout,
        reading: ControllerView | None,
        owned: Mapping[RolloutKey, Mapping[str, str]],
    ) -> bool:
        """Tell without a closer look that a rollout at rest stays so: nobody said anything new of it."""
        if key not in self._resting or known.observation.view is not reading or self._hearing.stirred(key):
            return False
        return owned.get(key, NO_RUNS) == known.state.runs

    def _age(self, key: RolloutKey, at: float, sighting: Observation, seen: analysis_runs.Seen, *, same: bool) -> None:
        """Take one rollout to this tick; when the same sighting changes nothing twice, it is at rest from then on."""
        life = self._lives.get(key)
        aged = life
        if sighting.view is not None:
            when = TickContext(at, self._seen.get(key, at), self._rules.hold_down)
            aged, ended = advance(life, when, sighting, sighting.view)
            aged = analysis_runs.follow(aged, seen, first=life is None)
            self._histograms.count(key[0], ended)
        if aged is None:
            return
        if same and aged == life:
            if observed_after(sighting, aged.last_event_at) and aged.phases.debounced_from is None:
                self._resting.add(key)
            return
        self._resting.discard(key)
        self._lives[key] = aged
        joined = join(key, aged, sighting, self._asked, router=self._rules.named_router(key))
        self._known[key] = replace(joined, run_counts=_counted(aged.runs))

    def _forget(self, at: float, readings: Mapping[RolloutKey, ControllerView], leaders: Sequence[Controller]) -> None:
        """Let go of rollouts that are truly gone: unshown by the very process that showed them, or for long."""
        steady = {one.process for one in leaders if one.steady}
        led = {one.installation for one in steady}
        for key in [key for key in self._lives if key not in readings]:
            absent, process = at - self._seen.get(key, at), self._lives[key].process
            shown_otherwise = process.installation in led and absent > self._rules.grace
            if process in steady or shown_otherwise or absent > LONGEST:
                for kept in (self._lives, self._known, self._seen):
                    kept.pop(key, None)
                self._resting.discard(key)

    # Saying ---------------------------------------------------------------------------------------------------------

    def _families(
        self, at: float, rollouts: Sequence[Rollout], leaders: Sequence[Controller]
    ) -> tuple[tuple[MetricFamily, ...], int]:
        """Return all families within the limit, and how many series are left out beyond it."""
        said: list[MetricFamily] = []
        if self._rules.derive:
            said += self._sayer.families(rollouts, at, self._rules.ended_info)
            histogram = self._histograms.family()
            said += [histogram] if histogram is not None else []
        said += self._targets.families(at)
        pages = [one.page for one in leaders]
        said += self._passing.families(pages, self._hearing.pages, self._hearing.pods)
        return capped(said, self._rules.most_series)

    def _held(
        self, at: float, readings: Mapping[RolloutKey, ControllerView], controllers: Sequence[Controller]
    ) -> Held:
        """Say what stays open: what a controller lacks has gone only where every installation's leader is steady."""
        leaders = [one for one in controllers if one.verdict is Verdict.LEADER]
        led = {one.process.installation for one in leaders}
        steady = all(one.steady for one in leaders) and led == {one.process.installation for one in controllers}
        proven = self._hearing.proven | ({Source.ARGO} if leaders and steady else set())
        return Held(at, self._rules.grace, self._lives, readings.keys(), proven)


def _counted(own: Mapping[str, str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for phase in own.values():
        counted[phase] = counted.get(phase, 0) + 1
    return counted
