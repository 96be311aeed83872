"""Storage as the service uses it: one transaction a commit, patience, memory mode and the way back, bounds on disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from exporter.storage import CycleCommit, InUseError, NewerSchemaError, StorageLimits, disk, flusher, inspection, writer
from exporter.storage.database import WAL_LIMIT
from exporter.storage.directory import DATABASE_FILE, LEDGER_FILE, LOCK_FILE, WAL_FILE
from exporter.storage.disk import MAX_DONE, MAX_WAL, SPARE_PAGES
from exporter.storage.ledger import read_ledger
from exporter.storage.model import MIB
from tests.storage.support import LIMITS, Process, SetClock, running, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def rows(directory: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{directory / DATABASE_FILE}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def file_names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# Commits ----------------------------------------------------------------------------------------------------------


async def test_a_commit_is_one_transaction_with_requests_state_and_books(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        assert await process.commit(b"1", b"2", cart=b"on", shop=b"off")
        assert await process.commit(b"3", cart=None, shop=b"on")
        assert rows(tmp_path, "SELECT body FROM requests") == [(b"1",), (b"2",), (b"3",)]
        assert rows(tmp_path, "SELECT key, value FROM tracker_state") == [("shop", b"on")]
        assert '"queued_points":30' in rows(tmp_path, "SELECT ledger FROM accounting")[0][0]


async def test_an_acknowledgement_is_a_write_of_the_ledger_file_and_deletes_its_row_with_the_next_cycle(
    tmp_path: Path,
) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(b"1", b"2")
        commits = process.storage.metrics().commits
        await process.deliver()
        assert process.storage.metrics().commits == commits
        assert rows(tmp_path, "SELECT body FROM requests") == [(b"1",), (b"2",)]
        killed = tmp_path / "killed"
        shutil.copytree(tmp_path, killed)
        await process.commit(b"3")
        assert rows(tmp_path, "SELECT body FROM requests") == [(b"2",), (b"3",)]
    assert inspection.contents(killed).points == 10
    async with running(Process(killed)) as restarted:
        assert restarted.accounting.delivered == 10
        assert await restarted.deliver_all() == [b"2"]


async def test_what_only_the_ledger_file_has_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That file may be lost, and then what it acknowledged is sent again."""
    monkeypatch.setattr(disk, "MAX_DONE", 3)
    async with running(Process(tmp_path)) as process:
        await process.commit(*(b"%d" % number for number in range(9)))
        for count in (9, 9, 9, 5, 5, 5, 5, 1):
            await process.deliver()
            assert rows(tmp_path, "SELECT COUNT(*) FROM requests") == [(count,)]


