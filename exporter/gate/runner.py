"""Drives a run here and now, or through the past: measures what is due and waits, until it has ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from exporter.gate.analysis_run import Measurement, Plan, Status, assessed, due, next_time
from exporter.gate.simulation import Simulation, Told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.gate.provider import Judged
    from exporter.gate.template import Metric

    Ask = Callable[[Metric, float], Awaitable[Judged]]
    """Measures a metric at a time (Unix seconds)."""
    See = Callable[[Status, tuple[Told, ...], float | None], None]
    """Is shown the status after each step, what was just measured, and when something is due next."""


class Clock(Protocol):
    """The time of a trial, in Unix seconds."""

    def now(self) -> float:
        """Return the time."""

    async def until(self, at: float) -> None:
        """Wait for a time."""


class Present:
    """Time as it passes, or `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._began, self._began_here = time.time(), time.monotonic()

    def now(self) -> float:
        """Return the time."""
        return self._began + (time.monotonic() - self._began_here) * self._speed

    async def until(self, at: float) -> None:
        """Wait for a time."""
        await asyncio.sleep(max(at - self.now(), 0) / self._speed)


class Past:
    """Time from a moment on, which passes only by being waited for."""

    def __init__(self, start: float) -> None:
        self._now = start

    def now(self) -> float:
        """Return the time."""
        return self._now

    async def until(self, at: float) -> None:
        """Go to a time at once."""
        self._now = max(at, self._now)


async def attempt(plan: Plan, ask: Ask, clock: Clock, see: See, longest: float | None = None) -> Simulation:
    """Run a plan to its end; after `longest` seconds it is terminated, as at the end of a rollout's step."""
    status, told = Status(), list[Told]()
    end = float("inf") if longest is None else clock.now() + longest
    while True:
        now = clock.now()
        plan = replace(plan, terminate=plan.terminate or now >= end)
        taken = await asyncio.gather(*(_taken(metric, ask, clock) for metric in due(plan, status, now)))
        before = status
        measured = {one.metric.name: measurement for one, measurement in taken}
        status = assessed(plan, status, measured, clock.now())
        told += (one for one, _ in taken)
        following = next_time(plan, status) if status.completed is None else None
        see(status, tuple(one for one, _ in taken), following)
        if status.completed is not None:
            return Simulation(status, tuple(told))
        if status == before:
            await clock.until(min(end if following is None else following, end))


async def _taken(metric: Metric, ask: Ask, clock: Clock) -> tuple[Told, Measurement]:
    started = clock.now()
    found = await ask(metric, started)
    return Told(metric, started, found), Measurement(found.outcome, started, clock.now())
