"""Compressed bytes in memory, for texts of a few kilobytes that are read seldom.

Each call of zlib releases the interpreter's lock for some microseconds. A thread that waits for the lock is woken,
finds it taken again, and starts to wait anew; it insists on the lock only after 5 ms without this. So a thread that
packs or unpacks many texts in a row could hold up the event loop for tenths of a second. It pauses now and then.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import Final

from isal import isal_zlib

SECONDS_BETWEEN_PAUSES: Final = 0.005
"""As long as Python lets a thread wait for the lock otherwise."""
_PAUSE_SECONDS: Final = 1e-6
"""Linux makes 60 µs of it, enough to wake the other thread. A pause of 0 may return before that is awake."""


class _Pauses:
    """Pauses of all threads together; a call more or less in between does not matter, so there is no lock."""

    def __init__(self) -> None:
        self._due = 0.0

    def pause_if_due(self) -> None:
        if monotonic() >= self._due:
            sleep(_PAUSE_SECONDS)
            self._due = monotonic() + SECONDS_BETWEEN_PAUSES


_pauses: Final = _Pauses()


def pack(content: bytes) -> bytes:
    """Compress bytes, to about a tenth if they are texts of series or encoded points."""
    _pauses.pause_if_due()
    return isal_zlib.compress(content, 1)


def unpack(packed: bytes) -> bytes:
    """Return the bytes that were packed."""
    _pauses.pause_if_due()
    return isal_zlib.decompress(packed)
