"""Whatever is done to it, killed between any two steps or not, a spool is a list that forgets from the front."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otlp.spool import SpoolLimits
from exporter.otlp.spool.record import OVERHEAD

from .harness import NOW, Kept, record

if TYPE_CHECKING:
    from exporter.otlp.delivery.queue import QueuedRequest

MOST, AGE = 3000, 60.0
BOUNDS = SpoolLimits(MOST, AGE, min_segment=700)


@dataclass
class Model:
    """What should wait, and what became of the rest."""

    waiting: list[QueuedRequest] = field(default_factory=list)
    delivered: int = 0
    full: int = 0
    expired: int = 0

    def shift(self) -> int:
        return self.waiting.pop(0).points

    def expire(self, now: float) -> None:
        while self.waiting and now - self.waiting[0].timestamp > AGE:
            self.expired += self.shift()

    def put(self, one: QueuedRequest, now: float) -> None:
        self.expire(now)
        while sum(len(other.body) + OVERHEAD for other in [*self.waiting, one]) > MOST:
            self.full += self.shift()
        self.waiting.append(one)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(8, 900)),
        st.tuples(st.sampled_from(["take", "expire", "sync", "reopen", "kill", "take and kill"]), st.integers(0, 30)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_a_spool_is_a_list(steps: list[tuple[str, int]]) -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        _walk(directory, steps)
    finally:
        shutil.rmtree(directory)


def _walk(directory: Path, steps: list[tuple[str, int]]) -> None:
    kept, model, now = Kept(directory, BOUNDS, "never"), Model(), NOW
    for number, (step, size) in enumerate(steps):
        now += size / 10
        match step:
            case "put":
                one = record(number, size, now)
                kept.put_record(one, now)
                model.put(one, now)
            case "take":
                kept.take(1)
                model.delivered += model.shift() if model.waiting else 0
            case "expire":
                kept.expire(now)
                model.expire(now)
            case "sync":
                kept.sync()
            case _:
                kept = _again(kept, step)
        _compare(kept, model)
    kept.die()


def _again(kept: Kept, step: str) -> Kept:
    """End a process and begin another; one that is killed before the cursor is put down delivers again."""
    if step == "take and kill" and (head := kept.spool.peek()) is not None:
        kept.acknowledge(head)
    if step == "reopen":
        kept.close()
    else:
        kept.die()
    return Kept(kept.directory, BOUNDS, "never")


def _compare(kept: Kept, model: Model) -> None:
    spool, books = kept.spool, kept.books
    assert [entry.header.timestamp for entry in spool._stored] == [one.timestamp for one in model.waiting]
    assert [entry.read() for entry in spool._stored] == model.waiting
    assert spool.peek() == (model.waiting[0] if model.waiting else None)
    assert (len(spool), spool.points) == (len(model.waiting), sum(one.points for one in model.waiting))
    assert spool.bytes == sum(len(one.body) + OVERHEAD for one in model.waiting) <= MOST
    assert books.is_balanced
    assert books.queued == spool.points
    assert (books.delivered, books.rejected) == (model.delivered, 0)
    assert books.dropped.get("queue_full", 0) == model.full
    assert books.dropped.get("expired", 0) == model.expired
    assert books.dropped.get("damaged", 0) == 0
    assert kept.spool.degraded_reason == ""
