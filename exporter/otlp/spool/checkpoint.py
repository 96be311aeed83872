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
from typing import TYPE_CHECKING, Final

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


_FIELDS: Final = {
    "next": "next_sequence",
    "through": "total_points",
    "queued": "queued_points",
    "since": "counters_since",
    "delivered": "delivered",
    "rejected": "rejected",
    "dropped": "dropped",
    "whole": "complete",
    "closed": "clean_shutdown",
    "boot": "boot_id",
    "turn": "generation",
}
"""The attributes of a checkpoint by the keys of the file format."""


def encode_slot(checkpoint: Checkpoint) -> bytes:
    """Return the bytes at the start of a slot."""
    document = {key: getattr(checkpoint, attribute) for key, attribute in _FIELDS.items()}
    content = json.dumps(document, separators=(",", ":")).encode()
    return _SLOT.pack(_MARKER, len(content), zlib.crc32(content)) + content


def decode_slot(slot: bytes) -> Checkpoint | None:
    """Return the checkpoint in a slot, None if the slot is invalid; a missing key has its default."""
    if len(slot) < _SLOT.size:
        return None
    marker, length, crc = _SLOT.unpack_from(slot)
    content = slot[_SLOT.size : _SLOT.size + length]
    if marker != _MARKER or zlib.crc32(content) != crc:
        return None
    try:
        document = json.loads(content)
    except ValueError:
        return None
    if not isinstance(document, dict) or not _FIELDS.keys() >= document.keys():
        return None
    return Checkpoint(**{_FIELDS[key]: value for key, value in document.items()})


def latest_checkpoint(content: bytes) -> Checkpoint | None:
    """Return the later of the two slots' checkpoints, None if neither is valid."""
    slots = (content[:SLOT_BYTES], content[SLOT_BYTES : 2 * SLOT_BYTES])
    return max(filter(None, map(decode_slot, slots)), key=lambda checkpoint: checkpoint.generation, default=None)


class CheckpointFile:
    """The open checkpoint file. Its constructor and `write` raise OSError."""

    def __init__(self, directory: Path) -> None:
        self.file = SpoolFile(directory / CHECKPOINT_FILE, os.O_RDWR | os.O_CREAT)
        self.latest = latest_checkpoint(self.file.read(0, 2 * SLOT_BYTES))
        missing = 2 * SLOT_BYTES - self.file.size()
        if missing > 0:  # reserve both slots now: a disk that fills up later cannot prevent a checkpoint
            self.file.write(bytes(missing), 2 * SLOT_BYTES - missing)

    def write(self, checkpoint: Checkpoint) -> None:
        """Overwrite the older slot."""
        self.file.write(encode_slot(checkpoint), checkpoint.generation % 2 * SLOT_BYTES)
