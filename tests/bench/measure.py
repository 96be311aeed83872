"""CPU, memory and written bytes of a process, from /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MB: Final = 1e6
_KIB: Final = 1024
_FIELDS_BEFORE_STATE: Final = 2  # the fields after the name begin with the third
_UTIME, _STIME = 14, 15  # numbered as in proc(5)


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
        cpu_seconds((folder / "stat").read_text(), os.sysconf("SC_CLK_TCK")),
        resident_bytes(status, "VmRSS"),
        resident_bytes(status, "VmHWM"),
        int((folder / "io").read_text().split("write_bytes: ")[1].split()[0]),
    )


def cpu_seconds(stat: str, ticks: int) -> float:
    """Return user and system time from the text of /proc/PID/stat; the process name in it may contain anything."""
    fields = stat.rpartition(")")[2].split()
    return sum(int(fields[number - _FIELDS_BEFORE_STATE - 1]) for number in (_UTIME, _STIME)) / ticks


def resident_bytes(status: str, key: str) -> int:
    """Return a size from the text of /proc/PID/status. Raises ValueError if the process has ended."""
    match = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    if match is None:
        raise ValueError(f"/proc has no {key}: the process has ended")
    return int(match[1]) * _KIB
