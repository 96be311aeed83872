"""The queue in memory is bounded, and the accounting balances after every operation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.storage.model import Drop, QueuedRequest


def request_of(size: int = 10, points: int = 3, timestamp: float = 0.0) -> QueuedRequest:
    return QueuedRequest(b"x" * size, points, timestamp)


def test_requests_are_returned_in_order() -> None:
    queue = MemoryQueue(100, 60)
    requests = [request_of(points=i) for i in range(3)]
    for request in requests:
        assert queue.put(request, 0) == ()
    for request in requests:
        assert queue.peek() is request
        assert queue.ack(request)
    assert (queue.peek(), len(queue), queue.bytes, queue.points) == (None, 0, 0, 0)


def test_the_oldest_request_is_dropped_when_the_queue_is_full() -> None:
    queue = MemoryQueue(25, 60)
    for points in (1, 2):
        queue.put(request_of(points=points), 0)
    assert queue.put(request_of(points=4), 0) == (Drop("queue_full", 1),)
    assert (queue.points, queue.bytes) == (6, 20)


def test_a_request_larger_than_the_queue_is_dropped() -> None:
    queue = MemoryQueue(25, 60)
    assert queue.put(request_of(size=26), 0) == (Drop("queue_full", 3),)
    assert len(queue) == 0


def test_requests_that_are_too_old_expire() -> None:
    queue = MemoryQueue(100, 60)
    for timestamp in (0.0, 30.0):
        queue.put(request_of(timestamp=timestamp), timestamp)
    assert queue.oldest_age(60) == 60
    assert queue.expire(60) == ()
    assert queue.expire(61) == (Drop("expired", 3),)
    assert queue.put(request_of(timestamp=91), 91) == (Drop("expired", 3),)
    assert len(queue) == 1


def test_a_dropped_request_cannot_be_acknowledged() -> None:
    queue = MemoryQueue(10, 60)
    first, second = request_of(), request_of()
    queue.put(first, 0)
    queue.put(second, 0)
    assert not queue.ack(first)
    assert queue.peek() is second


def test_close_returns_the_remaining_points() -> None:
    queue = MemoryQueue(100, 60)
    assert queue.close() == ()
    queue.put(request_of(), 0)
    assert queue.close() == (Drop("shutdown", 3),)
    assert (len(queue), queue.points, queue.bytes) == (0, 0, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "ack", "expire"]), st.integers(0, 30), st.integers(0, 5)), max_size=50
)


@given(STEPS)
def test_the_accounting_balances_after_every_step(steps: list[tuple[str, int, int]]) -> None:
    queue, accounting, now = MemoryQueue(60, 20), DeliveryAccounting(), 0.0
    for step, size, points in steps:
        now += points
        oldest = queue.peek()
        if step == "put":
            accounting.count_enqueued(points)
            accounting.count_dropped(queue.put(request_of(size, points, now), now))
        elif step == "expire":
            accounting.count_dropped(queue.expire(now))
        elif oldest and queue.ack(oldest):
            rejected = oldest.points // 3
            accounting.count_acked(oldest.points - rejected, 0, [Drop("http_400", rejected)])
        assert accounting.is_balanced
        assert accounting.queued == queue.points
        assert queue.bytes <= 60
