"""A disk that is full, read-only, forbidden or gone: memory stands in, the alarm is on, and it heals by itself."""

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

from .harness import BOUNDS, NOW, Kept, points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LATER = NOW + RETRY_INTERVAL + 1
KIB = 1024


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Return the mount point of a file system in memory with room for 128 KiB."""
    there = tmp_path / "volume"
    there.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=128k", "none", there):
        pytest.skip("mount of a tmpfs is not permitted here")
    yield there
    subprocess.run(["umount", "--lazy", there], check=True)


def _mount(*arguments: str | Path) -> int:
    if os.geteuid() or shutil.which("mount") is None:
        return 1
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass


def test_a_full_disk_turns_it_into_memory_and_it_heals_in_order(volume: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    kept = Kept(volume)
    kept.put(0)
    filler = volume / "filler"
    _fill(filler)
    kept.put(*range(1, 40))
    assert "has no space left: free some, or lower otlp.queue.bytes" in kept.spool.degraded_reason
    assert kept.take(3) == [0, 1, 2]
    filler.unlink()
    kept.put(40, now=LATER)
    assert kept.spool.degraded_reason == ""
    told = [record.message for record in caplog.records if record.name == "exporter.otlp.spool.spool"]
    assert told == ["spool degraded, queueing in memory", "spool back on disk"]
    kept.die()
    again = Kept(volume)
    assert again.books.produced == points(*range(41))
    assert again.take() == list(range(3, 41))


def test_acknowledgements_hold_though_the_disk_is_full(volume: Path) -> None:
    kept = Kept(volume)
    kept.put(*range(10))
    _fill(volume / "filler")
    kept.put(10)
    assert kept.spool.degraded_reason
    assert kept.take(5) == [0, 1, 2, 3, 4]
    kept.die()
    (volume / "filler").unlink()
    assert Kept(volume).take() == list(range(5, 10))


def test_a_volume_smaller_than_the_bound_keeps_draining_and_returning_to_disk(volume: Path) -> None:
    kept = Kept(volume, SpoolLimits(512 * KIB, 3600.0, min_segment=8 * KIB))
    expected, put = [], 0
    for turn in range(6):
        for _ in range(80):
            kept.put(put, size=2 * KIB, now=NOW + turn * 10)
            put += 1
        assert kept.spool.degraded_reason
        expected += kept.take(75)
        kept.sync()
    expected += kept.take()
    assert expected == list(range(put))
    kept.put(put, now=NOW + 100)
    assert kept.spool.degraded_reason == ""


def test_a_read_only_disk_turns_it_into_memory_and_it_heals(volume: Path) -> None:
    kept = Kept(volume)
    kept.put(0)
    kept.close()
    assert not _mount("-o", "remount,ro", volume)
    again = Kept(volume)
    again.put(1)
    assert "is read-only: mount it writable" in again.spool.degraded_reason
    assert again.take() == [1]
    again.put(2)
    assert not _mount("-o", "remount,rw", volume)
    again.put(3, now=LATER)
    assert again.spool.degraded_reason == ""
    assert again.take() == [0, 2, 3]


def _lock(directory: Path) -> Callable[[], None]:
    """Take away the permission to write; return how to give it back."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        return lambda: os.seteuid(0)
    directory.chmod(0o555)
    return lambda: directory.chmod(0o755)


