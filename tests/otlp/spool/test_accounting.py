"""The books over restarts: made = delivered + rejected + dropped + queued, and no counter goes back under one start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.otlp.delivery.queue import Drop
from exporter.otlp.spool import SpoolLimits
from exporter.otlp.spool.checkpoint import SLOT_BYTES, Checkpoint, latest_checkpoint, encode_slot
from exporter.otlp.spool.files import CHECKPOINT_FILE

from .harness import BOUNDS, NOW, Kept, points

if TYPE_CHECKING:
    from pathlib import Path

SMALL = SpoolLimits(348 * 3, 3600.0)


def _mark(directory: Path) -> Checkpoint:
    mark = latest_checkpoint((directory / CHECKPOINT_FILE).read_bytes())
    assert mark is not None
    return mark


def _rewrite(directory: Path, mark: Checkpoint) -> None:
    with (directory / CHECKPOINT_FILE).open("r+b") as file:
        for generation in (mark.generation + 1, mark.generation + 2):
            file.seek(generation % 2 * SLOT_BYTES)
            file.write(encode_slot(replace(mark, generation=generation)))


def test_counters_go_on_after_a_kill_and_keep_their_start(tmp_path: Path) -> None:
    kept = Kept(tmp_path, SMALL)
    kept.put(0, 1, 2, 3)
    kept.take(1)
    head = kept.spool.peek()
    assert head is not None
    assert kept.spool.ack(head)
    kept.books.count_acked(1, 2, [Drop("http_400", 0)])
    kept.secure()
    assert kept.totals() == (10, 3, 2, 1)
    kept.die()
    again = Kept(tmp_path, SMALL, now=NOW + 60)
    assert again.totals() == (10, 3, 2, 1)
    assert (again.books.dropped["queue_full"], again.books.queued, again.spool.counters_since) == (1, 4, NOW)
    assert again.take() == [3]
    assert again.totals() == (10, 7, 2, 1)


def test_counters_go_on_after_an_orderly_end_over_another_boot(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0, 1)
    kept.take(1)
    kept.close()
    _rewrite(tmp_path, replace(_mark(tmp_path), boot_id="another"))
    again = Kept(tmp_path, now=NOW + 60)
    assert (again.totals(), again.spool.counters_since) == ((3, 1, 0, 0), NOW)


def test_counters_begin_anew_after_a_crash_of_the_machine(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0, 1)
    kept.take(1)
    kept.die()
    _rewrite(tmp_path, replace(_mark(tmp_path), boot_id="another"))
    again = Kept(tmp_path, now=NOW + 60)
    assert (again.totals(), again.books.queued, again.spool.counters_since) == ((2, 0, 0, 0), 2, NOW + 60)
    assert again.take() == [1]


def test_counters_begin_anew_when_points_were_in_memory_at_the_kill(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0)
    kept.spool._enter_memory_mode(OSError(28, "No space left on device"))
    kept.put(1)
    assert kept.spool.degraded_reason
    kept.die()
    again = Kept(tmp_path, now=NOW + 60)
    assert (again.totals(), again.books.queued, again.spool.counters_since) == ((1, 0, 0, 0), 1, NOW + 60)


def test_a_second_restart_goes_on_from_the_first(tmp_path: Path) -> None:
    for generation in range(5):
        kept = Kept(tmp_path, now=NOW + generation)
        assert kept.totals() == (points(*range(generation * 2)), points(*range(generation)), 0, 0)
        kept.put(generation * 2, generation * 2 + 1)
        assert kept.take(1) == [generation]
        assert kept.spool.counters_since == NOW
        kept.die()


def test_records_written_after_the_cursor_was_put_down_are_made_and_queued(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0)
    kept.take()
    kept.put(*range(1, 20))
    assert _mark(tmp_path).queued_points == 0
    kept.die()
    again = Kept(tmp_path)
    assert again.totals() == (points(*range(20)), 1, 0, 0)
    assert again.take() == list(range(1, 20))


def test_a_disk_that_comes_late_adds_what_it_holds_to_the_books(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    kept = Kept(directory)
    kept.put(0, 1, 2)
    kept.take(1)
    kept.die()
    directory.rename(tmp_path / "away")
    directory.write_text("in the way")
    late = Kept(directory, now=NOW + 60)
    assert "is not a directory" in late.spool.degraded_reason
    late.put(3)
    assert (late.totals(), late.books.queued) == ((4, 0, 0, 0), 4)
    under_way = late.spool.peek()
    assert under_way is not None
    directory.unlink()
    (tmp_path / "away").rename(directory)
    late.put(4, now=NOW + 10)
    assert not late.spool.ack(under_way)
    assert (late.spool.degraded_reason, late.spool.counters_since) == ("", NOW + 60)
    assert (late.totals(), late.books.queued) == ((points(1, 2, 3, 4), 0, 0, 0), points(1, 2, 3, 4))
    assert late.take() == [1, 2, 3, 4]


def test_what_is_cleared_is_booked_as_such_for_good(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(20))
    assert kept.spool.clear() == (Drop("cleared", points(*range(20))),)
    kept.close()
    again = Kept(tmp_path)
    assert again.books.dropped == {"cleared": points(*range(20))}
    assert again.files() == []


def test_a_mark_survives_any_reasons_there_can_be(tmp_path: Path) -> None:
    kept = Kept(tmp_path, BOUNDS)
    kept.books.count_enqueued(300)
    kept.books.count_dropped(Drop(f"http_{code}", 1) for code in range(300, 600))
    kept.put(0)
    kept.take()
    kept.die()
    assert Kept(tmp_path).totals() == (301, 1, 0, 300)
