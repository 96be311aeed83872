"""The results of a soak, as figures and as lines of a report."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.soak.plan import Outage
    from tests.soak.run import SoakRun

MAX_TICK_GAP = 1.5
"""A longer gap between two timestamps (in ticks) means that a tick was skipped."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Delivery after an outage: seconds to the first request, points of the backlog, and seconds until it was empty."""

    outage: Outage
    first_delivery: float
    backlog_points: int
    backlog_seconds: float

    @property
    def rate(self) -> float:
        """Points per second while the backlog was delivered."""
        return self.backlog_points / self.backlog_seconds if self.backlog_seconds else float("inf")


def recoveries(soak: SoakRun) -> Iterator[Recovery]:
    """Yield how delivery resumed after each outage."""
    for outage, returned_at in soak.returns:
        requests = [request for request in soak.ledger.requests if request.received_at >= returned_at]
        backlog = [request for request in requests if request.timestamp < returned_at]
        first = requests[0].received_at if requests else float("inf")
        last = backlog[-1].received_at if backlog else first
        yield Recovery(outage, first - returned_at, sum(request.new_points for request in backlog), last - first)


def live_rate(soak: SoakRun) -> float:
    """Return the points per second produced while an exporter runs."""
    ticks = soak.ledger.ticks
    downtime = sum(end - begin for begin, end in soak.downtimes)
    return len(soak.ledger.produced) / (ticks[-1] - ticks[0] - downtime) if len(ticks) > 1 else 0.0


def missing_ticks(soak: SoakRun, tick_seconds: float) -> Sequence[tuple[float, float]]:
    """Return the gaps (Unix seconds) in which ticks are missing although an exporter ran."""
    gaps = [pair for pair in pairwise(soak.ledger.ticks) if pair[1] - pair[0] > MAX_TICK_GAP * tick_seconds]
    return [(a, b) for a, b in gaps if not any(a <= end and begin <= b for begin, end in soak.downtimes)]


def report_lines(soak: SoakRun, tick: float) -> Iterator[str]:
    """Yield the lines of the report, the summary last."""
    ledger, live = soak.ledger, live_rate(soak)
    for recovery in recoveries(soak):
        symptom = "refused connections" if recovery.outage.refuse_connections else "answered 503"
        yield (
            f"outage of {recovery.outage.end - recovery.outage.begin:.0f} s ({symptom}): "
            f"first delivery {recovery.first_delivery:.2f} s after the return; {recovery.backlog_points:,} queued "
            f"points delivered in {recovery.backlog_seconds:.2f} s, {recovery.rate / live:.0f} x the live rate"
        )
    for begin, end in soak.downtimes:
        surrounding = [pair for pair in pairwise(ledger.ticks) if pair[0] <= end and begin <= pair[1]]
        gap = max((b - a for a, b in surrounding), default=0.0)
        yield f"kill: no exporter for {end - begin:.1f} s, the ticks around it {gap:.1f} s apart"
    missing = len(missing_ticks(soak, tick))
    yield f"live rate {live:,.0f} points/s; {len(ledger.ticks):,} ticks, {missing} gaps outside kills"
    yield f"points out of order {ledger.out_of_order}, unexpected {ledger.unexpected}, unobserved {ledger.unobserved}"
    yield f"dropped or rejected, by the exporter's accounting: {ledger.dropped}"
    yield f"exit status {soak.exit_status}"
    yield ledger.summary()


def passed(soak: SoakRun) -> bool:
    """Return whether no point is missing, out of order or unexpected."""
    ledger = soak.ledger
    unexplained = ledger.unexpected > ledger.unobserved
    return not (ledger.missing or unexplained or ledger.out_of_order or ledger.dropped) and bool(ledger.received)
