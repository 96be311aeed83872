"""The play that the demo puts on: a cast of rollouts, and what is done to them when, over and over."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from exporter.demo.simulator.cluster import Cluster
from exporter.demo.simulator.objects import BlueGreen, Canary, Pause, SetWeight, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPEED = 4.0
"""How many seconds of the play pass in one: half a minute shows a round."""
ROUND = 120.0
WARM_UP = 15.0
FAILOVER = 310.0
"""When the leading controller first goes, and then every so many seconds of the play."""

CAST = (
    Spec(
        "shop",
        "checkout",
        "registry.local/checkout:v1",
        10,
        Canary((SetWeight(20), Pause(12), SetWeight(40), Pause(), SetWeight(60), Pause(10), SetWeight(80), Pause(10))),
    ),
    Spec("shop", "search", "registry.local/search:v1", 6, Canary((SetWeight(25), Pause(6), SetWeight(50), Pause()))),
    Spec("shop", "store", "registry.local/store:v1", 4, BlueGreen(manual=True, scale_down_delay=20)),
    Spec("shop", "cart", "registry.local/cart:v1", 2),
    Spec(
        "pay",
        "ledger",
        "registry.local/ledger:v1",
        5,
        Canary(
            (SetWeight(5), Pause(8), SetWeight(25), Pause(8), SetWeight(50), Pause(8)),
            router="Nginx",
            scale_down_delay=20,
            abort_scale_down_delay=15,
        ),
    ),
    Spec("pay", "invoices", "registry.local/invoices:v1", 4, Canary((SetWeight(25), Pause(6), SetWeight(50), Pause()))),
)


@dataclass(frozen=True, slots=True)
class Cue:
    """Something to do `at` these seconds of the play."""

    at: float
    act: Callable[[Cluster], None]


def _deploy(namespace: str, name: str, number: int, cluster: Cluster) -> None:
    cluster.deploy(namespace, name, f"registry.local/{name}:v{number + 1}")


def _resume(namespace: str, name: str, _: int, cluster: Cluster) -> None:
    cluster.resume(namespace, name)


def _abort(namespace: str, name: str, _: int, cluster: Cluster) -> None:
    cluster.abort(namespace, name)


def _rollback(namespace: str, name: str, _: int, cluster: Cluster) -> None:
    cluster.rollback(namespace, name)


def _scale(namespace: str, name: str, number: int, cluster: Cluster) -> None:
    cluster.scale(namespace, name, 2 + number % 2 * 2)


SCRIPT: tuple[tuple[float, Callable[[int, Cluster], None]], ...] = (
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
"""What is done in a round: at which second, and what, told which round and in which cluster."""


class Stage:
    """The cluster with its play: `advance` moves both, to the same Unix second."""

    def __init__(self, now: float, *, seed: int = 0, speed: float = SPEED) -> None:
        self.cluster = Cluster(seed, start=now - WARM_UP / speed, speed=speed)
        self._opening, self._speed = now, speed
        self._cues = heapq.merge(_rounds(), _failovers(), key=lambda cue: cue.at)
        self._next = next(self._cues)
        for spec in CAST:
            self.cluster.create(spec)
        self.cluster.advance(now)

    def advance(self, to: float) -> None:
        """Play every cue that is due up to `to`, each at its own time."""
        while (due := self._opening + self._next.at / self._speed) <= to:
            self.cluster.advance(due)
            self._next.act(self.cluster)
            self._next = next(self._cues)
        self.cluster.advance(to)


def _rounds() -> Iterator[Cue]:
    """Play the script for ever, each round with images of its own."""
    for number in count(1):
        for at, act in SCRIPT:
            yield Cue(at + (number - 1) * ROUND, partial(act, number))


def _failovers() -> Iterator[Cue]:
    """End the leading controller from time to time, late enough for a short demo not to see it."""
    for number in count(1):
        yield Cue(number * FAILOVER, Cluster.failover)