async def test_a_commit_with_the_complete_state_removes_all_other_rows(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(cart=b"1", shop=b"1")
    async with running(Process(tmp_path)) as process:
        assert process.storage.state == {"cart": b"1", "shop": b"1"}
        assert not process.storage.rewrite_state
        await process.storage.commit(CycleCommit(state={"cart": b"2"}, complete_state=True))
        assert rows(tmp_path, "SELECT key, value FROM tracker_state") == [("cart", b"2")]


async def test_commits_that_are_submitted_meanwhile_merge(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(b"0")
        count = process.storage.metrics().commits
        results = await asyncio.gather(*(process.commit(b"%d" % number) for number in range(100)))
        assert all(results)
        assert process.storage.metrics().commits - count < 100
        assert await process.deliver_all() == [b"0", *(b"%d" % number for number in range(100))]


async def test_the_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    clock = SetClock()
    async with running(Process(tmp_path, clock=clock)) as process:
        await process.commit(b"1", b"2")
        await process.deliver()
        since = process.storage.counters_since
    clock.sleep(60)
    async with running(Process(tmp_path, clock=clock)) as process:
        accounting = process.accounting
        assert (accounting.produced, accounting.delivered, accounting.queued) == (20, 10, 10)
        assert process.storage.counters_since == since
        assert accounting.is_balanced


async def test_after_a_crash_of_the_machine_counts_start_from_zero(tmp_path: Path) -> None:
    """Higher ones may have been exported that were not on disk yet, and no counter decreases without a new start."""
    process = Process(tmp_path)
    process.storage.start()
    await process.commit(b"1", b"2")
    await process.deliver()
    crashed = tmp_path / "crashed"
    shutil.copytree(tmp_path, crashed)
    process.close()
    clock = SetClock(process.clock.wall_time + 60, boot_id="boot 2")
    async with running(Process(crashed, clock=clock)) as restarted:
        assert (restarted.accounting.produced, restarted.accounting.delivered) == (10, 0)
        assert restarted.storage.counters_since == clock.wall_time


async def test_another_clusters_state_is_discarded_and_its_requests_are_sent(tmp_path: Path) -> None:
    async with running(Process(tmp_path, cluster="one")) as process:
        await process.commit(b"1", cart=b"on")
    async with running(Process(tmp_path, cluster="two")) as process:
        assert process.storage.state == {}
        assert await process.deliver_all() == [b"1"]


# Errors that end the start ------------------------------------------------------------------------------------------


async def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    async with running(Process(tmp_path)):
        with pytest.raises(InUseError, match=rf"storage\.directory .* in use .*pid: {os.getpid()}\)"):
            Process(tmp_path)
    Process(tmp_path).close()


async def test_a_later_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(b"1")
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    content = (tmp_path / DATABASE_FILE).read_bytes()
    with pytest.raises(NewerSchemaError, match=r"storage\.directory .* later version .*schema 99"):
        Process(tmp_path)
    assert (tmp_path / DATABASE_FILE).read_bytes() == content


# A disk that fails or hangs -------------------------------------------------------------------------------------------


async def test_a_disk_that_hangs_is_waited_for_no_longer_than_patience(tmp_path: Path) -> None:
    """Another connection holds the lock for writing."""
    async with running(Process(tmp_path, replace(LIMITS, patience=0.2))) as process:
        await process.commit(b"1")
        with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            assert not await process.commit(b"2")
            assert 0.1 < time.monotonic() - started < 0.9
            assert "storage.directory" in process.storage.degraded_reason
            for _ in range(2):  # from memory, without waiting again
                request = await process.storage.queue.peek()
                assert request is not None
                process.storage.queue.ack(request)
                process.accounting.count_acked(request.points, 0)
                started = time.monotonic()
                assert not await process.storage.commit()
                assert time.monotonic() - started < 0.1
        await wait_until(lambda: not process.storage.degraded_reason)
        assert await process.commit(b"3")
        assert rows(tmp_path, "SELECT body FROM requests") == [(b"3",)]


async def test_a_directory_that_vanishes_comes_back_with_all_that_was_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "storage"
    async with running(Process(directory)) as process:
        await process.commit(b"1" * 20_000, b"2", cart=b"on")
        for entry in process.storage.queue._entries.values():
            entry.request = None  # as if the backlog were too large for memory
        shutil.rmtree(directory)
        await wait_until(lambda: (directory / DATABASE_FILE).exists() and process.storage.rewrite_state)
        await process.commit(b"3")
        assert process.storage.degraded_reason == ""
        assert rows(directory, "SELECT substr(body, 1, 1) FROM requests") == [(b"1",), (b"2",), (b"3",)]
        assert await process.deliver_all() == [b"1" * 20_000, b"2", b"3"]
        assert process.accounting.dropped == {}
        assert [record.msg for record in caplog.records] == ["the database was removed or replaced: it is copied"]


async def test_an_unusable_directory_at_the_start_is_an_alarm_and_is_used_when_it_is_usable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What an earlier process left is sent first, and numbers do not repeat."""
    caplog.set_level("INFO")
    directory = tmp_path / "storage"
    async with running(Process(directory)) as process:
        await process.commit(b"1", b"2", cart=b"on")
    directory.rename(tmp_path / "elsewhere")
    directory.write_text("a file")
    async with running(Process(directory)) as process:
        assert "is not a directory" in process.storage.degraded_reason
        assert not await process.commit(b"3")
        assert await process.storage.queue.peek() is not None
        directory.unlink()
        (tmp_path / "elsewhere").rename(directory)
        await wait_until(lambda: not process.storage.degraded_reason)
        assert process.storage.rewrite_state
        assert process.accounting.queued == 30
        assert await process.deliver_all() == [b"1", b"2", b"3"]
        messages = [record.msg for record in caplog.records if record.name == "exporter.storage.storage"]
        assert messages == ["storage degraded", "storage back on disk"]


async def test_memory_is_bounded_while_the_disk_fails_and_what_is_on_disk_is_not_dropped_for_it(tmp_path: Path) -> None:
    limits = StorageLimits(patience=20.0, reserve=0, max_memory=50_000)
    async with running(Process(tmp_path, limits)) as process:
        await process.commit(b"on disk" * 2000)
        lock_out(process)
        for number in range(10):
            assert not await process.commit(b"%d" % number * 10_000)
        assert process.accounting.dropped == {"queue_full": 60}
        let_in(process)
        await wait_until(lambda: not process.storage.degraded_reason)
        bodies = await process.deliver_all()
        assert [body[:1] for body in bodies] == [b"o", b"6", b"7", b"8", b"9"]


def lock_out(process: Process) -> None:
    """Let no space be free for new requests."""
    set_reserve(process, 2**60)


def let_in(process: Process) -> None:
    set_reserve(process, 0)


def set_reserve(process: Process, reserve: int) -> None:
    disk = process.storage._disk
    assert disk is not None
    disk._config = replace(disk._config, limits=replace(disk._config.limits, reserve=reserve))


async def test_below_the_reserve_nothing_is_added_but_what_is_done_is_removed(tmp_path: Path) -> None:
    """Or a backlog that filled the disk would never leave it."""
    async with running(Process(tmp_path)) as process:
        await process.commit(b"1", b"2")
        lock_out(process)
        assert not await process.commit(b"3")
        assert "storage.reserve" in process.storage.degraded_reason
        request = await process.storage.queue.peek()
        assert request is not None
        process.storage.queue.ack(request)
        process.accounting.count_acked(request.points, 0)
        await process.storage.commit()
        await wait_until(lambda: rows(tmp_path, "SELECT body FROM requests") == [(b"2",)])
        let_in(process)
        await wait_until(lambda: not process.storage.degraded_reason)
        assert rows(tmp_path, "SELECT body FROM requests") == [(b"2",), (b"3",)]


async def test_counts_of_a_process_that_was_killed_in_memory_mode_start_from_zero(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.storage.start()
    await process.commit(b"1", b"2")
    await process.deliver()
    lock_out(process)
    await process.commit(b"3")
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path, killed)
    process.close()
    async with running(Process(killed)) as restarted:
        assert (restarted.accounting.produced, restarted.accounting.delivered) == (10, 0)
        assert restarted.accounting.is_balanced


async def test_counts_of_a_process_that_was_killed_while_the_disk_hung_start_from_zero(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Higher ones were exported meanwhile. A hang that ends as an error is one line of the log."""
    caplog.set_level("INFO")
    async with running(Process(tmp_path, replace(LIMITS, patience=0.1))) as process:
        await process.commit(b"1", b"2")
        await process.deliver()
        with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            assert not await process.commit(b"3")
            file = tmp_path / LEDGER_FILE
            await wait_until(lambda: not read_ledger(file.read_bytes()).complete)  # type: ignore[union-attr]
            shutil.copytree(tmp_path, tmp_path / "killed")
            await wait_until(lambda: process.storage.metrics().commit_failures)
        await wait_until(lambda: not process.storage.degraded_reason)
        assert [record.msg for record in caplog.records] == ["storage degraded", "storage back on disk"]
        await process.commit()
        assert read_ledger(file.read_bytes()).complete  # type: ignore[union-attr]
    async with running(Process(tmp_path / "killed")) as restarted:
        assert (restarted.accounting.produced, restarted.accounting.delivered) == (10, 0)


async def test_a_disk_that_hangs_delays_the_end_no_longer_than_allowed(tmp_path: Path) -> None:
    process = Process(tmp_path, replace(LIMITS, patience=0.1))
    process.storage.start()
    await process.commit(b"1")
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        await process.commit(b"2", b"3")
        started = time.monotonic()
        assert process.storage.close(0.3) == 20
        assert time.monotonic() - started < 0.8
    assert process.accounting.dropped == {"shutdown": 20}
    await wait_until(lambda: not process.storage._writer._thread.is_alive())  # type: ignore[union-attr] # it exists


# Bounds on disk -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_file_shrinks_after_a_backlog_and_the_wal_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "CHECKPOINT_INTERVAL", 0.5)
    async with running(Process(tmp_path)) as process:
        for _ in range(50):
            await process.commit(*[os.urandom(100_000)] * 10)
            assert (tmp_path / WAL_FILE).stat().st_size < MAX_WAL + 3 * MIB
        await wait_until(lambda: (tmp_path / DATABASE_FILE).stat().st_size > 20 * MIB, 60)
        await process.deliver_all()
        await process.commit(tick=b"[1]")  # the next cycle deletes the acknowledged requests
        limit = 2 * SPARE_PAGES * 4096
        await wait_until(lambda: (tmp_path / DATABASE_FILE).stat().st_size < limit, 60)
        end = time.monotonic() + 60
        while (tmp_path / WAL_FILE).stat().st_size > WAL_LIMIT:  # the first commit after a checkpoint shortens it
            assert time.monotonic() < end
            await process.commit()
            await asyncio.sleep(0.05)
        await wait_until(lambda: process.storage.metrics().database_bytes < limit)


async def test_a_reader_stands_in_nobodys_way(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(b"1")
        with closing(sqlite3.connect(f"file:{tmp_path / DATABASE_FILE}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")
            assert connection.execute("SELECT COUNT(*) FROM requests").fetchone() == (1,)
            assert await process.commit(b"2")
            assert connection.execute("SELECT COUNT(*) FROM requests").fetchone() == (1,)


async def test_a_closed_storage_leaves_one_file_and_its_ledger(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.commit(b"1")
    assert file_names(tmp_path) == [DATABASE_FILE, LEDGER_FILE, LOCK_FILE]


async def test_acknowledgements_alone_give_space_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_INTERVAL", 0.01)
    monkeypatch.setattr(disk, "SPARE_PAGES", 0)
    async with running(Process(tmp_path)) as process:
        await process.commit(*(b"%d" % number + bytes(9000) for number in range(MAX_DONE + 2)))
        await wait_until(lambda: not process.storage._writer._tidies)  # type: ignore[union-attr]
        for _ in range(MAX_DONE + 1):
            await process.deliver()
        await wait_until(lambda: len(rows(tmp_path, "SELECT id FROM requests")) == 1)
        await wait_until(lambda: rows(tmp_path, "PRAGMA freelist_count") == [(0,)], seconds=5)
