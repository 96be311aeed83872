"""The history of transitions: numbered, filtered, bounded; the same in memory and on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.storage import CycleCommit, StorageLimits, TransitionRecord
from exporter.storage.directory import DATABASE_FILE
from exporter.storage.history import HistoryUnreadableError
from tests.storage.support import LIMITS, WALL_TIME, Process, SetClock, running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0


@pytest.fixture(params=["memory", "disk"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "disk" else None


def record_of(number: int, kind: str = "started", name: str = "cart", age: float = 0.0) -> TransitionRecord:
    return TransitionRecord(WALL_TIME - age, "shop", name, kind, b'{"number": %d}' % number)


async def add(process: Process, *records: TransitionRecord) -> None:
    await process.storage.commit(CycleCommit(transitions=records))


async def test_transitions_are_numbered_in_order_and_read_oldest_first(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await add(process, record_of(1), record_of(2))
        await add(process, record_of(3))
        records = await process.storage.history.read()
        assert records == [replace(record_of(number), sequence=number) for number in (1, 2, 3)]


async def test_the_limit_leaves_the_newest(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await add(process, *map(record_of, range(10)))
        records = await process.storage.history.read(limit=3)
        assert [record.sequence for record in records] == [8, 9, 10]


async def test_transitions_are_filtered_by_rollout_type_time_and_number(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await add(process, record_of(1, age=50), record_of(2, "promoted"), record_of(3, name="pay"), record_of(4))
        history = process.storage.history
        assert [record.sequence for record in await history.read(name="cart")] == [1, 2, 4]
        assert [record.sequence for record in await history.read(namespace="shop", types=["promoted"])] == [2]
        assert [record.sequence for record in await history.read(since=WALL_TIME - 10)] == [2, 3, 4]
        assert [record.sequence for record in await history.read(after=2, types=["started", "promoted"])] == [3, 4]
        assert await history.read(namespace="other") == []


async def test_numbers_go_on_after_a_restart_and_history_is_still_there(tmp_path: Path) -> None:
    clock = SetClock()
    async with running(Process(tmp_path, clock=clock)) as process:
        await add(process, record_of(1))
        since = process.storage.history.held_since
    clock.sleep(100)
    async with running(Process(tmp_path, clock=clock)) as process:
        await add(process, record_of(2))
        assert [record.sequence for record in await process.storage.history.read()] == [1, 2]
        assert process.storage.history.held_since == since


async def test_history_in_memory_begins_with_the_process() -> None:
    async with running(Process(None)) as process:
        assert process.storage.history.held_since == WALL_TIME


async def test_old_transitions_are_deleted(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        await add(process, record_of(1, age=6.9 * DAY), record_of(2))
        process.clock.sleep(DAY / 2)
        await add(process, record_of(3))
        await wait_for_sequences(process, [2, 3])


async def test_history_is_bounded_in_bytes(directory: Path | None) -> None:
    limits = StorageLimits(patience=20.0, reserve=0, history_bytes=len(record_of(1).body) * 5)
    async with running(Process(directory, limits)) as process:
        await add(process, *(record_of(number, age=-number) for number in range(1, 9)))
        await wait_for_sequences(process, [4, 5, 6, 7, 8])
        await wait_until(lambda: process.storage.history.held_since == WALL_TIME + 4)


async def test_history_is_held_since_its_limit_at_most(directory: Path | None) -> None:
    async with running(Process(directory)) as process:
        process.clock.sleep(8 * DAY)
        assert process.storage.history.held_since == process.clock.wall_time - 7 * DAY


async def wait_for_sequences(process: Process, sequences: list[int]) -> None:
    end = time.monotonic() + 20
    while [record.sequence for record in await process.storage.history.read()] != sequences:
        assert time.monotonic() < end
        await process.storage.commit()
        await asyncio.sleep(0.05)


async def test_transitions_that_are_not_on_disk_yet_are_read_too(tmp_path: Path) -> None:
    async with running(Process(tmp_path, replace(LIMITS, patience=0.1))) as process:
        await add(process, record_of(1))
        with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            await add(process, record_of(2))
            assert process.storage.degraded_reason
            assert [record.sequence for record in await process.storage.history.read()] == [1, 2]
        await wait_until(lambda: not process.storage.degraded_reason)
        assert [record.sequence for record in await process.storage.history.read()] == [1, 2]
        assert not process.storage.history._recent


async def test_a_disk_that_cannot_be_read_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await add(process, record_of(1))
        process.storage.history._config = replace(process.storage.history._config, directory=tmp_path / "elsewhere")
        with pytest.raises(HistoryUnreadableError, match=r"storage\.directory"):
            await process.storage.history.read()
