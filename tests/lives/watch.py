"""Watches a life with every variant of sources, and judges what is exported as the recordings are judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Final

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy
from tests.agreement import TruthComparer
from tests.lives.life import Life
from tests.lives.world import truth_frame
from tests.recorded import ARTICLE, VARIANTS, RecordedTick
from tests.rollouts.stored import after_restart, derived_samples
from tests.updates import ExportedResults, count_results, different_results

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.metrics import MetricsSnapshot
    from exporter.rollouts.model import RolloutKey
    from tests.agreement import Comparison, KubeObject
    from tests.lives.life import Outage, PlannedTick
    from tests.lives.world import ObservedCluster
    from tests.updates import ResultCounts

SETTINGS: Final = ARTICLE
POLICY: Final = tracking_policy(SETTINGS)
NO_ANSWER: Final = Failure("refused", "connection refused")
CONTROLLERS: Final = ("argo-a", "argo-b")
TRUTH_SECONDS: Final = 1.0
"""How long before and after a tick the truth counts, too: about the time between two frames of a recording."""
NEIGHBOURS: Final = 3
"""Frames of truth on either side of a tick's that count: those of the pages, and of `TRUTH_SECONDS`."""
SOURCES: Final[Mapping[str, frozenset[Source]]] = {
    "full": frozenset(Source),
    "no-state": frozenset({Source.ARGO, Source.KUBE_STATE_METRICS}),
    "plain": frozenset({Source.ARGO, Source.KUBE_STATE_METRICS}),
    "argo-only": frozenset({Source.ARGO}),
}


@dataclass(slots=True)
class WatchedLife:
    """A life with all that was scraped and what was true: frames of truth, ticks of each variant, and a log."""

    seed: int
    title: str
    started_at: float
    interval: float
    ticks: dict[str, list[RecordedTick]]
    truth: list[KubeObject] = field(default_factory=list)
    log: list[tuple[float, str]] = field(default_factory=list)
    true_updates: dict[RolloutKey, ResultCounts] = field(default_factory=dict)


class Scraper:
    """Scrapes a life's cluster."""

    def __init__(self, life: Life, variants: Collection[str]) -> None:
        self._life, self._cluster = life, life.cluster
        self._variants = variants
        self._parse = parser_factory(SETTINGS)
        self._last_bodies: dict[str, bytes] = {}
        self._outage: tuple[Outage, int] | None = None

    def bodies(self, tick: PlannedTick, now: float, truth: list[KubeObject]) -> dict[str, bytes | None]:
        """Advance the cluster to `now`, and return what each target answers: None for nothing."""
        bodies: dict[str, bytes | None] = {}
        for source in sorted(Source, key=lambda source: -tick.lags[source]):
            self._cluster.advance(now - tick.lags[source])
            bodies |= self._pages(source, tick)
            if source is not Source.KUBE_STATE_METRICS:  # a phase may last for some ms only
                truth.append(truth_frame(self._cluster))
        self._cluster.advance(now)
        return self._disturb(tick, bodies)

    def _pages(self, source: Source, tick: PlannedTick) -> dict[str, bytes | None]:
        if source is Source.ARGO:
            return {name: self._cluster.argo_page(name) for name in CONTROLLERS}
        if source is Source.ROLLOUT_STATE:
            return {"state": self._cluster.state_page(uids=self._life.shows_uids)} if "full" in self._variants else {}
        if not tick.scrapes_pods:
            return {}
        page = self._cluster.kube_state_metrics_page
        pages: dict[str, bytes | None] = {}
        if not {"full", "no-state"}.isdisjoint(self._variants):
            pages["ksm"] = page()
        if "plain" in self._variants:
            pages["plain"] = page(allow_lists=False)
        return pages

    def _disturb(self, tick: PlannedTick, bodies: dict[str, bytes | None]) -> dict[str, bytes | None]:
        """Let a source vanish, and come back with the page from before it vanished."""
        if self._outage is None and tick.outage is not None:
            self._outage = (tick.outage, 0)
        if self._outage is None:
            self._last_bodies = {target: body for target, body in bodies.items() if body is not None}
            return bodies
        outage, age = self._outage
        targets = ("ksm", "plain") if outage.source is Source.KUBE_STATE_METRICS else ("state",)
        for target in targets:
            if target in bodies and age < outage.ticks:
                bodies[target] = b"" if outage.empty else None
            elif target in bodies:
                bodies[target] = self._last_bodies.get(target, bodies[target])
        self._outage = (outage, age + 1) if age + 1 < outage.ticks + outage.stale_ticks else None
        return bodies

    def results(self, bodies: Mapping[str, bytes | None], now: float) -> dict[str, ScrapeResult]:
        """Parse the pages of all targets."""
        return {target: self._result(target, body, now) for target, body in bodies.items()}

    def _result(self, target: str, body: bytes | None, now: float) -> ScrapeResult:
        name = "ksm" if target == "plain" else target
        source = {"ksm": Source.KUBE_STATE_METRICS, "state": Source.ROLLOUT_STATE}.get(name, Source.ARGO)
        parser = self._parse(ScrapeRequest(source, target, now))
        if body is None:
            return parser.finish(NO_ANSWER, 0.0)
        parser.start(200, {"Content-Type": "text/plain; version=0.0.4"})
        parser.feed(body)
        return replace(parser.finish(None, 0.01), target=name)


