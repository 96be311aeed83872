"""How a record stands in a segment file, and how records are found again among bytes that may be damaged.

A segment begins with HEAD: 8 bytes of name, the version (u32), the CRC of both (u32). Frames follow, each a header of
48 bytes and a body, all numbers big-endian:

    marker (4 bytes), version (u8), flags (u8), 0 (u16), sequence (u64), through (u64), points (u32), at (f64),
    length of the body (u32), CRC of the body (u32), CRC of the header up to here (u32)

The header's own CRC makes its length trustworthy: a damaged body costs itself, a damaged header is stepped over by
looking for the next marker with a sound header. CRCs are zlib's CRC-32.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.otlp.delivery.queue import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    Read = Callable[[int, int], bytes]
    """Gives so many bytes from an offset on, fewer only at the end."""

VERSION: Final = 1
GZIP: Final = 1
"""The flag of a body that is compressed."""

_NAME: Final = b"rxspool\n"
_HEAD: Final = struct.Struct(">8sII")
_MARKER: Final = b"\xf5RXR"  # F5 stands nowhere in UTF-8, so in no label either
_FRAME: Final = struct.Struct(">4sBBHQQIdII")
_CRC: Final = struct.Struct(">I")
_BLOCK: Final = 64 * 1024

OVERHEAD: Final = _FRAME.size + _CRC.size
"""Bytes of a frame besides its body."""


def head(version: int = VERSION) -> bytes:
    """Return what a segment begins with."""
    plain = _NAME + _CRC.pack(version)
    return plain + _CRC.pack(zlib.crc32(plain))


HEAD: Final = head()


def version_of(start: bytes) -> int | None:
    """Return the version that a file's first bytes tell, None when they are no sound head of a segment."""
    if len(start) < _HEAD.size:
        return None
    name, version, crc = _HEAD.unpack_from(start)
    return version if name == _NAME and crc == zlib.crc32(start[: _HEAD.size - _CRC.size]) else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One record's place and header; `through` is how many points the spool had taken up to and with this record."""

    offset: int
    sequence: int
    through: int
    points: int
    at: float
    length: int
    crc: int
    flags: int

    @classmethod
    def of(cls, record: Record, sequence: int, through: int) -> Self:
        """Return the header for a record, not yet placed."""
        flags = GZIP if record.body.startswith(b"\x1f\x8b") else 0
        crc = zlib.crc32(record.body)
        return cls(0, sequence, through, record.points, record.at, len(record.body), crc, flags)

    @property
    def size(self) -> int:
        """Return the bytes of header and body."""
        return OVERHEAD + self.length

    @property
    def end(self) -> int:
        """Return the offset of what follows."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no sound record; `points` is how many that record had, None when that is unknown."""

    offset: int
    size: int
    why: str
    points: int | None = None


def pack(frame: Frame, body: bytes) -> bytes:
    """Return a header and its body as they are written."""
    numbers = (frame.sequence, frame.through, frame.points, frame.at, frame.length, frame.crc)
    header = _FRAME.pack(_MARKER, VERSION, frame.flags, 0, *numbers)
    return header + _CRC.pack(zlib.crc32(header)) + body


def frames(read: Read, size: int) -> Iterator[Frame | Damage]:
    """Return what stands in a segment of `size` bytes, in order; bodies are not looked at. Raises what `read` does."""
    at = min(len(HEAD), size)
    through: int | None = None
    while at < size:
        frame = _frame(read(at, OVERHEAD), at) or _found(read, at + 1, size)
        if frame is None:
            yield Damage(at, size - at, "no record begins here")
            return
        if frame.offset > at:
            points = None if through is None else frame.through - frame.points - through
            yield Damage(at, frame.offset - at, "no record begins here", points)
        if frame.end > size:
            yield Damage(frame.offset, size - frame.offset, "the record is cut short", frame.points)
            return
        yield frame
        at, through = frame.end, frame.through


def record_of(frame: Frame, read: Read) -> Record | None:
    """Return a frame's record, None when its body is not what was written. Raises what `read` does."""
    body = read(frame.offset + OVERHEAD, frame.length)
    if len(body) != frame.length or zlib.crc32(body) != frame.crc:
        return None
    return Record(body, frame.points, frame.at)


def _frame(header: bytes, offset: int) -> Frame | None:
    if len(header) < OVERHEAD or not header.startswith(_MARKER):
        return None
    (crc,) = _CRC.unpack_from(header, _FRAME.size)
    _, version, flags, _, sequence, through, points, at, length, body_crc = _FRAME.unpack_from(header)
    if version != VERSION or crc != zlib.crc32(header[: _FRAME.size]):
        return None
    return Frame(offset, sequence, through, points, at, length, body_crc, flags)


def _found(read: Read, at: int, size: int) -> Frame | None:
    """Return the first frame whose header is sound, from an offset on."""
    while at < size:
        block = read(at, _BLOCK)
        place = block.find(_MARKER)
        while place >= 0:
            if frame := _frame(read(at + place, OVERHEAD), at + place):
                return frame
            place = block.find(_MARKER, place + 1)
        if len(block) < _BLOCK:
            return None
        at += len(block) - len(_MARKER) + 1
    return None
