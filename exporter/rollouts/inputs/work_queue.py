"""A controller's page → whether a reconciliation goes on: what it has counted is written to the status at its end."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.metrics import ScrapeResult

_RUNNING: Final = "workqueue_longest_running_processor_seconds"
_ADDED: Final = "workqueue_adds_total"
_WAITING: Final = "workqueue_depth"
_WORKED: Final = "workqueue_work_duration_seconds"
REQUIRED_FAMILIES: Final = frozenset({_RUNNING, _ADDED, _WAITING, _WORKED})
_USUAL_SECONDS: Final = 0.1
"""A reconciliation takes 10 to 70 ms; one that sends notifications may take seconds."""
_SLOW_SECONDS: Final = 1.0
_SLOW_SHARE: Final = 0.01
"""Where more than one reconciliation of a hundred takes longer than a second, one that has just begun may, too."""


def reconciling_since(result: ScrapeResult, now: float) -> float | None:
    """Return when the longest reconciliation of rollouts began that is not over at a scrape (Unix seconds).

    Infinity if all are over, None if the page does not show it. The gauge of how long it has run is updated twice a
    second; the counters show at once whether any goes on.
    """
    running = next(_of_rollouts(result, _RUNNING), None)
    if running is None or not isfinite(running):
        return None
    worked, slow = _durations(result)
    added, waiting = (next(_of_rollouts(result, name), 0.0) for name in (_ADDED, _WAITING))
    if added - waiting - worked <= 0:
        return inf
    if running > _USUAL_SECONDS:
        return now - running
    return now if slow > worked * _SLOW_SHARE else inf


def _of_rollouts(result: ScrapeResult, name: str) -> Iterator[float]:
    return (value for series, value in result.samples(name) if series.label("name") == "Rollouts")


def _durations(result: ScrapeResult) -> tuple[float, float]:
    """Return how many reconciliations are over, and how many of them took longer than `_SLOW_SECONDS`."""
    count = usual = 0.0
    for series, value in result.samples(_WORKED):
        if series.label("name") == "Rollouts":
            count = value if series.name.endswith("_count") else count
            usual = value if series.label("le") in ("1", "1.0") else usual
    return count, count - usual
