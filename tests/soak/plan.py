"""When the backend dies and returns, and when the exporter is killed: some of it within outages."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RETURN = 5.0
"""Seconds around a backend's return in which nobody is killed: how soon deliveries go on is measured there."""


@dataclass(frozen=True, slots=True)
class Outage:
    """From and until when (seconds of the soak) the backend is dead: it refuses connections, or answers 503."""

    begin: float
    end: float
    refusing: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A soak of so many seconds."""

    seconds: float
    outages: Sequence[Outage]
    kills: Sequence[float]


def plan(seconds: float, outages: int, kills: int, seed: int) -> Plan:
    """Spread outages of about a third of the time evenly; kill by turns within an outage and between two."""
    chance = random.Random(seed)
    share = seconds / max(outages, 1)
    dead = [
        Outage(begin := (number + chance.uniform(0.25, 0.35)) * share, begin + share / 3, refusing=number % 2 == 0)
        for number in range(outages)
    ]
    killed = [_moment(dead, number, share, chance) for number in range(kills)]
    return Plan(seconds, dead, sorted(killed))


def _moment(outages: Sequence[Outage], number: int, share: float, chance: random.Random) -> float:
    """Return when the kill of this number is: amid an outage for even numbers, well after its end for odd ones."""
    if not outages:
        return share * chance.uniform(0.2, 0.8)
    outage = outages[number % len(outages)]
    if number % 2 == 0:
        return chance.uniform(outage.begin + 1.0, max(outage.end - RETURN, outage.begin + 2.0))
    return outage.end + RETURN + chance.uniform(0.0, 0.1) * share
