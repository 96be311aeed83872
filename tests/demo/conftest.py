"""Fixtures of the demo's tests: a rollout whose states are recorded, and pages of real components."""

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

SETTLE_SECONDS = 10.0
FRAME_SECONDS = 0.5


@dataclass
class ObservedRollout:
    """A rollout in a cluster, settled at first, recorded in frames close enough for every lasting phase."""

    spec: RolloutSpec
    seed: int = 1
    phases: list[str] = field(default_factory=list)
    ground_truths: list[GroundTruth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = SimulatedCluster(self.seed)
        self.cluster.create(self.spec)
        self.cluster.advance(self.cluster.now + SETTLE_SECONDS)
        self.started_at = self.cluster.now
        self._record()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.spec.namespace, self.spec.name)

    @property
    def ground_truth(self) -> GroundTruth:
        return self.cluster.ground_truth()[self.key]

    def advance_to(self, seconds: float) -> GroundTruth:
        """Advance to some seconds after the start, frame by frame."""
        while self.cluster.now + FRAME_SECONDS <= self.started_at + seconds:
            self.cluster.advance(self.cluster.now + FRAME_SECONDS)
            self._record()
        self.cluster.advance(self.started_at + seconds)
        return self.ground_truth

    def deploy(self, version: str) -> None:
        self.cluster.deploy(*self.key, f"{self.spec.image.rpartition(':')[0]}:{version}")

    def events(self) -> dict[str, int]:
        """Return the leader's event counts by reason."""
        leader = self.cluster.controllers.leader
        assert leader
        return {reason: count for (key, reason), count in leader.counters.events.items() if key == self.key}

    def _record(self) -> None:
        ground_truth = self.ground_truth
        self.ground_truths.append(ground_truth)
        if self.phases[-1:] != [ground_truth.phase]:
            self.phases.append(ground_truth.phase)


@pytest.fixture
def real_page() -> Callable[[str], str]:
    """Return a page of a real component in the middle of a canary."""

    def read(name: str) -> str:
        path = Path(__file__).parent / "pages" / f"{name}.prom.gz"
        return gzip.decompress(path.read_bytes()).decode()

    return read


@pytest.fixture
def observe() -> Callable[[RolloutSpec], ObservedRollout]:
    return ObservedRollout
