"""The queue: its order, its bounds, its ages, and which bodies it holds in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.storage import StorageLimits
from exporter.storage.clock import RECOVERY_GRACE
from exporter.storage.queue import MAX_LOADED, OVERHEAD
from tests.storage.support import LIMITS, Process, SetClock, request_of, running

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
ROOM_FOR_TWO = StorageLimits(max_bytes=2 * (100 + OVERHEAD), patience=20.0, reserve=0)


@pytest.fixture(params=["memory", "disk"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "disk" else None


async def test_requests_come_out_in_the_order_in_which_they_were_put(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await process.commit(b"1", b"2")
        await process.commit(b"3")
        assert await process.deliver_all() == [b"1", b"2", b"3"]
        assert process.accounting.delivered == 30
        assert process.accounting.is_balanced


async def test_a_request_is_not_sent_before_its_commit(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        process.put(b"1")
        assert await process.storage.queue.peek() is None
        await process.storage.commit()
        assert (await process.storage.queue.peek()) is not None


async def test_the_oldest_requests_are_dropped_when_the_queue_is_full(directory: Path | None) -> None:
    async with running(Process(directory, ROOM_FOR_TWO)) as process:
        await process.commit(b"1" * 100, b"2" * 100, b"3" * 100)
        assert process.storage.queue.bytes <= ROOM_FOR_TWO.max_bytes
        assert process.accounting.dropped == {"queue_full": 10}
        assert await process.deliver_all() == [b"2" * 100, b"3" * 100]


async def test_a_request_larger_than_the_queue_is_dropped_and_counted(directory: Path | None) -> None:
    async with running(Process(directory, ROOM_FOR_TWO)) as process:
        await process.commit(b"1" * 100, b"2" * 500)
        assert process.accounting.dropped == {"queue_full": 10}
        assert await process.deliver_all() == [b"1" * 100]


async def test_a_request_is_dropped_when_it_is_too_old(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await process.commit(b"1")
        process.clock.sleep(LIMITS.max_age - 1)
        await process.commit(b"2")
        process.clock.sleep(2)
        process.storage.queue.expire()
        assert process.accounting.dropped == {"expired": 10}
        assert await process.deliver_all() == [b"2"]


@pytest.mark.parametrize("jump", [-30 * HOUR, 30 * HOUR])
async def test_a_wall_clock_that_is_set_ages_nothing(directory: Path | None, jump: float) -> None:
    async with running(Process(directory)) as process:
        await process.commit(b"1")
        process.clock.wall_time += jump
        await process.commit(b"2")
        process.storage.queue.expire()
        assert process.storage.queue.oldest_age() == 0
        assert await process.deliver_all() == [b"1", b"2"]


@pytest.mark.parametrize("jump", [-30 * HOUR, 30 * HOUR])
async def test_a_wall_clock_that_is_set_while_the_process_is_down_ages_nothing(tmp_path: Path, jump: float) -> None:
    clock = SetClock()
    async with running(Process(tmp_path, clock=clock)) as process:
        await process.commit(b"1")
    clock.wall_time += jump
    clock.boot_time += 5
    async with running(Process(tmp_path, clock=clock)) as process:
        assert process.storage.queue.oldest_age() == 5


async def test_the_age_goes_on_while_the_process_is_down(tmp_path: Path) -> None:
    clock = SetClock()
    async with running(Process(tmp_path, clock=clock)) as process:
        await process.commit(b"1")
    clock.sleep(LIMITS.max_age + 1)
    async with running(Process(tmp_path, clock=clock)) as process:
        process.storage.queue.expire()
        assert process.accounting.dropped == {"expired": 10}


async def test_after_another_boot_recovered_requests_live_for_an_hour_at_least(tmp_path: Path) -> None:
    """Then the wall clock alone measures how long the process was down, and it may be wrong."""
    clock = SetClock()
    async with running(Process(tmp_path, clock=clock)) as process:
        await process.commit(b"1")
    later = SetClock(clock.wall_time + 100 * LIMITS.max_age, boot_time=10.0, boot_id="boot 2")
    async with running(Process(tmp_path, clock=later)) as process:
        later.sleep(RECOVERY_GRACE - 1)
        process.storage.queue.expire()
        assert len(process.storage.queue) == 1
        later.sleep(2)
        process.storage.queue.expire()
        assert len(process.storage.queue) == 0


async def test_a_request_that_was_dropped_while_it_was_sent_is_not_acknowledged(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await process.commit(b"1", b"1")
        request = await process.storage.queue.peek()
        assert request is not None
        process.clock.sleep(LIMITS.max_age + 1)
        process.storage.queue.expire()
        await process.commit(b"1")
        assert not process.storage.queue.is_head(request)
        assert not process.storage.queue.ack(request)
        assert len(process.storage.queue) == 1


async def test_a_backlog_on_disk_is_not_in_memory_and_delivered_in_order(tmp_path: Path) -> None:
    bodies = [bytes([number]) * (MAX_LOADED // 4) for number in range(12)]
    async with running(Process(tmp_path)) as process:
        for body in bodies:
            await process.commit(body)
        entries = process.storage.queue._entries.values()
        assert sum(entry.size for entry in entries if entry.request is not None) <= MAX_LOADED
        assert await process.deliver_all() == bodies


async def test_what_is_only_in_memory_is_lost_with_the_process_and_counted() -> None:
    process = Process(None)
    await process.commit(b"1", b"2")
    assert process.close() == 20
    assert process.close() == 20  # a second signal closes it, too
    assert process.accounting.dropped == {"shutdown": 20}


async def test_cleared_requests_are_counted_and_gone_at_the_next_start(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(b"1", b"2")
        assert process.storage.queue.clear() == 20
    process = Process(tmp_path)
    assert process.accounting.dropped == {"cleared": 20}
    assert len(process.storage.queue) == 0
    process.close()


async def test_numbers_never_repeat(tmp_path: Path) -> None:
    numbers: list[int] = []
    for _ in range(3):
        async with running(Process(tmp_path)) as process:
            await process.commit(b"1", b"2")
            numbers += process.storage.queue._entries
            await process.deliver_all()
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_a_request_that_was_put_twice_is_delivered_twice(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        request = request_of(b"1")
        process.storage.queue.put(request)
        process.storage.queue.put(request)
        await process.storage.commit()
        assert await process.deliver_all() == [b"1", b"1"]
