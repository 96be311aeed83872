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

from .harness import NOW, SpoolHarness, points, request_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BODY_BYTES = 40
RECORD_BYTES = OVERHEAD + BODY_BYTES
COUNT = 5
MAX_CHECKPOINT_BYTES = 330


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return a directory in which records 1 to 5 wait in one segment, after record 0 that was delivered."""
    directory = tmp_path / "whole"
    harness = SpoolHarness(directory)
    harness.put(*range(COUNT + 1), size=BODY_BYTES)
    assert harness.deliver(1) == [0]
    harness.close()
    assert (directory / "000000000000.spool").stat().st_size == len(SEGMENT_HEADER) + (COUNT + 1) * RECORD_BYTES
    return directory


def _damaged(whole: Path, to: Path, name: str, change: Callable[[bytes], bytes]) -> SpoolHarness:
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
    return SpoolHarness(to)


def _put(content: bytes, _: bytes) -> bytes:
    return content


def _cut(size: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:size]


def _flip(at: int, bits: int = 0xFF) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


def _expect(harness: SpoolHarness, left: Sequence[int]) -> None:
    """Take what is left, go on with more, and find the books true."""
    harness.put(99, size=BODY_BYTES)
    assert harness.deliver() == [*left, 99]
    lost = points(*range(1, COUNT + 1)) - points(*left)
    assert harness.accounting.dropped == ({"damaged": lost} if lost else {})
    assert harness.accounting.delivered == points(0, *left, 99)
    harness.commit()
    harness.kill()


@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_a_flipped_byte_costs_one_record(whole: Path, tmp_path: Path, bits: int) -> None:
    for at in range(len(SEGMENT_HEADER) + (COUNT + 1) * RECORD_BYTES):
        harness = _damaged(whole, tmp_path / "copy", "000000000000.spool", _flip(at, bits))
        hit = (at - len(SEGMENT_HEADER)) // RECORD_BYTES
        _expect(harness, [number for number in range(1, COUNT + 1) if number != hit])


def test_a_truncated_file_keeps_the_records_before_the_cut(whole: Path, tmp_path: Path) -> None:
    for size in range(len(SEGMENT_HEADER) + (COUNT + 1) * RECORD_BYTES):
        harness = _damaged(whole, tmp_path / "copy", "000000000000.spool", _cut(size))
        _expect(harness, range(1, (size - len(SEGMENT_HEADER)) // RECORD_BYTES))


def test_a_deleted_file_costs_its_records(whole: Path) -> None:
    (whole / "000000000000.spool").unlink()
    _expect(SpoolHarness(whole), [])


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return a directory in which records 3 to 5 wait, after 0 to 2 were delivered one by one."""
    harness = SpoolHarness(tmp_path / "begun")
    harness.put(*range(6), size=BODY_BYTES)
    assert harness.deliver(3) == [0, 1, 2]
    harness.kill()
    return tmp_path / "begun"


def test_a_flipped_byte_in_the_checkpoint_costs_at_most_one_duplicate(begun: Path, tmp_path: Path) -> None:
    assert (begun / "spool.cursor").stat().st_size == 2 * SLOT_BYTES
    seen = set()
    for at in range(2 * SLOT_BYTES):
        if at % SLOT_BYTES < MAX_CHECKPOINT_BYTES or at % 2003 == 0:
            harness = _damaged(begun, tmp_path / "copy", "spool.cursor", _flip(at))
            seen.add(tuple(harness.deliver()))
            assert (harness.accounting.dropped, harness.spool.degraded_reason) == ({}, "")
            harness.kill()
    assert seen == {(3, 4, 5), (2, 3, 4, 5)}


def test_a_truncated_checkpoint_loses_no_record(begun: Path, tmp_path: Path) -> None:
    seen = []
    for size in [*range(0, MAX_CHECKPOINT_BYTES, 7), *range(MAX_CHECKPOINT_BYTES, 2 * SLOT_BYTES, 997)]:
        harness = _damaged(begun, tmp_path / "copy", "spool.cursor", _cut(size))
        seen.append(harness.deliver())
        assert (harness.accounting.dropped, harness.spool.degraded_reason) == ({}, "")
        harness.kill()
    assert seen[0] == [0, 1, 2, 3, 4, 5]
    assert seen == sorted(seen, key=len, reverse=True)
    assert seen[-1] in ([3, 4, 5], [2, 3, 4, 5])


def test_segments_are_deleted_only_after_both_checkpoint_slots_are_written(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(10))
    harness.accounting.count_dropped(harness.spool.expire(NOW + 3700))
    harness.sync()
    harness.kill()
    cursor = tmp_path / "spool.cursor"
    content = cursor.read_bytes()
    for start in (0, SLOT_BYTES):
        cursor.write_bytes(content[:start] + bytes(SLOT_BYTES) + content[start + SLOT_BYTES :])
        reopened = SpoolHarness(tmp_path)
        assert reopened.accounting.dropped == {"expired": points(*range(10))}
        reopened.kill()


def test_an_invalid_checkpoint_is_replaced(whole: Path, tmp_path: Path) -> None:
    for content in (b"", b"foreign", bytes(2 * SLOT_BYTES), b"\xff" * 3 * SLOT_BYTES):
        harness = _damaged(whole, tmp_path / "copy", "spool.cursor", partial(_put, content))
        assert harness.totals() == (points(*range(6)), 0, 0, 0)
        assert harness.deliver() == list(range(6))
        harness.kill()
        assert latest_checkpoint((tmp_path / "copy" / "spool.cursor").read_bytes()) is not None


