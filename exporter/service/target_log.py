"""What of the targets is worth a line in the log: one for each change, never one for each scrape."""

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
_Who = tuple[str, str, str]


class Notices:
    """Counts scrapes and malformed lines, and says when a target fails, fails otherwise, or is well again."""

    def __init__(self, telemetry: SelfMetrics) -> None:
        self._telemetry = telemetry
        self._said: dict[_Who, str] = {}

    def take(self, pages: Sequence[ScrapeResult]) -> None:
        """Take the pages of a tick."""
        for page in pages:
            self._count(page)
            who = (page.source.value, page.installation, page.target)
            before, now = self._said.get(who, ""), _state(page)
            if before != now:
                self._said[who] = now
                self._say(page, well=not now)

    def _count(self, page: ScrapeResult) -> None:
        result = page.failure.reason if page.failure is not None else "ok"
        self._telemetry.add(OwnMetric.SCRAPES, page.source.value, result)
        for reason, count in page.parse_errors.items():
            self._telemetry.add(OwnMetric.MALFORMED, page.source.value, reason, amount=count)

    def _say(self, page: ScrapeResult, *, well: bool) -> None:
        who = {"source": page.source.value, "installation": page.installation, "target": page.target}
        if well:
            _log.info("target is well again", extra=fields(**who))
        elif page.failure is not None:
            _log.warning("target fails", extra=fields(**who, why=page.failure.message))
        else:
            lines = ", ".join(f"{count} {reason}" for reason, count in sorted(page.parse_errors.items()))
            cure = "each costs itself alone; the command record keeps the page for a report"
            _log.warning("page has lines that are no exposition", extra=fields(**who, lines=lines, cure=cure))


def _state(page: ScrapeResult) -> str:
    """Say in a word what ails a page, "" when nothing does."""
    return page.failure.reason if page.failure is not None else " ".join(sorted(page.parse_errors))
