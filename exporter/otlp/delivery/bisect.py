"""The search for what is wrong with a refused request, by sending parts of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 2
"""How many times as long as the part to be searched next the rest must be, to be sent before it."""


@dataclass(frozen=True, slots=True)
class Span:
    """The points of a request from `first` to before `end`."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Suspect:
    """A span that was refused, or must be what was; `large`: for its size, so that its parts may be taken."""

    span: Span
    large: bool


class Search:
    """Says which part to send next, so that few points are lost within so many probes.

    Of a span with a fault the first half is sent: when it is taken, the fault is in the other, which need not be sent
    whole; when it is refused, nothing is known of the other, which waits, joined with what waits beside it. So one bad
    point among 5,000 is found, and all others delivered, within 20 probes.
    """

    def __init__(self, points: int, probes: int, *, large: bool) -> None:
        self.lost: list[Span] = []
        self._probes = probes
        self._suspects = [Suspect(Span(0, points), large)]
        self._unknown: list[Span] = []
        self._other: Suspect | None = None

    def next(self) -> Span | None:
        """Return what to send, of which `taken` or `refused` must then be told; None when the search is over."""
        while self._suspects or self._unknown:
            rest = max(self._unknown, key=len, default=Span(0, 0))
            suspect = max(self._suspects, key=lambda one: len(one.span), default=None)
            if suspect is None or PATIENCE * len(suspect.span) < len(rest):
                self._unknown.remove(rest)
                self._probes -= 1
                return rest
            self._suspects.remove(suspect)
            if first := self._halve(suspect):
                return first
            self.lost.append(suspect.span)
        return None

    def taken(self) -> None:
        """Say that what was sent last was taken."""
        other, self._other = self._other, None
        if other is None:
            return
        if other.large or len(other.span) == 1:
            self._unknown.append(other.span)
        else:
            self._suspects.append(other)

    def refused(self, sent: Span, *, large: bool) -> None:
        """Say that what was sent last was refused; `large`: for its size."""
        self._suspects.append(Suspect(sent, large))
        other, self._other = self._other, None
        if other is not None:
            self._unknown.append(other.span if large else self._joined(other.span))

    def _halve(self, suspect: Suspect) -> Span | None:
        """Return the first half, None for a single point or when too few probes are left for both halves."""
        span = suspect.span
        if len(span) == 1 or self._probes < len(self._unknown) + 2:
            return None
        middle = (span.first + span.end) // 2
        self._probes -= 1
        self._other = Suspect(Span(middle, span.end), suspect.large)
        return Span(span.first, middle)

    def _joined(self, span: Span) -> Span:
        """Return a span together with the one that waits after it."""
        after = next((one for one in self._unknown if one.first == span.end), None)
        if after is None:
            return span
        self._unknown.remove(after)
        return Span(span.first, after.end)
