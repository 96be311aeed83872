"""Wald's sequential test of the canary's share of the bad requests: its formula, its lines, its duration. Pure.

Every bad request, given that it happened, belongs to the canary with probability s (the canary's share of the requests)
if canary and stable fail alike, and with r*s / (1 + (r-1)*s) if the canary fails r times as often. The sum of the
logarithms of both probabilities' ratio is the evidence. It may be looked at any number of times: if nothing is wrong,
it ever reaches ln(1 / false alarm) with at most the probability of a false alarm (Ville's inequality).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from typing import Final

SECONDS_PER_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A test against a canary that fails `worse` times as often as the stable revision.

    `false_alarm` is the probability to fail a canary that is no worse, `miss` that to pass one that is.
    """

    worse: float = 2.0
    false_alarm: float = 0.01
    miss: float = 0.05

    @property
    def failure(self) -> float:
        """Return the evidence at which the canary fails."""
        return -log(self.false_alarm)

    @property
    def success(self) -> float:
        """Return the evidence, below 0, at which the canary passes."""
        return log(self.miss)

    def evidence(self, canary_bad: float, stable_bad: float, share: float) -> float:
        """Return the evidence of bad requests in a time in which the canary had a share of the requests."""
        return canary_bad * log(self.worse) - (canary_bad + stable_bad) * log(1 + (self.worse - 1) * share)

    def drift(self, share: float, factor: float) -> float:
        """Return the mean evidence of one bad request if the canary fails `factor` times as often as the stable."""
        canary = factor * share / (1 + (factor - 1) * share)
        return self.evidence(canary, 1 - canary, share)

    def expected_events(self, share: float, factor: float, burst: float = 1.0) -> float:
        """Return the expected number of bad requests until a decision, infinite if the evidence stays near 0.

        `burst` is the dispersion by which the evidence is divided.
        """
        drift = self.drift(share, factor) / burst
        return inf if not drift else (self.failure if drift > 0 else self.success) / drift


@dataclass(frozen=True, slots=True)
class ServiceTraffic:
    """What a service receives: requests per second, the share of bad ones, and their dispersion per minute."""

    requests: float
    bad_share: float
    burst: float = 1.0

    @property
    def bad_per_minute(self) -> float:
        """Return the number of bad requests per minute."""
        return self.requests * self.bad_share * SECONDS_PER_MINUTE


def expected_minutes(test: SequentialTest, traffic: ServiceTraffic, share: float, factor: float) -> float:
    """Return the expected minutes to a decision on a canary with a share of the traffic, infinite for never."""
    # A canary that fails more often adds bad requests of its own.
    per_minute = traffic.bad_per_minute * (1 + (factor - 1) * share)
    events = test.expected_events(share, factor, traffic.burst)
    return events / per_minute if per_minute else inf


def detectable_factor(test: SequentialTest, traffic: ServiceTraffic, share: float, minutes: float) -> float:
    """Return the smallest factor that is found within some minutes on average, infinite if it is above 1,000."""
    low, high = 1.0, 1000.0
    if expected_minutes(test, traffic, share, high) > minutes:
        return inf
    # Between the factors at which the evidence begins to rise and 1,000 the time falls; 40 halvings are exact.
    for _ in range(40):
        middle = (low + high) / 2
        rises = test.drift(share, middle) > 0
        is_detected = rises and expected_minutes(test, traffic, share, middle) <= minutes
        low, high = (low, middle) if is_detected else (middle, high)
    return high
