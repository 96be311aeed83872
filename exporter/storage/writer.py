"""The one thread that owns the connection which writes: it commits what was submitted, and reads what the sender needs.

Batches that are submitted while a commit runs merge into one. A batch that cannot be committed stays, and what comes
later merges into it, so that memory holds each change once however long the disk fails.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.storage.directory import FreeSpaceError, error_message, is_damage
from exporter.storage.flusher import Flusher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exporter.storage.batch import Batch
    from exporter.storage.disk import Disk, Recovery
    from exporter.storage.ledger import Ledger
    from exporter.storage.model import QueuedRequest, StorageConfig

_log: Final = logging.getLogger(__name__)

RETRY_INTERVAL: Final = 1.0
"""Seconds between two attempts to write to a failing disk, and between two turns of tidying."""

MAX_PENDING_TRANSITIONS: Final = 20_000
"""Transitions in memory while the disk fails; the oldest are dropped beyond it."""

COMMIT_BYTES: Final = 24 * 1024
"""About what a commit writes besides bodies and rows: the pages of its tables, of free lists and of the ledger."""

REOPEN_AFTER: Final = 3
"""Failures after which the database is opened again: a connection may be stuck though the disk is back."""


@dataclass(frozen=True, slots=True)
class WriterEvents:
    """What the writer calls on the event loop, in order.

    `committed`: all requests and transitions up to the last numbers of the ledger are on disk. `failed`, `synced`: why
    the disk fails or cannot be synced, with a hint, "" if it works. `recovered`: the directory was opened, again or
    late. `read`: requests by number, None for a damaged one.
    """

    committed: Callable[[Ledger], None]
    failed: Callable[[str], None]
    synced: Callable[[str], None]
    recovered: Callable[[Recovery], None]
    read: Callable[[Mapping[int, QueuedRequest | None]], None]


@dataclass(slots=True)
class _Work:
    """What was submitted since the last turn."""

    batch: Batch | None = None
    finished: list[Callable[[bool], None]] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)

    def add(self, batch: Batch | None) -> None:
        if batch is None:
            return
        if self.batch is None:
            self.batch = batch
        else:
            self.batch.merge(batch)
        del self.batch.transitions[:-MAX_PENDING_TRANSITIONS]


class Writer:
    """The thread. `start` gets the function that runs another on the event loop; without it, nothing is reported."""

    def __init__(self, disk: Disk, config: StorageConfig, events: WriterEvents, *, failing: bool) -> None:
        assert config.directory is not None
        self._directory = config.directory
        self._disk = disk
        self._events = events
        self._lock = threading.Lock()
        self._work = _Work()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._failures = int(failing)
        self._next_attempt = 0.0
        self._tidies, self._tidied_at = True, time.monotonic()
        self._call: Callable[[Callable[[], None]], object] = lambda _: None
        self._posted: list[Callable[[], None]] = []
        self._flusher = Flusher(self._directory, config.fsync, self._report_sync)
        self._thread = threading.Thread(target=self._run, name="storage writer", daemon=True)

    def start(self, call: Callable[[Callable[[], None]], object] | None = None) -> None:
        """Start the thread; `call` runs a function on the event loop."""
        if call is not None:
            self._call = call
        self._thread.start()
        self._flusher.start()

    def submit(self, batch: Batch, finished: Callable[[bool], None] | None = None) -> None:
        """Commit a batch, with others; then call `finished` on the event loop: whether it is on disk."""
        with self._lock:
            self._work.add(batch)
            if finished is not None:
                self._work.finished.append(finished)
        self._wake.set()

    def read(self, numbers: Iterable[int]) -> None:
        """Read requests, again until that succeeds; `WriterEvents.read` gets them."""
        with self._lock:
            self._work.reads += numbers
        self._wake.set()

    def note_hang(self) -> None:
        """Note that counts are exported which are not on disk: a later start must not trust those that are."""
        self._disk.is_late = True
        # This thread must not wait for the disk, and the writer's does.
        threading.Thread(target=self._mark_incomplete, name="storage mark", daemon=True).start()

    def close(self, seconds: float) -> None:
        """Commit what is left, close the files and end, within `seconds` if possible."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is None:
            self.start()
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wake.wait(RETRY_INTERVAL)
                self._wake.clear()
                self._turn()
            self._next_attempt = 0.0
            self._turn()
        finally:
            self._flusher.stop()
            self._disk.close()

    def _run_later(self, function: Callable[[], None]) -> None:
        # RuntimeError: the event loop has ended, so nobody waits for it.
        with suppress(RuntimeError):
            self._call(function)

    def _report_sync(self, reason: str) -> None:
        self._run_later(partial(self._events.synced, reason))

    def _turn(self) -> None:
        with self._lock:
            work, self._work = self._work, _Work()
            self._disk.is_late = False  # this work has all that was exported
        if not self._failures or time.monotonic() >= self._next_attempt:
            self._attempt(work)
        self._posted += [partial(finish, work.batch is None) for finish in work.finished]
        if work.batch is not None or work.reads:
            self._put_back(work)
        if self._posted:  # together, as each call wakes the event loop up
            self._run_later(partial(_call_all, self._posted))
            self._posted = []

    def _put_back(self, work: _Work) -> None:
        """Merge what came meanwhile into what could not be done."""
        with self._lock:
            later, self._work = self._work, work
            work.add(later.batch)
            work.finished = later.finished
            work.reads += later.reads

    def _attempt(self, work: _Work) -> None:
        """Do the work, and take out of it what is done."""
        try:
            self._ensure_open()
            if work.batch is not None:
                self._commit(work.batch)
                work.batch = None
                self._disk.bound_wal()
            if work.reads:
                self._posted.append(partial(self._events.read, self._disk.read(work.reads)))
                work.reads = []
            if time.monotonic() >= self._tidied_at + RETRY_INTERVAL:
                self._tidy()
        except Exception as error:  # noqa: BLE001 - whatever fails, the thread goes on and tries again
            self._fail(error)
        else:
            if self._failures:
                self._failures = 0
                self._disk.note_success()
                self._posted.append(partial(self._events.failed, ""))

    def _ensure_open(self) -> None:
        if self._disk.is_ready() and self._failures < REOPEN_AFTER:
            return
        recovery = self._disk.open()
        self._failures = min(self._failures, 1)
        self._posted.append(partial(self._events.recovered, recovery))

    def _commit(self, batch: Batch) -> None:
        size = 0
        if self._disk.needs_database(batch):
            size = sum(len(body) for _, body in batch.inserts.values()) + COMMIT_BYTES
            size += sum(map(len, filter(None, batch.state.values())))
            self._tidies = True
        try:
            self._disk.commit(batch)
        finally:
            self._flusher.committed(size)
        self._posted.append(partial(self._events.committed, batch.ledger))

    def _tidy(self) -> None:
        self._tidied_at = time.monotonic()
        if self._tidies:
            freed = self._disk.tidy()
            self._tidies = freed > 0
            self._flusher.committed(freed)  # the file shrinks at the next checkpoint
        self._disk.measure()

    def _fail(self, error: Exception) -> None:
        reason = error_message(error, self._directory)
        if is_damage(error):
            self._failures = REOPEN_AFTER
        elif isinstance(error, FreeSpaceError):
            self._failures = 1  # the connection is not the problem
        else:
            self._failures += 1
        self._disk.note_failure(error)
        self._next_attempt = time.monotonic() + RETRY_INTERVAL
        if self._failures == 1:
            self._mark_incomplete()
        self._posted.append(partial(self._events.failed, reason))

    def _mark_incomplete(self) -> None:
        try:
            self._disk.mark_incomplete()
        except Exception as failure:  # noqa: BLE001 - the disk fails already
            _log.debug("ledger cannot be marked", extra=fields(reason=str(failure)))


def _call_all(functions: Iterable[Callable[[], None]]) -> None:
    for function in functions:
        function()
