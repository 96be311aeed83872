"""How fast the queue fills and points are delivered, from a few minutes of figures, one for each cycle."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY_SECONDS: Final = 600.0
"""Long enough that the sawtooth of cycles and drains evens out, short enough to follow an outage."""
RATE_SECONDS: Final = 60.0
"""The span of the rate of delivery; of longer intervals, the last two cycles."""
BACKLOG_SECONDS: Final = 60.0
"""A queue whose oldest request is younger is not filling up: it is drained after each cycle."""


class _Figures(NamedTuple):
    timestamp: float
    queue_bytes: int
    delivered: int


class DeliveryTrend:
    """The figures of the last minutes; a clock that is set back starts it again."""

    def __init__(self) -> None:
        self._figures: deque[_Figures] = deque()

    def observe(self, now: float, queue_bytes: int, delivered: int) -> None:
        """Add the figures after a cycle (`now`, Unix seconds)."""
        if self._figures and now < self._figures[-1].timestamp:
            self._figures.clear()
        self._figures.append(_Figures(now, queue_bytes, delivered))
        while len(self._figures) > 2 and self._figures[0].timestamp < now - MEMORY_SECONDS:  # noqa: PLR2004 - a span has two ends
            self._figures.popleft()

    def points_per_second(self) -> float | None:
        """Return the delivered points per second of the last minute, None before the second cycle."""
        if len(self._figures) < 2:  # noqa: PLR2004 - a span has two ends
            return None
        last = self._figures[-1]
        recent = [figures for figures in self._figures if figures.timestamp >= last.timestamp - RATE_SECONDS]
        first = recent[0] if len(recent) > 1 else self._figures[-2]
        return _slope(first, last, first.delivered, last.delivered)

    def seconds_until_full(self, limit: int, oldest_age: float) -> float | None:
        """Return when the queue reaches its limit (bytes) at the rate at which it fills, None if it does not grow."""
        figures: Sequence[_Figures] = self._figures
        if len(figures) < 2 or oldest_age < BACKLOG_SECONDS:  # noqa: PLR2004 - a span has two ends
            return None
        first = next(each for each in figures if each.timestamp >= figures[-1].timestamp - oldest_age)
        growth = _slope(first, figures[-1], first.queue_bytes, figures[-1].queue_bytes)
        return max(limit - figures[-1].queue_bytes, 0) / growth if growth > 0 else None


def _slope(first: _Figures, last: _Figures, before: int, after: int) -> float:
    seconds = last.timestamp - first.timestamp
    return max(after - before, 0) / seconds if seconds > 0 else 0.0
