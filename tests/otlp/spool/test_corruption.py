"""Files that are damaged at any byte: what is whole is kept, in order, and the books say what is lost."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.otlp.spool.checkpoint import SLOT_BYTES, latest_checkpoint
from exporter.otlp.spool.record import SEGMENT_HEADER, OVERHEAD, RecordHeader, scan, segment_header, encode_record
from exporter.otlp.spool.recovery import scan_segment

from .harness import NOW, Kept, points, record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SIZE = 40
STEP = OVERHEAD + SIZE
MANY = 5
LONGEST_MARK = 330


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return a directory in which records 1 to 5 wait in one segment, after record 0 that was delivered."""
    directory = tmp_path / "whole"
    kept = Kept(directory)
    kept.put(*range(MANY + 1), size=SIZE)
    assert kept.take(1) == [0]
    kept.close()
    assert (directory / "000000000000.spool").stat().st_size == len(SEGMENT_HEADER) + (MANY + 1) * STEP
    return directory


def _damaged(whole: Path, to: Path, name: str, change: Callable[[bytes], bytes]) -> Kept:
    """Open a copy of the directory with one file changed; files are written over, since removing is slow."""
    to.mkdir(exist_ok=True)
    contents = {file.name: file.read_bytes() for file in whole.iterdir()}
    contents[name] = change(contents[name])
    for file in to.iterdir():
        if file.name not in contents:
            file.unlink()
    for path, content in ((to / name, content) for name, content in contents.items()):
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT), "wb") as opened:
            opened.write(content)
            opened.truncate()
    return Kept(to)


def _put(content: bytes, _: bytes) -> bytes:
    return content


def _cut(size: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:size]


def _flip(at: int, bits: int = 0xFF) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


def _expect(kept: Kept, left: Sequence[int]) -> None:
    """Take what is left, go on with more, and find the books true."""
    kept.put(99, size=SIZE)
    assert kept.take() == [*left, 99]
    lost = points(*range(1, MANY + 1)) - points(*left)
    assert kept.books.dropped == ({"damaged": lost} if lost else {})
    assert kept.books.delivered == points(0, *left, 99)
    kept.secure()
    kept.die()


@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_a_byte_that_flips_costs_its_own_record_alone(whole: Path, tmp_path: Path, bits: int) -> None:
    for at in range(len(SEGMENT_HEADER) + (MANY + 1) * STEP):
        kept = _damaged(whole, tmp_path / "copy", "000000000000.spool", _flip(at, bits))
        hit = (at - len(SEGMENT_HEADER)) // STEP
        _expect(kept, [number for number in range(1, MANY + 1) if number != hit])


