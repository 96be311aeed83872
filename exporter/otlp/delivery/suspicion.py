"""When a request is suspected to be poison: it fails, while the endpoint accepts others. Pure.

Whether others are accepted is learned from a probe (a request of one own metric) and from the parts of the request
itself, never from later requests, which could overtake a point of the same series.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.otlp.result import Blocked, Retryable

if TYPE_CHECKING:
    from exporter.otlp.result import RequestResult

PROBE_INTERVAL: Final = 60.0
"""Seconds between two probes for one request: in an outage they are an addition to its retries."""


@dataclass(frozen=True, slots=True)
class SuspicionLimits:
    """How many failures, over how many seconds, make a request suspect."""

    failures: int
    seconds: float


SLOW: Final = SuspicionLimits(5, 180.0)
"""For a request, and for parts that are about to be dropped: minutes, so that no outage of a part of the store, and no
overload that spares small requests, costs data."""
REPEATED: Final = SuspicionLimits(3, 0.0)
"""For a request soon after another was poison, and for its bad part if that is small: a series that a store cannot take
is in every snapshot, and three minutes for each would stop delivery."""
PART: Final = SuspicionLimits(1, 0.0)
"""For a part within a bisection: refused parts are divided further, not dropped."""


@dataclass(slots=True)
class FailureHistory:
    """The failures of one request; times are of a monotonic clock, in seconds."""

    limits: SuspicionLimits
    _count: int = field(default=0, init=False)
    _first_at: float = field(default=0.0, init=False)
    _probed_at: float = field(default=float("-inf"), init=False)

    def add(self, result: RequestResult, now: float) -> None:
        """Add a failure, unless its cause cannot be the request."""
        match result:
            case Retryable(throttled=False) | Blocked(unsent=False):
                self._first_at = self._first_at if self._count else now
                self._count += 1

    def should_probe(self, now: float) -> bool:
        """Return whether the request is suspect and a probe is due."""
        is_suspect = self._count >= self.limits.failures and now - self._first_at >= self.limits.seconds
        if is_suspect and now - self._probed_at >= min(PROBE_INTERVAL, self.limits.seconds):
            self._probed_at = now
            return True
        return False
