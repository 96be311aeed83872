"""Log of lost points: one line a minute for each event, with the sum since the previous line."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter import log

if TYPE_CHECKING:
    from collections.abc import Callable

_log: Final = logging.getLogger(__name__)

LOG_INTERVAL: Final = 60.0
"""Minimum seconds between two lines of one event: a broken backend must not flood the log."""


@dataclass(slots=True)
class DropLog:
    """Logs lost points; `now` is a monotonic clock in seconds, since the wall clock may be set back for hours."""

    now: Callable[[], float] = time.monotonic
    _last_logged: dict[str, float] = field(default_factory=dict, init=False)
    _unlogged_points: Counter[str] = field(default_factory=Counter, init=False)

    def add(self, event: str, points: int, level: int = logging.ERROR, **fields: object) -> None:
        """Count lost points of an event; log them unless the event was logged within LOG_INTERVAL."""
        self._unlogged_points[event] += points
        now = self.now()
        if now >= self._last_logged.get(event, float("-inf")) + LOG_INTERVAL:
            _log.log(level, event, extra=log.fields(points=self._unlogged_points.pop(event), **fields))
            self._last_logged[event] = now
