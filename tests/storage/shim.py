"""A library, preloaded into a process, that records and disturbs what the process does to one directory.

The journal has one line for each operation, in order: `C inode name` (created), `O inode name` (opened),
`W inode offset size` (followed by the bytes), `T inode size` (truncated), `S inode` (synced), `U name` (removed),
`R old new` (renamed), `N text` (a note of the process itself). From it the state of the disk after a loss of power at
any operation is rebuilt: what was synced, and any part of what was not.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]


class Kind(IntFlag):
    """Kinds of operations."""

    CREATE = 1
    WRITE = 2
    SYNC = 4
    TRUNCATE = 8
    UNLINK = 16
    RENAME = 32
    READ = 64
    CHANGE = 63


class Fault(IntEnum):
    """What happens to an operation: SIGKILL before it, nothing from it on, an error, half a write, a delay."""

    KILL = 1
    FREEZE = 2
    FAIL = 3
    SHORT = 4
    DELAY = 5


def build(directory: Path) -> Path:
    """Compile the library; without gcc, skip the test, or fail it if CI=true."""
    if shutil.which("gcc") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("gcc is not installed, and required in CI")
        pytest.skip("gcc is not installed")
    library = directory / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def run_preloaded(library: Path, module: str, *arguments: str, timeout: float = 600) -> str:
    """Run a module with the library; return its output, or fail with its error."""
    completed = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    print(completed.stdout)
    assert completed.returncode == 0, completed.stdout[-8000:] + completed.stderr[-8000:]
    return completed.stdout


class Shim:
    """The library in this process, which was started by `run_preloaded`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.shim_count.restype = self._library.shim_hits.restype = ctypes.c_long

    def start(self, directory: Path, journal: Path | None = None) -> None:
        """Observe a directory, without faults; nothing done to the previous one by open files takes effect any more."""
        assert self._library.shim_start(str(directory).encode(), str(journal or "").encode()) >= 0 or not journal

    def fault(self, kinds: Kind, fault: Fault, first: int = 1, last: int = 2**62, number: int = errno.EIO) -> None:
        """Disturb operations `first` to `last` of some kinds from now on; `number` is the error, or milliseconds."""
        self._library.shim_fault(
            ctypes.c_int(kinds), ctypes.c_long(first), ctypes.c_long(last), ctypes.c_int(fault), ctypes.c_int(number)
        )

    def end_fault(self) -> int:
        """Disturb nothing from now on; return how many operations were."""
        hits = self.hits
        self.fault(Kind(0), Fault.FAIL)
        return hits

    def note(self, text: str) -> bool:
        """Write a note; return whether it stands in the journal: after FREEZE, nothing does."""
        return not self._library.shim_note(text.encode())

    def set_free_bytes(self, size: int) -> None:
        """Let the file system report this free space, -1 for what it has."""
        self._library.shim_free(ctypes.c_long(size))

    def set_clock(self, seconds: int) -> None:
        """Let the wall clock be wrong by some seconds."""
        self._library.shim_clock(ctypes.c_long(seconds))

    @property
    def count(self) -> int:
        """The number of operations of the kinds of `fault` since that."""
        return int(self._library.shim_count())

    @property
    def hits(self) -> int:
        """How many operations were disturbed since `fault`."""
        return int(self._library.shim_hits())

    @property
    def is_frozen(self) -> bool:
        """Whether a FREEZE has happened."""
        return bool(self._library.shim_frozen())


@dataclass(frozen=True, slots=True)
class Operation:
    """A line of the journal, with the bytes of a write."""

    kind: str
    words: Sequence[str]
    data: bytes = b""


def read_journal(path: Path) -> list[Operation]:
    """Return the operations of a journal, of which a kill may have cut the last line."""
    content, operations, position = path.read_bytes(), [], 0
    while (end := content.find(b"\n", position)) >= 0:
        kind, rest = content[position : position + 1].decode(), content[position + 2 : end].decode()
        size = int(rest.split()[2]) if kind == "W" else 0
        words = [rest] if kind == "N" else rest.split()
        operations.append(Operation(kind, words, content[end + 1 : end + 1 + size]))
        position = end + 1 + size
    return operations