def test_a_directory_without_permission_turns_it_into_memory_and_it_heals(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.mkdir()
    permit = _lock(directory)
    try:
        kept = Kept(directory)
        kept.put(0, 1)
        assert "is not writable: check its owner, its mode, and the pod's fsGroup" in kept.spool.degraded_reason
        assert kept.spool.peek() is not None
    finally:
        permit()
    kept.put(2, now=LATER)
    assert kept.spool.degraded_reason == ""
    kept.die()
    assert Kept(directory).take() == [0, 1, 2]


def test_a_directory_removed_beneath_us_is_made_again_and_nothing_is_lost(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    kept = Kept(directory)
    kept.put(*range(10))
    shutil.rmtree(directory)
    kept.put(10, 11)
    assert "was removed or replaced; its queued requests are held in open files" in kept.spool.degraded_reason
    assert kept.take(4) == [0, 1, 2, 3]
    assert kept.take(6) == [4, 5, 6, 7, 8, 9]
    kept.sync()
    assert kept.spool.degraded_reason == ""
    kept.die()
    again = Kept(directory)
    assert again.take() == [10, 11]


def test_a_kill_after_the_directory_was_removed_begins_the_books_anew(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    kept = Kept(directory)
    kept.put(0, 1)
    shutil.rmtree(directory)
    kept.put(2)
    kept.die()
    again = Kept(directory, now=NOW + 60)
    assert (again.totals(), again.spool.counters_since) == ((3, 0, 0, 0), NOW + 60)


@pytest.mark.parametrize("name", ["spool.lock", "spool.cursor", "000000000000.spool", "000000000001.spool"])
def test_any_single_file_may_be_removed_beneath_us(tmp_path: Path, name: str) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(7))
    kept.take(1)
    (tmp_path / name).unlink()
    kept.put(7, 8)
    assert kept.take() == list(range(1, 9))
    kept.sync()
    assert (kept.spool.degraded_reason, kept.books.dropped) == ("", {})
    kept.put(9)
    kept.die()
    assert Kept(tmp_path).take() == [9]


def test_a_directory_renamed_and_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    kept = Kept(directory)
    kept.put(0, 1)
    directory.rename(tmp_path / "away")
    directory.write_text("in the way")
    kept.put(2)
    assert "is not a directory" in kept.spool.degraded_reason
    directory.unlink()
    (tmp_path / "away").rename(directory)
    kept.put(3, now=LATER)
    assert kept.take() == [0, 1, 2, 3]
    assert kept.books.produced == points(0, 1, 2, 3)


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_removed_while_the_cursor_cannot_be_put_down(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(20))
    with _files_of_at_most(1):
        assert kept.take() == list(range(20))
        kept.sync()
        assert kept.spool.degraded_reason
        assert len(kept.files()) == 4
    kept.die()
    again = Kept(tmp_path)
    assert again.books.dropped == {}
    assert again.take() == list(range(20))


def test_a_record_written_in_part_is_cut_off_and_written_again(tmp_path: Path) -> None:
    """A limit on the size of files lets a write end in the middle, as a disk does that fills up."""
    kept = Kept(tmp_path, SpoolLimits(200_000, 3600.0, min_segment=200_000))
    kept.put(0, size=40_000)
    file = tmp_path / "000000000000.spool"
    size = file.stat().st_size
    with _files_of_at_most(size + 100):
        kept.put(1)
        assert "File too large" in kept.spool.degraded_reason
        assert file.stat().st_size == size
    kept.put(2, now=LATER)
    kept.die()
    assert Kept(tmp_path).take() == [0, 1, 2]


def test_memory_is_bounded_too_and_gives_up_its_oldest(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    kept = Kept(directory, SpoolLimits(60_000, 3600.0, max_memory=348 * 4, min_segment=1500))
    kept.put(0, 1)
    kept.spool._enter_memory_mode(OSError(28, "No space left on device"))
    kept.put(*range(2, 10))
    assert kept.books.dropped == {"queue_full": points(2, 3, 4, 5)}
    assert kept.take() == [0, 1, 6, 7, 8, 9]


def test_a_disk_that_fails_is_not_asked_at_every_record(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0, now=NOW)
    kept.spool._enter_memory_mode(OSError(28, "No space left on device"))
    kept.put(1, now=NOW + RETRY_INTERVAL - 1)
    assert kept.spool.degraded_reason
    kept.put(2, now=NOW - 3600)
    assert kept.spool.degraded_reason == ""
    assert kept.take() == [0, 1, 2]


def test_what_is_in_memory_at_the_end_is_told_as_lost(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.write_text("in the way")
    kept = Kept(directory, BOUNDS)
    kept.put(0, 1)
    kept.close()
    assert (kept.books.dropped, kept.books.queued, kept.books.is_balanced) == ({"shutdown": 3}, 0, True)


def test_an_orderly_end_takes_a_last_chance_to_write(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0)
    kept.spool._enter_memory_mode(OSError(28, "No space left on device"))
    kept.put(1)
    kept.close()
    assert kept.books.dropped == {}
    assert Kept(tmp_path).take() == [0, 1]


def test_another_process_may_take_a_directory_we_lost_and_we_go_on_in_memory(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0)
    (tmp_path / "spool.lock").unlink()
    other = Kept(tmp_path)
    kept.put(1)
    assert "is in use by another process" in kept.spool.degraded_reason
    assert kept.take() == [0, 1]
    other.die()
