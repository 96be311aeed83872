"""Normal operation of a spool: order, limits, disk space, and what outlives the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.spool import InUseError, Spool, SpoolLimits

from .harness import LIMITS, NOW, SpoolHarness, points, request_for

if TYPE_CHECKING:
    from pathlib import Path


def test_requests_are_delivered_in_order_over_many_segments(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(50))
    assert len(harness.segment_names()) == 10
    assert (len(harness.spool), harness.spool.points, harness.spool.bytes) == (50, points(*range(50)), 50 * 348)
    assert harness.deliver() == list(range(50))
    assert (len(harness.spool), harness.spool.points, harness.spool.bytes, harness.spool.peek()) == (0, 0, 0, None)


@pytest.mark.parametrize("end", ["close", "kill"])
def test_pending_requests_outlive_the_process_and_delivered_ones_do_not(tmp_path: Path, end: str) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(20))
    harness.deliver(7)
    getattr(harness, end)()
    reopened = SpoolHarness(tmp_path)
    reopened.put(20, 21)
    assert reopened.deliver() == list(range(7, 22))


def test_a_request_in_flight_at_a_kill_is_sent_again_unchanged(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0, 1)
    request = harness.spool.peek()
    assert request is not None
    harness.ack(request)
    harness.kill()
    reopened = SpoolHarness(tmp_path)
    assert reopened.spool.peek() == request
    assert reopened.deliver() == [0, 1]


def test_a_missing_directory_is_created(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path / "a" / "b")
    harness.put(0)
    assert (harness.spool.degraded_reason, harness.deliver()) == ("", [0])


def test_drained_segments_are_deleted(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(50))
    harness.deliver(26)
    harness.sync()
    assert len(harness.segment_names()) == 5
    harness.deliver()
    harness.sync()
    harness.close()
    assert harness.segment_names() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool.cursor", "spool.lock"]


def test_disk_use_does_not_grow_while_the_queue_is_mostly_empty(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path, SpoolLimits(10_000_000, 3600.0))
    for number in range(60):
        harness.put(number, size=10_000)
        harness.deliver()
        harness.sync()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 400_000


def test_the_oldest_requests_are_dropped_when_the_spool_is_full(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path, SpoolLimits(348 * 10, 3600.0, min_segment=1500))
    for number in range(40):
        harness.put(number)
        harness.sync()
        used = sum(path.stat().st_size for path in tmp_path.glob("*.spool"))
        assert used <= 348 * 10 + 1500 + 348 + 2 * 16
    assert harness.accounting.dropped == {"queue_full": points(*range(30))}
    harness.kill()
    reopened = SpoolHarness(tmp_path, SpoolLimits(348 * 10, 3600.0, min_segment=1500))
    assert reopened.totals() == harness.totals()
    assert reopened.deliver() == list(range(30, 40))


def test_a_request_larger_than_the_limit_is_dropped_alone(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path, SpoolLimits(1000, 3600.0))
    harness.put(0)
    harness.put(1, size=5000)
    assert harness.accounting.dropped == {"queue_full": 2}
    assert harness.deliver() == [0]


def test_a_lowered_limit_applies_from_the_next_request_on(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(10))
    harness.close()
    reopened = SpoolHarness(tmp_path, SpoolLimits(348 * 4, 3600.0))
    reopened.put(10)
    assert reopened.deliver() == [7, 8, 9, 10]


def test_requests_also_age_while_no_process_runs(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put_request(request_for(0, timestamp=NOW))
    harness.put_request(request_for(1, timestamp=NOW + 1000), NOW + 1000)
    harness.kill()
    reopened = SpoolHarness(tmp_path)
    assert reopened.spool.oldest_age(NOW + 3600) == 3600
    reopened.expire(NOW + 3600)
    assert reopened.accounting.dropped == {}
    reopened.expire(NOW + 3601)
    assert reopened.accounting.dropped == {"expired": 1}
    assert reopened.deliver() == [1]


def test_a_clock_set_back_expires_nothing_and_gives_no_negative_age(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0, now=NOW)
    harness.kill()
    reopened = SpoolHarness(tmp_path, now=NOW - 86_400)
    reopened.put_request(request_for(1, timestamp=NOW + 0.5), NOW - 86_400)
    reopened.expire(NOW - 86_400)
    assert reopened.spool.oldest_age(NOW - 86_400) == 0
    assert (reopened.spool.degraded_reason, reopened.deliver()) == ("", [0, 1])


def test_a_dropped_request_cannot_be_acknowledged(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path, SpoolLimits(348 * 2, 3600.0))
    harness.put(0, 1)
    first = harness.spool.peek()
    assert first is not None
    harness.put(2)
    assert not harness.spool.ack(first)
    assert harness.deliver() == [1, 2]


def test_two_processes_cannot_share_a_directory(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.otlp.spool.harness import SpoolHarness; "
        "spool = SpoolHarness(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InUseError, match=rf"otlp\.queue\.directory .* \(its pid: {other.pid}\)"):
            SpoolHarness(tmp_path)
        other.kill()
    harness = SpoolHarness(tmp_path)
    harness.put(0)
    assert harness.deliver() == [0]


def test_two_spools_in_one_process_cannot_share_a_directory(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    with pytest.raises(InUseError):
        SpoolHarness(tmp_path)
    harness.close()
    SpoolHarness(tmp_path).close()


async def test_other_tasks_run_while_the_disk_syncs(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMITS, DeliveryAccounting(), NOW, "always")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count_turns())
    spool.put(request_for(0), NOW)
    await spool.commit()
    task.cancel()
    assert turns > 1
    assert spool.peek() == request_for(0)


def test_a_closed_spool_is_empty_and_may_be_closed_again(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0)
    assert harness.spool.close() == ()
    assert (len(harness.spool), harness.spool.peek(), harness.spool.close()) == (0, None, ())
