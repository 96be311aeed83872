"""A spool behaves like a bounded list, whatever the sequence of operations, kills and restarts."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otlp.spool import SpoolLimits
from exporter.otlp.spool.record import OVERHEAD

from .harness import NOW, SpoolHarness, request_for

if TYPE_CHECKING:
    from exporter.storage.model import QueuedRequest

MAX_BYTES, MAX_AGE = 3000, 60.0
LIMITS = SpoolLimits(MAX_BYTES, MAX_AGE, min_segment=700)


@dataclass
class Model:
    """The pending requests, and the counts of the others."""

    pending: list[QueuedRequest] = field(default_factory=list)
    delivered: int = 0
    overflowed: int = 0
    expired: int = 0

    def pop(self) -> int:
        return self.pending.pop(0).points

    def expire(self, now: float) -> None:
        while self.pending and now - self.pending[0].timestamp > MAX_AGE:
            self.expired += self.pop()

    def put(self, request: QueuedRequest, now: float) -> None:
        self.expire(now)
        while sum(len(other.body) + OVERHEAD for other in [*self.pending, request]) > MAX_BYTES:
            self.overflowed += self.pop()
        self.pending.append(request)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(8, 900)),
        st.tuples(st.sampled_from(["take", "expire", "sync", "reopen", "kill", "take and kill"]), st.integers(0, 30)),
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_a_spool_behaves_like_a_bounded_list(steps: list[tuple[str, int]]) -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        _run_steps(directory, steps)
    finally:
        shutil.rmtree(directory)


def _run_steps(directory: Path, steps: list[tuple[str, int]]) -> None:
    harness, model, now = SpoolHarness(directory, LIMITS, "never"), Model(), NOW
    for number, (step, size) in enumerate(steps):
        now += size / 10
        match step:
            case "put":
                request = request_for(number, size, now)
                harness.put_request(request, now)
                model.put(request, now)
            case "take":
                harness.deliver(1)
                model.delivered += model.pop() if model.pending else 0
            case "expire":
                harness.expire(now)
                model.expire(now)
            case "sync":
                harness.sync()
            case _:
                harness = _restart(harness, step)
        _compare(harness, model)
    harness.kill()


def _restart(harness: SpoolHarness, step: str) -> SpoolHarness:
    """End a process and start another; one that is killed before the checkpoint is written delivers again."""
    if step == "take and kill" and (head := harness.spool.peek()) is not None:
        harness.ack(head)
    if step == "reopen":
        harness.close()
    else:
        harness.kill()
    return SpoolHarness(harness.directory, LIMITS, "never")


def _compare(harness: SpoolHarness, model: Model) -> None:
    spool, accounting = harness.spool, harness.accounting
    assert [stored.header.timestamp for stored in spool._stored] == [request.timestamp for request in model.pending]
    assert [stored.read() for stored in spool._stored] == model.pending
    assert spool.peek() == (model.pending[0] if model.pending else None)
    assert (len(spool), spool.points) == (len(model.pending), sum(request.points for request in model.pending))
    assert spool.bytes == sum(len(request.body) + OVERHEAD for request in model.pending) <= MAX_BYTES
    assert accounting.is_balanced
    assert accounting.queued == spool.points
    assert (accounting.delivered, accounting.rejected) == (model.delivered, 0)
    assert accounting.dropped.get("queue_full", 0) == model.overflowed
    assert accounting.dropped.get("expired", 0) == model.expired
    assert accounting.dropped.get("damaged", 0) == 0
    assert harness.spool.degraded_reason == ""
