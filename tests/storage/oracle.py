"""The conservation oracle: what was issued, committed and delivered; nothing is lost, invented or repeated.

A point is its series and its time. Use it for anything between a producer and a store: `issue` before points are handed
over, `commit` when their cycle is committed, `deliver` for each request that a store accepts, `acknowledge` when the
acknowledgement of that is committed, a method for each fault; at the end `check`. The first violation raises an
AssertionError. `events` counts the faults, so that a run can prove that it tested.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    PointId = tuple[Hashable, float]
    """A point: its series and its time."""


class Accounting(Protocol):
    """The counts of points, as `DeliveryAccounting` has them."""

    produced: int
    delivered: int
    rejected: int
    queued: int
    dropped: Counter[str]


@dataclass(slots=True)
class ConservationOracle:
    """What happened so far.

    With `durable=False` something is in memory only: a kill may lose it, or repeat what it acknowledged.
    """

    events: Counter[str] = field(default_factory=Counter)
    issued: dict[PointId, object] = field(default_factory=dict)
    committed: set[PointId] = field(default_factory=set)
    finished: set[PointId] = field(default_factory=set)
    """Delivered or rejected."""
    _in_memory: set[PointId] = field(default_factory=set)
    _open: set[PointId] = field(default_factory=set)
    """Finished, and the acknowledgement is not committed."""
    _acknowledged_in_memory: set[PointId] = field(default_factory=set)
    _repeatable: set[PointId] = field(default_factory=set)
    _uncounted: set[PointId] = field(default_factory=set)
    """Finished, and the accounting may have forgotten it: before a kill, or before its counts began anew."""
    _unreadable: set[PointId] = field(default_factory=set)
    _last_time: dict[Hashable, float] = field(default_factory=dict)

    def issue(self, points: Mapping[PointId, object]) -> None:
        """Note points with their values; whether they arrive is open until `commit`."""
        assert not (again := points.keys() & self.issued.keys()), f"issued twice by the test: {_some(again)}"
        self.issued.update(points)

    def commit(self, points: Collection[PointId], *, durable: bool = True) -> None:
        """Note that a cycle is committed: from now on its points must arrive."""
        self.committed.update(points)
        if durable:
            self._in_memory.clear()  # one commit takes everything before it along
            self._acknowledged_in_memory.clear()
        else:
            self._in_memory.update(points)

    def deliver(self, points: Mapping[PointId, object]) -> None:
        """Note a request, or a part of one, that the store accepted."""
        invented = [point for point, value in points.items() if self.issued.get(point, self) != value]
        assert not invented, f"delivered but not issued, or with another value: {_some(invented)}"
        repeated = points.keys() & self.finished
        assert not (wrong := repeated - self._repeatable), f"delivered twice: {_some(wrong)}"
        self.events["repeat"] += bool(repeated)
        new = points.keys() - repeated - self._unreadable
        late = [(series, time) for series, time in new if time <= self._last_time.get(series, float("-inf"))]
        assert not late, f"out of order: {_some(late)}"
        self._last_time.update(new)
        self._finish(points)

    def reject(self, points: Collection[PointId]) -> None:
        """Note points that the store refused for good; an acknowledgement follows as after a delivery."""
        self._finish(points)

    def _finish(self, points: Collection[PointId]) -> None:
        self.finished.update(points)
        self._open.update(points)
        self._repeatable.difference_update(points)

    def acknowledge(self, *, durable: bool = True) -> None:
        """Note that the acknowledgement of the last request is committed: it must not be sent again."""
        if durable:
            self._uncounted -= self._open
            self._in_memory.clear()
            self._acknowledged_in_memory.clear()
        else:
            self._acknowledged_in_memory |= self._open
        self._repeatable -= self._open
        self._open.clear()

    def lose_answer(self) -> None:
        """Note that the answer to the last delivery did not arrive: it is sent again."""
        self.events["lost answer"] += 1
        self._repeatable |= self._open

    def kill(self, synced: ConservationOracle | None = None) -> None:
        """Note a kill: what was in memory only may be gone, and the last request, if open, comes again.

        At a loss of power all that happened since `synced` may be undone.
        """
        self.events["kill"] += 1
        forgotten = self._open | self._acknowledged_in_memory
        if synced:
            forgotten |= self.finished - (synced.finished - synced._open)
            self.committed &= synced.committed
        self._repeatable |= forgotten
        self._uncounted |= forgotten
        self.committed -= self._in_memory
        for points in (self._open, self._in_memory, self._acknowledged_in_memory):
            points.clear()

    def start_unreadable(self) -> None:
        """Note a start that can read neither the queue, which then follows later points, nor the counts."""
        self._unreadable = self.issued.keys() - self.finished
        self._uncounted |= self.finished

    def missing(self) -> set[PointId]:
        """Return the committed points that were neither delivered nor rejected so far."""
        return self.committed - self.finished

    def check(self, accounting: Accounting, *, may_drop: bool = False, must_see: Collection[str] = ()) -> None:
        """Check the end of a run, with an empty queue: nothing lost, the books equal, the faults happened."""
        assert not (unseen := {name for name in must_see if not self.events[name]}), f"not tested: {unseen}"
        dropped, lost, uncounted = accounting.dropped.total(), self.missing(), len(self._uncounted)
        assert may_drop or not (lost or dropped), f"missing {_some(lost)}; {accounting}"
        issued_only = len(self.issued.keys() - self.committed - self.finished) if may_drop else 0
        assert len(lost) <= dropped <= len(lost) + uncounted + issued_only, f"missing {_some(lost)}; {accounting}"
        arrived = accounting.delivered + accounting.rejected
        assert len(self.finished) - uncounted <= arrived <= len(self.finished), f"{len(self.finished)}; {accounting}"
        assert accounting.produced == arrived + dropped, accounting
        assert accounting.queued == 0, accounting


def _some(points: Collection[PointId]) -> str:
    return f"{len(points)} points, such as {sorted(points, key=str)[:3]}"
