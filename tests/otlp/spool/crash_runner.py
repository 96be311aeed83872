"""Kill the crash child at any instruction and compare what remains in the spool with what the child reported.

python -m tests.otlp.spool.crash_runner --minutes 10     kill at random for 10 minutes, with many restarts
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .harness import SpoolHarness, points

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[3]
SYSCALLS = ("write", "pwrite64", "fsync", "ftruncate", "unlink", "flock")
"""The system calls to kill at: those that change the disk, or report to the test."""


@dataclass
class CrashLedger:
    """The reports of several children, one after another on one directory."""

    attempted: list[int] = field(default_factory=list)
    put: set[int] = field(default_factory=set)
    sent: Counter[int] = field(default_factory=Counter)
    acked: set[int] = field(default_factory=set)
    deaths: int = 0

    def add(self, output: str) -> None:
        for word, number in re.findall(r"^(try|put|sent|acked) (\d+)$", output, re.MULTILINE):
            match word:
                case "try":
                    self.attempted.append(int(number))
                case "put":
                    self.put.add(int(number))
                case "sent":
                    self.sent[int(number)] += 1
                case _:
                    self.acked.add(int(number))

    def check(self, directory: Path) -> None:
        """Deliver what remains and check that nothing is lost or invented; leaves the directory empty."""
        harness = SpoolHarness(directory)
        accounting = harness.accounting
        produced = accounting.produced
        remaining = harness.deliver()
        assert remaining == sorted(set(remaining)), f"out of order: {remaining}"
        assert not (lost := self.put - set(self.sent) - set(remaining)), f"lost: {lost}"
        assert not (invented := set(remaining) - set(self.attempted)), f"invented: {invented}"
        assert not (repeated := self.acked & set(remaining)), f"pending after an acknowledgement: {repeated}"
        duplicates = sum(self.sent.values()) - len(self.sent) + len(set(remaining) & set(self.sent))
        assert duplicates <= self.deaths, f"{duplicates} delivered twice in {self.deaths} deaths"
        assert accounting.dropped == {}
        spooled = self.put | set(self.sent) | set(remaining)
        assert produced == points(*spooled), "produced points are miscounted"
        assert accounting.delivered == produced
        assert (accounting.is_balanced, accounting.queued, harness.spool.degraded_reason) == (True, 0, "")
        harness.close()


def child_command(directory: Path, first: int, count: int, end: str = "close", fsync: str = "always") -> list[str]:
    """Return the command line of a child."""
    return [
        sys.executable,
        "-B",
        "-m",
        "tests.otlp.spool.crash_child",
        str(directory),
        fsync,
        str(first),
        str(count),
        end,
    ]


def kill_at_syscall(strace: str, syscall: str, number: int, command: Sequence[str]) -> list[str]:
    """Return a command line that kills the child just before its n-th call of a system call."""
    inject = f"inject={syscall}:signal=SIGKILL:when={number}"
    return [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", inject, *command]


def count_syscalls(strace: str, command: Sequence[str], directory: Path) -> Counter[str]:
    """Return how often the child makes each system call."""
    log = directory.with_suffix(".log")
    trace = [strace, "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(SYSCALLS)}", *command]
    subprocess.run(trace, cwd=ROOT, check=True, capture_output=True)
    return Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE))


def run_child(ledger: CrashLedger, command: Iterable[str]) -> int:
    """Run a child to its end; return its exit status, or minus the signal that killed it."""
    process = subprocess.run(list(command), cwd=ROOT, capture_output=True, text=True, check=False)
    ledger.add(process.stdout)
    if process.returncode not in {0, -signal.SIGKILL}:
        raise RuntimeError(process.stderr)
    ledger.deaths += process.returncode != 0
    return process.returncode


def kill_at_random(ledger: CrashLedger, directory: Path, rng: random.Random) -> None:
    """Run a child for a moment, and kill it."""
    first = max(ledger.attempted, default=-1) + 1
    command = child_command(directory, first, 0, fsync=rng.choice(["always", "interval", "never"]))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        ledger.add(first_line + process.stdout.read())
    ledger.deaths += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    rng, until, kills = random.Random(options.seed), time.monotonic() + options.minutes * 60, 0
    directory = Path(tempfile.mkdtemp())
    while time.monotonic() < until:
        ledger = CrashLedger()
        for _ in range(20):
            kill_at_random(ledger, directory / "spool", rng)
            kills += 1
        ledger.check(directory / "spool")
        shutil.rmtree(directory / "spool")
    shutil.rmtree(directory)
    print(f"seed={options.seed} kills={kills} missing=0")


if __name__ == "__main__":
    main()
