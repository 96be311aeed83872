"""Generated histories: one rollout in the simulated cluster, scraped and tracked, beside the ground truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Final

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, ObjectKey, Pause, RolloutSpec, SetWeight
from exporter.metrics import Failure, ScrapeResult, Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.stored import after_restart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.demo.simulator.controllers import SimulatedController
    from exporter.demo.simulator.ground_truth import GroundTruth
    from exporter.demo.simulator.objects import SimulatedRollout
    from exporter.metrics import MetricsSnapshot
    from exporter.scrape.response import ResponseParser

POLICY: Final = tracking_policy(ARTICLE)
NO_ANSWER: Final = Failure("refused", "connection refused")
KEY: Final = ObjectKey("shop", "checkout")
CONTROLLERS: Final = ("argo-a", "argo-b")
STEPS: Final = (SetWeight(20), Pause(3), SetWeight(50), Pause(), SetWeight(80))
STRATEGIES: Final = (
    CanaryStrategy(STEPS),
    CanaryStrategy(STEPS, "Nginx", scale_down_delay=6, abort_scale_down_delay=4),
    BlueGreenStrategy(manual=True, scale_down_delay=6, abort_scale_down_delay=4),
)
ACTIONS: Final[Mapping[str, Callable[[SimulatedCluster, int], None]]] = {
    "deploy": lambda cluster, number: cluster.deploy(*KEY, f"app:v{number}"),
    "break": lambda cluster, number: cluster.deploy(*KEY, f"app:bad-{number}"),
    "scale": lambda cluster, number: cluster.scale(*KEY, number),
    "pause": lambda cluster, _: cluster.pause(*KEY),
    "resume": lambda cluster, _: cluster.resume(*KEY),
    "promote": lambda cluster, _: cluster.promote_full(*KEY),
    "abort": lambda cluster, _: abort_if_updating(cluster),
    "retry": lambda cluster, _: cluster.retry(*KEY),
    "back": lambda cluster, _: rollback_if_possible(cluster),
    "failover": lambda cluster, _: cluster.failover(),
    "wait": lambda _cluster, _number: None,
}


def rollback_if_possible(cluster: SimulatedCluster) -> None:
    """Roll back if there is a previous revision."""
    rollout = cluster.rollouts[KEY]
    if not rollout.is_promoted or rollout.other_replica_sets:
        cluster.rollback(*KEY)


def abort_if_updating(cluster: SimulatedCluster) -> None:
    """Abort an update; test_state_machine also aborts a rollout at rest."""
    if cluster.ground_truth()[KEY].updating:
        cluster.abort(*KEY)


class ObservedCluster(SimulatedCluster):
    """A cluster that counts the true result of each update, at each reconciliation."""

    results: Counter[str]
    previous: tuple[str, str, bool] = ("", "", False)

    def _reconcile(self, leader: SimulatedController, rollout: SimulatedRollout) -> None:
        stable, current, aborted = self.previous
        super()._reconcile(leader, rollout)
        self.previous = now_stable, now_current, now_aborted = _revision_state(rollout)
        if not stable or stable == current:
            return
        if now_stable != stable:
            self.results["promoted"] += 1
        elif aborted:
            return
        elif now_current == stable:
            self.results["rolled_back"] += 1
        elif now_current != current:
            self.results["superseded"] += 1
        elif now_aborted:
            self.results["aborted"] += 1


def _revision_state(rollout: SimulatedRollout) -> tuple[str, str, bool]:
    status = rollout.status
    return status.stable_hash, status.current_hash, bool(status.abort)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What goes wrong at one tick: sources that are not due, that fail, or whose page is that of the tick before.

    `exporter_restart`: the exporter restarts before the tick. `clock_set_back`: by how many seconds its clock is wrong.
    """

    not_due: frozenset[Source] = frozenset()
    failed: frozenset[Source] = frozenset()
    delayed: frozenset[Source] = frozenset()
    exporter_restart: bool = False
    clock_set_back: float = 0.0


UNDISTURBED: Final = Disturbance()


@dataclass(frozen=True, slots=True)
class ScriptedAction:
    """An action on the rollout, how long (seconds) to watch it, and the interval of the ticks meanwhile.

    `undisturbed`: nothing goes wrong meanwhile.
    """

    name: str
    number: int
    seconds: float
    interval: float = 1.0
    undisturbed: bool = False


