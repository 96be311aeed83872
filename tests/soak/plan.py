"""Plan a soak: when the backend goes down and returns, and when the exporter is killed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RETURN_MARGIN = 5.0
"""Seconds around the return of the backend without a kill: the time to the first delivery is measured there."""


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage from `begin` to `end` (seconds of the soak): the backend refuses connections, or answers 503."""

    begin: float
    end: float
    refuse_connections: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The duration of a soak in seconds, its outages, and the times of its kills."""

    seconds: float
    outages: Sequence[Outage]
    kills: Sequence[float]


def plan(seconds: float, outages: int, kills: int, seed: int) -> Plan:
    """Spread outages of about a third of the time evenly; kill alternately within an outage and between two."""
    rng = random.Random(seed)
    share = seconds / max(outages, 1)
    begins = [(number + rng.uniform(0.25, 0.35)) * share for number in range(outages)]
    planned = [
        Outage(begin, begin + share / 3, refuse_connections=number % 2 == 0) for number, begin in enumerate(begins)
    ]
    kill_times = [_kill_time(planned, number, share, rng) for number in range(kills)]
    return Plan(seconds, planned, sorted(kill_times))


def _kill_time(outages: Sequence[Outage], number: int, share: float, rng: random.Random) -> float:
    """Return the time of a kill: within an outage for even numbers, well after its end for odd ones."""
    if not outages:
        return share * rng.uniform(0.2, 0.8)
    outage = outages[number % len(outages)]
    if number % 2 == 0:
        return rng.uniform(outage.begin + 1.0, max(outage.end - RETURN_MARGIN, outage.begin + 2.0))
    return outage.end + RETURN_MARGIN + rng.uniform(0.0, 0.1) * share
