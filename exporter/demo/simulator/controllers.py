"""The controller processes: which are up, which one leads, and the counters of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import NEVER, ObjectKey

if TYPE_CHECKING:
    from random import Random

TAKEOVER_SECONDS = (15.3, 20.2)
"""Seconds from a leader's end until another process leads, as measured: its lease must expire first."""
CLEANUP_SECONDS = 65.0
"""Seconds until a deleted rollout's counters are removed, also those of a new rollout of the same name."""
RECONCILE_BOUNDS = (0.01, 0.15, 0.25, 0.5, 1.0)


EventKey = tuple[ObjectKey, str]
"""What a series of rollout_events_total counts: the rollout and the reason, which also decides the type."""


@dataclass(slots=True)
class DurationHistogram:
    """State of a histogram: count, sum (seconds), and cumulative count for each of RECONCILE_BOUNDS."""

    count: int = 0
    total: float = 0.0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * len(RECONCILE_BOUNDS))

    def observe(self, seconds: float) -> None:
        """Add a duration (seconds)."""
        self.count += 1
        self.total += seconds
        for index, bound in enumerate(RECONCILE_BOUNDS):
            self.bucket_counts[index] += seconds <= bound

    def count_up_to(self, seconds: float) -> int:
        """Return how many durations are at most so long, as far as the buckets show it."""
        counts = (count for bound, count in zip(RECONCILE_BOUNDS, self.bucket_counts, strict=True) if bound <= seconds)
        return self.count if seconds > RECONCILE_BOUNDS[-1] else max(counts, default=0)


@dataclass(slots=True)
class ControllerCounters:
    """The counters of one process; `observed_rollouts` are those that it has reconciled as the leader."""

    observed_rollouts: set[ObjectKey] = field(default_factory=set)
    events: Counter[EventKey] = field(default_factory=Counter)
    errors: Counter[ObjectKey] = field(default_factory=Counter)
    reconciles: dict[ObjectKey, DurationHistogram] = field(default_factory=dict)
    notifications: dict[ObjectKey, DurationHistogram] = field(default_factory=dict)
    cleanups: list[tuple[float, ObjectKey]] = field(default_factory=list)

    def observe_reconcile(self, key: ObjectKey, seconds: float) -> None:
        """Count a reconciliation that is over."""
        self.reconciles.setdefault(key, DurationHistogram()).observe(seconds)

    def drop_deleted(self, now: float) -> None:
        """Remove the counters of rollouts whose clean-up is due."""
        for time, key in [cleanup for cleanup in self.cleanups if cleanup[0] <= now]:
            self.cleanups.remove((time, key))
            self.events = Counter({event: count for event, count in self.events.items() if event[0] != key})
            del self.errors[key]
            self.reconciles.pop(key, None)
            self.notifications.pop(key, None)


@dataclass(slots=True)
class SimulatedController:
    """A controller process: up since `started_at` (NEVER: down), leader or standby."""

    name: str
    started_at: float
    is_leader: bool = False
    restarts_at: float = NEVER
    counters: ControllerCounters = field(default_factory=ControllerCounters)

    @property
    def is_up(self) -> bool:
        """Whether the process is running."""
        return self.started_at < NEVER


class ControllerGroup:
    """The controllers of one installation and their lease: at most one of them leads."""

    def __init__(self, names: tuple[str, ...], now: float, random: Random) -> None:
        self._random = random
        self.by_name = {name: SimulatedController(name, now) for name in names}
        self.by_name[names[0]].is_leader = True
        self._lease_free_at = NEVER

    @property
    def leader(self) -> SimulatedController | None:
        """The controller that leads, if any."""
        return next((controller for controller in self.by_name.values() if controller.is_leader), None)

    def kill(self, name: str, now: float, *, restarts_at: float = NEVER) -> None:
        """End a process. Its lease expires only later: the controller does not release it even on SIGTERM."""
        controller = self.by_name[name]
        if controller.is_leader:
            self._lease_free_at = now + self._random.uniform(*TAKEOVER_SECONDS)
        self.by_name[name] = SimulatedController(name, NEVER, restarts_at=restarts_at)

    def start(self, name: str, now: float) -> None:
        """Start a process that is down, with empty counters; it is a standby until the lease is free."""
        if not self.by_name[name].is_up:
            self.by_name[name] = SimulatedController(name, now)

    def next_change(self) -> float:
        """Return when a process restarts, the lease is taken, or counters are removed."""
        times = [controller.restarts_at for controller in self.by_name.values()]
        times += [time for controller in self.by_name.values() for time, _ in controller.counters.cleanups]
        if any(controller.is_up for controller in self.by_name.values()):
            times.append(self._lease_free_at)
        return min(times)

    def advance(self, now: float) -> SimulatedController | None:
        """Advance the processes to `now`; return the controller that has just become the leader, if any."""
        for controller in list(self.by_name.values()):
            controller.counters.drop_deleted(now)
            if controller.restarts_at <= now:
                self.start(controller.name, now)
        running = [controller for controller in self.by_name.values() if controller.is_up]
        if self._lease_free_at > now or not running:
            return None
        successor = min(running, key=lambda controller: controller.started_at)
        self._lease_free_at, successor.is_leader = NEVER, True
        return successor
