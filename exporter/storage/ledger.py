"""The ledger: where the queue stands, and the accounting, after a commit; in the database, and in a file beside it.

SQLite drops a WAL from its first bad frame on without an error, and what was committed after that is gone. The file,
written after each commit, reveals this: a later commit than the database's. It also has the position up to which
requests were done and the accounting, so that nothing is sent again and the books balance.

The file has two slots, written alternately and in place: a torn write spoils one of them, and a full disk has room.
"""

from __future__ import annotations

import json
import os
import struct
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
    """The state after commit number `commit`.

    `head` is the number of the oldest queued request: all smaller ones are done. `last_request` and `last_transition`
    are the last numbers ever given. `queued_points` counts the points on disk. `counts` (accounting) count since
    `counters_since` (Unix seconds); `complete` means that no counted point was in memory only. `elapsed` is the clock
    of ages (clock.py), which stood at `boot_time` of the boot `boot_id` and at `wall_time`.
    """

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


class LedgerFile:
    """The open ledger file; `latest` is what it held when it was opened. All methods but `close` raise OSError."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        content = os.pread(self._descriptor, 2 * SLOT_BYTES, 0)
        slots = [_decode_slot(content[start : start + SLOT_BYTES]) for start in (0, SLOT_BYTES)]
        ledgers = [ledger for ledger in slots if ledger is not None]
        # Of two with one commit number, the incomplete one was written later.
        self.latest = max(ledgers, key=lambda ledger: (ledger.commit, not ledger.complete), default=None)
        self._next_slot = 1 if self.latest is not None and self.latest == slots[0] else 0
        if len(content) < 2 * SLOT_BYTES:  # reserve both slots now, for a disk that fills up later
            os.pwrite(self._descriptor, content.ljust(2 * SLOT_BYTES, b"\0"), 0)

    def write(self, text: str) -> None:
        """Overwrite the older slot with an encoded ledger."""
        content = text.encode()
        os.pwrite(
            self._descriptor,
            _SLOT.pack(_MARKER, len(content), zlib.crc32(content)) + content,
            self._next_slot * SLOT_BYTES,
        )
        self._next_slot = 1 - self._next_slot

    def sync(self) -> None:
        """Sync the file to disk."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
