"""A disk that is full, read-only, forbidden or missing: requests are queued in memory, and written once it works."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from exporter.otlp.spool import SpoolLimits
from exporter.otlp.spool.spool import RETRY_INTERVAL

from .harness import LIMITS, NOW, SpoolHarness, points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LATER = NOW + RETRY_INTERVAL + 1
KIB = 1024


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Return the mount point of a file system in memory with room for 128 KiB."""
    mount_point = tmp_path / "volume"
    mount_point.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=128k", "none", mount_point):
        pytest.skip("mount of a tmpfs is not permitted here")
    yield mount_point
    subprocess.run(["umount", "--lazy", mount_point], check=True)


def _mount(*arguments: str | Path) -> int:
    if os.geteuid() or shutil.which("mount") is None:
        return 1
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass


def test_a_full_disk_causes_memory_mode_and_recovery_keeps_the_order(
    volume: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    harness = SpoolHarness(volume)
    harness.put(0)
    filler = volume / "filler"
    _fill(filler)
    harness.put(*range(1, 40))
    assert "has no space left: free some, or lower otlp.queue.bytes" in harness.spool.degraded_reason
    assert harness.deliver(3) == [0, 1, 2]
    filler.unlink()
    harness.put(40, now=LATER)
    assert harness.spool.degraded_reason == ""
    messages = [record.message for record in caplog.records if record.name == "exporter.otlp.spool.spool"]
    assert messages == ["spool degraded, queueing in memory", "spool back on disk"]
    harness.kill()
    reopened = SpoolHarness(volume)
    assert reopened.accounting.produced == points(*range(41))
    assert reopened.deliver() == list(range(3, 41))


def test_acknowledgements_are_stored_on_a_full_disk(volume: Path) -> None:
    harness = SpoolHarness(volume)
    harness.put(*range(10))
    _fill(volume / "filler")
    harness.put(10)
    assert harness.spool.degraded_reason
    assert harness.deliver(5) == [0, 1, 2, 3, 4]
    harness.kill()
    (volume / "filler").unlink()
    assert SpoolHarness(volume).deliver() == list(range(5, 10))


def test_a_volume_smaller_than_the_limit_drains_and_returns_to_disk(volume: Path) -> None:
    harness = SpoolHarness(volume, SpoolLimits(512 * KIB, 3600.0, min_segment=8 * KIB))
    expected, next_number = [], 0
    for turn in range(6):
        for _ in range(80):
            harness.put(next_number, size=2 * KIB, now=NOW + turn * 10)
            next_number += 1
        assert harness.spool.degraded_reason
        expected += harness.deliver(75)
        harness.sync()
    expected += harness.deliver()
    assert expected == list(range(next_number))
    harness.put(next_number, now=NOW + 100)
    assert harness.spool.degraded_reason == ""


def test_a_read_only_disk_causes_memory_mode_until_it_is_writable(volume: Path) -> None:
    harness = SpoolHarness(volume)
    harness.put(0)
    harness.close()
    assert not _mount("-o", "remount,ro", volume)
    reopened = SpoolHarness(volume)
    reopened.put(1)
    assert "is read-only: mount it writable" in reopened.spool.degraded_reason
    assert reopened.deliver() == [1]
    reopened.put(2)
    assert not _mount("-o", "remount,rw", volume)
    reopened.put(3, now=LATER)
    assert reopened.spool.degraded_reason == ""
    assert reopened.deliver() == [0, 2, 3]


def _lock(directory: Path) -> Callable[[], None]:
    """Remove write permission; return a function that restores it."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        return lambda: os.seteuid(0)
    directory.chmod(0o555)
    return lambda: directory.chmod(0o755)


def test_a_directory_without_permission_causes_memory_mode_until_it_is_writable(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.mkdir()
    restore = _lock(directory)
    try:
        harness = SpoolHarness(directory)
        harness.put(0, 1)
        assert "is not writable: check its owner, its mode, and the pod's fsGroup" in harness.spool.degraded_reason
        assert harness.spool.peek() is not None
    finally:
        restore()
    harness.put(2, now=LATER)
    assert harness.spool.degraded_reason == ""
    harness.kill()
    assert SpoolHarness(directory).deliver() == [0, 1, 2]


def test_a_directory_that_is_removed_is_created_again_without_loss(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    harness = SpoolHarness(directory)
    harness.put(*range(10))
    shutil.rmtree(directory)
    harness.put(10, 11)
    assert "was removed or replaced; its queued requests are held in open files" in harness.spool.degraded_reason
    assert harness.deliver(4) == [0, 1, 2, 3]
    assert harness.deliver(6) == [4, 5, 6, 7, 8, 9]
    harness.sync()
    assert harness.spool.degraded_reason == ""
    harness.kill()
    reopened = SpoolHarness(directory)
    assert reopened.deliver() == [10, 11]


def test_counters_restart_after_a_kill_if_the_directory_was_removed(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    harness = SpoolHarness(directory)
    harness.put(0, 1)
    shutil.rmtree(directory)
    harness.put(2)
    harness.kill()
    reopened = SpoolHarness(directory, now=NOW + 60)
    assert (reopened.totals(), reopened.spool.counters_since) == ((3, 0, 0, 0), NOW + 60)


@pytest.mark.parametrize("name", ["spool.lock", "spool.cursor", "000000000000.spool", "000000000001.spool"])
def test_any_single_file_may_be_removed_while_running(tmp_path: Path, name: str) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(7))
    harness.deliver(1)
    (tmp_path / name).unlink()
    harness.put(7, 8)
    assert harness.deliver() == list(range(1, 9))
    harness.sync()
    assert (harness.spool.degraded_reason, harness.accounting.dropped) == ("", {})
    harness.put(9)
    harness.kill()
    assert SpoolHarness(tmp_path).deliver() == [9]


def test_a_directory_renamed_and_back_causes_no_loss_and_no_duplicate(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    harness = SpoolHarness(directory)
    harness.put(0, 1)
    directory.rename(tmp_path / "away")
    directory.write_text("in the way")
    harness.put(2)
    assert "is not a directory" in harness.spool.degraded_reason
    directory.unlink()
    (tmp_path / "away").rename(directory)
    harness.put(3, now=LATER)
    assert harness.deliver() == [0, 1, 2, 3]
    assert harness.accounting.produced == points(0, 1, 2, 3)


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_segment_is_deleted_while_the_checkpoint_cannot_be_written(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(20))
    with _files_of_at_most(1):
        assert harness.deliver() == list(range(20))
        harness.sync()
        assert harness.spool.degraded_reason
        assert len(harness.segment_names()) == 4
    harness.kill()
    reopened = SpoolHarness(tmp_path)
    assert reopened.accounting.dropped == {}
    assert reopened.deliver() == list(range(20))


def test_a_partly_written_record_is_truncated_and_rewritten(tmp_path: Path) -> None:
    """A limit on the size of files makes a write end early, as on a disk that fills up."""
    harness = SpoolHarness(tmp_path, SpoolLimits(200_000, 3600.0, min_segment=200_000))
    harness.put(0, size=40_000)
    file = tmp_path / "000000000000.spool"
    size = file.stat().st_size
    with _files_of_at_most(size + 100):
        harness.put(1)
        assert "File too large" in harness.spool.degraded_reason
        assert file.stat().st_size == size
    harness.put(2, now=LATER)
    harness.kill()
    assert SpoolHarness(tmp_path).deliver() == [0, 1, 2]


def test_memory_is_limited_and_drops_its_oldest_request(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    harness = SpoolHarness(directory, SpoolLimits(60_000, 3600.0, max_memory=348 * 4, min_segment=1500))
    harness.put(0, 1)
    harness.spool._enter_memory_mode(OSError(28, "No space left on device"))
    harness.put(*range(2, 10))
    assert harness.accounting.dropped == {"queue_full": points(2, 3, 4, 5)}
    assert harness.deliver() == [0, 1, 6, 7, 8, 9]


def test_a_failed_disk_is_not_retried_for_every_request(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0, now=NOW)
    harness.spool._enter_memory_mode(OSError(28, "No space left on device"))
    harness.put(1, now=NOW + RETRY_INTERVAL - 1)
    assert harness.spool.degraded_reason
    harness.put(2, now=NOW - 3600)
    assert harness.spool.degraded_reason == ""
    assert harness.deliver() == [0, 1, 2]


def test_points_in_memory_at_shutdown_are_counted_as_dropped(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.write_text("in the way")
    harness = SpoolHarness(directory, LIMITS)
    harness.put(0, 1)
    harness.close()
    assert (harness.accounting.dropped, harness.accounting.queued, harness.accounting.is_balanced) == (
        {"shutdown": 3},
        0,
        True,
    )


def test_close_retries_to_write_the_buffer(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0)
    harness.spool._enter_memory_mode(OSError(28, "No space left on device"))
    harness.put(1)
    harness.close()
    assert harness.accounting.dropped == {}
    assert SpoolHarness(tmp_path).deliver() == [0, 1]


def test_memory_mode_starts_if_another_process_locks_the_directory(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0)
    (tmp_path / "spool.lock").unlink()
    other = SpoolHarness(tmp_path)
    harness.put(1)
    assert "is in use by another process" in harness.spool.degraded_reason
    assert harness.deliver() == [0, 1]
    other.kill()
