"""Kills, errors and losses of power at each operation that a storage makes, and kills at random.

Run by `shim.run_preloaded`: python -m tests.storage.crash SUITE [--stride N] [--cycles N] [--minutes N] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.storage.directory import DATABASE_FILE
from tests.storage.disk import Disk, write_files
from tests.storage.life import Life, Record, hurry
from tests.storage.shim import Fault, Kind, Operation, Shim, read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.storage.model import Fsync

SHIM: Final = Shim()
FSYNC: Final[tuple[Fsync, ...]] = ("always", "interval", "never")
EARLIER_CYCLES: Final = 6
"""Cycles of an earlier life, so that each life begins by recovering what a killed one left."""


def forked(function: Callable[[], None], kill_after: float = 0.0) -> int:
    """Run a function in a child process; return its status, or minus the signal that killed it, or fail with it.

    This process never starts a thread, so that it may fork. The child is killed after some seconds, if given.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            function()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the parent raises it
            os.write(writer, traceback.format_exc()[-4000:].encode())
            os._exit(1)
    os.close(writer)
    if kill_after:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as errors:
        message = errors.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not message, message
    return status


@contextmanager
def context(place: Place, text: str) -> Iterator[None]:
    """Add to an error where it happened."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{text}, left in {place.root}: {error}") from None


class Place:
    """A directory for one attempt, with a copy of another, and what the lives in it have noted."""

    damaged = may_drop = False

    def __init__(self, base: Place | None = None) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.directory = self.root / "storage"
        self.journal = self.root / "journal"
        self.record: Record = deepcopy(base.record) if base else Record()
        if base:
            shutil.copytree(base.directory, self.directory)
            self.damaged = base.damaged
        else:
            self.directory.mkdir()

    def live(
        self,
        cycles: int,
        arm: Callable[[], None] = lambda: None,
        *,
        close: bool = False,
        fsync: Fsync = "always",
        kill_after: float = 0.0,
        settle: float = 0.0,
    ) -> int:
        """Live in a child process until `close` or a SIGKILL; return its status."""
        self.journal.write_bytes(b"")

        def child() -> None:
            SHIM.start(self.directory, self.journal)
            if settle:
                hurry(checkpoint_interval=60.0)  # which would sync as well
            arm()
            life = Life(self.directory, SHIM.note, fsync)
            asyncio.run(life.run(max(self.record.tried, default=0) + 1, cycles, settle))
            SHIM.note(f"count {SHIM.count}")
            if close:
                SHIM.end_fault()
                assert life.close() == 0
            else:
                os.kill(os.getpid(), signal.SIGKILL)

        status = forked(child, kill_after)
        for note in self.notes():
            self.record.add(note)
        if status:
            self.record.oracle.kill()
        else:
            self.record.end()
        return status

    def notes(self) -> list[str]:
        """Return the notes of the last life."""
        return [operation.words[0] for operation in read_journal(self.journal) if operation.kind == "N"]

    def check(self) -> None:
        """Check what is left in a child process, and remove it."""
        forked(lambda: self.record.check_end(self.directory, may_drop=self.may_drop))
        assert self.damaged or not list(self.directory.glob("*.damaged*")), "taken for damage"
        shutil.rmtree(self.root)


def bases() -> list[Place]:
    """Return where a life may begin: nothing, what a killed one left, and a file with damage that costs no row."""
    begun, damaged = Place(), Place()
    begun.live(EARLIER_CYCLES)
    damaged.live(EARLIER_CYCLES, close=True)
    damage(damaged)
    return [Place(), begun, damaged]


FREE_PAGES: Final = b"\0\0\0\x7f"


def damage(place: Place) -> None:
    """Change the number of free pages in the header of the database (SQLite's file format, 1.3.8)."""
    with (place.directory / DATABASE_FILE).open("r+b") as file:
        file.seek(36)
        file.write(FREE_PAGES)
    place.damaged = True


def damage_disk(disk: Disk, place: Place) -> None:
    """Do the same to a place and the disk that follows it."""
    damage(place)
    inode = str((place.directory / DATABASE_FILE).stat().st_ino)
    disk.apply(Operation("W", [inode, "36", "4"], FREE_PAGES))
    disk.apply(Operation("S", [inode]))


def operations_of(base: Place, kinds: Kind, cycles: int) -> int:
    """Return how many operations of some kinds a life makes."""
    place = Place(base)
    place.live(cycles, lambda: SHIM.fault(kinds, Fault.FAIL, first=2**62))
    count = next(int(note.split()[1]) for note in place.notes() if note.startswith("count"))
    place.check()
    return count


def share(count: int, options: argparse.Namespace) -> range:
    """Return which of some operations, counted from 1, this process disturbs."""
    return range(1 + options.stride * options.part, count + 1, options.stride * options.parts)


def kill_everywhere(options: argparse.Namespace) -> str:
    """Kill a life before each operation that changes the disk."""
    kills = 0
    for base in bases():
        for number in share(operations_of(base, Kind.CHANGE, options.cycles), options):
            place = Place(base)
            place.live(options.cycles, lambda: SHIM.fault(Kind.CHANGE, Fault.KILL, first=number))  # noqa: B023
            with context(place, f"killed before operation {number}"):
                place.check()
            kills += 1
    return f"kills={kills}"


def fail_everywhere(options: argparse.Namespace) -> str:
    """Let one operation fail, or six in a row: errors of reads and writes, a full disk, half a write."""
    faults = 0
    for kinds, fault, error in (
        (Kind.CHANGE, Fault.FAIL, errno.EIO),
        (Kind.CHANGE, Fault.FAIL, errno.ENOSPC),
        (Kind.WRITE, Fault.SHORT, errno.ENOSPC),
        (Kind.READ, Fault.FAIL, errno.EIO),
    ):
        for base, row in product(bases(), (1, 6)):
            for number in share(operations_of(base, kinds, options.cycles), options):
                place = Place(base)
                arm = partial(SHIM.fault, kinds, fault, number, number + row - 1, error)
                with context(place, f"{kinds!r} {fault!r} {number} to {number + row - 1}"):
                    assert place.live(options.cycles, arm, close=True) == 0
                    place.check()
                faults += 1
    return f"faults={faults}"


def lose_power_everywhere(options: argparse.Namespace) -> str:
    """Rebuild what may be on the disk after a loss of power at each operation of some lives, and check these states.

    With fsync `always`, all that was committed is there; with `interval`, all that was before the last sync.
    """
    states, rng = 0, random.Random(options.seed + options.part)
    for fsync in options.fsync:
        place, disk = Place(), Disk({})
        synced = Record() if fsync == "interval" else None
        for end in ("kill", "close", "kill after damage"):
            if end == "kill after damage":
                damage_disk(disk, place)
            record = deepcopy(place.record)
            place.live(options.cycles, close=end == "close", fsync=fsync, settle=0.3 * (fsync == "interval"))
            operations = read_journal(place.journal)
            chosen = share(len(operations), options)
            for number, operation in enumerate(operations, 1):
                disk.apply(operation)
                if operation.kind == "N":
                    record.add(operation.words[0])
                if operation.words[:1] == ["settled"]:
                    synced = deepcopy(record)
                for contents in disk.crash_states(rng, options.samples) if number in chosen else ():
                    after = Place()
                    after.damaged, after.may_drop = place.damaged, fsync == "interval"
                    after.record = deepcopy(record)
                    after.record.kill(synced)
                    write_files(after.directory, contents)
                    with context(after, f"fsync {fsync}, power lost after operation {number} of the life before {end}"):
                        after.check()
                    states += 1
    return f"states={states}"


def kill_at_random(options: argparse.Namespace) -> str:
    """Kill lives that never end, after a few milliseconds, twenty on one directory."""
    kills, rng, until = 0, random.Random(options.seed + options.part), time.monotonic() + options.minutes * 60
    while time.monotonic() < until:
        place = Place()
        with context(place, "killed at random"):
            for _ in range(20):
                place.live(10**6, fsync=rng.choice(FSYNC), kill_after=rng.uniform(0.005, 0.1))
                kills += 1
            place.check()
    return f"kills={kills}"


SUITES: Final = {
    "kills": kill_everywhere,
    "errors": fail_everywhere,
    "power": lose_power_everywhere,
    "random": kill_at_random,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--cycles", type=int, default=8)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--fsync", nargs="*", choices=FSYNC[:2], default=FSYNC[:2])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    hurry()
    print(options.suite, SUITES[options.suite](options))


if __name__ == "__main__":
    main()
