"""A random life of a few rollouts: what people, controllers and sources do, all of it from one seed.

Nothing is drawn while a life is watched, so that what a variant scrapes does not change what happens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

from exporter.demo.simulator.objects import (
    BlueGreenStrategy,
    CanaryStrategy,
    Pause,
    RolloutSpec,
    SetCanaryScale,
    SetWeight,
)
from exporter.metrics import Source
from tests.lives.world import ObservedCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.demo.simulator.objects import CanaryStep, SimulatedRollout

    Run = Callable[[ObservedCluster, SimulatedRollout, "Act"], str]

SETTLE_SECONDS: Final = 8.0
INTERVALS: Final = ((1.0, 1.0), (1.0, 1.0), (5.0, 5.0), (15.0, 15.0), (15.0, 30.0))
"""Seconds between ticks, and between scrapes of kube-state-metrics."""
TICKS: Final = 50
QUIET_TICKS: Final = 4
"""At the end nothing happens any more, so that every update that ended can be counted."""
LAGS: Final = (0.0, 0.0, 0.0, 0.02, 0.3, 0.8)
"""By how many seconds a page is older than its tick."""
NOTIFICATION_SECONDS: Final = (0.0, 0.0, 0.0, 0.5, 3.0, 8.0)
"""How long the controller sends notifications before it writes the status: 8 s while it retries a webhook."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A source without pages for some ticks, which then shows an old page for some ticks."""

    source: Source
    ticks: int
    empty: bool
    stale_ticks: int


@dataclass(frozen=True, slots=True)
class PlannedTick:
    """A tick: its time since the start of the life, the lag of each source, and whether pods are scraped."""

    seconds: float
    lags: Mapping[Source, float]
    scrapes_pods: bool
    outage: Outage | None
    actions: tuple[tuple[float, float], ...]
    """What people do since the tick before: seconds since the start of the life, and the seed of what it is."""


class Life:
    """A cluster with random rollouts, and what will happen to it."""

    def __init__(self, seed: int) -> None:
        self._random = random = Random(seed)
        self.interval, self.pod_interval = random.choice(INTERVALS)
        latency = random.choice(NOTIFICATION_SECONDS)
        self.cluster = ObservedCluster(random.randrange(1000), latency)
        self.specs = tuple(self._spec(name) for name in ("cart", "till")[: random.choice((1, 2, 2))])
        for spec in self.specs:
            self.cluster.create(spec)
        self.cluster.advance(self.cluster.now + SETTLE_SECONDS)
        self.started_at = self.cluster.now
        self._gap = random.choice((2.0, 4.0, 8.0)) * max(5.0, self.interval)
        self._version = 1
        self._next_action = random.uniform(0, self._gap)
        self.outages, self.shows_uids = random.random() < 0.4, random.random() < 0.5
        outages = ", sources fail" if self.outages else ""
        self.title = (
            f"a tick every {self.interval:g} s (pods {self.pod_interval:g} s), notifications {latency:g} s{outages}; "
            + "; ".join(f"{spec.name} {spec.replicas} of {spec.strategy}" for spec in self.specs)
        )

    def ticks(self) -> Iterator[PlannedTick]:
        """Yield every tick in turn, with the actions between it and the tick before."""
        random, last_pods = self._random, float("-inf")
        for number in range(TICKS + QUIET_TICKS):
            seconds = (number + 1) * self.interval
            is_quiet = number >= TICKS
            lags = {source: 0.0 if is_quiet else min(random.choice(LAGS), self.interval / 2) for source in Source}
            scrapes_pods = seconds - last_pods >= self.pod_interval - self.interval / 2
            last_pods = seconds if scrapes_pods else last_pods
            outage = None if is_quiet or not self.outages or random.random() > 0.05 else self._outage()
            actions = () if is_quiet else tuple(self._actions(seconds))
            yield PlannedTick(seconds, lags, scrapes_pods, outage, actions)

    def _outage(self) -> Outage:
        random = self._random
        source = random.choice((Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE))
        return Outage(source, random.randint(1, 3), random.random() < 0.7, random.choice((0, 0, 1)))

    def _actions(self, until: float) -> Iterator[tuple[float, float]]:
        while self._next_action < until:
            yield self._next_action, self._random.random()
            self._next_action += self._random.expovariate(1 / self._gap)

    # What people do -------------------------------------------------------------------------------------------------

    def _spec(self, name: str) -> RolloutSpec:
        random = self._random
        spec = RolloutSpec("shop", name, f"{name}:v1", random.choice((1, 2, 4, 5, 10)), self._strategy())
        deadline, window = random.choice((15.0, 60.0, 600.0)), random.choice((0, 0, 2))
        aborts = random.random() < 0.3
        return replace(spec, progress_deadline=deadline, progress_deadline_abort=aborts, rollback_window=window)

    def _strategy(self) -> CanaryStrategy | BlueGreenStrategy:
        random = self._random
        delays = {"scale_down_delay": random.choice((2.0, 6.0, 30.0))}
        delays["abort_scale_down_delay"] = random.choice((0.0, 4.0, 30.0))
        if random.random() < 0.3:
            manual, preview = random.random() < 0.6, random.choice((None, None, 1))
            auto = 0.0 if manual else random.choice((0.0, 3.0))
            analysis = random.choice((0.0, 0.0, 4.0, 20.0))
            return BlueGreenStrategy(manual, auto, preview, post_analysis=analysis, **delays)
        router, is_dynamic = random.choice(("", "", "Nginx", "Istio")), random.random() < 0.3
        surge = random.choice((0.25, 0.5, 1.0))
        return CanaryStrategy(self._steps(router), router, surge, 0.25, dynamic_stable_scale=is_dynamic, **delays)

    def _steps(self, router: str) -> tuple[CanaryStep, ...]:
        random = self._random
        scale = (SetCanaryScale(random.choice((1, 2, 3))),) if router and random.random() < 0.15 else ()
        weights = sorted(random.sample(range(5, 101, 5), random.choice((0, 1, 2, 3, 4))))
        pauses = (Pause(random.choice((None, 2.0, 5.0, 20.0))) for _ in weights)
        return (*scale, *(step for pair in zip(map(SetWeight, weights), pauses, strict=True) for step in pair))

    def act(self, seed: float) -> str:
        """Do something, and return what."""
        random = Random(seed)
        if random.random() < 0.03:
            self.cluster.failover()
            return "failover"
        absent = [spec for spec in self.specs if (spec.namespace, spec.name) not in self.cluster.rollouts]
        if absent and (random.random() < 0.5 or not self.cluster.rollouts):
            self.cluster.create(absent[0])
            return f"create {absent[0].name}"
        rollout = random.choice(list(self.cluster.rollouts.values()))
        names = [name for name, action in ACTIONS.items() for _ in range(action.weight) if action.is_possible(rollout)]
        name = random.choice(names)
        self._version += 1
        detail = ACTIONS[name].run(self.cluster, rollout, Act(random, self._version))
        return f"{name} {rollout.spec.name} {detail}".rstrip()


