"""The clock of ages: seconds that no one sets, counted on over restarts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from exporter.storage.ledger import Ledger

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

RECOVERY_GRACE: Final = 3600.0
"""Seconds that recovered requests live at least when only the wall clock measures how long the process was down."""


def boot_time() -> float:
    """Return the seconds since the machine started, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def read_boot_id() -> str:
    """Return the identifier of this boot of the machine, "" if the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds since boot, the identifier of the boot, and the wall clock (Unix seconds); tests replace them."""

    boot_time: Callable[[], float] = boot_time
    boot_id: str = field(default_factory=read_boot_id)
    wall_time: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class AgeClock:
    """Elapsed seconds, from which the ages of requests are computed.

    A wall clock that is set hours forward would make young requests old. So within a boot of the machine the time since
    boot is counted, over restarts, too. After another boot (or on another node) only the wall clock shows how long the
    process was down: `is_exact` is then False, and recovered requests live for RECOVERY_GRACE at least.
    """

    clocks: Clocks
    start: float
    is_exact: bool = True

    @classmethod
    def continue_from(cls, ledger: Ledger | None, clocks: Clocks) -> Self:
        """Return the clock that goes on from a ledger."""
        if ledger is None:
            return cls(clocks, -clocks.boot_time())
        exact = bool(ledger.boot_id) and ledger.boot_id == clocks.boot_id and clocks.boot_time() >= ledger.boot_time
        down = clocks.boot_time() - ledger.boot_time if exact else max(clocks.wall_time() - ledger.wall_time, 0.0)
        return cls(clocks, ledger.elapsed + down - clocks.boot_time(), exact)

    def now(self) -> float:
        """Return the elapsed seconds."""
        return self.start + self.clocks.boot_time()

    def recovered_at(self, queued_at: float, max_age: float) -> float:
        """Return when a recovered request counts as queued."""
        now = self.now()
        if self.is_exact:
            return min(queued_at, now)
        return min(max(queued_at, now - max_age + min(RECOVERY_GRACE, max_age / 2)), now)
