"""Generated lives: one rollout in the simulated cluster, watched as the exporter would, beside what truly happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.config.model import Settings
from exporter.core import page_readers
from exporter.demo.cluster import Cluster
from exporter.demo.objects import Key
from exporter.demo.spec import BlueGreen, Canary, Pause, SetWeight, Spec
from exporter.family import Page, Source, Trouble
from exporter.scrape.reader import Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from exporter.demo.controllers import Controller
    from exporter.demo.objects import Rollout
    from exporter.scrape.reader import PageReader

KEY: Final = Key("shop", "checkout")
CONTROLLERS: Final = ("argo-a", "argo-b")
STEPS: Final = (SetWeight(20), Pause(3), SetWeight(50), Pause(), SetWeight(80))
STRATEGIES: Final = (
    Canary(STEPS),
    Canary(STEPS, "Nginx", scale_down_delay=6, abort_scale_down_delay=4),
    BlueGreen(manual=True, scale_down_delay=6, abort_scale_down_delay=4),
)
ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "full": ("argo", "ksm", "state"),
    "no-state": ("argo", "ksm"),
    "plain": ("argo", "plain"),
    "argo-only": ("argo",),
}
DEEDS: Final[Mapping[str, Callable[[Cluster, int], None]]] = {
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
}


def go_back(cluster: Cluster) -> None:
    """Roll back, where there is something to go back to."""
    rollout = cluster.rollouts[KEY]
    if not rollout.promoted or rollout.others:
        cluster.rollback(*KEY)


def abort(cluster: Cluster) -> None:
    """Abort an update; a rollout at rest is left alone (test_lifecycle aborts that, too)."""
    if cluster.truth()[KEY].updating:
        cluster.abort(*KEY)


class Watched(Cluster):
    """A cluster that notes how each update truly ended, turn by turn of its controller."""

    results: Counter[str]
    before: tuple[str, str, bool] = ("", "", False)

    def _reconcile(self, leader: Controller, rollout: Rollout) -> None:
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


def _where(rollout: Rollout) -> tuple[str, str, bool]:
    status = rollout.status
    return status.stable_hash, status.current_hash, bool(status.abort)


@dataclass
class Life:
    """A rollout's life, told in frames a second or more apart."""

    strategy: Canary | BlueGreen
    replicas: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        self.cluster = Watched(self.seed)
        self.cluster.results = Counter()
        self.cluster.create(Spec(*KEY, "app:v1", self.replicas, self.strategy, progress_deadline=15))
        self.cluster.advance(self.cluster.now + 8)
        self._readers = page_readers(Settings())

    def frames(self, seconds: float, apart: float = 1.0) -> Iterator[float]:
        """Let so many seconds pass, and stop at each frame (Unix seconds)."""
        end = self.cluster.now + seconds
        while self.cluster.now < end:
            self.cluster.advance(min(self.cluster.now + apart, end))
            yield self.cluster.now

    def pages(self, variant: str, at: float, silent: Collection[str] = ()) -> tuple[Page, ...]:
        """Ask everybody that a variant asks, but for those that are silent."""
        cluster = self.cluster
        answers: dict[str, list[tuple[Source, str, Callable[[], bytes | None]]]] = {
            "argo": [(Source.ARGO, name, lambda name=name: cluster.argo_page(name)) for name in CONTROLLERS],  # type: ignore[misc]
            "ksm": [(Source.KUBE_STATE_METRICS, "ksm", cluster.ksm_page)],
            "plain": [(Source.KUBE_STATE_METRICS, "ksm", lambda: cluster.ksm_page(allow_lists=False))],
            "state": [(Source.ROLLOUT_STATE, "state", cluster.state_page)],
        }
        return tuple(
            self._read(Asked(source, target, at), None if target in silent else answer())
            for kind in ASKED[variant]
            for source, target, answer in answers[kind]
        )

    def _read(self, asked: Asked, body: bytes | None) -> Page:
        reader: PageReader = self._readers(asked)
        if body is None:
            return reader.close(Trouble("refused", "nobody listens"), 0.0)
        reader.begin(200, {"Content-Type": "text/plain; version=0.0.4"})
        reader.feed(body)
        return reader.close(None, 0.01)
