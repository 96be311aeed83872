"""Generated lives: one rollout in the simulated cluster, watched as the exporter would, beside what truly happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Settings
from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, ObjectKey, Pause, RolloutSpec, SetWeight
from exporter.metrics import Failure, ScrapeResult, Source
from exporter.rollouts.persistence import decode_state, encode_state
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.demo.simulator.controllers import SimulatedController
    from exporter.demo.simulator.ground_truth import GroundTruth
    from exporter.demo.simulator.objects import SimulatedRollout
    from exporter.metrics import MetricsSnapshot
    from exporter.scrape.response import ResponseParser

RULES: Final = tracking_policy(Settings())
DEAD: Final = Failure("refused", "nobody listens")
KEY: Final = ObjectKey("shop", "checkout")
CONTROLLERS: Final = ("argo-a", "argo-b")
STEPS: Final = (SetWeight(20), Pause(3), SetWeight(50), Pause(), SetWeight(80))
STRATEGIES: Final = (
    CanaryStrategy(STEPS),
    CanaryStrategy(STEPS, "Nginx", scale_down_delay=6, abort_scale_down_delay=4),
    BlueGreenStrategy(manual=True, scale_down_delay=6, abort_scale_down_delay=4),
)
DEEDS: Final[Mapping[str, Callable[[SimulatedCluster, int], None]]] = {
    "deploy": lambda cluster, number: cluster.deploy(*KEY, f"app:v{number}"),
    "break": lambda cluster, number: cluster.deploy(*KEY, f"app:bad-{number}"),
    "scale": lambda cluster, number: cluster.scale(*KEY, number),
    "pause": lambda cluster, _: cluster.pause(*KEY),
    "resume": lambda cluster, _: cluster.resume(*KEY),
    "promote": lambda cluster, _: cluster.promote_full(*KEY),
    "abort": lambda cluster, _: abort(cluster),
    "retry": lambda cluster, _: cluster.retry(*KEY),
    "back": lambda cluster, _: go_back(cluster),
    "failover": lambda cluster, _: cluster.failover(),
    "wait": lambda _cluster, _number: None,
}


def go_back(cluster: SimulatedCluster) -> None:
    """Roll back, where there is something to go back to."""
    rollout = cluster.rollouts[KEY]
    if not rollout.is_promoted or rollout.other_replica_sets:
        cluster.rollback(*KEY)


def abort(cluster: SimulatedCluster) -> None:
    """Abort an update; a rollout at rest is left alone (test_state_machine aborts that, too)."""
    if cluster.ground_truth()[KEY].updating:
        cluster.abort(*KEY)


class Watched(SimulatedCluster):
    """A cluster that notes how each update truly ended, turn by turn of its controller."""

    results: Counter[str]
    before: tuple[str, str, bool] = ("", "", False)

    def _reconcile(self, leader: SimulatedController, rollout: SimulatedRollout) -> None:
        stable, current, aborted = self.before
        super()._reconcile(leader, rollout)
        self.before = now_stable, now_current, now_aborted = _where(rollout)
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


def _where(rollout: SimulatedRollout) -> tuple[str, str, bool]:
    status = rollout.status
    return status.stable_hash, status.current_hash, bool(status.abort)


@dataclass(frozen=True, slots=True)
class Hitch:
    """What goes wrong at one frame: sources that are not `asked`, `dead`, or `late` by a frame.

    `restart`: the exporter was restarted before. `back`: its clock was set back by so many seconds.
    """

    unasked: frozenset[Source] = frozenset()
    dead: frozenset[Source] = frozenset()
    late: frozenset[Source] = frozenset()
    restart: bool = False
    back: float = 0.0


SMOOTH: Final = Hitch()


@dataclass(frozen=True, slots=True)
class Act:
    """Something done to the rollout, and how long (seconds) until the next, in frames so far `apart`.

    `smooth`: nothing goes wrong meanwhile.
    """

    deed: str
    number: int
    wait: float
    apart: float = 1.0
    smooth: bool = False


OPENING: Final = Act("wait", 0, 1.5, smooth=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame: when it was, what was said, and what was the case."""

    at: float
    cycle: MetricsSnapshot
    watch: RolloutTracker
    truth: GroundTruth


@dataclass
class Life:
    """A rollout's life in a cluster, settled before anyone looks."""

    strategy: CanaryStrategy | BlueGreenStrategy
    replicas: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        self.cluster = Watched(self.seed)
        self.cluster.results = Counter()
        self.cluster.create(RolloutSpec(*KEY, "app:v1", self.replicas, self.strategy, progress_deadline=15))
        self.cluster.advance(self.cluster.now + 8)
        self._readers = parser_factory(Settings())
        self._before: tuple[ScrapeResult, ...] = ()

    @property
    def truth(self) -> GroundTruth:
        """What is the case now."""
        return self.cluster.ground_truth()[KEY]

    def frames(self, seconds: float, apart: float = 1.0) -> Iterator[float]:
        """Let so many seconds pass, and stop at each frame (Unix seconds)."""
        end = self.cluster.now + seconds
        while self.cluster.now < end:
            self.cluster.advance(min(self.cluster.now + apart, end))
            yield self.cluster.now

    def pages(self, variant: str, at: float, hitch: Hitch = SMOOTH) -> tuple[ScrapeResult, ...]:
        """Ask everybody whom a variant asks."""
        now = tuple(self._read(ScrapeRequest(source, target, at), body) for source, target, body in self._bodies(variant))
        before, self._before = self._before or now, now
        late = (
            replace(old, scraped_at=at) if old.source in hitch.late else new
            for old, new in zip(before, now, strict=True)
        )
        asked = (page for page in late if page.source not in hitch.unasked)
        return tuple(replace(page, families={}, failure=DEAD) if page.source in hitch.dead else page for page in asked)

    def _bodies(self, variant: str) -> Iterator[tuple[Source, str, bytes | None]]:
        cluster = self.cluster
        for name in CONTROLLERS:
            yield Source.ARGO, name, cluster.argo_page(name)
        if variant != "argo-only":
            yield Source.KUBE_STATE_METRICS, "ksm", cluster.kube_state_metrics_page(allow_lists=variant != "plain")
        if variant == "full":
            yield Source.ROLLOUT_STATE, "state", cluster.state_page()

    def _read(self, asked: ScrapeRequest, body: bytes | None) -> ScrapeResult:
        reader: ResponseParser = self._readers(asked)
        if body is None:
            return reader.finish(DEAD, 0.0)
        reader.start(200, {"Content-Type": "text/plain; version=0.0.4"})
        reader.feed(body)
        return reader.finish(None, 0.01)


def watched(life: Life, variant: str, acts: Iterable[Act], hitches: Sequence[Hitch] = ()) -> Iterator[Seen]:
    """Play a life, with a hitch at each frame, over and over."""
    watch = RolloutTracker(RULES)
    happening = cycle(hitches or (SMOOTH,))
    for act in (OPENING, *acts):
        DEEDS[act.deed](life.cluster, act.number)
        for now in life.frames(act.wait, act.apart):
            hitch = SMOOTH if act.smooth else next(happening)
            if hitch.restart:
                watch = RolloutTracker(RULES, decode_state(encode_state(watch.state, "eu"), "eu"))
            at = now - hitch.back
            yield Seen(at, watch.process(at, life.pages(variant, at, hitch)), watch, life.truth)
