"""Kills at every system call and at random: no committed request is lost, and none is invented."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from .crash_runner import (
    ROOT,
    SYSCALLS,
    CrashLedger,
    child_command,
    count_syscalls,
    kill_at_random,
    kill_at_syscall,
    run_child,
)
from .harness import SpoolHarness, points

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 8
"""Random kills in the suite; `python -m tests.otlp.spool.crash_runner --minutes 10` does more."""


@pytest.fixture(scope="session")
def strace(require_program: Callable[[str], str]) -> str:
    program = require_program("strace")
    if subprocess.run([program, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return program


@pytest.fixture(scope="module")
def child_directory(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the directory and the output of a child that ended abruptly."""
    directory = tmp_path_factory.mktemp("begun") / "spool"
    completed = subprocess.run(
        child_command(directory, 0, 9, "abrupt"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return directory, completed.stdout


@pytest.mark.slow
def test_a_kill_at_any_system_call_loses_and_invents_nothing(
    strace: str, child_directory: tuple[Path, str], tmp_path: Path
) -> None:
    """The child recovers the records of an earlier one and is killed; then the test recovers its records."""
    shutil.copytree(child_directory[0], tmp_path / "counted")
    counts = count_syscalls(strace, child_command(tmp_path / "counted", 9, 11), tmp_path / "counted")
    assert all(counts[call] for call in SYSCALLS), counts

    def kill_at(call: str, number: int) -> int:
        directory = tmp_path / f"{call}-{number}"
        shutil.copytree(child_directory[0], directory)
        ledger = CrashLedger()
        ledger.add(child_directory[1])
        status = run_child(ledger, kill_at_syscall(strace, call, number, child_command(directory, 9, 11)))
        ledger.deaths += 1
        ledger.check(directory)
        return status

    kill_points = [(call, number + 1) for call in SYSCALLS for number in range(counts[call])]
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda kill_point: kill_at(*kill_point), kill_points))
    assert set(statuses) == {-9}
    assert len(statuses) > 80


@pytest.mark.slow
def test_random_kills_over_many_restarts_lose_and_invent_nothing(tmp_path: Path) -> None:
    ledger, rng = CrashLedger(), random.Random(5)
    for _ in range(KILLS):
        kill_at_random(ledger, tmp_path / "spool", rng)
    assert len(ledger.put) > KILLS
    ledger.check(tmp_path / "spool")


@pytest.mark.slow
@pytest.mark.parametrize("error", ["ENOSPC", "EROFS", "EIO", "EDQUOT"])
def test_writes_that_fail_for_some_time_lose_nothing(strace: str, tmp_path: Path, error: str) -> None:
    """Six writes in a row fail from the ninth on, of records and of the checkpoint; `close` retries."""
    ledger = CrashLedger()
    inject = f"inject=pwrite64:error={error}:when=9..14"
    trace = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", inject]
    assert run_child(ledger, [*trace, *child_command(tmp_path / "spool", 0, 12)]) == 0
    assert ledger.put == set(range(12))
    ledger.check(tmp_path / "spool")


def test_a_failed_sync_loses_nothing(strace: str, tmp_path: Path) -> None:
    ledger = CrashLedger()
    inject = "inject=fsync:error=EIO:when=3..5"
    trace = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", inject]
    assert run_child(ledger, [*trace, *child_command(tmp_path / "spool", 0, 12)]) == 0
    ledger.check(tmp_path / "spool")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fsync", "min_syncs", "max_syncs"), [("always", 16, 60), ("interval", 3, 15), ("never", 0, 0)]
)
def test_the_fsync_setting_decides_how_often_the_disk_syncs(
    strace: str, tmp_path: Path, fsync: str, min_syncs: int, max_syncs: int
) -> None:
    """The child puts eight requests, delivers five, syncs three times as the timer does, and once at its end."""
    counts = count_syscalls(strace, child_command(tmp_path / "spool", 0, 8, fsync=fsync), tmp_path / "spool")["fsync"]
    assert min_syncs <= counts <= max_syncs


def test_with_fsync_always_a_request_is_synced_before_commit_returns(strace: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    trace = [strace, "-f", "-qq", "-s", "20", "-o", str(log), "-e", "trace=write,pwrite64,fsync"]
    subprocess.run([*trace, *child_command(tmp_path / "spool", 0, 6)], cwd=ROOT, check=True, capture_output=True)
    word, synced = "", False
    for line in log.read_text(errors="replace").splitlines():
        if match := re.search(r'write\(1, "(\w+) ', line):
            word = match[1]
            assert synced or word != "put"
            synced = False
        synced = synced or (word == "try" and "fsync(" in line)


@pytest.mark.slow
def test_a_slow_disk_does_not_block_the_event_loop(strace: str, tmp_path: Path) -> None:
    """Every fsync takes 0.2 s; the event loop continues meanwhile."""
    program = (
        "import asyncio, sys, time\n"
        "from pathlib import Path\n"
        "from exporter.otlp.delivery.accounting import DeliveryAccounting\n"
        "from exporter.otlp.spool import Spool, SpoolLimits\n"
        "from tests.otlp.spool.harness import NOW, request_for\n"
        "async def main():\n"
        "    spool = Spool(Path(sys.argv[1]), SpoolLimits(60000, 60.0), DeliveryAccounting(), NOW, 'always')\n"
        "    spool.put(request_for(0), NOW)\n"
        "    commit = asyncio.create_task(spool.commit())\n"
        "    longest, last, began = 0.0, time.monotonic(), time.monotonic()\n"
        "    while not commit.done():\n"
        "        await asyncio.sleep(0.001)\n"
        "        longest, last = max(longest, time.monotonic() - last), time.monotonic()\n"
        "    print(longest, last - began)\n"
        "asyncio.run(main())\n"
    )
    trace = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=200000"]
    command = [*trace, *child_command(tmp_path, 0, 0)[:1], "-c", program, str(tmp_path / "spool")]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    longest, total = map(float, completed.stdout.split())
    assert total > 0.2
    assert longest < 0.15


def test_another_process_recovers_the_records_of_a_killed_one(
    child_directory: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(child_directory[0], tmp_path / "spool")
    harness = SpoolHarness(tmp_path / "spool")
    assert harness.accounting.produced == points(*range(9))
    assert harness.deliver() == [6, 7, 8]