def watch(seed: int, variants: Collection[str] = VARIANTS) -> WatchedLife:
    """Let a life happen, and return what some variants of sources scraped, and what was true."""
    life = Life(seed)
    watched = WatchedLife(seed, life.title, life.started_at, life.interval, {variant: [] for variant in variants})
    cluster, scraper = life.cluster, Scraper(life, variants)
    starts = {key: len(history) - 1 for key, history in cluster.histories.items()}
    for tick in life.ticks():
        now = life.started_at + tick.seconds
        pending = [due for due in (now - life.interval + TRUTH_SECONDS, now - TRUTH_SECONDS) if due < now]
        for due, action in tick.actions:
            _advance(watched, cluster, pending, max(cluster.now, life.started_at + due))
            watched.log.append((cluster.now - life.started_at, life.act(action)))
        _advance(watched, cluster, pending, now - max(tick.lags.values()))
        results = scraper.results(scraper.bodies(tick, now, watched.truth), now)
        watched.truth.append({**truth_frame(cluster), "at": now})
        for variant, ticks in watched.ticks.items():
            scraped = [result for target, result in results.items() if _is_scraped(target, result, variant)]
            ticks.append(RecordedTick(now, tuple(scraped)))
    for key, history in cluster.histories.items():
        watched.true_updates[key] = count_results(history[max(starts.get(key, 0), 0) :])
    return watched


def _is_scraped(target: str, result: ScrapeResult, variant: str) -> bool:
    if result.source not in SOURCES[variant]:
        return False
    return result.source is not Source.KUBE_STATE_METRICS or (target == "plain") == (variant == "plain")


def _advance(watched: WatchedLife, cluster: ObservedCluster, truth_times: list[float], to: float) -> None:
    """Advance the cluster, and add the frames of truth that are due on the way."""
    while truth_times and truth_times[0] <= to:
        cluster.advance(truth_times.pop(0))
        watched.truth.append(truth_frame(cluster))
    cluster.advance(to)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a variant exported about a life; `restart_changed`: series that differ after a restart of the exporter."""

    comparisons: tuple[Comparison, ...]
    different_updates: Mapping[RolloutKey, tuple[ResultCounts, ResultCounts]]
    true_count: int
    exported_count: int
    restart_changed: tuple[str, ...]


def judge(watched: WatchedLife, variant: str) -> Judgement:
    """Play a life to a tracker, and to one that restarts before every tick from a random one on; compare."""
    comparer = TruthComparer(watched.truth, pods_only=variant != "full", neighbours=NEIGHBOURS)
    tracker, updates = RolloutTracker(POLICY), ExportedResults()
    restarted: RolloutTracker | None = None
    comparisons: list[Comparison] = []
    restart_changed: set[str] = set()
    restart_at = Random(watched.seed).randrange(len(watched.ticks[variant]))
    for number, tick in enumerate(watched.ticks[variant]):
        if number >= restart_at and not restart_changed and _is_complete(tick, variant):
            restarted = RolloutTracker(POLICY, after_restart((restarted or tracker).state))
        snapshot = tracker.process(tick.timestamp, tick.results)
        if restarted is not None and not restart_changed:
            restart_changed = _different(snapshot, restarted.process(tick.timestamp, tick.results))
        comparisons += comparer.compare(tick.timestamp, tick.results, snapshot)
        updates.add(snapshot)
    return Judgement(
        tuple(comparisons),
        different_results(watched.true_updates, updates.by_rollout),
        sum(counts.total() for counts in watched.true_updates.values()),
        sum(counts.total() for counts in updates.by_rollout.values()),
        tuple(sorted(restart_changed)),
    )


def _is_complete(tick: RecordedTick, variant: str) -> bool:
    """Return whether a starting exporter gets every page; what only the old process scraped is lost."""
    scraped = {result.source for result in tick.results if result.failure is None and result.families}
    return scraped >= SOURCES[variant]


def _different(continuous: MetricsSnapshot, restarted: MetricsSnapshot) -> set[str]:
    """Return the derived series, with their values, that one of two snapshots has and the other has not."""
    first, second = ({*map(repr, derived_samples(snapshot).items())} for snapshot in (continuous, restarted))
    return first ^ second
