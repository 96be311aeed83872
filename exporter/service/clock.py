"""When ticks are, and a time that never goes back."""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def offset(name: str, tick: float) -> float:
    """Return how far (seconds) into each tick this process begins, so that many do not push at once."""
    return zlib.crc32(name.encode()) / 2**32 * tick


async def ticks(tick: float, shift: float) -> AsyncIterator[tuple[int, float]]:
    """Yield (ticks gone by since the last one, Unix seconds): now, then at every multiple of `tick` plus `shift`.

    More than one tick gone by means that the cycle before took longer than it may.
    """
    number = math.floor((time.time() - shift) / tick)
    yield 1, time.time()
    while True:
        due = (number + 1) * tick + shift
        await asyncio.sleep(max(due - time.time(), 0.0))
        now = time.time()
        reached = max(math.floor((now - shift) / tick + 1e-6), number + 1)
        if reached - number > 1 and now < due:
            reached = number + 1  # the clock was set back
        yield reached - number, now
        number = math.floor((time.time() - shift) / tick) if time.time() < due else reached
