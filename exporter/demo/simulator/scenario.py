"""The demo's scenario: its rollouts, and the actions on them, in a loop."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from operator import itemgetter

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, RolloutSpec, SetWeight

SPEED = 4.0
"""Seconds of the scenario per second: a loop takes half a minute."""
LOOP_SECONDS = 120.0
WARM_UP_SECONDS = 15.0
FAILOVER_SECONDS = 310.0
"""Seconds between two ends of the leading controller: more than two loops, so that a short demo has none."""

CHECKOUT_STEPS = (SetWeight(20), Pause(12), SetWeight(40), Pause(), SetWeight(60), Pause(10), SetWeight(80), Pause(10))
LEDGER_STEPS = (SetWeight(5), Pause(8), SetWeight(25), Pause(8), SetWeight(50), Pause(8))
LEDGER = CanaryStrategy(LEDGER_STEPS, router="Nginx", scale_down_delay=20, abort_scale_down_delay=15)
HALF_WAY = CanaryStrategy((SetWeight(25), Pause(6), SetWeight(50), Pause()))
ROLLOUTS = (
    RolloutSpec("shop", "checkout", "registry.local/checkout:v1", 10, CanaryStrategy(CHECKOUT_STEPS)),
    RolloutSpec("shop", "search", "registry.local/search:v1", 6, HALF_WAY),
    RolloutSpec("shop", "store", "registry.local/store:v1", 4, BlueGreenStrategy(manual=True, scale_down_delay=20)),
    RolloutSpec("shop", "cart", "registry.local/cart:v1", 2),
    RolloutSpec("pay", "ledger", "registry.local/ledger:v1", 5, LEDGER),
    RolloutSpec("pay", "invoices", "registry.local/invoices:v1", 4, HALF_WAY),
)

ScheduledAction = tuple[float, Callable[[SimulatedCluster], None]]
"""An action on the cluster, and after how many seconds of the scenario it is due."""


def _loop_actions(loop: int) -> tuple[ScheduledAction, ...]:
    """Return the actions of a loop, with seconds since its start; each loop deploys new images."""
    version = f"v{loop + 1}"
    return (
        (2.0, lambda cluster: cluster.deploy("shop", "checkout", f"registry.local/checkout:{version}")),
        (6.0, lambda cluster: cluster.deploy("pay", "ledger", f"registry.local/ledger:{version}")),
        (10.0, lambda cluster: cluster.deploy("shop", "search", f"registry.local/search:{version}")),
        (14.0, lambda cluster: cluster.deploy("pay", "invoices", f"registry.local/invoices:{version}")),
        (18.0, lambda cluster: cluster.deploy("shop", "store", f"registry.local/store:{version}")),
        (34.0, lambda cluster: cluster.abort("shop", "search")),
        (40.0, lambda cluster: cluster.resume("shop", "checkout")),
        (42.0, lambda cluster: cluster.rollback("pay", "invoices")),
        (44.0, lambda cluster: cluster.resume("shop", "store")),
        (70.0, lambda cluster: cluster.scale("shop", "cart", 2 + loop % 2 * 2)),
    )


class Scenario:
    """A cluster and the actions on it; `advance` runs both up to the same time."""

    def __init__(self, now: float, *, seed: int = 0, speed: float = SPEED) -> None:
        self.cluster = SimulatedCluster(seed, start=now - WARM_UP_SECONDS / speed, speed=speed)
        self._started_at, self._speed = now, speed
        self._actions = _all_actions()
        self._next_action = next(self._actions)
        for spec in ROLLOUTS:
            self.cluster.create(spec)
        self.cluster.advance(now)

    def advance(self, to: float) -> None:
        """Run every action that is due up to `to` (Unix seconds), each at its own time."""
        while (due_at := self._started_at + self._next_action[0] / self._speed) <= to:
            self.cluster.advance(due_at)
            self._next_action[1](self.cluster)
            self._next_action = next(self._actions)
        self.cluster.advance(to)


def _all_actions() -> Iterator[ScheduledAction]:
    """Yield the actions of all loops and the ends of the leading controller by due time, without end."""
    loops = ((loop * LOOP_SECONDS + due, run) for loop in count() for due, run in _loop_actions(loop + 1))
    failovers = ((failover * FAILOVER_SECONDS, SimulatedCluster.failover) for failover in count(1))
    return heapq.merge(loops, failovers, key=itemgetter(0))  # both are endless
