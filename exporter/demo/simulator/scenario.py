"""The demo's scenario: its rollouts, and the actions on them, in a loop."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, RolloutSpec, SetWeight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPEED = 4.0
"""Seconds of the scenario per second: a loop takes half a minute."""
LOOP_SECONDS = 120.0
WARM_UP_SECONDS = 15.0
FAILOVER_SECONDS = 310.0
"""Seconds between two ends of the leading controller: more than two loops, so that a short demo has none."""

ROLLOUTS = (
    RolloutSpec(
        "shop",
        "checkout",
        "registry.local/checkout:v1",
        10,
        CanaryStrategy(
            (SetWeight(20), Pause(12), SetWeight(40), Pause(), SetWeight(60), Pause(10), SetWeight(80), Pause(10))
        ),
    ),
    RolloutSpec(
        "shop",
        "search",
        "registry.local/search:v1",
        6,
        CanaryStrategy((SetWeight(25), Pause(6), SetWeight(50), Pause())),
    ),
    RolloutSpec("shop", "store", "registry.local/store:v1", 4, BlueGreenStrategy(manual=True, scale_down_delay=20)),
    RolloutSpec("shop", "cart", "registry.local/cart:v1", 2),
    RolloutSpec(
        "pay",
        "ledger",
        "registry.local/ledger:v1",
        5,
        CanaryStrategy(
            (SetWeight(5), Pause(8), SetWeight(25), Pause(8), SetWeight(50), Pause(8)),
            router="Nginx",
            scale_down_delay=20,
            abort_scale_down_delay=15,
        ),
    ),
    RolloutSpec(
        "pay",
        "invoices",
        "registry.local/invoices:v1",
        4,
        CanaryStrategy((SetWeight(25), Pause(6), SetWeight(50), Pause())),
    ),
)


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """An action on the cluster, after some seconds of the scenario."""

    seconds: float
    run: Callable[[SimulatedCluster], None]


def _deploy(namespace: str, name: str, loop: int, cluster: SimulatedCluster) -> None:
    cluster.deploy(namespace, name, f"registry.local/{name}:v{loop + 1}")


def _resume(namespace: str, name: str, _: int, cluster: SimulatedCluster) -> None:
    cluster.resume(namespace, name)


def _abort(namespace: str, name: str, _: int, cluster: SimulatedCluster) -> None:
    cluster.abort(namespace, name)


def _rollback(namespace: str, name: str, _: int, cluster: SimulatedCluster) -> None:
    cluster.rollback(namespace, name)


def _scale(namespace: str, name: str, loop: int, cluster: SimulatedCluster) -> None:
    cluster.scale(namespace, name, 2 + loop % 2 * 2)


EVENTS: tuple[tuple[float, Callable[[int, SimulatedCluster], None]], ...] = (
    (2.0, partial(_deploy, "shop", "checkout")),
    (6.0, partial(_deploy, "pay", "ledger")),
    (10.0, partial(_deploy, "shop", "search")),
    (14.0, partial(_deploy, "pay", "invoices")),
    (18.0, partial(_deploy, "shop", "store")),
    (34.0, partial(_abort, "shop", "search")),
    (40.0, partial(_resume, "shop", "checkout")),
    (42.0, partial(_rollback, "pay", "invoices")),
    (44.0, partial(_resume, "shop", "store")),
    (70.0, partial(_scale, "shop", "cart")),
)
"""Actions of each loop: after how many seconds, and a function of the loop's number and the cluster."""


class Scenario:
    """A cluster and the actions on it; `advance` runs both up to the same time."""

    def __init__(self, now: float, *, seed: int = 0, speed: float = SPEED) -> None:
        self.cluster = SimulatedCluster(seed, start=now - WARM_UP_SECONDS / speed, speed=speed)
        self._started_at, self._speed = now, speed
        self._actions = heapq.merge(_loop_actions(), _failover_actions(), key=lambda action: action.seconds)
        self._next_action = next(self._actions)
        for spec in ROLLOUTS:
            self.cluster.create(spec)
        self.cluster.advance(now)

    def advance(self, to: float) -> None:
        """Run every action that is due up to `to` (Unix seconds), each at its own time."""
        while (due_at := self._started_at + self._next_action.seconds / self._speed) <= to:
            self.cluster.advance(due_at)
            self._next_action.run(self.cluster)
            self._next_action = next(self._actions)
        self.cluster.advance(to)


def _loop_actions() -> Iterator[ScheduledAction]:
    """Yield the actions of all loops, without end; each loop deploys new images."""
    for loop in count(1):
        for seconds, run in EVENTS:
            yield ScheduledAction(seconds + (loop - 1) * LOOP_SECONDS, partial(run, loop))


def _failover_actions() -> Iterator[ScheduledAction]:
    """Yield the ends of the leading controller, without end."""
    for failover in count(1):
        yield ScheduledAction(failover * FAILOVER_SECONDS, SimulatedCluster.failover)
