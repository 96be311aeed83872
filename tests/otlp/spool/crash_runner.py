"""Kills the child at any instruction and holds what is left against what it said.

python -m tests.otlp.spool.crash_runner --minutes 10     kills at random for so long, one generation after another
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

from .harness import Kept, points

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[3]
CALLS = ("write", "pwrite64", "fsync", "ftruncate", "unlink", "flock")
"""Where it is killed: each system call that changes what is on disk, or what is known of that."""


@dataclass
class Ledger:
    """What a line of children said, one after another on one directory."""

    tried: list[int] = field(default_factory=list)
    put: set[int] = field(default_factory=set)
    sent: Counter[int] = field(default_factory=Counter)
    gone: set[int] = field(default_factory=set)
    deaths: int = 0

    def hear(self, output: str) -> None:
        for word, number in re.findall(r"^(try|put|sent|gone) (\d+)$", output, re.MULTILINE):
            match word:
                case "try":
                    self.tried.append(int(number))
                case "put":
                    self.put.add(int(number))
                case "sent":
                    self.sent[int(number)] += 1
                case _:
                    self.gone.add(int(number))

    def check(self, directory: Path) -> None:
        """Take what is left, and hold everything to the promise; leaves the directory empty."""
        kept = Kept(directory)
        books = kept.books
        made = books.produced
        left = kept.take()
        assert left == sorted(set(left)), f"out of order: {left}"
        assert not (lost := self.put - set(self.sent) - set(left)), f"lost: {lost}"
        assert not (invented := set(left) - set(self.tried)), f"invented: {invented}"
        assert not (again := self.gone & set(left)), f"gone, and there again: {again}"
        twice = sum(self.sent.values()) - len(self.sent) + len(set(left) & set(self.sent))
        assert twice <= self.deaths, f"{twice} delivered twice in {self.deaths} deaths"
        assert books.dropped == {}
        kept_at_all = self.put | set(self.sent) | set(left)
        assert made == points(*kept_at_all), "the books have lost count"
        assert books.delivered == made
        assert (books.is_balanced, books.queued, kept.spool.degraded_reason) == (True, 0, "")
        kept.close()


def child(directory: Path, first: int, many: int, end: str = "close", fsync: str = "always") -> list[str]:
    """Return the command line of a child."""
    return [sys.executable, "-B", "-m", "tests.otlp.spool.crash_child", str(directory), fsync, str(first), str(many), end]


def traced(strace: str, call: str, number: int, command: Sequence[str]) -> list[str]:
    """Return a command line that kills the child when it is about to make a call for the n-th time."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    return [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *command]


def calls(strace: str, command: Sequence[str], directory: Path) -> Counter[str]:
    """Return how often the child makes each call."""
    log = directory.with_suffix(".log")
    trace = [strace, "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}", *command]
    subprocess.run(trace, cwd=ROOT, check=True, capture_output=True)
    return Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE))


def hear(ledger: Ledger, command: Iterable[str]) -> int:
    """Run a child to its end; return its exit status, or minus the signal that killed it."""
    done = subprocess.run(list(command), cwd=ROOT, capture_output=True, text=True, check=False)
    ledger.hear(done.stdout)
    if done.returncode not in {0, -signal.SIGKILL}:
        raise RuntimeError(done.stderr)
    ledger.deaths += done.returncode != 0
    return done.returncode


def kill_at_random(ledger: Ledger, directory: Path, chance: random.Random) -> None:
    """Let a child live for a moment, and kill it."""
    first = max(ledger.tried, default=-1) + 1
    command = child(directory, first, 0, fsync=chance.choice(["always", "interval", "never"]))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        begun = living.stdout.readline()
        time.sleep(chance.uniform(0, 0.03))
        living.kill()
        ledger.hear(begun + living.stdout.read())
    ledger.deaths += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    chance, until, kills = random.Random(options.seed), time.monotonic() + options.minutes * 60, 0
    directory = Path(tempfile.mkdtemp())
    while time.monotonic() < until:
        ledger = Ledger()
        for _ in range(20):
            kill_at_random(ledger, directory / "spool", chance)
            kills += 1
        ledger.check(directory / "spool")
        shutil.rmtree(directory / "spool")
    shutil.rmtree(directory)
    print(f"seed={options.seed} kills={kills} missing=0")


if __name__ == "__main__":
    main()
