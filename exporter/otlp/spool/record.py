"""The format of a segment file: encode records, and scan for records among bytes that may be damaged.

A segment starts with SEGMENT_HEADER: 8 bytes of name, the version (u32), the CRC of both (u32). Records follow, each a
header of 48 bytes and a body, all numbers big-endian:

    marker (4 bytes), version (u8), flags (u8), 0 (u16), sequence (u64), total points (u64), points (u32),
    timestamp (f64), length of the body (u32), CRC of the body (u32), CRC of the header up to here (u32)

The CRC of the header makes the length trustworthy: a damaged body costs one record; a damaged header is skipped by
searching for the next marker with a valid header. CRCs are zlib's CRC-32.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from exporter.net.gzip import is_gzip
from exporter.storage.model import QueuedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    ReadAt = Callable[[int, int], bytes]
    """Returns bytes by offset and length, fewer only at the end of the file."""

VERSION: Final = 1
GZIP: Final = 1
"""The flag of a compressed body."""

_NAME: Final = b"rxspool\n"
_SEGMENT_HEADER: Final = struct.Struct(">8sII")
_MARKER: Final = b"\xf5RXR"  # F5 is not valid in UTF-8, so no label contains it
_HEADER: Final = struct.Struct(">4sBBHQQIdII")
_NUMBERS: Final = attrgetter("sequence", "total_points", "points", "timestamp", "body_length", "body_crc")
_CRC: Final = struct.Struct(">I")
_BLOCK: Final = 64 * 1024

OVERHEAD: Final = _HEADER.size + _CRC.size
"""Size of a record without its body, in bytes."""


def segment_header(version: int = VERSION) -> bytes:
    """Return the first bytes of a segment."""
    plain = _NAME + _CRC.pack(version)
    return plain + _CRC.pack(zlib.crc32(plain))


SEGMENT_HEADER: Final = segment_header()


def version_of(start: bytes) -> int | None:
    """Return the version in the first bytes of a file, None if they are not a valid segment header."""
    if len(start) < _SEGMENT_HEADER.size:
        return None
    name, version, crc = _SEGMENT_HEADER.unpack_from(start)
    return version if name == _NAME and crc == zlib.crc32(start[: _SEGMENT_HEADER.size - _CRC.size]) else None


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """The offset and header of a record; `total_points` counts the points ever put, up to and with this record."""

    offset: int
    sequence: int
    total_points: int
    points: int
    timestamp: float
    body_length: int
    body_crc: int
    flags: int

    @classmethod
    def for_request(cls, request: QueuedRequest, sequence: int, total_points: int) -> Self:
        """Return the header for a request; its offset is not set yet."""
        flags = GZIP if is_gzip(request.body) else 0
        body_crc = zlib.crc32(request.body)
        return cls(0, sequence, total_points, request.points, request.timestamp, len(request.body), body_crc, flags)

    @property
    def size(self) -> int:
        """The size of header and body in bytes."""
        return OVERHEAD + self.body_length

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Corruption:
    """Bytes of a segment that are not a valid record; `points` counts the points lost, None if unknown."""

    offset: int
    size: int
    reason: str
    points: int | None = None


def encode_record(header: RecordHeader, body: bytes) -> bytes:
    """Return the bytes of a record."""
    packed = _HEADER.pack(_MARKER, VERSION, header.flags, 0, *_NUMBERS(header))
    return packed + _CRC.pack(zlib.crc32(packed)) + body


def scan(read: ReadAt, size: int) -> Iterator[RecordHeader | Corruption]:
    """Yield the records of a segment of `size` bytes, in order, without checking bodies. Raises what `read` raises."""
    offset = min(len(SEGMENT_HEADER), size)
    total_points: int | None = None
    while offset < size:
        header = _parse_header(read(offset, OVERHEAD), offset) or _resync(read, offset + 1, size)
        if header is None:
            yield Corruption(offset, size - offset, "no valid record header")
            return
        if header.offset > offset:
            points = None if total_points is None else header.total_points - header.points - total_points
            yield Corruption(offset, header.offset - offset, "no valid record header", points)
        if header.end > size:
            yield Corruption(header.offset, size - header.offset, "the record is truncated", header.points)
            return
        yield header
        offset, total_points = header.end, header.total_points


def read_request(header: RecordHeader, read: ReadAt) -> QueuedRequest | None:
    """Return the request in a record, None if the body is damaged. Raises what `read` raises."""
    body = read(header.offset + OVERHEAD, header.body_length)
    if len(body) != header.body_length or zlib.crc32(body) != header.body_crc:
        return None
    return QueuedRequest(body, header.points, header.timestamp)


def _parse_header(header: bytes, offset: int) -> RecordHeader | None:
    if len(header) < OVERHEAD or not header.startswith(_MARKER):
        return None
    (crc,) = _CRC.unpack_from(header, _HEADER.size)
    _, version, flags, _, sequence, total_points, points, timestamp, length, body_crc = _HEADER.unpack_from(header)
    if version != VERSION or crc != zlib.crc32(header[: _HEADER.size]):
        return None
    return RecordHeader(offset, sequence, total_points, points, timestamp, length, body_crc, flags)


def _resync(read: ReadAt, offset: int, size: int) -> RecordHeader | None:
    """Return the first valid header at or after an offset."""
    while offset < size:
        block = read(offset, _BLOCK)
        position = block.find(_MARKER)
        while position >= 0:
            if header := _parse_header(read(offset + position, OVERHEAD), offset + position):
                return header
            position = block.find(_MARKER, position + 1)
        if len(block) < _BLOCK:
            return None
        offset += len(block) - len(_MARKER) + 1
    return None
