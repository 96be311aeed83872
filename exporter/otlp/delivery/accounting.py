"""Accounting of delivery: every produced point is delivered, rejected, dropped or queued, at every instant (E43)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.otlp.delivery.drop_log import DropLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.storage.model import Drop


_DROPPED: Final = "dropped."
"""Start of the keys of dropped points, by reason. The keys are stored, so they are public."""


_DROP_EVENTS: Final = {
    "expired": "they waited longer than storage.max_age",
    "queue_full": "the queue is full; see storage.max_bytes",
    "damaged": "they cannot be read from storage.directory",
    "shutdown": "they were only in memory; see storage.directory",
}
"""Why queued points were dropped, by reason."""


class DeliveryState(StrEnum):
    """What delivery is doing; the values are public labels of the exporter's own metrics."""

    IDLE = "idle"
    DELIVERING = "delivering"
    RETRYING = "retrying"
    BLOCKED = "holding"
    REFUSED = "refused"


@dataclass(slots=True)
class DeliveryAccounting:
    """Counts of points and requests, from which the exporter's own metrics are collected.

    `requests` counts by HTTP or gRPC status, by the reason why no response came, and as `unsent`. `last_success` is
    when the endpoint last accepted a request (Unix seconds, 0 for never), `last_lag` the age of its points at that
    moment, in seconds. `state_reason` explains the state.
    """

    produced: int = 0
    delivered: int = 0
    rejected: int = 0
    queued: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    warnings: int = 0
    last_success: float = 0.0
    last_lag: float = 0.0
    state: DeliveryState = DeliveryState.IDLE
    state_reason: str = ""
    drop_log: DropLog = field(default_factory=DropLog, compare=False, repr=False)

    def counts(self) -> dict[str, int]:
        """Return the counts that continue after a restart, for `restore`."""
        dropped = {_DROPPED + reason: points for reason, points in self.dropped.items()}
        return {"delivered": self.delivered, "rejected": self.rejected, **dropped}

    def restore(self, counts: Mapping[str, int]) -> None:
        """Add the counts of an earlier process; points that are still queued are counted by `count_enqueued`."""
        self.delivered += counts.get("delivered", 0)
        self.rejected += counts.get("rejected", 0)
        self.dropped.update({key.removeprefix(_DROPPED): n for key, n in counts.items() if key.startswith(_DROPPED)})
        self.produced += sum(counts.values())  # so that the counts balance

    def count_enqueued(self, points: int) -> None:
        """Count points that were produced and are queued now."""
        self.produced += points
        self.queued += points

    def count_acked(self, delivered: int, rejected: int, drops: Iterable[Drop] = ()) -> None:
        """Count the points of a queued request that was acknowledged."""
        self.queued -= delivered + rejected
        self.delivered += delivered
        self.rejected += rejected
        self._subtract(drops)

    def count_dropped(self, drops: Iterable[Drop]) -> None:
        """Count and log queued points that were dropped, before the endpoint decided about them."""
        drops = tuple(drops)
        self._subtract(drops)
        for drop in drops:
            event = f"points dropped: {_DROP_EVENTS.get(drop.reason, drop.reason)}"
            self.drop_log.add(event, drop.points, kind=drop.reason)

    def _subtract(self, drops: Iterable[Drop]) -> None:
        for drop in drops:
            self.queued -= drop.points
            self.dropped[drop.reason] += drop.points

    @property
    def is_balanced(self) -> bool:
        """Whether produced = delivered + rejected + dropped + queued."""
        return self.produced == self.delivered + self.rejected + self.dropped.total() + self.queued
