"""What earlier stores of this exporter got wrong under attack (FAULTS.md), on the storage of today."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.storage.life import LIMITS, Life, Record, hurry
from tests.storage.shim import Fault, Kind, Shim

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.storage.model import Fsync

CYCLES = 40
preloaded = pytest.mark.preloaded


def fill(directory: Path, cycles: int) -> Record:
    """Return the record of a life that ended with nearly all of its requests queued."""
    record = Record()
    life = Life(directory, record.add)

    async def live() -> None:
        await life.start()
        for cycle in range(1, cycles + 1):
            await life.put(cycle)
        await life.send()

    asyncio.run(live())
    assert life.close() == 0
    record.end()
    return record


@pytest.fixture
def backlog(tmp_path: Path) -> Record:
    return fill(tmp_path, CYCLES)


@pytest.mark.parametrize("kinds", [Kind.READ, Kind.READ | Kind.CHANGE])
@preloaded
@pytest.mark.slow
def test_numbers_do_not_repeat_after_a_life_that_could_not_read_the_disk(
    backlog: Record, tmp_path: Path, kinds: Kind
) -> None:
    """Requests of that life are in memory, and lost with it; those on disk are delivered, none of them twice."""
    shim = Shim()
    shim.start(tmp_path)
    shim.fault(kinds, Fault.FAIL)
    life = Life(tmp_path, backlog.add)

    async def live() -> None:
        await life.start()
        for cycle in range(CYCLES + 1, CYCLES + 10):
            assert not await life.put(cycle)
            await life.send()

    asyncio.run(live())
    shim.fault(Kind.CHANGE, Fault.FREEZE)
    life.close()
    backlog.oracle.kill()
    shim.start(tmp_path)
    backlog.check_end(tmp_path)


@preloaded
@pytest.mark.slow
def test_two_seconds_of_read_errors_drop_nothing(tmp_path: Path) -> None:
    """The queue is larger than the cache of SQLite, and than what the queue reads ahead."""
    shim = Shim()
    shim.start(tmp_path)
    record = fill(tmp_path, 1500)
    life = Life(tmp_path, record.add)

    async def live() -> None:
        await life.start()
        shim.fault(Kind.READ, Fault.FAIL)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            await life.send()
        assert shim.end_fault() > 1
        assert life.storage.degraded_reason
        while life.storage.queue.points:
            await life.send()
            await asyncio.sleep(0)

    asyncio.run(live())
    assert life.close() == 0
    record.oracle.check(life.accounting)


@preloaded
@pytest.mark.slow
@pytest.mark.parametrize("fsync", ["always", "interval"])
def test_a_slow_fsync_delays_neither_a_cycle_nor_the_event_loop_nor_the_end(tmp_path: Path, fsync: Fsync) -> None:
    """Each fsync takes three seconds; patience is 0.2 s."""
    hurry()
    shim, record = Shim(), Record()
    shim.start(tmp_path)
    life = Life(tmp_path, record.add, fsync, replace(LIMITS, patience=0.2))
    delays: list[float] = []

    async def live() -> None:
        await life.start()
        await life.put(1)
        shim.fault(Kind.SYNC, Fault.DELAY, number=3000)
        ticker = asyncio.create_task(note_delays(delays))
        for cycle in range(2, 8):
            began = time.monotonic()
            await life.put(cycle)
            assert time.monotonic() - began < 0.7
            await asyncio.sleep(0.1)
        ticker.cancel()

    asyncio.run(live())
    assert shim.hits
    assert max(delays) < 0.15
    began = time.monotonic()
    life.storage.close(0.5)
    assert time.monotonic() - began < 1.5


async def note_delays(delays: list[float]) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.005)
        delays.append(time.monotonic() - began - 0.005)


@pytest.mark.parametrize("damage", [b"", b"x" * 8192, None])
def test_a_lost_or_damaged_file_of_positions_sends_nothing_again(
    backlog: Record, tmp_path: Path, damage: bytes | None
) -> None:
    (ledger,) = (path for path in tmp_path.iterdir() if "ledger" in path.name)
    if damage is None:
        ledger.unlink()
    else:
        ledger.write_bytes(damage)
    backlog.check_end(tmp_path)


def test_stray_files_hide_and_change_nothing(backlog: Record, tmp_path: Path) -> None:
    stray = (
        "exporter.db.bak",
        "exporter.db-wal2",
        "exporter",
        "000000000001.spool",
        "exporter.db.damaged",
        "1",
        ".x",
        "é",
    )
    for name in stray:
        (tmp_path / name).write_bytes(b"stray")
    backlog.check_end(tmp_path)
    assert {(tmp_path / name).read_bytes() for name in stray} == {b"stray"}
