"""Killed at every system call and at random: nothing that the spool had is lost, nothing is invented."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from .crash_runner import SYSCALLS, ROOT, CrashLedger, count_syscalls, child_command, run_child, kill_at_random, kill_at_syscall
from .harness import SpoolHarness, points

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 8
"""Kills at random in the suite; `python -m tests.otlp.spool.crash_runner --minutes 10` does more."""


@pytest.fixture(scope="session")
def strace(require_program: Callable[[str], str]) -> str:
    program = require_program("strace")
    if subprocess.run([program, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return program


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a directory that a child left when it was killed, and what that child had said."""
    directory = tmp_path_factory.mktemp("begun") / "spool"
    done = subprocess.run(child_command(directory, 0, 9, "abrupt"), cwd=ROOT, capture_output=True, text=True, check=True)
    return directory, done.stdout


def test_a_kill_at_any_system_call_loses_and_invents_nothing(
    strace: str, begun: tuple[Path, str], tmp_path: Path
) -> None:
    """The child recovers what another left, lives, and ends in order; then another takes up what is left of it."""
    shutil.copytree(begun[0], tmp_path / "counted")
    many = count_syscalls(strace, child_command(tmp_path / "counted", 9, 11), tmp_path / "counted")
    assert all(many[call] for call in SYSCALLS), many

    def kill(call: str, number: int) -> int:
        directory = tmp_path / f"{call}-{number}"
        shutil.copytree(begun[0], directory)
        ledger = CrashLedger()
        ledger.add(begun[1])
        status = run_child(ledger, kill_at_syscall(strace, call, number, child_command(directory, 9, 11)))
        ledger.deaths += 1
        ledger.check(directory)
        return status

    points_of_death = [(call, number + 1) for call in SYSCALLS for number in range(many[call])]
    with ThreadPoolExecutor(4) as pool:
        deaths = list(pool.map(lambda one: kill(*one), points_of_death))
    assert set(deaths) == {-9}
    assert len(deaths) > 80


def test_random_kills_over_many_restarts_lose_and_invent_nothing(tmp_path: Path) -> None:
    ledger, chance = CrashLedger(), random.Random(5)
    for _ in range(KILLS):
        kill_at_random(ledger, tmp_path / "spool", chance)
    assert len(ledger.put) > KILLS
    ledger.check(tmp_path / "spool")


@pytest.mark.parametrize("error", ["ENOSPC", "EROFS", "EIO", "EDQUOT"])
def test_writes_that_fail_for_some_time_lose_nothing(strace: str, tmp_path: Path, error: str) -> None:
    """From the ninth write on six in a row fail, of records and of the cursor alike; the end takes a last chance."""
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


@pytest.mark.parametrize(("fsync", "least", "most"), [("always", 16, 60), ("interval", 3, 15), ("never", 0, 0)])
def test_the_fsync_setting_decides_how_often_the_disk_syncs(
    strace: str, tmp_path: Path, fsync: str, least: int, most: int
) -> None:
    """The child puts eight records and takes five, and syncs three times for the clock's sake, and once at its end."""
    many = count_syscalls(strace, child_command(tmp_path / "spool", 0, 8, fsync=fsync), tmp_path / "spool")["fsync"]
    assert least <= many <= most


def test_with_fsync_always_a_request_is_synced_before_commit_returns(strace: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    trace = [strace, "-f", "-qq", "-s", "20", "-o", str(log), "-e", "trace=write,pwrite64,fsync"]
    subprocess.run([*trace, *child_command(tmp_path / "spool", 0, 6)], cwd=ROOT, check=True, capture_output=True)
    word, synced = "", False
    for line in log.read_text(errors="replace").splitlines():
        if said := re.search(r'write\(1, "(\w+) ', line):
            word = said[1]
            assert synced or word != "put"
            synced = False
        synced = synced or (word == "try" and "fsync(" in line)


def test_a_slow_disk_does_not_block_the_event_loop(strace: str, tmp_path: Path) -> None:
    """Every sync takes 0.2 s; the loop goes on all the while."""
    program = (
        "import asyncio, sys, time\n"
        "from pathlib import Path\n"
        "from exporter.otlp.delivery.accounting import DeliveryAccounting\n"
        "from exporter.otlp.spool import Spool, SpoolLimits\n"
        "from tests.otlp.spool.harness import NOW, record\n"
        "async def main():\n"
        "    spool = Spool(Path(sys.argv[1]), SpoolLimits(60000, 60.0), DeliveryAccounting(), NOW, 'always')\n"
        "    spool.put(record(0), NOW)\n"
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
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    longest, whole = map(float, done.stdout.split())
    assert whole > 0.2
    assert longest < 0.15


def test_another_process_recovers_the_records_of_a_killed_one(begun: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(begun[0], tmp_path / "spool")
    harness = SpoolHarness(tmp_path / "spool")
    assert harness.accounting.produced == points(*range(9))
    assert harness.deliver() == [6, 7, 8]
