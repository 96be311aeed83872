"""Accounting over restarts: produced = delivered + rejected + dropped + queued, and no counter ever decreases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.otlp.spool import SpoolLimits
from exporter.otlp.spool.checkpoint import SLOT_BYTES, Checkpoint, encode_slot, latest_checkpoint
from exporter.otlp.spool.files import CHECKPOINT_FILE
from exporter.storage.model import Drop

from .harness import LIMITS, NOW, SpoolHarness, points

if TYPE_CHECKING:
    from pathlib import Path

SMALL_LIMITS = SpoolLimits(348 * 3, 3600.0)


def read_checkpoint(directory: Path) -> Checkpoint:
    mark = latest_checkpoint((directory / CHECKPOINT_FILE).read_bytes())
    assert mark is not None
    return mark


def rewrite_checkpoint(directory: Path, mark: Checkpoint) -> None:
    with (directory / CHECKPOINT_FILE).open("r+b") as file:
        for generation in (mark.generation + 1, mark.generation + 2):
            file.seek(generation % 2 * SLOT_BYTES)
            file.write(encode_slot(replace(mark, generation=generation)))


def test_counters_continue_after_a_kill_with_their_start_time(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path, SMALL_LIMITS)
    harness.put(0, 1, 2, 3)
    harness.deliver(1)
    request = harness.spool.peek()
    assert request is not None
    assert harness.spool.ack(request)
    harness.accounting.count_acked(1, 2, [Drop("http_400", 0)])
    harness.commit()
    assert harness.totals() == (10, 3, 2, 1)
    harness.kill()
    reopened = SpoolHarness(tmp_path, SMALL_LIMITS, now=NOW + 60)
    assert reopened.totals() == (10, 3, 2, 1)
    assert (reopened.accounting.dropped["queue_full"], reopened.accounting.queued, reopened.spool.counters_since) == (
        1,
        4,
        NOW,
    )
    assert reopened.deliver() == [3]
    assert reopened.totals() == (10, 7, 2, 1)


def test_counters_continue_after_a_clean_shutdown_and_a_reboot(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0, 1)
    harness.deliver(1)
    harness.close()
    rewrite_checkpoint(tmp_path, replace(read_checkpoint(tmp_path), boot_id="another"))
    reopened = SpoolHarness(tmp_path, now=NOW + 60)
    assert (reopened.totals(), reopened.spool.counters_since) == ((3, 1, 0, 0), NOW)


def test_counters_restart_after_a_crash_of_the_machine(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0, 1)
    harness.deliver(1)
    harness.kill()
    rewrite_checkpoint(tmp_path, replace(read_checkpoint(tmp_path), boot_id="another"))
    reopened = SpoolHarness(tmp_path, now=NOW + 60)
    assert (reopened.totals(), reopened.accounting.queued, reopened.spool.counters_since) == ((2, 0, 0, 0), 2, NOW + 60)
    assert reopened.deliver() == [1]


def test_counters_restart_if_points_were_in_memory_at_the_kill(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0)
    harness.spool._enter_memory_mode(OSError(28, "No space left on device"))
    harness.put(1)
    assert harness.spool.degraded_reason
    harness.kill()
    reopened = SpoolHarness(tmp_path, now=NOW + 60)
    assert (reopened.totals(), reopened.accounting.queued, reopened.spool.counters_since) == ((1, 0, 0, 0), 1, NOW + 60)


def test_counters_continue_over_many_restarts(tmp_path: Path) -> None:
    for generation in range(5):
        harness = SpoolHarness(tmp_path, now=NOW + generation)
        assert harness.totals() == (points(*range(generation * 2)), points(*range(generation)), 0, 0)
        harness.put(generation * 2, generation * 2 + 1)
        assert harness.deliver(1) == [generation]
        assert harness.spool.counters_since == NOW
        harness.kill()


def test_records_written_after_the_checkpoint_count_as_produced_and_queued(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0)
    harness.deliver()
    harness.put(*range(1, 20))
    assert read_checkpoint(tmp_path).queued_points == 0
    harness.kill()
    reopened = SpoolHarness(tmp_path)
    assert reopened.totals() == (points(*range(20)), 1, 0, 0)
    assert reopened.deliver() == list(range(1, 20))


def test_records_of_a_disk_that_appears_late_are_counted(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    harness = SpoolHarness(directory)
    harness.put(0, 1, 2)
    harness.deliver(1)
    harness.kill()
    directory.rename(tmp_path / "away")
    directory.write_text("in the way")
    degraded = SpoolHarness(directory, now=NOW + 60)
    assert "is not a directory" in degraded.spool.degraded_reason
    degraded.put(3)
    assert (degraded.totals(), degraded.accounting.queued) == ((4, 0, 0, 0), 4)
    in_flight = degraded.spool.peek()
    assert in_flight is not None
    directory.unlink()
    (tmp_path / "away").rename(directory)
    degraded.put(4, now=NOW + 10)
    assert not degraded.spool.ack(in_flight)
    assert (degraded.spool.degraded_reason, degraded.spool.counters_since) == ("", NOW + 60)
    assert (degraded.totals(), degraded.accounting.queued) == ((points(1, 2, 3, 4), 0, 0, 0), points(1, 2, 3, 4))
    assert degraded.deliver() == [1, 2, 3, 4]


def test_cleared_points_stay_counted(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(20))
    assert harness.spool.clear() == (Drop("cleared", points(*range(20))),)
    harness.close()
    reopened = SpoolHarness(tmp_path)
    assert reopened.accounting.dropped == {"cleared": points(*range(20))}
    assert reopened.segment_names() == []


def test_a_checkpoint_holds_all_possible_drop_reasons(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path, LIMITS)
    harness.accounting.count_enqueued(300)
    harness.accounting.count_dropped(Drop(f"http_{code}", 1) for code in range(300, 600))
    harness.put(0)
    harness.deliver()
    harness.kill()
    assert SpoolHarness(tmp_path).totals() == (301, 1, 0, 300)
