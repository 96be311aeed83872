"""The controller processes: who is up, who leads, and what each has counted since it started."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import NEVER, ObjectKey

if TYPE_CHECKING:
    from random import Random

TAKEOVER_SECONDS = (15.3, 20.2)
"""Seconds from a leader's end until somebody else leads: the lease runs out first (observed.md §3.2)."""
CLEANUP_SECONDS = 65.0
"""Seconds until a deleted rollout's counters go, even those of one that took its name meanwhile."""
RECONCILE_BOUNDS = (0.01, 0.15, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class EventKey:
    """What rollout_events_total counts by."""

    key: ObjectKey
    reason: str
    warning: bool


@dataclass(slots=True)
class DurationHistogram:
    """A histogram's state: how often, how long in sum, and how often within each of RECONCILE_BOUNDS."""

    count: int = 0
    total: float = 0.0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * len(RECONCILE_BOUNDS))

    def observe(self, seconds: float) -> None:
        """Take one duration."""
        self.count += 1
        self.total += seconds
        for place, bound in enumerate(RECONCILE_BOUNDS):
            self.bucket_counts[place] += seconds <= bound


@dataclass(slots=True)
class ControllerCounters:
    """What one process has counted; a rollout is `known` once this process has looked at it, as a leader does."""

    observed_rollouts: set[ObjectKey] = field(default_factory=set)
    events: Counter[EventKey] = field(default_factory=Counter)
    errors: Counter[ObjectKey] = field(default_factory=Counter)
    reconciles: dict[ObjectKey, DurationHistogram] = field(default_factory=dict)
    notifications: dict[ObjectKey, DurationHistogram] = field(default_factory=dict)
    cleanups: list[tuple[float, ObjectKey]] = field(default_factory=list)

    def drop_deleted(self, now: float) -> None:
        """Drop the counters of rollouts deleted long enough ago."""
        for when, key in [one for one in self.cleanups if one[0] <= now]:
            self.cleanups.remove((when, key))
            self.events = Counter({one: count for one, count in self.events.items() if one.key != key})
            del self.errors[key]
            self.reconciles.pop(key, None)
            self.notifications.pop(key, None)


@dataclass(slots=True)
class SimulatedController:
    """One controller process: up since `started` (NEVER: down), leading or standing by."""

    name: str
    started_at: float
    is_leader: bool = False
    restarts_at: float = NEVER
    counters: ControllerCounters = field(default_factory=ControllerCounters)

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
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
        """Who leads, if anyone does."""
        return next((one for one in self.by_name.values() if one.is_leader), None)

    def kill(self, name: str, now: float, *, restarts_at: float = NEVER) -> None:
        """End a process; its lease runs out only later, however it ended."""
        one = self.by_name[name]
        if one.is_leader:
            self._lease_free_at = now + self._random.uniform(*TAKEOVER_SECONDS)
        self.by_name[name] = SimulatedController(name, NEVER, restarts_at=restarts_at)

    def start(self, name: str, now: float) -> None:
        """Start a process that is down, with nothing counted; it stands by until the lease is free."""
        if not self.by_name[name].is_up:
            self.by_name[name] = SimulatedController(name, now)

    def next_change(self) -> float:
        """Say when a process comes back, the lease passes on, or counters are dropped."""
        moments = [one.restarts_at for one in self.by_name.values()]
        moments += [when for one in self.by_name.values() for when, _ in one.counters.cleanups]
        if any(one.is_up for one in self.by_name.values()):
            moments.append(self._lease_free_at)
        return min(moments)

    def advance(self, now: float) -> SimulatedController | None:
        """Bring the processes to `now`; return a controller that has just begun to lead."""
        for one in list(self.by_name.values()):
            one.counters.drop_deleted(now)
            if one.restarts_at <= now:
                self.start(one.name, now)
        heir = min((one for one in self.by_name.values() if one.is_up), key=lambda one: one.started_at, default=None)
        if self._lease_free_at > now or heir is None:
            return None
        self._lease_free_at, heir.is_leader = NEVER, True
        return heir
