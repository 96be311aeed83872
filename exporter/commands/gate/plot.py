"""Draws the values of a gate's metrics over time as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.gate.simulation import MeasurementTrace

HEIGHT, WIDTH = 12, 64
"""Rows and columns of a plot: it fits a terminal of 80 columns with its scale."""
POINT, SUCCESS_LINE, FAILURE_LINE = "o", "-", "="
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Inf)")
_THRESHOLD: Final = re.compile(r"(?:result(?:\[0\])?|#)\s*(?:[<>]=?)\s*([-+]?\d+\.?\d*(?:e[-+]?\d+)?)")


@dataclass(frozen=True, slots=True)
class PlottedMetric:
    """The values of a metric (Unix seconds, number), and the numbers with which its conditions compare them."""

    name: str
    points: tuple[tuple[float, float], ...]
    success: tuple[float, ...] = ()
    failure: tuple[float, ...] = ()


def plotted_metrics(traces: Sequence[MeasurementTrace]) -> Iterator[PlottedMetric]:
    """Yield the metrics of a run that have a number to draw."""
    by_name = sorted(traces, key=lambda trace: trace.metric.name)
    for name, group in groupby(by_name, key=lambda trace: trace.metric.name):
        measured = list(group)
        points = tuple(
            (trace.measured_at, value)
            for trace in measured
            if (value := _first_number(trace.evaluation.outcome.value)) is not None
        )
        if points:
            metric = measured[0].metric
            yield PlottedMetric(
                name, points, _thresholds(metric.success_condition), _thresholds(metric.failure_condition)
            )


def _first_number(text: str) -> float | None:
    match = _NUMBER.search(text)
    number = float(match[0]) if match else float("nan")
    return number if isfinite(number) else None


def _thresholds(condition: str) -> tuple[float, ...]:
    return tuple(float(number) for number in _THRESHOLD.findall(condition))


def plot_lines(plotted: PlottedMetric) -> Iterator[str]:
    """Yield the lines of a plot: a point for each measurement, `-` at the success and `=` at the failure line."""
    numbers = [*(value for _, value in plotted.points), *plotted.success, *plotted.failure]
    low, high = min(numbers), max(numbers)
    low, high = (low - 1, high + 1) if low == high else (low, high)
    rows = [[" "] * WIDTH for _ in range(HEIGHT)]

    def row(value: float) -> int:
        return round((high - value) / (high - low) * (HEIGHT - 1))

    for levels, line in ((plotted.success, SUCCESS_LINE), (plotted.failure, FAILURE_LINE)):
        for level in levels:
            rows[row(level)] = [line] * WIDTH
    start, end = plotted.points[0][0], plotted.points[-1][0]
    for timestamp, value in plotted.points:
        column = round((timestamp - start) / (end - start) * (WIDTH - 1)) if end > start else 0
        rows[row(value)][column] = POINT
    marks = {row(value): f"{value:.3g}" for value in (low, high, *plotted.success, *plotted.failure)}
    yield plotted.name
    for index, cells in enumerate(rows):
        yield f"{marks.get(index, ''):>9} |{''.join(cells)}".rstrip()
    yield f"{'':9} +{'-' * WIDTH}"
    yield f"{'':11}{_clock(start)}{_clock(end):>{WIDTH - 5}}"


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%H:%M")
