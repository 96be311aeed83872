"""The ledger: where the queue stands, and the accounting; in the database, and in a file beside it.

The file is written after each commit, and alone after each acknowledgement: that only moves the head of the queue and
the counts, and the rows before the head are deleted by the next commit. SQLite drops a WAL from its first bad frame on
without an error; a ledger of a later commit than the database's reveals this.

The file has two slots, written alternately and in place: a torn write spoils one of them, and a full disk has room.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import threading
import zlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SLOT_BYTES: Final = 4096  # a sector or more, and ten times a ledger
_SLOT: Final = struct.Struct(">4sII")
_MARKER: Final = b"RXl\x01"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The state after `commit` commits to the database; `entry` grows by 1 with each ledger that is written.

    `head` is the number of the oldest queued request: all smaller ones are done. `last_request`, `last_transition` and
    `last_message` are the last numbers ever given. `queued_points` counts the points on disk from `head` on. `counts`
    (accounting) count since `counters_since` (Unix seconds); `complete` means that no counted point was in memory only,
    and that no later count was exported. `elapsed` is the clock of ages (clock.py), which stood at `boot_time` of the
    boot `boot_id` and at `wall_time`.
    """

    entry: int = 0
    commit: int = 0
    head: int = 0
    last_request: int = 0
    last_transition: int = 0
    queued_points: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    counters_since: float = 0.0
    complete: bool = True
    clean_shutdown: bool = False
    elapsed: float = 0.0
    boot_time: float = 0.0
    boot_id: str = ""
    wall_time: float = 0.0
    last_message: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Which of two ledgers is later."""
        return self.commit, self.entry

    def is_authoritative(self, boot_id: str) -> bool:
        """Return whether no later accounting can have been exported, given the current boot of the machine."""
        return self.complete and (self.clean_shutdown or self.boot_id == boot_id)


_NAMES: Final = tuple(attribute.name for attribute in fields(Ledger))


def encode_ledger(ledger: Ledger) -> str:
    """Return the ledger as JSON."""
    # Not `asdict`, which copies in depth: each acknowledgement has a ledger.
    return json.dumps({name: getattr(ledger, name) for name in _NAMES}, separators=(",", ":"))


def decode_ledger(text: str | bytes) -> Ledger | None:
    """Return the ledger, None if the text is not one; a missing key has its default."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or not set(_NAMES).issuperset(document):
        return None
    return Ledger(**document)


def _decode_slot(slot: bytes) -> Ledger | None:
    if len(slot) < _SLOT.size:
        return None
    marker, length, crc = _SLOT.unpack_from(slot)
    content = slot[_SLOT.size : _SLOT.size + length]
    return decode_ledger(content) if marker == _MARKER and zlib.crc32(content) == crc else None


def read_ledger(content: bytes) -> Ledger | None:
    """Return the latest ledger of the content of a ledger file, None if there is none."""
    slots = [_decode_slot(content[start : start + SLOT_BYTES]) for start in (0, SLOT_BYTES)]
    return max(filter(None, slots), key=lambda ledger: ledger.order, default=None)


class LedgerFile:
    """The open ledger file; `latest` is what it held when it was opened. All methods but `close` raise OSError."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # a hang is noted by a thread of its own
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        content = os.pread(self._descriptor, 2 * SLOT_BYTES, 0)
        self.latest = read_ledger(content)
        self._next_slot = 1 if self.latest is not None and self.latest == _decode_slot(content) else 0
        if len(content) < 2 * SLOT_BYTES:  # reserve both slots now, for a disk that fills up later
            os.pwrite(self._descriptor, content.ljust(2 * SLOT_BYTES, b"\0"), 0)

    def write(self, text: str) -> None:
        """Overwrite the older slot with an encoded ledger."""
        content = text.encode()
        slot = _SLOT.pack(_MARKER, len(content), zlib.crc32(content)) + content
        with self._lock:
            if os.pwrite(self._descriptor, slot, self._next_slot * SLOT_BYTES) < len(slot):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._next_slot = 1 - self._next_slot

    def sync(self) -> None:
        """Sync the file to disk."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