def test_a_file_that_is_cut_short_keeps_what_stands_before(whole: Path, tmp_path: Path) -> None:
    for size in range(len(SEGMENT_HEADER) + (MANY + 1) * STEP):
        kept = _damaged(whole, tmp_path / "copy", "000000000000.spool", _cut(size))
        _expect(kept, range(1, (size - len(SEGMENT_HEADER)) // STEP))


def test_a_file_that_is_gone_costs_what_was_in_it(whole: Path) -> None:
    (whole / "000000000000.spool").unlink()
    _expect(Kept(whole), [])


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return a directory in which records 3 to 5 wait, after 0 to 2 were delivered one by one."""
    kept = Kept(tmp_path / "begun")
    kept.put(*range(6), size=SIZE)
    assert kept.take(3) == [0, 1, 2]
    kept.die()
    return tmp_path / "begun"


def test_the_cursor_may_flip_anywhere_and_costs_one_delivery_more(begun: Path, tmp_path: Path) -> None:
    assert (begun / "spool.cursor").stat().st_size == 2 * SLOT_BYTES
    seen = set()
    for at in range(2 * SLOT_BYTES):
        if at % SLOT_BYTES < LONGEST_MARK or at % 2003 == 0:
            kept = _damaged(begun, tmp_path / "copy", "spool.cursor", _flip(at))
            seen.add(tuple(kept.take()))
            assert (kept.books.dropped, kept.spool.degraded_reason) == ({}, "")
            kept.die()
    assert seen == {(3, 4, 5), (2, 3, 4, 5)}


def test_the_cursor_may_end_anywhere_and_at_worst_all_that_is_there_is_delivered(begun: Path, tmp_path: Path) -> None:
    seen = []
    for size in [*range(0, LONGEST_MARK, 7), *range(LONGEST_MARK, 2 * SLOT_BYTES, 997)]:
        kept = _damaged(begun, tmp_path / "copy", "spool.cursor", _cut(size))
        seen.append(kept.take())
        assert (kept.books.dropped, kept.spool.degraded_reason) == ({}, "")
        kept.die()
    assert seen[0] == [0, 1, 2, 3, 4, 5]
    assert seen == sorted(seen, key=len, reverse=True)
    assert seen[-1] in ([3, 4, 5], [2, 3, 4, 5])


def test_disk_space_comes_back_only_when_both_slots_of_the_cursor_know_why(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(*range(10))
    kept.books.count_dropped(kept.spool.expire(NOW + 3700))
    kept.sync()
    kept.die()
    cursor = tmp_path / "spool.cursor"
    content = cursor.read_bytes()
    for start in (0, SLOT_BYTES):
        cursor.write_bytes(content[:start] + bytes(SLOT_BYTES) + content[start + SLOT_BYTES :])
        again = Kept(tmp_path)
        assert again.books.dropped == {"expired": points(*range(10))}
        again.die()


def test_a_cursor_that_says_nothing_is_begun_anew(whole: Path, tmp_path: Path) -> None:
    for content in (b"", b"foreign", bytes(2 * SLOT_BYTES), b"\xff" * 3 * SLOT_BYTES):
        kept = _damaged(whole, tmp_path / "copy", "spool.cursor", partial(_put, content))
        assert kept.totals() == (points(*range(6)), 0, 0, 0)
        assert kept.take() == list(range(6))
        kept.die()
        assert latest_checkpoint((tmp_path / "copy" / "spool.cursor").read_bytes()) is not None


@pytest.mark.parametrize(
    "content",
    [b"#!/bin/sh\necho hello\n", b"\0" * 100_000, segment_header(2) + b"of another version" * 100, bytes(range(256)) * 300],
    ids=["text", "zeros", "other version", "noise"],
)
def test_a_foreign_file_is_told_of_and_left_alone(
    whole: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    for number in (7, 8_000_000_000):
        (whole / f"{number:012}.spool").write_bytes(content)
    for name in ("notes.txt", "1.spool", "fleet.memory"):
        (whole / name).write_bytes(content)
    caplog.set_level(logging.WARNING)
    kept = Kept(whole)
    kept.put(6, size=SIZE)
    assert kept.take() == [1, 2, 3, 4, 5, 6]
    kept.close()
    assert [message for message in caplog.messages if "damage" in message] == ["spool has a damaged record"] * 2
    for name in ("000000000007.spool", "008000000000.spool", "notes.txt", "1.spool", "fleet.memory"):
        assert (whole / name).read_bytes() == content
    kept = Kept(whole)
    kept.put(7, size=SIZE)
    assert kept.take() == [7]


def test_an_empty_file_or_a_begun_head_is_cleared_away(whole: Path) -> None:
    for number, size in ((3, 0), (5, 7), (9, len(SEGMENT_HEADER))):
        (whole / f"{number:012}.spool").write_bytes(SEGMENT_HEADER[:size])
    kept = Kept(whole)
    kept.put(6, size=SIZE)
    kept.sync()
    assert kept.files() == ["000000000000.spool", "000000000010.spool"]
    assert kept.take() == [1, 2, 3, 4, 5, 6]


def test_damage_is_told_with_file_place_and_points(whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = whole / "000000000000.spool"
    file.write_bytes(_flip(len(SEGMENT_HEADER) + 2 * STEP)(_flip(len(SEGMENT_HEADER) + 4 * STEP + OVERHEAD)(file.read_bytes())))
    Kept(whole).take()
    told = [vars(one)["fields"] for one in caplog.records if one.levelno == logging.WARNING]
    place = {"file": "000000000000.spool", "bytes": STEP}
    assert told == [
        {**place, "offset": len(SEGMENT_HEADER) + 2 * STEP, "points": 3, "reason": "no record begins here"},
        {**place, "offset": len(SEGMENT_HEADER) + 4 * STEP, "points": 5},
    ]


def test_an_end_that_is_torn_is_cut_off_and_told_of_once(whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (whole / "000000000000.spool").open("ab") as file:
        one = record(6, size=1000)
        file.write(encode_record(RecordHeader.for_request(one, 6, 100), one.body)[:-1])
    kept = Kept(whole)
    kept.put(6, size=SIZE)
    kept.die()
    assert caplog.messages == ["spool has a damaged record"]
    assert Kept(whole).take() == [1, 2, 3, 4, 5, 6]
    assert caplog.messages == ["spool has a damaged record"]


def test_a_record_can_be_lost_while_running_and_the_books_know(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(0, 1, 2)
    with (tmp_path / kept.files()[0]).open("r+b") as file:
        file.seek(len(SEGMENT_HEADER) + 348 + OVERHEAD)
        file.write(b"noise")
    assert kept.take() == [0, 2]
    assert kept.books.dropped == {"damaged": 2}


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 200)), max_size=8))
def test_every_sound_record_is_found_among_any_noise(parts: list[tuple[bytes, int]]) -> None:
    content, expected = SEGMENT_HEADER, []
    for number, (noise, size) in enumerate(parts):
        content += noise
        one = record(number, size)
        expected.append((len(content), number))
        content += encode_record(RecordHeader.for_request(one, number, number), one.body)
    found = [
        (one.offset, one.sequence)
        for one in scan(lambda at, n: content[at : at + n], len(content))
        if isinstance(one, RecordHeader)
    ]
    assert found == expected


def test_a_record_is_found_wherever_it_stands_after_a_long_damage() -> None:
    one = record(0)
    frame = encode_record(RecordHeader.for_request(one, 0, 1), one.body)
    for long in range(65_530, 65_545):
        content = SEGMENT_HEADER + bytes(long) + frame
        found = list(scan(lambda at, n, content=content: content[at : at + n], len(content)))  # type: ignore[misc]
        assert [part.offset for part in found] == [len(SEGMENT_HEADER), len(SEGMENT_HEADER) + long]


@given(st.binary(max_size=2000), st.booleans())
def test_no_bytes_whatever_upset_the_survey(noise: bytes, ours: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    content = SEGMENT_HEADER + noise if ours else noise
    found = scan_segment(lambda at, n: content[at : at + n], len(content))
    covered = sum(one.size for one in found.headers) + sum(one.size for one in found.corruptions)
    assert covered == len(noise)
