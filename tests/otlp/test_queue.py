"""The queue in memory is bounded, and the books balance whatever happens to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.queue import Drop, MemoryQueue, QueuedRequest


def record(size: int = 10, points: int = 3, at: float = 0.0) -> QueuedRequest:
    return QueuedRequest(b"x" * size, points, at)


def test_requests_are_returned_in_order() -> None:
    queue = MemoryQueue(100, 60)
    records = [record(points=i) for i in range(3)]
    for one in records:
        assert queue.put(one, 0) == ()
    for one in records:
        assert queue.peek() is one
        assert queue.ack(one)
    assert (queue.peek(), len(queue), queue.bytes, queue.points) == (None, 0, 0, 0)


def test_the_oldest_request_is_dropped_when_the_queue_is_full() -> None:
    queue = MemoryQueue(25, 60)
    for points in (1, 2):
        queue.put(record(points=points), 0)
    assert queue.put(record(points=4), 0) == (Drop("queue_full", 1),)
    assert (queue.points, queue.bytes) == (6, 20)


def test_a_request_larger_than_the_queue_is_dropped() -> None:
    queue = MemoryQueue(25, 60)
    assert queue.put(record(size=26), 0) == (Drop("queue_full", 3),)
    assert len(queue) == 0


def test_requests_that_are_too_old_expire() -> None:
    queue = MemoryQueue(100, 60)
    for at in (0.0, 30.0):
        queue.put(record(at=at), at)
    assert queue.oldest_age(60) == 60
    assert queue.expire(60) == ()
    assert queue.expire(61) == (Drop("expired", 3),)
    assert queue.put(record(at=91), 91) == (Drop("expired", 3),)
    assert len(queue) == 1


def test_a_dropped_request_cannot_be_acknowledged() -> None:
    queue = MemoryQueue(10, 60)
    first, second = record(), record()
    queue.put(first, 0)
    queue.put(second, 0)
    assert not queue.ack(first)
    assert queue.peek() is second


def test_close_returns_the_remaining_points() -> None:
    queue = MemoryQueue(100, 60)
    assert queue.close() == ()
    queue.put(record(), 0)
    assert queue.close() == (Drop("shutdown", 3),)
    assert (len(queue), queue.points, queue.bytes) == (0, 0, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "settle", "expire"]), st.integers(0, 30), st.integers(0, 5)), max_size=50
)


@given(STEPS)
def test_the_accounting_balances_after_every_step(steps: list[tuple[str, int, int]]) -> None:
    queue, books, now = MemoryQueue(60, 20), DeliveryAccounting(), 0.0
    for step, size, points in steps:
        now += points
        head = queue.peek()
        if step == "put":
            books.count_enqueued(points)
            books.count_dropped(queue.put(record(size, points, now), now))
        elif step == "expire":
            books.count_dropped(queue.expire(now))
        elif head and queue.ack(head):
            lost = head.points // 3
            books.count_acked(head.points - lost, 0, [Drop("http_400", lost)])
        assert books.is_balanced
        assert books.queued == queue.points
        assert queue.bytes <= 60
