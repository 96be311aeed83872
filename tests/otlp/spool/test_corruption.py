"""Files damaged at any byte: intact records are kept in order, and the accounting counts what is lost."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.otlp.spool.checkpoint import SLOT_BYTES, latest_checkpoint
from exporter.otlp.spool.record import OVERHEAD, SEGMENT_HEADER, RecordHeader, encode_record, scan, segment_header
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
def intact(tmp_path: Path) -> Path:
    """Return a directory with records 1 to 5 pending in one segment, after record 0 was delivered."""
    directory = tmp_path / "whole"
    harness = SpoolHarness(directory)
    harness.put(*range(COUNT + 1), size=BODY_BYTES)
    assert harness.deliver(1) == [0]
    harness.close()
    assert (directory / "000000000000.spool").stat().st_size == len(SEGMENT_HEADER) + (COUNT + 1) * RECORD_BYTES
    return directory


def _damaged(intact: Path, copy: Path, name: str, change: Callable[[bytes], bytes]) -> SpoolHarness:
    """Open a copy of the directory with one file changed; files are overwritten, since deleting is slow."""
    copy.mkdir(exist_ok=True)
    contents = {file.name: file.read_bytes() for file in intact.iterdir()}
    contents[name] = change(contents[name])
    for file in copy.iterdir():
        if file.name not in contents:
            file.unlink()
    for path, content in ((copy / name, content) for name, content in contents.items()):
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT), "wb") as file_object:
            file_object.write(content)
            file_object.truncate()
    return SpoolHarness(copy)


def _put(content: bytes, _: bytes) -> bytes:
    return content


def _cut(size: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:size]


def _flip(offset: int, bits: int = 0xFF) -> Callable[[bytes], bytes]:
    return lambda content: content[:offset] + bytes([content[offset] ^ bits]) + content[offset + 1 :]


def _expect(harness: SpoolHarness, left: Sequence[int]) -> None:
    """Deliver what remains and one more request, and check the accounting."""
    harness.put(99, size=BODY_BYTES)
    assert harness.deliver() == [*left, 99]
    lost = points(*range(1, COUNT + 1)) - points(*left)
    assert harness.accounting.dropped == ({"damaged": lost} if lost else {})
    assert harness.accounting.delivered == points(0, *left, 99)
    harness.commit()
    harness.kill()


@pytest.mark.slow
@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_a_flipped_byte_costs_one_record(intact: Path, tmp_path: Path, bits: int) -> None:
    for offset in range(len(SEGMENT_HEADER) + (COUNT + 1) * RECORD_BYTES):
        harness = _damaged(intact, tmp_path / "copy", "000000000000.spool", _flip(offset, bits))
        hit = (offset - len(SEGMENT_HEADER)) // RECORD_BYTES
        _expect(harness, [number for number in range(1, COUNT + 1) if number != hit])


@pytest.mark.slow
def test_a_truncated_file_keeps_the_records_before_the_cut(intact: Path, tmp_path: Path) -> None:
    for size in range(len(SEGMENT_HEADER) + (COUNT + 1) * RECORD_BYTES):
        harness = _damaged(intact, tmp_path / "copy", "000000000000.spool", _cut(size))
        _expect(harness, range(1, (size - len(SEGMENT_HEADER)) // RECORD_BYTES))


def test_a_deleted_file_costs_its_records(intact: Path) -> None:
    (intact / "000000000000.spool").unlink()
    _expect(SpoolHarness(intact), [])


@pytest.fixture
def partly_delivered(tmp_path: Path) -> Path:
    """Return a directory with records 3 to 5 pending, after 0 to 2 were delivered one by one."""
    harness = SpoolHarness(tmp_path / "begun")
    harness.put(*range(6), size=BODY_BYTES)
    assert harness.deliver(3) == [0, 1, 2]
    harness.kill()
    return tmp_path / "begun"


@pytest.mark.slow
def test_a_flipped_byte_in_the_checkpoint_costs_at_most_one_duplicate(partly_delivered: Path, tmp_path: Path) -> None:
    assert (partly_delivered / "spool.cursor").stat().st_size == 2 * SLOT_BYTES
    remaining = set()
    for offset in range(2 * SLOT_BYTES):
        if offset % SLOT_BYTES < MAX_CHECKPOINT_BYTES or offset % 2003 == 0:
            harness = _damaged(partly_delivered, tmp_path / "copy", "spool.cursor", _flip(offset))
            remaining.add(tuple(harness.deliver()))
            assert (harness.accounting.dropped, harness.spool.degraded_reason) == ({}, "")
            harness.kill()
    assert remaining == {(3, 4, 5), (2, 3, 4, 5)}


def test_a_truncated_checkpoint_loses_no_record(partly_delivered: Path, tmp_path: Path) -> None:
    remaining = []
    for size in [*range(0, MAX_CHECKPOINT_BYTES, 7), *range(MAX_CHECKPOINT_BYTES, 2 * SLOT_BYTES, 997)]:
        harness = _damaged(partly_delivered, tmp_path / "copy", "spool.cursor", _cut(size))
        remaining.append(harness.deliver())
        assert (harness.accounting.dropped, harness.spool.degraded_reason) == ({}, "")
        harness.kill()
    assert remaining[0] == [0, 1, 2, 3, 4, 5]
    assert remaining == sorted(remaining, key=len, reverse=True)
    assert remaining[-1] in ([3, 4, 5], [2, 3, 4, 5])


def test_segments_are_deleted_only_after_both_checkpoint_slots_are_written(tmp_path: Path) -> None:
    harness = SpoolHarness(tmp_path)
    harness.put(*range(10))
    harness.accounting.count_dropped(harness.spool.expire(NOW + 3700))
    harness.sync()
    harness.kill()
    checkpoint_file = tmp_path / "spool.cursor"
    content = checkpoint_file.read_bytes()
    for start in (0, SLOT_BYTES):
        checkpoint_file.write_bytes(content[:start] + bytes(SLOT_BYTES) + content[start + SLOT_BYTES :])
        reopened = SpoolHarness(tmp_path)
        assert reopened.accounting.dropped == {"expired": points(*range(10))}
        reopened.kill()


def test_an_invalid_checkpoint_is_replaced(intact: Path, tmp_path: Path) -> None:
    for content in (b"", b"foreign", bytes(2 * SLOT_BYTES), b"\xff" * 3 * SLOT_BYTES):
        harness = _damaged(intact, tmp_path / "copy", "spool.cursor", partial(_put, content))
        assert harness.totals() == (points(*range(6)), 0, 0, 0)
        assert harness.deliver() == list(range(6))
        harness.kill()
        assert latest_checkpoint((tmp_path / "copy" / "spool.cursor").read_bytes()) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\necho hello\n",
        b"\0" * 100_000,
        segment_header(2) + b"of another version" * 100,
        bytes(range(256)) * 300,
    ],
    ids=["text", "zeros", "other version", "noise"],
)
def test_a_foreign_file_is_logged_and_not_deleted(
    intact: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    for number in (7, 8_000_000_000):
        (intact / f"{number:012}.spool").write_bytes(content)
    for name in ("notes.txt", "1.spool", "fleet.memory"):
        (intact / name).write_bytes(content)
    caplog.set_level(logging.WARNING)
    harness = SpoolHarness(intact)
    harness.put(6, size=BODY_BYTES)
    assert harness.deliver() == [1, 2, 3, 4, 5, 6]
    harness.close()
    assert [message for message in caplog.messages if "damage" in message] == ["spool has a damaged record"] * 2
    for name in ("000000000007.spool", "008000000000.spool", "notes.txt", "1.spool", "fleet.memory"):
        assert (intact / name).read_bytes() == content
    harness = SpoolHarness(intact)
    harness.put(7, size=BODY_BYTES)
    assert harness.deliver() == [7]


def test_an_empty_or_partly_written_segment_is_deleted(intact: Path) -> None:
    for number, size in ((3, 0), (5, 7), (9, len(SEGMENT_HEADER))):
        (intact / f"{number:012}.spool").write_bytes(SEGMENT_HEADER[:size])
    harness = SpoolHarness(intact)
    harness.put(6, size=BODY_BYTES)
    harness.sync()
    assert harness.segment_names() == ["000000000000.spool", "000000000010.spool"]
    assert harness.deliver() == [1, 2, 3, 4, 5, 6]


def test_corruption_is_logged_with_file_offset_and_points(intact: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = intact / "000000000000.spool"
    file.write_bytes(
        _flip(len(SEGMENT_HEADER) + 2 * RECORD_BYTES)(
            _flip(len(SEGMENT_HEADER) + 4 * RECORD_BYTES + OVERHEAD)(file.read_bytes())
        )
    )
    SpoolHarness(intact).deliver()
    logged = [vars(item)["fields"] for item in caplog.records if item.levelno == logging.WARNING]
    place = {"file": "000000000000.spool", "bytes": RECORD_BYTES}
    assert logged == [
        {**place, "offset": len(SEGMENT_HEADER) + 2 * RECORD_BYTES, "points": 3, "reason": "no valid record header"},
        {**place, "offset": len(SEGMENT_HEADER) + 4 * RECORD_BYTES, "points": 5},
    ]


def test_a_torn_last_record_is_truncated_and_logged_once(intact: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (intact / "000000000000.spool").open("ab") as file:
        item = request_for(6, size=1000)
        file.write(encode_record(RecordHeader.for_request(item, 6, 100), item.body)[:-1])
    harness = SpoolHarness(intact)
    harness.put(6, size=BODY_BYTES)
    harness.kill()
    assert caplog.messages == ["spool has a damaged record"]
    assert SpoolHarness(intact).deliver() == [1, 2, 3, 4, 5, 6]
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
        item = request_for(number, size)
        expected.append((len(content), number))
        content += encode_record(RecordHeader.for_request(item, number, number), item.body)
    result = [
        (item.offset, item.sequence)
        for item in scan(lambda offset, n: content[offset : offset + n], len(content))
        if isinstance(item, RecordHeader)
    ]
    assert result == expected


def test_a_record_is_found_at_any_offset_after_a_long_corruption() -> None:
    item = request_for(0)
    frame = encode_record(RecordHeader.for_request(item, 0, 1), item.body)
    for length in range(65_530, 65_545):
        content = SEGMENT_HEADER + bytes(length) + frame
        result = list(scan(lambda offset, n, content=content: content[offset : offset + n], len(content)))  # type: ignore[misc]
        assert [part.offset for part in result] == [len(SEGMENT_HEADER), len(SEGMENT_HEADER) + length]


@given(st.binary(max_size=2000), st.booleans())
def test_scanning_never_fails_on_any_bytes(noise: bytes, ours: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    content = SEGMENT_HEADER + noise if ours else noise
    result = scan_segment(lambda offset, n: content[offset : offset + n], len(content))
    covered = sum(item.size for item in result.headers) + sum(item.size for item in result.corruptions)
    assert covered == len(noise)
