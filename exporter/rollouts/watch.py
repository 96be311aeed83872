"""The core: `step(at, pages)` turns one tick's pages into what is said, for run, once, replay and the tests alike.

No I/O, no clock, no log: time and pages come in, a Cycle goes out, and what must outlive the process is a Memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.family import Cycle, Family, Source
from exporter.rollouts import durations, runs, workload
from exporter.rollouts.catalogue import BY_NAME
from exporter.rollouts.fleet import Key, Process, Reading, Sighting, State, Workload
from exporter.rollouts.leadership import Controller, Verdict, judge
from exporter.rollouts.lifecycle import Life, advance
from exporter.rollouts.passthrough import passed
from exporter.rollouts.reading import analysis_runs, read
from exporter.rollouts.rollout import Asked, Rollout, join, owner
from exporter.rollouts.saying import Sayer
from exporter.rollouts.staleness import Ledger
from exporter.rollouts.state import states
from exporter.rollouts.targets import Target, Targets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from exporter.family import Labels, Page, Series
    from exporter.rollouts.durations import Durations
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


@dataclass(slots=True)
class _Heard:
    """What kube-state-metrics (or rollout state) last said, and whether it can be believed to be all."""

    at: float = float("-inf")
    asked: bool = False
    whole: bool = False
    pages: tuple[Page, ...] = ()


class Watch:
    """Watches a fleet from tick to tick."""

    def __init__(self, rules: Rules, memory: Memory | None = None) -> None:
        memory = memory or Memory()
        self._rules = rules
        self._at = memory.at
        self._lives = dict(memory.lives)
        self._led = memory.led
        self._workloads: dict[Key, Workload] = {}
        self._states: dict[Key, State] = {}
        self._heard = {source: _Heard() for source in Source}
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
        self._hear(at, pages)
        readings = self._readings(leaders)
        if self._rules.sidecar and not leaders:
            return self._silent(at)
        self._live(at, readings, leaders)
        self._forget(at, readings, leaders)
        self._rollouts = tuple(self._joined(at, readings, leaders=bool(leaders)))
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

    # What was heard -------------------------------------------------------------------------------------------------

    def _hear(self, at: float, pages: Sequence[Page]) -> None:
        for source, heard in self._heard.items():
            own = tuple(page for page in pages if page.source is source)
            if own:
                whole = all(_believable(page) for page in own)
                self._heard[source] = _Heard(at, asked=True, whole=whole, pages=own)
                self._take(source, own)
            elif at - heard.at > self._rules.grace:
                self._take(source, ())

    def _take(self, source: Source, pages: Sequence[Page]) -> None:
        if source is Source.KUBE_STATE_METRICS:
            found = self._with_experiments(workload.workloads(pages, self._rules.roles))
            self._workloads = found if self._heard[source].whole else self._workloads | found
        elif source is Source.ROLLOUT_STATE:
            self._states = states(pages)

    def _with_experiments(self, found: dict[Key, Workload]) -> dict[Key, Workload]:
        """Give the pods of experiments to the rollouts that own them."""
        for key in [key for key in found if key not in self._lives and _experiment(found[key])]:
            mine = owner(*key, self._lives)
            if mine is not None:
                whole = found.get(mine, Workload())
                found[mine] = replace(whole, pods=whole.pods + found.pop(key).pods)
        return found

    def _readings(self, leaders: Iterable[Controller]) -> dict[Key, Reading]:
        readings: dict[Key, Reading] = {}
        for leader in leaders:
            for key, reading in read(leader.page).items():
                if self._rules.watched(key[0]):
                    readings.setdefault(key, reading)
        return readings

    def _sighting(self, at: float, key: Key, reading: Reading | None, *, first_deploy: bool = False) -> Sighting:
        heard = self._heard[Source.KUBE_STATE_METRICS]
        found, state = self._workloads.get(key), self._states.get(key)
        if reading is None and state is None:
            found = None  # a dying leader's last deeds go unseen, so roles remembered may be wrong
        elif found is not None and not _complete(found, reading, whole=heard.whole):
            found = None
        return Sighting(reading, found, state, heard.at == at, first_deploy)

    # Lives ----------------------------------------------------------------------------------------------------------

    def _live(self, at: float, readings: Mapping[Key, Reading], leaders: Sequence[Controller]) -> None:
        steady = {one.process for one in leaders if one.steady} if at - self._at <= self._rules.grace else set()
        owned = runs.by_rollout((run for one in leaders for run in analysis_runs(one.page)), readings)
        for key, reading in readings.items():
            life = self._lives.get(key)
            first_deploy = life is None and reading.process in steady
            sighting = self._sighting(at, key, reading, first_deploy=first_deploy)
            aged, ended = advance(life, at, sighting, reading)
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

    def _joined(self, at: float, readings: Mapping[Key, Reading], *, leaders: bool) -> Iterable[Rollout]:
        asked = Asked(leaders, self._heard[Source.KUBE_STATE_METRICS].asked)
        for key in sorted(self._lives):
            life = self._lives[key]
            sighting = self._sighting(at, key, readings.get(key))
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
        said += passed([one.page for one in leaders], self._heard[Source.KUBE_STATE_METRICS].pages, self._rules, pods)
        return self._capped(said)

    def _capped(self, families: Iterable[Family]) -> tuple[Family, ...]:
        kept: list[Family] = []
        room = self._rules.most_series
        self.overflow = 0
        for family in families:
            if len(family) > room:
                self.overflow += len(family) - room
                family = _cut(family, room)
            room -= len(family)
            kept += [family] if len(family) else []
        return tuple(kept)

    def _held(self, at: float, readings: Mapping[Key, Reading], leaders: Sequence[Controller]) -> _Held:
        return _Held(
            at,
            self._rules.grace,
            self._lives,
            readings.keys(),
            proven=bool(leaders) and all(one.steady for one in leaders),
            pods_proven=self._heard[Source.KUBE_STATE_METRICS].whole,
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """Says which absent series stay open: those whose absence proves nothing before the grace ends."""

    at: float
    grace: float
    lives: Mapping[Key, Life]
    shown: Collection[Key]
    proven: bool
    pods_proven: bool

    def __call__(self, family: str, series: Series, since: float) -> bool:
        if self.at - since >= self.grace:
            return False
        row = BY_NAME.get(family)
        if row is not None:
            key = (series.label("namespace"), series.label("name"))
            if key not in self.lives:
                return False
            return key not in self.shown or (row.workload and not self.pods_proven)
        if family == "kube_pod_labels":
            return not self.pods_proven
        return not self.proven and not family.startswith(("argo_rollouts_controller_leader", "rollouts_exporter_"))


def _believable(page: Page) -> bool:
    return workload.believable(page) if page.source is Source.KUBE_STATE_METRICS else page.trouble is None


def _complete(found: Workload, reading: Reading | None, *, whole: bool) -> bool:
    """Tell whether the pods shown are all there are: a shard may be down, or a store still filling."""
    own = sum(not pod.experiment for pod in found.pods)
    total = reading.replicas.total if reading is not None and reading.replicas is not None else None
    if whole:
        return own > 0 or not total
    return total is not None and own == total


def _experiment(found: Workload) -> bool:
    return any(pod.experiment for pod in found.pods)


def _counted(own: Mapping[str, str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for phase in own.values():
        counted[phase] = counted.get(phase, 0) + 1
    return counted


def _cut(family: Family, room: int) -> Family:
    starts = None if family.starts is None else family.starts[:room]
    return Family(family.name, family.kind, family.help, family.series[:room], family.values[:room], starts)
