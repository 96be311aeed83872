"""When ticks are due, on a clock that never goes back."""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def offset(name: str, tick: float) -> float:
    """Return the offset of this process (seconds) within each tick, by a hash, so that replicas do not push at once."""
    return zlib.crc32(name.encode()) / 2**32 * tick


async def ticks(tick: float, offset_in_tick: float) -> AsyncIterator[tuple[int, float]]:
    """Yield (ticks elapsed since the last one, Unix seconds): now, then at each multiple of `tick` plus the offset.

    More than one tick elapsed means that the cycle before took longer than a tick.
    """
    number = math.floor((time.time() - offset_in_tick) / tick)
    yield 1, time.time()
    while True:
        due = (number + 1) * tick + offset_in_tick
        await asyncio.sleep(max(due - time.time(), 0.0))
        now = time.time()
        reached = max(math.floor((now - offset_in_tick) / tick + 1e-6), number + 1)
        if reached - number > 1 and now < due:
            reached = number + 1  # the clock was set back
        yield reached - number, now
        number = math.floor((time.time() - offset_in_tick) / tick) if time.time() < due else reached
