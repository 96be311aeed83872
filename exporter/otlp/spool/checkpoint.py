"""The cursor: where the queue begins, and what became of the points before that; one file of two slots.

Slots are written in turn, in place: a write that is cut short spoils one slot and the other holds, a full disk has
room for it, and nothing grows. A slot is a marker, the length and the CRC of what follows, and that: a Mark as JSON.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.otlp.spool.files import CURSOR, File

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SLOT: Final = 16 * 1024
"""Bytes of a slot; some hundred times what a mark needs."""

_MARKER: Final = b"RXc\x01"
_SLOT: Final = struct.Struct(">4sII")


@dataclass(frozen=True, slots=True)
class Mark:
    """What the cursor keeps.

    `next` is the sequence number of the first record that waits, `through` how many points the spool has taken in all
    and `queued` how many of them wait on disk. The books began at `since` (Unix seconds) and stand at `delivered`,
    `rejected` and `dropped` by reason. `whole` means that every point in the books was on disk, `closed` that the
    process ended in an orderly way, `boot` names the machine's boot. `turn` counts marks.
    """

    next: int = 0
    through: int = 0
    queued: int = 0
    since: float = 0.0
    delivered: int = 0
    rejected: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True
    closed: bool = False
    boot: str = ""
    turn: int = 0

    def tells_all(self, boot: str) -> bool:
        """Say whether it is certain that the books never showed more than this, given the machine's boot now."""
        return self.whole and (self.closed or self.boot == boot)


def pack(mark: Mark) -> bytes:
    """Return a mark as a slot begins."""
    content = json.dumps(_document(mark), separators=(",", ":")).encode()
    return _SLOT.pack(_MARKER, len(content), zlib.crc32(content)) + content


def unpack(slot: bytes) -> Mark | None:
    """Return the mark in a slot, None when it is not sound."""
    if len(slot) < _SLOT.size:
        return None
    marker, length, crc = _SLOT.unpack_from(slot)
    content = slot[_SLOT.size : _SLOT.size + length]
    if marker != _MARKER or zlib.crc32(content) != crc:
        return None
    try:
        return _mark(json.loads(content))
    except (ValueError, TypeError):
        return None


def _document(mark: Mark) -> dict[str, Any]:
    """Return a mark by the keys of the file."""
    return {
        "next": mark.next,
        "through": mark.through,
        "queued": mark.queued,
        "since": mark.since,
        "delivered": mark.delivered,
        "rejected": mark.rejected,
        "dropped": dict(mark.dropped),
        "whole": mark.whole,
        "closed": mark.closed,
        "boot": mark.boot,
        "turn": mark.turn,
    }


def _mark(document: object) -> Mark:
    """Return the mark of a document; a key left out has its default. Raises TypeError for any other key."""
    if not isinstance(document, dict) or not _KEYS.issuperset(document):
        raise TypeError("the document is no mark")
    return Mark(
        next=document.get("next", _DEFAULT.next),
        through=document.get("through", _DEFAULT.through),
        queued=document.get("queued", _DEFAULT.queued),
        since=document.get("since", _DEFAULT.since),
        delivered=document.get("delivered", _DEFAULT.delivered),
        rejected=document.get("rejected", _DEFAULT.rejected),
        dropped=document.get("dropped", _DEFAULT.dropped),
        whole=document.get("whole", _DEFAULT.whole),
        closed=document.get("closed", _DEFAULT.closed),
        boot=document.get("boot", _DEFAULT.boot),
        turn=document.get("turn", _DEFAULT.turn),
    )


_DEFAULT: Final = Mark()
_KEYS: Final = frozenset(_document(_DEFAULT))


def newest(content: bytes) -> Mark | None:
    """Return the later mark of a cursor's two slots, None when neither is sound."""
    marks = [mark for place in (0, SLOT) if (mark := unpack(content[place : place + SLOT]))]
    return max(marks, key=lambda mark: mark.turn, default=None)


class Cursor:
    """The open file. Everything raises OSError, but for `close`."""

    def __init__(self, directory: Path) -> None:
        self.file = File(directory / CURSOR, os.O_RDWR | os.O_CREAT)
        self.found = newest(self.file.read(0, 2 * SLOT))
        lacking = 2 * SLOT - self.file.size()
        if lacking > 0:
            self.file.write(bytes(lacking), 2 * SLOT - lacking)

    def write(self, mark: Mark) -> None:
        """Put a mark in place of the older one."""
        self.file.write(pack(mark), mark.turn % 2 * SLOT)

    def close(self) -> None:
        """Close it."""
        self.file.close()
