"""The checkpoint: where the queue begins, and the accounting of the points before that; one file of two slots.

Slots are written alternately, in place: a torn write spoils one slot and the other stays valid, a full disk has room
for it, and the file never grows. A slot is a marker, length and CRC of the content, and the content: a JSON document.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.otlp.spool.files import CHECKPOINT_FILE, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SLOT_BYTES: Final = 16 * 1024
"""Size of a slot, about a hundred times that of a checkpoint: drop reasons may be added."""

_MARKER: Final = b"RXc\x01"
_SLOT: Final = struct.Struct(">4sII")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of the queue and its accounting at one moment.

    `next_sequence` is the sequence number of the first pending record, `total_points` the number of points ever put
    into the spool, `queued_points` how many of them are pending on disk. `delivered`, `rejected` and `dropped` (by
    reason) count since `counters_since` (Unix seconds). `complete`: every point in the accounting was on disk.
    `clean_shutdown`: the process closed the spool. `boot_id` identifies the boot of the machine, `generation` counts
    checkpoints.
    """

    next_sequence: int = 0
    total_points: int = 0
    queued_points: int = 0
    counters_since: float = 0.0
    delivered: int = 0
    rejected: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
    clean_shutdown: bool = False
    boot_id: str = ""
    generation: int = 0

    def is_authoritative(self, boot_id: str) -> bool:
        """Return whether no later accounting can have been exported, given the current boot of the machine."""
        return self.complete and (self.clean_shutdown or self.boot_id == boot_id)


def encode_slot(checkpoint: Checkpoint) -> bytes:
    """Return the bytes at the start of a slot."""
    content = json.dumps(_to_document(checkpoint), separators=(",", ":")).encode()
    return _SLOT.pack(_MARKER, len(content), zlib.crc32(content)) + content


def decode_slot(slot: bytes) -> Checkpoint | None:
    """Return the checkpoint in a slot, None if the slot is invalid."""
    if len(slot) < _SLOT.size:
        return None
    marker, length, crc = _SLOT.unpack_from(slot)
    content = slot[_SLOT.size : _SLOT.size + length]
    if marker != _MARKER or zlib.crc32(content) != crc:
        return None
    try:
        return _from_document(json.loads(content))
    except (ValueError, TypeError):
        return None


def _to_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint by the keys of the file format."""
    return {
        "next": checkpoint.next_sequence,
        "through": checkpoint.total_points,
        "queued": checkpoint.queued_points,
        "since": checkpoint.counters_since,
        "delivered": checkpoint.delivered,
        "rejected": checkpoint.rejected,
        "dropped": dict(checkpoint.dropped),
        "whole": checkpoint.complete,
        "closed": checkpoint.clean_shutdown,
        "boot": checkpoint.boot_id,
        "turn": checkpoint.generation,
    }


def _from_document(document: object) -> Checkpoint:
    """Parse a document; a missing key has its default. Raises TypeError for any other key."""
    if not isinstance(document, dict) or not _KEYS.issuperset(document):
        raise TypeError("the document is not a checkpoint")
    return Checkpoint(
        next_sequence=document.get("next", _DEFAULT.next_sequence),
        total_points=document.get("through", _DEFAULT.total_points),
        queued_points=document.get("queued", _DEFAULT.queued_points),
        counters_since=document.get("since", _DEFAULT.counters_since),
        delivered=document.get("delivered", _DEFAULT.delivered),
        rejected=document.get("rejected", _DEFAULT.rejected),
        dropped=document.get("dropped", _DEFAULT.dropped),
        complete=document.get("whole", _DEFAULT.complete),
        clean_shutdown=document.get("closed", _DEFAULT.clean_shutdown),
        boot_id=document.get("boot", _DEFAULT.boot_id),
        generation=document.get("turn", _DEFAULT.generation),
    )


_DEFAULT: Final = Checkpoint()
_KEYS: Final = frozenset(_to_document(_DEFAULT))


def latest_checkpoint(content: bytes) -> Checkpoint | None:
    """Return the later of the two slots' checkpoints, None if neither is valid."""
    slots = (content[:SLOT_BYTES], content[SLOT_BYTES : 2 * SLOT_BYTES])
    return max(filter(None, map(decode_slot, slots)), key=lambda checkpoint: checkpoint.generation, default=None)


class CheckpointFile:
    """The open checkpoint file. All methods but `close` raise OSError."""

    def __init__(self, directory: Path) -> None:
        self.file = SpoolFile(directory / CHECKPOINT_FILE, os.O_RDWR | os.O_CREAT)
        self.latest = latest_checkpoint(self.file.read(0, 2 * SLOT_BYTES))
        missing = 2 * SLOT_BYTES - self.file.size()
        if missing > 0:  # reserve both slots now: a disk that fills up later cannot prevent a checkpoint
            self.file.write(bytes(missing), 2 * SLOT_BYTES - missing)

    def write(self, checkpoint: Checkpoint) -> None:
        """Overwrite the older slot."""
        self.file.write(encode_slot(checkpoint), checkpoint.generation % 2 * SLOT_BYTES)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