@dataclass(frozen=True, slots=True)
class Act:
    """What an action draws from, and the number of the next image."""

    random: Random
    version: int


def _deploy(tag: str) -> Run:
    """Return a deploy of an image with this tag and the next number."""

    def run_deploy(cluster: ObservedCluster, rollout: SimulatedRollout, act: Act) -> str:
        image = f"{rollout.spec.name}:{tag}{act.version}"
        cluster.deploy(*rollout.key, image)
        return image

    return run_deploy


def _skip(cluster: ObservedCluster, rollout: SimulatedRollout, act: Act) -> str:
    count = act.random.choice((1, None))
    cluster.skip_steps(*rollout.key, count)
    return "all steps" if count is None else "a step"


def _go_back(cluster: ObservedCluster, rollout: SimulatedRollout, act: Act) -> str:
    others = [
        replica_set.image for replica_set in rollout.replica_sets.values() if replica_set.image != rollout.spec.image
    ]
    image = act.random.choice(others or [rollout.spec.image])
    cluster.deploy(*rollout.key, image)
    return image


def _scale(cluster: ObservedCluster, rollout: SimulatedRollout, act: Act) -> str:
    replicas = act.random.choice((0, 1, 2, 3, 6, 8, 12))
    cluster.scale(*rollout.key, replicas)
    return str(replicas)


def _recreate(cluster: ObservedCluster, rollout: SimulatedRollout, act: Act) -> str:
    cluster.delete(*rollout.key)
    cluster.create(replace(rollout.spec, image=f"{rollout.spec.name}:v{act.version}"))
    return ""


def _is_updating(rollout: SimulatedRollout) -> bool:
    return bool(rollout.status.stable_hash) and not rollout.is_promoted and not rollout.status.abort


def _command(run: Callable[[ObservedCluster, str, str], None]) -> Run:
    """Return a command that needs only namespace and name."""

    def run_command(cluster: ObservedCluster, rollout: SimulatedRollout, _: Act) -> str:
        run(cluster, *rollout.key)
        return ""

    return run_command


@dataclass(frozen=True, slots=True)
class Action:
    """What people do: how often, when it is possible, and what it changes."""

    weight: int
    run: Run
    is_possible: Callable[[SimulatedRollout], bool] = lambda _: True


ACTIONS: Final[Mapping[str, Action]] = {
    "deploy": Action(8, _deploy("v")),
    "break": Action(2, _deploy("bad")),
    "fail": Action(2, _deploy("fail"), lambda rollout: isinstance(rollout.spec.strategy, BlueGreenStrategy)),
    "skip": Action(1, _skip, lambda rollout: _is_updating(rollout) and bool(rollout.spec.steps)),
    "go back": Action(4, _go_back),
    "scale": Action(3, _scale),
    "recreate": Action(1, _recreate),
    "delete": Action(1, _command(ObservedCluster.delete)),
    "abort": Action(4, _command(ObservedCluster.abort), _is_updating),
    "retry": Action(4, _command(ObservedCluster.retry), lambda rollout: bool(rollout.status.abort)),
    "resume": Action(8, _command(ObservedCluster.resume), lambda rollout: rollout.status.pause is not None),
    "promote": Action(2, _command(ObservedCluster.promote_full), _is_updating),
}
