"""The controller processes: who is up, who leads, and what each has counted since it started."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import NEVER, Key

if TYPE_CHECKING:
    from random import Random

TAKEOVER = (15.3, 20.2)
"""Seconds from a leader's end until somebody else leads: the lease runs out first (observed.md §3.2)."""
CLEANUP = 65.0
"""Seconds until a deleted rollout's counters go, even those of one that took its name meanwhile."""
RECONCILE_BOUNDS = (0.01, 0.15, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Event:
    """What rollout_events_total counts by."""

    key: Key
    reason: str
    warning: bool


@dataclass(slots=True)
class Timing:
    """A histogram's state: how often, how long in sum, and how often within each of RECONCILE_BOUNDS."""

    count: int = 0
    total: float = 0.0
    within: list[int] = field(default_factory=lambda: [0] * len(RECONCILE_BOUNDS))

    def observe(self, seconds: float) -> None:
        """Take one duration."""
        self.count += 1
        self.total += seconds
        for place, bound in enumerate(RECONCILE_BOUNDS):
            self.within[place] += seconds <= bound


@dataclass(slots=True)
class Tally:
    """What one process has counted; a rollout is `known` once this process has looked at it, as a leader does."""

    known: set[Key] = field(default_factory=set)
    events: Counter[Event] = field(default_factory=Counter)
    errors: Counter[Key] = field(default_factory=Counter)
    reconciles: dict[Key, Timing] = field(default_factory=dict)
    notifications: dict[Key, Timing] = field(default_factory=dict)
    cleanups: list[tuple[float, Key]] = field(default_factory=list)

    def forget(self, now: float) -> None:
        """Drop the counters of rollouts deleted long enough ago."""
        for when, key in [one for one in self.cleanups if one[0] <= now]:
            self.cleanups.remove((when, key))
            self.events = Counter({one: count for one, count in self.events.items() if one.key != key})
            del self.errors[key]
            self.reconciles.pop(key, None)
            self.notifications.pop(key, None)


@dataclass(slots=True)
class Controller:
    """One controller process: up since `started` (NEVER: down), leading or standing by."""

    name: str
    started: float
    leads: bool = False
    returns: float = NEVER
    tally: Tally = field(default_factory=Tally)

    @property
    def up(self) -> bool:
        """Whether the process runs."""
        return self.started < NEVER


class Controllers:
    """The controllers of one installation and their lease: at most one of them leads."""

    def __init__(self, names: tuple[str, ...], now: float, chance: Random) -> None:
        self._chance = chance
        self.members = {name: Controller(name, now) for name in names}
        self.members[names[0]].leads = True
        self._free_from = NEVER

    @property
    def leader(self) -> Controller | None:
        """Who leads, if anyone does."""
        return next((one for one in self.members.values() if one.leads), None)

    def kill(self, name: str, now: float, *, returns: float = NEVER) -> None:
        """End a process; its lease runs out only later, however it ended."""
        one = self.members[name]
        if one.leads:
            self._free_from = now + self._chance.uniform(*TAKEOVER)
        self.members[name] = Controller(name, NEVER, returns=returns)

    def start(self, name: str, now: float) -> None:
        """Start a process that is down, with nothing counted; it stands by until the lease is free."""
        if not self.members[name].up:
            self.members[name] = Controller(name, now)

    def next_change(self) -> float:
        """Say when a process comes back, the lease passes on, or counters are dropped."""
        moments = [one.returns for one in self.members.values()]
        moments += [when for one in self.members.values() for when, _ in one.tally.cleanups]
        if any(one.up for one in self.members.values()):
            moments.append(self._free_from)
        return min(moments)

    def settle(self, now: float) -> Controller | None:
        """Bring the processes to `now`; return a controller that has just begun to lead."""
        for one in list(self.members.values()):
            one.tally.forget(now)
            if one.returns <= now:
                self.start(one.name, now)
        heir = min((one for one in self.members.values() if one.up), key=lambda one: one.started, default=None)
        if self._free_from > now or heir is None:
            return None
        self._free_from, heir.leads = NEVER, True
        return heir
