"""Log of lost points and samples: one line a minute for each event, with the sum since the previous line."""

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
    """Logs what was lost, counted in a `unit`; `now` is a monotonic clock, as the other may be set back."""

    now: Callable[[], float] = time.monotonic
    unit: str = "points"
    _last_logged: dict[str, float] = field(default_factory=dict, init=False)
    _unlogged: Counter[str] = field(default_factory=Counter, init=False)

    def add(self, event: str, count: int, level: int = logging.ERROR, **fields: object) -> None:
        """Count what an event lost; log the sum unless the event was logged within LOG_INTERVAL."""
        self._unlogged[event] += count
        now = self.now()
        if now >= self._last_logged.get(event, float("-inf")) + LOG_INTERVAL:
            _log.log(level, event, extra=log.fields(**{self.unit: self._unlogged.pop(event)}, **fields))
            self._last_logged[event] = now
