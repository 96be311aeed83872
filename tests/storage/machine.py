"""Any sequence of cycles, answers, crashes, failing disks and clocks: the conservation oracle holds.

Run by `shim.run_preloaded`: python -m tests.storage.machine [--examples N] [--steps N] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from exporter.storage import InUseError
from exporter.storage.clock import Clocks
from tests.storage.disk import Disk, read_files, write_files
from tests.storage.life import LIMITS, Life, Record, hurry
from tests.storage.shim import Fault, Kind, Shim, read_journal

SHIM: Final = Shim()
HOUR: Final = 3600
PATIENT: Final = replace(LIMITS, patience=0.15)
"""A read from a disk that fails lasts so long."""

EVENTS: Final[Counter[str]] = Counter()
"""What happened in all sequences together."""

MUST_SEE: Final = (
    *("put", "held", "acked", "forgot", "lost answer", "rejected", "repeat", "expired"),
    *("kill", "loss of power", "clean end", "clock", "disk full", "error", "second process"),
)


class StorageMachine(RuleBasedStateMachine):
    """A storage, the oracle of it, and what disturbs it."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.record = Record()
        self.rng = random.Random(1)
        self.cycle = self.lives = 0
        self.boot_time = 0.0
        self.may_drop = self.disk_fails = False
        self._open({})

    def _open(self, contents: dict[str, bytes]) -> None:
        """Begin a life in a new directory, so that what an earlier one still does has no effect."""
        self.lives += 1
        self.contents = contents
        self.directory = self.root / str(self.lives)
        self.directory.mkdir()
        write_files(self.directory, contents)
        SHIM.start(self.directory, self.root / "journal")
        self.disk_fails = False
        self.life = Life(self.directory, self._note, "always", PATIENT, Clocks(lambda: self.boot_time, "boot"))
        self.runner.run(self.life.start())
        self.runner.run(self.record.check_rows(self.life))

    def _note(self, note: str) -> None:
        if SHIM.note(note):  # after a freeze nothing counts any more
            self.record.add(note)
            EVENTS[note.split(maxsplit=1)[0]] += 1

    @rule()
    def put(self) -> None:
        self.cycle += 1
        self.runner.run(self.life.put(self.cycle))

    @rule(answer=st.sampled_from(["accepted", "accepted", "accepted", "lost", "rejected"]))
    def send(self, answer: str) -> None:
        self.runner.run(self.life.send(answer))

    @rule(operations=st.integers(1, 40), power=st.booleans(), answer=st.sampled_from(["", "accepted", "lost"]))
    def crash(self, operations: int, power: bool, answer: str) -> None:  # noqa: FBT001 - a rule
        """End at an operation of the next cycles, with what was written, or with a part of what was not synced."""
        if not self.disk_fails:
            SHIM.fault(Kind.CHANGE, Fault.FREEZE, first=operations)
        for _ in range(operations if not self.disk_fails else 0):
            self.put()
            if answer and not SHIM.is_frozen:
                self.send(answer)
            if SHIM.is_frozen:
                break
        SHIM.fault(Kind.CHANGE, Fault.FREEZE)
        contents = self._disk_after_power_loss() if power else read_files(self.directory)
        self.life.storage.close(0.0)
        EVENTS["loss of power" if power else "kill"] += 1
        self.record.oracle.kill()
        self._open(contents)

    def _disk_after_power_loss(self) -> dict[str, bytes]:
        disk = Disk(self.contents)
        for operation in read_journal(self.root / "journal"):
            disk.apply(operation)
        return self.rng.choice(list(disk.crash_states(self.rng, 6)))

    @rule()
    def end_and_start(self) -> None:
        self.repair_disk()
        assert self.life.close() == 0
        self.record.end()
        EVENTS["clean end"] += 1
        self._open(read_files(self.directory))

    @rule(full=st.booleans())
    def break_disk(self, full: bool) -> None:  # noqa: FBT001 - a rule
        EVENTS["disk full" if full else "error"] += 1
        kinds = Kind.CREATE | Kind.WRITE if full else Kind.CHANGE | Kind.READ
        SHIM.fault(kinds, Fault.FAIL, number=errno.ENOSPC if full else errno.EIO)
        self.disk_fails = True
        self.put()
        self.send("accepted")

    @rule()
    def repair_disk(self) -> None:
        SHIM.end_fault()
        self.disk_fails = False

    @rule(hours=st.integers(-48, 48))
    def set_clock(self, hours: int) -> None:
        EVENTS["clock"] += 1
        SHIM.set_clock(hours * HOUR)

    @rule(hours=st.sampled_from([0.01, 0.1, 25]))
    def wait(self, hours: float) -> None:
        self.boot_time += hours * HOUR
        if hours * HOUR > LIMITS.max_age:
            self.may_drop = True
            EVENTS["expired"] += 1
        self.life.storage.queue.expire()

    @precondition(lambda machine: not machine.disk_fails)
    @rule()
    def start_second_process(self) -> None:
        EVENTS["second process"] += 1
        with pytest.raises(InUseError, match=str(os.getpid())):
            Life(self.directory)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.end_and_start()
                self.put()
                while self.runner.run(self.life.send()):
                    pass
                assert self.life.close() == 0
                self.record.oracle.check(self.life.accounting, may_drop=self.may_drop)
                EVENTS.update(self.record.oracle.events)
        finally:
            SHIM.start(self.root / "nothing")
            SHIM.set_clock(0)
            self.life.storage.close(0.1)
            self.runner.close()
            shutil.rmtree(self.root, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    hurry()
    machine = seed(options.seed)(StorageMachine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=options.examples,
            stateful_step_count=options.steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(EVENTS))
    assert not (unseen := {name for name in MUST_SEE if not EVENTS[name]}), f"not tested: {unseen}"


if __name__ == "__main__":
    main()
