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

MAX_PROBE_INTERVAL: Final = 60.0
"""Seconds between two probes for one request: in an outage they are an addition to its retries."""


@dataclass(frozen=True, slots=True)
class SuspicionLimits:
    """How many failures, over how many seconds, with how many accepted probes in between, make a request poison."""

    failures: int
    seconds: float
    probes: int

    @property
    def probe_interval(self) -> float:
        """Seconds between two probes."""
        return min(MAX_PROBE_INTERVAL, self.seconds)


SLOW: Final = SuspicionLimits(5, 180.0, 3)
"""For a request, and for parts that are about to be dropped: minutes, so that no outage of a part of the store, and no
overload that spares small requests, costs data."""
REPEATED: Final = SuspicionLimits(3, 0.0, 3)
"""For a request soon after another was poison, and for its bad part if that is small: a series that a store cannot take
is in every snapshot, and three minutes for each would stop delivery."""
PART: Final = SuspicionLimits(1, 0.0, 1)
"""For a part within a bisection: refused parts are divided further, not dropped."""


@dataclass(slots=True)
class FailureHistory:
    """The failures of one request while probes are accepted; times are of a monotonic clock, in seconds."""

    limits: SuspicionLimits
    _failures: int = field(default=0, init=False)
    _probes: int = field(default=0, init=False)
    _first_at: float = field(default=0.0, init=False)
    _probed_at: float = field(default=0.0, init=False)

    def add(self, result: RequestResult, now: float) -> None:
        """Add a failure, unless its cause cannot be the request."""
        match result:
            case Retryable(throttled=False) | Blocked(unsent=False):
                if not self._failures:
                    self._first_at = self._probed_at = now
                self._failures += 1

    def should_probe(self, now: float) -> bool:
        """Return whether a probe is due."""
        return self._failures > 0 and now - self._probed_at >= self.limits.probe_interval

    def add_probe(self, now: float, *, accepted: bool) -> bool:
        """Add the result of a probe; return whether the request is poison.

        If the endpoint accepts nothing, the failures so far are no evidence: the history starts again.
        """
        self._probed_at = now
        self._probes = self._probes + 1 if accepted else 0
        self._failures = self._failures if accepted else 0
        limits, seconds = self.limits, now - self._first_at
        return self._failures >= limits.failures and self._probes >= limits.probes and seconds >= limits.seconds
