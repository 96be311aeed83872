"""How long to wait before the next attempt, and the clock, the rest and the chance that this needs."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits in seconds: they double from `initial` (held requests: from `held_initial`) up to a longest.

    `longest` bounds how late a backend's return is noticed, so it is short (issue: first delivery within 2 s).
    """

    initial: float = 0.2
    longest: float = 1.5
    held_initial: float = 1.0
    held_longest: float = 300.0

    def retry(self, attempt: int, after: float | None, chance: float, spent: float = 0.0) -> float:
        """Return the wait after attempt 0, 1, …: never less than `after` (E31), spread by chance in [0, 1).

        `spent` is what of it has gone by already: an attempt that nobody answered was a wait in itself.
        """
        return (after or 0.0) + max(_step(self.initial, self.longest, attempt) * (1 - chance / 2) - spent, 0.0)

    def hold(self, attempt: int, chance: float) -> float:
        """Return the wait after attempt 0, 1, … that was refused for want of a credential or an address."""
        return _step(self.held_initial, self.held_longest, attempt) * (1 - chance / 2)


def _step(initial: float, longest: float, attempt: int) -> float:
    return min(longest, initial * 2.0 ** min(attempt, _DOUBLINGS))


async def rest(seconds: float, unless: asyncio.Event) -> None:
    """Wait for so long, or until the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock in Unix seconds, how to wait, a number from [0, 1), and seconds that only ever run on."""

    now: Callable[[], float] = time.time
    rest: Callable[[float, asyncio.Event], Awaitable[None]] = rest
    chance: Callable[[], float] = random.random
    running: Callable[[], float] = time.monotonic
