"""The books of delivery: each point made is delivered, rejected, dropped or still queued, at every instant (E43)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.otlp.delivery.queue import Loss


class State(StrEnum):
    """What delivery is doing."""

    IDLE = "idle"
    DELIVERING = "delivering"
    RETRYING = "retrying"
    HOLDING = "holding"
    REFUSED = "refused"


@dataclass(slots=True)
class DeliveryAccounting:
    """What became of the points; telemetry reads it whenever it is asked.

    `requests` counts by HTTP or gRPC status, by why no answer came, and as `unsent`; `last_success` is when the
    endpoint last took a request (Unix seconds, 0 for never) and `lag` how long its points had been under way then, in
    seconds. `why` says what the state comes of.
    """

    made: int = 0
    delivered: int = 0
    rejected: int = 0
    queued: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    warnings: int = 0
    last_success: float = 0.0
    lag: float = 0.0
    state: State = State.IDLE
    why: str = ""

    def resume(self, delivered: int, rejected: int, dropped: Mapping[str, int]) -> None:
        """Go on from what an earlier process had booked; what still waits is entered besides."""
        self.delivered += delivered
        self.rejected += rejected
        self.dropped.update(dropped)
        self.made += delivered + rejected + sum(dropped.values())

    def enter(self, points: int) -> None:
        """Book points that were made and now wait."""
        self.made += points
        self.queued += points

    def settle(self, delivered: int, rejected: int, losses: Iterable[Loss] = ()) -> None:
        """Book what became of points that waited."""
        self.queued -= delivered + rejected
        self.delivered += delivered
        self.rejected += rejected
        self.lose(losses)

    def lose(self, losses: Iterable[Loss]) -> None:
        """Book points that waited and were given up."""
        for loss in losses:
            self.queued -= loss.points
            self.dropped[loss.reason] += loss.points

    @property
    def balanced(self) -> bool:
        """Whether made = delivered + rejected + dropped + queued."""
        return self.made == self.delivered + self.rejected + self.dropped.total() + self.queued
