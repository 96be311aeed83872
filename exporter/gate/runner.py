"""Drives an analysis run to its end, in real time or through the past: measures what is due, then waits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.gate.analysis_run import AnalysisPlan, AnalysisRunStatus, Measurement, due_metrics, next_time, reconcile
from exporter.gate.simulation import AnalysisRunResult, MeasurementTrace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.gate.provider import MetricEvaluation
    from exporter.gate.template import Metric

    Measure = Callable[[Metric, float], Awaitable[MetricEvaluation]]
    """Measures a metric at a time (Unix seconds)."""
    OnStep = Callable[[AnalysisRunStatus, tuple[MeasurementTrace, ...], float | None], None]
    """Called after each step with the status, the new measurements, and the time when the next metric is due."""


class RealClock:
    """Real time from now on, or `speed` times as fast; in Unix seconds."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._started_at, self._monotonic_start = time.time(), time.monotonic()

    def now(self) -> float:
        """Return the current time."""
        return self._started_at + (time.monotonic() - self._monotonic_start) * self._speed

    async def sleep_until(self, timestamp: float) -> None:
        """Wait for a time."""
        await asyncio.sleep(max(timestamp - self.now(), 0) / self._speed)


class ReplayClock:
    """The past from a start on; waiting advances it at once."""

    def __init__(self, start: float) -> None:
        self._now = start

    def now(self) -> float:
        """Return the current time."""
        return self._now

    async def sleep_until(self, timestamp: float) -> None:
        """Advance to a time."""
        self._now = max(timestamp, self._now)


RunClock = RealClock | ReplayClock


async def run(
    plan: AnalysisPlan,
    measure: Measure,
    clock: RunClock,
    on_step: OnStep,
    max_duration: float | None = None,
    *,
    with_traces: bool = True,
) -> AnalysisRunResult:
    """Run a plan to its end; after `max_duration` seconds it is terminated, as at the end of a rollout's step.

    Without `with_traces` the result has none, so that the memory of a run without an end is bounded.
    """
    status, traces = AnalysisRunStatus(), list[MeasurementTrace]()
    end = float("inf") if max_duration is None else clock.now() + max_duration
    while True:
        now = clock.now()
        plan = replace(plan, terminate=plan.terminate or now >= end)
        due = due_metrics(plan, status, now)
        measured = await asyncio.gather(*(_measure(metric, measure, clock) for metric in due))
        step_traces = tuple(trace for trace, _ in measured)
        measurements = {trace.metric.name: measurement for trace, measurement in measured}
        previous, status = status, reconcile(plan, status, measurements, clock.now())
        traces += step_traces if with_traces else ()
        next_due = next_time(plan, status) if status.completed_at is None else None
        on_step(status, step_traces, next_due)
        if status.completed_at is not None:
            return AnalysisRunResult(status, tuple(traces))
        # Reconcile until nothing changes, as the controller does; only then wait.
        if status == previous:
            await clock.sleep_until(min(end if next_due is None else next_due, end))


async def _measure(metric: Metric, measure: Measure, clock: RunClock) -> tuple[MeasurementTrace, Measurement]:
    started_at = clock.now()
    evaluation = await measure(metric, started_at)
    measurement = Measurement(evaluation.outcome, started_at, clock.now())
    return MeasurementTrace(metric, started_at, evaluation), measurement