FIRST_ACTION: Final = ScriptedAction("wait", 0, 1.5, undisturbed=True)


@dataclass(frozen=True, slots=True)
class ObservedTick:
    """A tick: its time, the snapshot, and the ground truth."""

    timestamp: float
    snapshot: MetricsSnapshot
    tracker: RolloutTracker
    truth: GroundTruth


@dataclass
class RolloutHistory:
    """The history of a rollout in a cluster; it is settled before the first scrape.

    `details`: rollout state has the chart's second configuration.
    """

    strategy: CanaryStrategy | BlueGreenStrategy
    replicas: int = 5
    seed: int = 1
    details: bool = False

    def __post_init__(self) -> None:
        self.cluster = ObservedCluster(self.seed)
        self.cluster.results = Counter()
        self.cluster.create(RolloutSpec(*KEY, "app:v1", self.replicas, self.strategy, progress_deadline=15))
        self.cluster.advance(self.cluster.now + 8)
        self._parsers = parser_factory(ARTICLE)
        self._previous: tuple[ScrapeResult, ...] = ()

    @property
    def truth(self) -> GroundTruth:
        """The ground truth at this time."""
        return self.cluster.ground_truth()[KEY]

    def ticks(self, seconds: float, interval: float = 1.0) -> Iterator[float]:
        """Advance the cluster, and yield the time (Unix seconds) at each tick."""
        end = self.cluster.now + seconds
        while self.cluster.now < end:
            self.cluster.advance(min(self.cluster.now + interval, end))
            yield self.cluster.now

    def scrape(self, variant: str, now: float, disturbance: Disturbance = UNDISTURBED) -> tuple[ScrapeResult, ...]:
        """Return the results of all targets of a variant."""
        results = tuple(
            self._parse(ScrapeRequest(source, target, now), body) for source, target, body in self._bodies(variant)
        )
        previous, self._previous = self._previous or results, results
        delayed = (
            replace(old, scraped_at=now) if old.source in disturbance.delayed else new
            for old, new in zip(previous, results, strict=True)
        )
        due = (result for result in delayed if result.source not in disturbance.not_due)
        return tuple(replace(r, families={}, failure=NO_ANSWER) if r.source in disturbance.failed else r for r in due)

    def _bodies(self, variant: str) -> Iterator[tuple[Source, str, bytes | None]]:
        cluster = self.cluster
        for name in CONTROLLERS:
            yield Source.ARGO, name, cluster.argo_page(name)
        if variant != "argo-only":
            yield Source.KUBE_STATE_METRICS, "ksm", cluster.kube_state_metrics_page(allow_lists=variant != "plain")
        if variant == "full":
            yield Source.ROLLOUT_STATE, "state", cluster.state_page(details=self.details)

    def _parse(self, request: ScrapeRequest, body: bytes | None) -> ScrapeResult:
        parser: ResponseParser = self._parsers(request)
        if body is None:
            return parser.finish(NO_ANSWER, 0.0)
        parser.start(200, {"Content-Type": "text/plain; version=0.0.4"})
        parser.feed(body)
        return parser.finish(None, 0.01)


def observe(
    history: RolloutHistory,
    variant: str,
    script: Iterable[ScriptedAction],
    disturbances: Sequence[Disturbance] = (),
) -> Iterator[ObservedTick]:
    """Run a script, and yield each tick; the disturbances are applied to the ticks in turn, again and again."""
    tracker = RolloutTracker(POLICY)
    turn = cycle(disturbances or (UNDISTURBED,))
    for action in (FIRST_ACTION, *script):
        ACTIONS[action.name](history.cluster, action.number)
        for cluster_time in history.ticks(action.seconds, action.interval):
            disturbance = UNDISTURBED if action.undisturbed else next(turn)
            if disturbance.exporter_restart:
                tracker = RolloutTracker(POLICY, after_restart(tracker.state))
            now = cluster_time - disturbance.clock_set_back
            snapshot = tracker.process(now, history.scrape(variant, now, disturbance))
            yield ObservedTick(now, snapshot, tracker, history.truth)
