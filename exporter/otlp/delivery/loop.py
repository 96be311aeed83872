"""The loop around every delivery: what wakes it, how long it backs off, and what cuts a back-off short."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CREDENTIAL_POLL: Final = 1.0
"""Seconds between checks for a new credential while delivery is blocked: a repaired Secret works at once."""

_MAX_DOUBLINGS: Final = 30  # 2.0 ** 1024 overflows; every delay reaches its maximum within 30 doublings


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Delays in seconds, which double from an initial delay up to a maximum; blocked requests have their own two.

    `max_delay` is short since it bounds how late the return of a backend is noticed: delivery resumes within 2 s.
    """

    initial_delay: float
    max_delay: float
    blocked_initial_delay: float = 1.0
    blocked_max_delay: float = 300.0  # how late a correction is noticed that is not made in our files

    def retry_delay(self, attempt: int, retry_after: float | None, jitter: float, elapsed: float = 0.0) -> float:
        """Return the delay after attempt 0, 1, …, at least `retry_after` (E31).

        `jitter` in [0, 1) shortens the back-off by up to a half, so that many exporters do not retry at once.
        `elapsed` is subtracted from the back-off: an attempt without a response was a delay in itself.
        """
        delay = _exponential_delay(self.initial_delay, self.max_delay, attempt) * (1 - jitter / 2)
        return (retry_after or 0.0) + max(delay - elapsed, 0.0)

    def blocked_delay(self, attempt: int, jitter: float) -> float:
        """Return the delay after attempt 0, 1, … that failed for a missing credential or a wrong endpoint."""
        return _exponential_delay(self.blocked_initial_delay, self.blocked_max_delay, attempt) * (1 - jitter / 2)


def _exponential_delay(initial: float, maximum: float, attempt: int) -> float:
    return min(maximum, initial * 2.0 ** min(attempt, _MAX_DOUBLINGS))


async def sleep(seconds: float, interrupt: asyncio.Event) -> None:
    """Sleep, but no longer than until the event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await interrupt.wait()


@dataclass(frozen=True, slots=True)
class SenderClock:
    """Wall clock (Unix seconds), sleep, jitter (a number in [0, 1)) and monotonic clock; tests replace them."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float, asyncio.Event], Awaitable[None]] = sleep
    jitter: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic


class DeliveryLoop:
    """Delivers what is queued whenever it is woken up, and sleeps between attempts.

    Cancelling is safe at any moment if what is delivered stays queued until it is acknowledged.
    """

    def __init__(self, clock: SenderClock) -> None:
        self._clock = clock
        self._wakeup = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_finishing = False

    def wake(self) -> None:
        """Wake `run` up: something was queued."""
        self._wakeup.set()

    def finish(self) -> None:
        """End `run` once the queue is empty, and cut the current sleep short."""
        self._is_finishing = True
        self._hurry.set()
        self._wakeup.set()

    async def run(self, drain: Callable[[], Awaitable[None]]) -> None:
        """Call `drain`, which delivers until the queue is empty, at each wake-up until cancelled or finished."""
        while True:
            self._wakeup.clear()  # before the queue is read, so that no wake-up is lost
            await drain()
            if self._is_finishing:
                return
            await self._wakeup.wait()

    async def sleep(self, seconds: float) -> bool:
        """Sleep; return whether `finish` cut it short. It does so once: later retries keep their back-off."""
        await self._clock.sleep(seconds, self._hurry)
        is_hurried = self._hurry.is_set()
        self._hurry.clear()
        return is_hurried

    async def sleep_blocked(self, seconds: float, credentials_changed: Callable[[], bool]) -> None:
        """Sleep, but no longer than until the credential changes."""
        while seconds > 0:
            if await self.sleep(min(seconds, CREDENTIAL_POLL)) or credentials_changed():
                return
            seconds -= CREDENTIAL_POLL
