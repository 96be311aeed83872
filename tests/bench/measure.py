"""CPU, memory and written bytes of a process, from /proc."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MB: Final = 1e6
_KIB: Final = 1024
_CPU_CLOCK: Final = 2
"""Kind of a process's clock of CPU time, in its id: what glibc's clock_getcpuclockid returns."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system), resident bytes now, their peak since the start, and bytes written to disks."""

    cpu: float
    resident: int
    peak: int
    written: int


def usage(pid: int) -> Usage:
    """Return the usage of a process so far. Raises OSError if it has ended."""
    folder = Path("/proc") / str(pid)
    status = (folder / "status").read_text()
    return Usage(
        cpu_seconds(pid),
        resident_bytes(status, "VmRSS"),
        resident_bytes(status, "VmHWM"),
        int((folder / "io").read_text().split("write_bytes: ")[1].split()[0]),
    )


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process in nanoseconds' precision, where /proc/PID/stat has hundredths."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def resident_bytes(status: str, key: str) -> int:
    """Return a size from the text of /proc/PID/status. Raises ValueError if the process has ended."""
    match = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    if match is None:
        raise ValueError(f"/proc has no {key}: the process has ended")
    return int(match[1]) * _KIB
