"""Compressed bytes in memory, for texts of a few kilobytes that are read seldom.

Each call of zlib releases the interpreter's lock for some microseconds. A thread that waits for the lock is woken,
finds it taken again, and starts to wait anew; it insists on the lock only after 5 ms without this. So a thread that
packs or unpacks many texts in a row could hold up the event loop for tenths of a second. It pauses every few calls.
"""

from __future__ import annotations

from itertools import count
from time import sleep
from typing import Final

from isal import isal_zlib

CALLS_BETWEEN_PAUSES: Final = 32
"""With what is computed between two calls, about 5 ms: as long as Python lets a thread wait for the lock otherwise."""
_PAUSE_SECONDS: Final = 1e-6
"""Linux makes 60 µs of it, enough to wake the other thread. A pause of 0 may return before that is awake."""
_calls: Final = count(1)


def pack(content: bytes) -> bytes:
    """Compress bytes, to about a tenth if they are texts of series or encoded points."""
    _pause_sometimes()
    return isal_zlib.compress(content, 1)


def unpack(packed: bytes) -> bytes:
    """Return the bytes that were packed."""
    _pause_sometimes()
    return isal_zlib.decompress(packed)


def _pause_sometimes() -> None:
    if not next(_calls) % CALLS_BETWEEN_PAUSES:
        sleep(_PAUSE_SECONDS)