@pytest.mark.parametrize(
    "content",
    [b"#!/bin/sh\necho hello\n", b"\0" * 100_000, segment_header(2) + b"of another version" * 100, bytes(range(256)) * 300],
    ids=["text", "zeros", "other version", "noise"],
)
def test_a_foreign_file_is_logged_and_kept(
    whole: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    for number in (7, 8_000_000_000):
        (whole / f"{number:012}.spool").write_bytes(content)
    for name in ("notes.txt", "1.spool", "fleet.memory"):
        (whole / name).write_bytes(content)
    caplog.set_level(logging.WARNING)
    harness = SpoolHarness(whole)
    harness.put(6, size=BODY_BYTES)
    assert harness.deliver() == [1, 2, 3, 4, 5, 6]
    harness.close()
    assert [message for message in caplog.messages if "damage" in message] == ["spool has a damaged record"] * 2
    for name in ("000000000007.spool", "008000000000.spool", "notes.txt", "1.spool", "fleet.memory"):
        assert (whole / name).read_bytes() == content
    harness = SpoolHarness(whole)
    harness.put(7, size=BODY_BYTES)
    assert harness.deliver() == [7]


def test_an_empty_or_partly_written_segment_is_deleted(whole: Path) -> None:
    for number, size in ((3, 0), (5, 7), (9, len(SEGMENT_HEADER))):
        (whole / f"{number:012}.spool").write_bytes(SEGMENT_HEADER[:size])
    harness = SpoolHarness(whole)
    harness.put(6, size=BODY_BYTES)
    harness.sync()
    assert harness.segment_names() == ["000000000000.spool", "000000000010.spool"]
    assert harness.deliver() == [1, 2, 3, 4, 5, 6]


def test_corruption_is_logged_with_file_offset_and_points(whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = whole / "000000000000.spool"
    file.write_bytes(_flip(len(SEGMENT_HEADER) + 2 * RECORD_BYTES)(_flip(len(SEGMENT_HEADER) + 4 * RECORD_BYTES + OVERHEAD)(file.read_bytes())))
    SpoolHarness(whole).deliver()
    told = [vars(one)["fields"] for one in caplog.records if one.levelno == logging.WARNING]
    place = {"file": "000000000000.spool", "bytes": RECORD_BYTES}
    assert told == [
        {**place, "offset": len(SEGMENT_HEADER) + 2 * RECORD_BYTES, "points": 3, "reason": "no record begins here"},
        {**place, "offset": len(SEGMENT_HEADER) + 4 * RECORD_BYTES, "points": 5},
    ]


def test_a_torn_last_record_is_truncated_and_logged_once(whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (whole / "000000000000.spool").open("ab") as file:
        one = request_for(6, size=1000)
        file.write(encode_record(RecordHeader.for_request(one, 6, 100), one.body)[:-1])
    harness = SpoolHarness(whole)
    harness.put(6, size=BODY_BYTES)
    harness.kill()
    assert caplog.messages == ["spool has a damaged record"]
    assert SpoolHarness(whole).deliver() == [1, 2, 3, 4, 5, 6]
    assert caplog.messages == ["spool has a damaged record"]


def test_a_record_damaged_while_running_is_counted_as_dropped(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(0, 1, 2)
    with (tmp_path / harness.segment_names()[0]).open("r+b") as file:
        file.seek(len(SEGMENT_HEADER) + 348 + OVERHEAD)
        file.write(b"noise")
    assert harness.deliver() == [0, 2]
    assert harness.accounting.dropped == {"damaged": 2}


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 200)), max_size=8))
def test_every_valid_record_is_found_among_noise(parts: list[tuple[bytes, int]]) -> None:
    content, expected = SEGMENT_HEADER, []
    for number, (noise, size) in enumerate(parts):
        content += noise
        one = request_for(number, size)
        expected.append((len(content), number))
        content += encode_record(RecordHeader.for_request(one, number, number), one.body)
    found = [
        (one.offset, one.sequence)
        for one in scan(lambda at, n: content[at : at + n], len(content))
        if isinstance(one, RecordHeader)
    ]
    assert found == expected


def test_a_record_is_found_at_any_offset_after_a_long_corruption() -> None:
    one = request_for(0)
    frame = encode_record(RecordHeader.for_request(one, 0, 1), one.body)
    for long in range(65_530, 65_545):
        content = SEGMENT_HEADER + bytes(long) + frame
        found = list(scan(lambda at, n, content=content: content[at : at + n], len(content)))  # type: ignore[misc]
        assert [part.offset for part in found] == [len(SEGMENT_HEADER), len(SEGMENT_HEADER) + long]


@given(st.binary(max_size=2000), st.booleans())
def test_scanning_never_fails_on_any_bytes(noise: bytes, ours: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    content = SEGMENT_HEADER + noise if ours else noise
    found = scan_segment(lambda at, n: content[at : at + n], len(content))
    covered = sum(one.size for one in found.headers) + sum(one.size for one in found.corruptions)
    assert covered == len(noise)
