"""A damaged database: what can be read is salvaged, what cannot is counted, nothing is invented."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from exporter.storage import CycleCommit, StorageConfig, TransitionRecord, schema
from exporter.storage.database import open_database
from exporter.storage.directory import DAMAGED_FILE, DATABASE_FILE, LEDGER_FILE, SALVAGED_FILE, WAL_FILE
from exporter.storage.disk import Disk
from exporter.storage.inspection import verify
from exporter.storage.salvage import finish_salvage
from tests.storage.support import LIMITS, WALL_TIME, Process, request_of, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE: Final = 4096
REQUESTS: Final = 60
LEAF, INTERIOR = 13, 5
"""The first byte of a page of a table (SQLite's file format, 1.6)."""


def body_of(number: int) -> bytes:
    rng = random.Random(number)
    return b"%d " % number + rng.randbytes(rng.choice([20, 400, 3000, 12_000]))


STATE: Final = {f"shop/rollout-{number}": b"%d " % number + bytes(200) for number in range(300)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with requests of 10 points, state rows and transitions."""
    directory: Path = tmp_path_factory.mktemp("sound") / "storage"
    process = Process(directory)
    for number in range(REQUESTS):
        process.storage.queue.put(request_of(body_of(number)))
    transitions = [
        TransitionRecord(WALL_TIME + number, "shop", f"rollout-{number}", "started", b"{}" * 50)
        for number in range(300)
    ]
    process.storage._writer.submit(  # type: ignore[union-attr] # there is a directory
        process.storage._batch(CycleCommit(state=STATE, transitions=transitions))
    )
    assert process.close() == 0
    return directory


def pages(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[start : start + PAGE] for start in range(0, len(content), PAGE)]


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


async def check(directory: Path) -> int:
    """Open a directory, compare all that it gives with what was stored; return how many rows are missing."""
    async with running(Process(directory)) as process:
        storage = process.storage
        assert process.accounting.is_balanced
        assert storage.state.items() <= STATE.items()
        transitions = await storage.history.read(limit=1000)
        assert all(record.name == f"rollout-{record.sequence - 1}" for record in transitions)
        bodies = await process.deliver_all()
        numbers = [int(body.split()[0]) for body in bodies]
        assert bodies == [body_of(number) for number in numbers]
        assert numbers == sorted(set(numbers))
        assert process.accounting.dropped["damaged"] == (REQUESTS - len(numbers)) * 10
        assert process.accounting.is_balanced
        process.put(b"fresh")
        await wait_until(lambda: not storage.degraded_reason)
        assert await storage.commit(CycleCommit(state=STATE, complete_state=True))
        assert await process.deliver() == b"fresh"
        missing = len(STATE) - len(storage.state) + 300 - len(transitions) + REQUESTS - len(numbers)
    # A transition with an invalid checksum is skipped when it is read, until it is too old.
    assert not [row for row in verify(directory) if row.table != "transitions"]
    return missing


async def test_a_sound_file_loses_nothing(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    assert await check(tmp_path) == 0
    assert not (tmp_path / DAMAGED_FILE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_a_flipped_byte_costs_the_rows_of_its_page(sound: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    content = pages(sound / DATABASE_FILE)
    for number in rng.sample(range(1, len(content)), 12):
        directory = tmp_path / str(number)
        shutil.copytree(sound, directory)
        offset = rng.randrange(PAGE)
        overwrite(directory / DATABASE_FILE, number * PAGE + offset, bytes([content[number][offset] ^ 0x41]))
        missing = await check(directory)
        # A leaf of state or transitions has about 25 rows.
        assert content[number][0] == INTERIOR or missing <= 30, (number, offset, missing)


@pytest.mark.parametrize("rubbish", [bytes(PAGE), b"\xff" * PAGE], ids=["zeros", "ones"])
async def test_a_destroyed_leaf_costs_its_rows(sound: Path, tmp_path: Path, rubbish: bytes) -> None:
    leaves = [number for number, page in enumerate(pages(sound / DATABASE_FILE)) if page[0] == LEAF and number > 0]
    for number in leaves[len(leaves) // 2 :: 7]:
        directory = tmp_path / str(number)
        shutil.copytree(sound, directory)
        overwrite(directory / DATABASE_FILE, number * PAGE, rubbish)
        assert 1 <= await check(directory) <= 30
        assert (directory / DAMAGED_FILE).exists()


async def test_two_destroyed_leaves_cost_nothing_between_them(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    content = pages(tmp_path / DATABASE_FILE)
    leaves = [number for number, page in enumerate(content) if page[0] == LEAF and b"started" in page]
    for number in (leaves[2], leaves[5], leaves[-1]):
        overwrite(tmp_path / DATABASE_FILE, number * PAGE, bytes(PAGE))
    assert 3 <= await check(tmp_path) <= 90


@pytest.mark.parametrize("destroyed", [slice(0, 1), slice(0, None)], ids=["header", "everything"])
async def test_a_file_without_header_costs_all_rows_and_its_points_are_counted(
    sound: Path, tmp_path: Path, destroyed: slice
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    for number in range(len(pages(tmp_path / DATABASE_FILE)))[destroyed]:
        overwrite(tmp_path / DATABASE_FILE, number * PAGE, b"\xaa" * PAGE)
    assert await check(tmp_path) == 600 + REQUESTS


async def test_a_missing_database_is_counted_by_the_ledger(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    (tmp_path / DATABASE_FILE).unlink()
    assert await check(tmp_path) == 600 + REQUESTS


async def test_a_truncated_file_costs_what_was_behind(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    size = (tmp_path / DATABASE_FILE).stat().st_size
    with (tmp_path / DATABASE_FILE).open("r+b") as file:
        file.truncate(size // 2)
    assert 0 < await check(tmp_path) < 600 + REQUESTS


async def test_a_wal_with_a_bad_frame_is_noticed_and_nothing_that_was_done_is_sent_again(tmp_path: Path) -> None:
    """SQLite ignores a WAL from its first bad frame on."""
    process = Process(tmp_path)
    process.storage.start()
    for number in range(REQUESTS):
        await process.commit(body_of(number))
    for _ in range(10):
        await process.deliver()
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in (DATABASE_FILE, WAL_FILE, LEDGER_FILE):
        shutil.copy(tmp_path / name, crashed)
    process.close()
    wal = crashed / WAL_FILE
    overwrite(wal, wal.stat().st_size // 2, b"\xff\xff\xff\xff")
    async with running(Process(crashed)) as restarted:
        assert restarted.storage.metrics().missing_commits > 20
        assert restarted.accounting.delivered == 100
        assert restarted.accounting.dropped["damaged"] > 200
        assert restarted.accounting.produced == REQUESTS * 10
        assert restarted.accounting.is_balanced
        assert restarted.storage.queue.last_number == REQUESTS
        bodies = await restarted.deliver_all()
        assert bodies == [body_of(number) for number in range(10, 10 + len(bodies))]


@pytest.mark.parametrize("table", ["requests", "tracker_state", "transitions"])
async def test_a_changed_value_is_not_believed(sound: Path, tmp_path: Path, table: str) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    column = "value" if table == "tracker_state" else "body"
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = x'00' WHERE id = 30")
        connection.commit()
    assert [(row.table, row.reason) for row in verify(tmp_path)] == [(table, "its checksum does not match")]
    assert await check(tmp_path) == 1


async def test_a_damaged_transition_is_counted_once(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        connection.execute("UPDATE transitions SET body = x'00' WHERE id = 30")
        connection.commit()
    async with running(Process(tmp_path)) as process:
        for _ in range(2):
            assert len(await process.storage.history.read()) == 299
        assert process.storage.metrics().damaged_rows == 1


async def test_damage_at_work_is_repaired_and_only_what_is_damaged_is_lost(tmp_path: Path) -> None:
    """The page is destroyed under the open database."""
    async with running(Process(tmp_path)) as process:
        for number in range(REQUESTS):
            await process.commit(body_of(number))
        process.storage._disk._database.connection.execute(schema.TRUNCATE_WAL)  # type: ignore[union-attr] # it is open
        for entry in process.storage.queue._entries.values():
            entry.request = None
        leaves = [number for number, page in enumerate(pages(tmp_path / DATABASE_FILE)) if page[0] == LEAF]
        overwrite(tmp_path / DATABASE_FILE, leaves[-1] * PAGE, b"\xff" * PAGE)
        # Its cache holds the sound page.
        process.storage._disk._database.connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
        bodies = []
        while len(process.storage.queue):
            if (request := await process.storage.queue.peek()) is None:
                await wait_until(lambda: not process.storage.degraded_reason)
                continue
            process.storage.queue.ack(request)
            process.accounting.count_acked(request.points, 0)
            await process.storage.commit()
            bodies.append(request.body)
        numbers = [int(body.split()[0]) for body in bodies]
        assert bodies == [body_of(number) for number in numbers]
        assert REQUESTS - 30 <= len(numbers) < REQUESTS
        assert process.accounting.dropped == {"damaged": (REQUESTS - len(numbers)) * 10}
        assert process.accounting.is_balanced


def test_damage_that_a_check_does_not_find_is_salvaged_when_it_is_met_again(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    disk = Disk(StorageConfig(tmp_path, LIMITS, cluster="test"))
    disk.open()
    damage = sqlite3.DatabaseError()
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    for salvaged in (False, True):
        disk.note_failure(damage)
        assert not disk.open().lost
        assert (tmp_path / DAMAGED_FILE).exists() is salvaged
    assert len(disk.stored) == REQUESTS
    disk.close()


def interrupted(directory: Path, steps: int) -> None:
    """Leave what a crash within the renamings of a salvage leaves."""
    shutil.copy(directory / DATABASE_FILE, directory / SALVAGED_FILE)
    overwrite(directory / DATABASE_FILE, 0, b"\xaa" * PAGE)
    (directory / WAL_FILE).write_bytes(b"of the damaged database")
    renamings: list[Callable[[], object]] = [
        lambda: (directory / DATABASE_FILE).replace(directory / DAMAGED_FILE),
        lambda: (directory / WAL_FILE).replace(directory / f"{DAMAGED_FILE}-wal"),
    ]
    for rename in renamings[:steps]:
        rename()


@pytest.mark.parametrize("steps", [1, 2])
async def test_an_interrupted_salvage_is_finished(sound: Path, tmp_path: Path, steps: int) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    interrupted(tmp_path, steps)
    finish_salvage(tmp_path)
    assert not (tmp_path / WAL_FILE).exists()
    assert await check(tmp_path) == 0


async def test_a_salvage_that_was_interrupted_earlier_begins_again(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    (tmp_path / SALVAGED_FILE).write_bytes(b"half of a database")
    finish_salvage(tmp_path)
    assert not (tmp_path / SALVAGED_FILE).exists()
    assert await check(tmp_path) == 0


def test_the_head_of_a_request_that_was_changed_is_not_believed(sound: Path, tmp_path: Path) -> None:
    """Its points are not known then; the ledger has their sum."""
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        connection.execute("UPDATE requests SET points = 1000 WHERE id = 30")
        connection.commit()
    process = Process(tmp_path)
    assert process.accounting.dropped == {"damaged": 10}
    assert process.accounting.queued == (REQUESTS - 1) * 10
    process.close()


def test_the_pages_of_the_tests_are_those_of_the_database(sound: Path) -> None:
    database = open_database(sound, "never")
    assert database.value(schema.PAGE_SIZE) == PAGE
    database.close()
