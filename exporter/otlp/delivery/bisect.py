"""Bisection of a refused request: which parts to send to isolate its bad points. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNTESTED_WEIGHT: Final = 2
"""An untested span is sent before the next candidate if it is longer than this multiple of it.

An untested span is probably good: sending a long one delivers many points with one request.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span of points that holds a bad one, or is `too_large`: its parts may then be good."""

    span: range
    too_large: bool


class RequestBisector:
    """Chooses the next part to send, so that few points are dropped within a limited number of trials.

    The first half of a bad span is sent. If it is accepted, the fault is in the second half, which is then bisected
    without being sent itself. If it is refused, the second half may be good or bad: it becomes untested, merged with
    the untested span that follows it. So one bad point of 5,000 is isolated within 20 requests, the others delivered.
    """

    def __init__(self, points: int, max_trials: int, *, too_large: bool) -> None:
        self.bad_spans: list[range] = []
        self._trials_left = max_trials
        self._candidates = [Candidate(range(points), too_large)]
        self._untested: list[range] = []
        self._second_half: Candidate | None = None

    def next(self) -> range | None:
        """Return the span to send, None when all is decided; report its result with `accepted` or `refused`."""
        while self._candidates or self._untested:
            untested = max(self._untested, key=len, default=range(0))
            # The longest first: dropped undivided, it would cost the most points.
            candidate = max(self._candidates, key=lambda item: len(item.span), default=None)
            if candidate is None or UNTESTED_WEIGHT * len(candidate.span) < len(untested):
                self._untested.remove(untested)
                self._trials_left -= 1
                return untested
            self._candidates.remove(candidate)
            if first_half := self._halve(candidate):
                return first_half
            self.bad_spans.append(candidate.span)
        return None

    def accepted(self) -> None:
        """Report that the span sent last was accepted."""
        second_half, self._second_half = self._second_half, None
        if second_half is None:
            return
        # Only a bad point must be in one of the halves; halves of a request that was too large may both be good.
        if second_half.too_large or len(second_half.span) == 1:
            self._untested.append(second_half.span)
        else:
            self._candidates.append(second_half)

    def refused(self, sent: range, *, too_large: bool) -> None:
        """Report that the span sent last was refused; `too_large`: for its size."""
        self._candidates.append(Candidate(sent, too_large))
        second_half, self._second_half = self._second_half, None
        if second_half is not None:
            # Merged, it could be too large again.
            self._untested.append(second_half.span if too_large else self._merge_following(second_half.span))

    def _halve(self, candidate: Candidate) -> range | None:
        """Return the first half; None for a single point, or if too few trials are left for both halves."""
        span = candidate.span
        # Each untested span needs a trial of its own.
        if len(span) == 1 or self._trials_left < len(self._untested) + 2:
            return None
        middle = len(span) // 2
        self._trials_left -= 1
        self._second_half = Candidate(span[middle:], candidate.too_large)
        return span[:middle]

    def _merge_following(self, span: range) -> range:
        """Return a span merged with the untested one that follows it."""
        following = next((item for item in self._untested if item.start == span.stop), None)
        if following is None:
            return span
        self._untested.remove(following)
        return range(span.start, following.stop)
