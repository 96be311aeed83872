"""What the demo's tests share: playing a rollout and noting down what shows, and the real pages."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import ObjectKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.demo.simulator.ground_truth import GroundTruth
    from exporter.demo.simulator.objects import RolloutSpec

SETTLED = 10.0
FRAME = 0.5


@dataclass
class Play:
    """One rollout in a cluster: settled first, then watched in frames close enough to see every phase that lasts."""

    spec: RolloutSpec
    seed: int = 1
    phases: list[str] = field(default_factory=list)
    truths: list[GroundTruth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = SimulatedCluster(self.seed)
        self.cluster.create(self.spec)
        self.cluster.advance(self.cluster.now + SETTLED)
        self.opening = self.cluster.now
        self._frame()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.spec.namespace, self.spec.name)

    @property
    def truth(self) -> GroundTruth:
        return self.cluster.ground_truth()[self.key]

    def until(self, seconds: float) -> GroundTruth:
        """Go on to this second of the play, a frame at a time."""
        while self.cluster.now + FRAME <= self.opening + seconds:
            self.cluster.advance(self.cluster.now + FRAME)
            self._frame()
        self.cluster.advance(self.opening + seconds)
        return self.truth

    def deploy(self, version: str) -> None:
        self.cluster.deploy(*self.key, f"{self.spec.image.rpartition(':')[0]}:{version}")

    def events(self) -> dict[str, int]:
        """Count the events by reason, as the leader shows them."""
        leader = self.cluster.controllers.leader
        assert leader
        return {event.reason: count for event, count in leader.counters.events.items() if event.key == self.key}

    def _frame(self) -> None:
        truth = self.truth
        self.truths.append(truth)
        if self.phases[-1:] != [truth.phase]:
            self.phases.append(truth.phase)


@pytest.fixture
def real_page() -> Callable[[str], str]:
    """Read a page that a real component answered in the middle of a canary."""

    def read(name: str) -> str:
        stored = Path(__file__).parent / "pages" / f"{name}.prom.gz"
        return gzip.decompress(stored.read_bytes()).decode()

    return read


@pytest.fixture
def play() -> Callable[[RolloutSpec], Play]:
    return Play
