"""What a soak came to, in figures and in lines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.soak.course import Course
    from tests.soak.plan import Outage

LATE = 1.5
"""How many ticks may lie between two before one is said not to have been made."""


@dataclass(frozen=True, slots=True)
class Return:
    """How deliveries went on after an outage: seconds to the first, points that had waited, and seconds for those."""

    outage: Outage
    first: float
    points: int
    seconds: float

    @property
    def rate(self) -> float:
        """Return the points a second at which the backlog came."""
        return self.points / self.seconds if self.seconds else float("inf")


def returns(course: Course) -> Iterator[Return]:
    """Say how deliveries went on after each outage."""
    for outage, at in course.returned:
        after = [one for one in course.ledger.requests if one.at >= at]
        waited = [one for one in after if one.said < at]
        first = after[0].at if after else float("inf")
        last = waited[-1].at if waited else first
        yield Return(outage, first - at, sum(one.fresh for one in waited), last - first)


def live_rate(course: Course) -> float:
    """Return the points a second that are made while all is well."""
    ticks = course.ledger.ticks
    away = sum(end - begin for begin, end in course.without)
    return len(course.ledger.made) / (ticks[-1] - ticks[0] - away) if len(ticks) > 1 else 0.0


def lapses(course: Course, tick: float) -> Sequence[tuple[float, float]]:
    """Return where ticks are missing though an exporter ran, in Unix seconds."""
    gaps = [pair for pair in pairwise(course.ledger.ticks) if pair[1] - pair[0] > LATE * tick]
    return [(a, b) for a, b in gaps if not any(a <= end and begin <= b for begin, end in course.without)]


def lines(course: Course, tick: float) -> Iterator[str]:
    """Tell all, the ledger's own line last."""
    ledger, live = course.ledger, live_rate(course)
    for one in returns(course):
        how = "refused connections" if one.outage.refusing else "answered 503"
        yield (
            f"outage of {one.outage.end - one.outage.begin:.0f} s ({how}): first delivery {one.first:.2f} s after the "
            f"return; {one.points:,} points that waited came in {one.seconds:.2f} s, {one.rate / live:.0f} x live"
        )
    for begin, end in course.without:
        near = [pair for pair in pairwise(ledger.ticks) if pair[0] <= end and begin <= pair[1]]
        gap = max((b - a for a, b in near), default=0.0)
        yield f"kill: no exporter for {end - begin:.1f} s, the ticks around it {gap:.1f} s apart"
    lapsed = len(lapses(course, tick))
    yield f"live rate {live:,.0f} points/s; {len(ledger.ticks):,} ticks, {lapsed} lapses beside kills"
    yield f"order: {ledger.disorder} violations; invented {ledger.invented}; unseen by the witness {ledger.unseen}"
    yield f"the spool's own books: {ledger.mark}"
    yield f"exit status {course.status}"
    yield ledger.line()


def whole(course: Course) -> bool:
    """Say whether nothing is missing, out of order, or from nowhere."""
    ledger = course.ledger
    fabled = ledger.invented > ledger.unseen
    return not (ledger.missing or fabled or ledger.disorder or ledger.dropped) and bool(ledger.came)
