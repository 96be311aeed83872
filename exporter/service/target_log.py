"""Log events of targets: one for each change of state, never one for each scrape."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from exporter.log import fields
from exporter.self_metrics import OwnMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.metrics import ScrapeResult
    from exporter.self_metrics import SelfMetrics

_log = logging.getLogger(__name__)


class TargetStateLogger:
    """Counts scrapes and parse errors, and logs when a target fails, fails for another reason, or recovers."""

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics
        self._last_states: dict[tuple[str, str, str], str] = {}

    def record(self, results: Sequence[ScrapeResult]) -> None:
        """Record the results of a tick."""
        for result in results:
            self._count(result)
            key = (result.source.value, result.installation, result.target)
            state = _state(result)
            if state != self._last_states.get(key, ""):
                self._last_states[key] = state
                _log_state(result)

    def _count(self, result: ScrapeResult) -> None:
        outcome = result.failure.reason if result.failure is not None else "ok"
        self._self_metrics.add(OwnMetric.SCRAPES, result.source.value, outcome)
        for reason, count in result.parse_errors.items():
            self._self_metrics.add(OwnMetric.PARSE_ERRORS, result.source.value, reason, amount=count)


def _log_state(result: ScrapeResult) -> None:
    target = {"source": result.source.value, "installation": result.installation, "target": result.target}
    if result.failure is not None:
        _log.warning("target failing", extra=fields(**target, reason=result.failure.message))
    elif result.parse_errors:
        lines = ", ".join(f"{count} {reason}" for reason, count in sorted(result.parse_errors.items()))
        hint = "only these lines are dropped; run the command record to save the page for a report"
        _log.warning("page has malformed lines", extra=fields(**target, lines=lines, hint=hint))
    else:
        _log.info("target recovered", extra=fields(**target))


def _state(result: ScrapeResult) -> str:
    """Return the reasons of failures or parse errors, "" if there are none."""
    return result.failure.reason if result.failure is not None else " ".join(sorted(result.parse_errors))
