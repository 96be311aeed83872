"""What a spool does in ordinary life: order, bounds, disk space, and what outlives the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.spool import SpoolLimits, InUseError, Spool

from .harness import BOUNDS, NOW, Kept, points, record

if TYPE_CHECKING:
    from pathlib import Path


def test_records_come_out_in_the_order_they_went_in_over_many_segments(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(50))
    assert len(kept.files()) == 10
    assert (len(kept.spool), kept.spool.points, kept.spool.bytes) == (50, points(*range(50)), 50 * 348)
    assert kept.take() == list(range(50))
    assert (len(kept.spool), kept.spool.points, kept.spool.bytes, kept.spool.peek()) == (0, 0, 0, None)


@pytest.mark.parametrize("end", ["close", "die"])
def test_what_waits_outlives_the_process_and_what_was_delivered_is_gone(tmp_path: Path, end: str) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(20))
    kept.take(7)
    getattr(kept, end)()
    again = Kept(tmp_path)
    again.put(20, 21)
    assert again.take() == list(range(7, 22))


def test_a_record_under_way_at_a_kill_is_sent_again_byte_for_byte(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0, 1)
    head = kept.spool.peek()
    assert head is not None
    kept.acknowledge(head)
    kept.die()
    again = Kept(tmp_path)
    assert again.spool.peek() == head
    assert again.take() == [0, 1]


def test_a_directory_is_made_when_there_is_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a" / "b")
    kept.put(0)
    assert (kept.spool.degraded_reason, kept.take()) == ("", [0])


def test_disk_space_comes_back_as_segments_drain(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(50))
    kept.take(26)
    kept.sync()
    assert len(kept.files()) == 5
    kept.take()
    kept.sync()
    kept.close()
    assert kept.files() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool.cursor", "spool.lock"]


def test_a_long_idle_life_does_not_grow_on_disk(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SpoolLimits(10_000_000, 3600.0))
    for number in range(60):
        kept.put(number, size=10_000)
        kept.take()
        kept.sync()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 400_000


def test_the_oldest_give_way_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SpoolLimits(348 * 10, 3600.0, min_segment=1500))
    for number in range(40):
        kept.put(number)
        kept.sync()
        used = sum(path.stat().st_size for path in tmp_path.glob("*.spool"))
        assert used <= 348 * 10 + 1500 + 348 + 2 * 16
    assert kept.books.dropped == {"queue_full": points(*range(30))}
    kept.die()
    again = Kept(tmp_path, SpoolLimits(348 * 10, 3600.0, min_segment=1500))
    assert again.totals() == kept.totals()
    assert again.take() == list(range(30, 40))


def test_a_record_larger_than_the_bound_costs_itself_alone(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SpoolLimits(1000, 3600.0))
    kept.put(0)
    kept.put(1, size=5000)
    assert kept.books.dropped == {"queue_full": 2}
    assert kept.take() == [0]


def test_a_bound_that_was_lowered_holds_from_the_next_record_on(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(10))
    kept.close()
    again = Kept(tmp_path, SpoolLimits(348 * 4, 3600.0))
    again.put(10)
    assert again.take() == [7, 8, 9, 10]


def test_what_is_too_old_expires_also_when_it_aged_while_nobody_ran(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put_record(record(0, at=NOW))
    kept.put_record(record(1, at=NOW + 1000), NOW + 1000)
    kept.die()
    again = Kept(tmp_path)
    assert again.spool.oldest_age(NOW + 3600) == 3600
    again.expire(NOW + 3600)
    assert again.books.dropped == {}
    again.expire(NOW + 3601)
    assert again.books.dropped == {"expired": 1}
    assert again.take() == [1]


def test_a_clock_set_back_expires_nothing_and_makes_no_negative_age(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0, now=NOW)
    kept.die()
    again = Kept(tmp_path, now=NOW - 86_400)
    again.put_record(record(1, at=NOW + 0.5), NOW - 86_400)
    again.expire(NOW - 86_400)
    assert again.spool.oldest_age(NOW - 86_400) == 0
    assert (again.spool.degraded_reason, again.take()) == ("", [0, 1])


def test_a_record_that_was_dropped_cannot_be_acknowledged(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SpoolLimits(348 * 2, 3600.0))
    kept.put(0, 1)
    first = kept.spool.peek()
    assert first is not None
    kept.put(2)
    assert not kept.spool.ack(first)
    assert kept.take() == [1, 2]


def test_two_processes_cannot_share_a_directory(tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from tests.otlp.spool.harness import Kept; "
        "kept = Kept(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InUseError, match=rf"otlp\.queue\.directory .* \(its pid: {other.pid}\)"):
            Kept(tmp_path)
        other.kill()
    kept = Kept(tmp_path)
    kept.put(0)
    assert kept.take() == [0]


def test_a_second_spool_in_one_process_is_refused_too(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    with pytest.raises(InUseError):
        Kept(tmp_path)
    kept.close()
    Kept(tmp_path).close()


async def test_others_run_while_the_disk_syncs(tmp_path: Path) -> None:
    spool = Spool(tmp_path, BOUNDS, DeliveryAccounting(), NOW, "always")
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    spool.put(record(0), NOW)
    await spool.commit()
    turning.cancel()
    assert turns > 1
    assert spool.peek() == record(0)


def test_a_closed_spool_is_empty_and_may_be_closed_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0)
    assert kept.spool.close() == ()
    assert (len(kept.spool), kept.spool.peek(), kept.spool.close()) == (0, None, ())
