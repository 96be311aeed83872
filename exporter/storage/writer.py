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
from typing import TYPE_CHECKING, Final, Protocol

from exporter.log import fields
from exporter.storage.database import Batch
from exporter.storage.directory import FreeSpaceError, error_message, is_damage
from exporter.storage.flusher import Flusher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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


class WriterEvents(Protocol):
    """What the writer reports. Each method is called on the event loop, in order."""

    def on_committed(self, ledger: Ledger) -> None:
        """All requests and transitions up to the last numbers of a ledger are on disk."""

    def on_failed(self, reason: str) -> None:
        """The disk fails; the reason has a hint."""

    def on_repaired(self) -> None:
        """The disk works again."""

    def on_recovered(self, recovery: Recovery) -> None:
        """The directory was opened, again or late."""

    def on_read(self, requests: Mapping[int, QueuedRequest | None]) -> None:
        """Requests were read, None for a damaged one."""


@dataclass(slots=True)
class _Work:
    """What was submitted since the last turn; `dirty` if there is something to commit."""

    batch: Batch = field(default_factory=Batch)
    dirty: bool = False
    finished: list[Callable[[bool], None]] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)


class Writer:
    """The thread. `call` runs a function on the event loop; without one, nothing is reported."""

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
        self._flusher = Flusher(self._directory, config.fsync)
        self._thread = threading.Thread(target=self._run, name="storage writer", daemon=True)

    @property
    def sync_reason(self) -> str:
        """Why the last sync failed, "" if it did not."""
        return self._flusher.reason

    def start(self, call: Callable[[Callable[[], None]], object] | None = None) -> None:
        """Start the thread; `call` runs a function on the event loop."""
        if call is not None:
            self._call = call
        self._thread.start()
        self._flusher.start()

    def submit(self, batch: Batch, finished: Callable[[bool], None] | None = None) -> None:
        """Commit a batch, with others; then call `finished` on the event loop: whether it is on disk."""
        with self._lock:
            self._work.batch.merge(batch)
            del self._work.batch.transitions[:-MAX_PENDING_TRANSITIONS]
            self._work.dirty = True
            if finished is not None:
                self._work.finished.append(finished)
        self._wake.set()

    def read(self, numbers: Iterable[int]) -> None:
        """Read requests, again until that succeeds; `on_read` gets them."""
        with self._lock:
            self._work.reads += numbers
        self._wake.set()

    def close(self, seconds: float) -> bool:
        """Commit what is left, close the files and end; return whether that was done in time."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is None:
            self.start()
        self._thread.join(seconds)
        return not self._thread.is_alive()

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

    def _post(self, function: Callable[[], None]) -> None:
        # RuntimeError: the event loop has ended, so nobody waits for it.
        with suppress(RuntimeError):
            self._call(function)

    def _take(self) -> _Work:
        with self._lock:
            work, self._work = self._work, _Work()
        return work

    def _put_back(self, work: _Work) -> None:
        """Merge what came meanwhile into what could not be done."""
        with self._lock:
            later, self._work = self._work, work
            if later.dirty:
                work.batch.merge(later.batch)
                work.dirty = True
            work.finished = later.finished
            work.reads += later.reads

    def _turn(self) -> None:
        work = self._take()
        finished = work.finished
        if not self._failures or time.monotonic() >= self._next_attempt:
            self._attempt(work)
        stored = not work.dirty
        if work.dirty or work.reads:
            self._put_back(work)
        for finish in finished:
            self._post(partial(finish, stored))

    def _attempt(self, work: _Work) -> None:
        """Do the work, and take out of it what is done."""
        try:
            self._ensure_open()
            if work.dirty:
                self._commit(work)
                self._disk.bound_wal()
            if work.reads:
                self._read(work)
            if time.monotonic() >= self._tidied_at + RETRY_INTERVAL:
                self._tidy()
        except Exception as error:  # noqa: BLE001 - whatever fails, the thread goes on and tries again
            self._fail(error)
        else:
            if self._failures:
                self._failures = 0
                self._disk.note_success()
                self._post(self._events.on_repaired)

    def _ensure_open(self) -> None:
        if self._disk.is_ready() and self._failures < REOPEN_AFTER:
            return
        recovery = self._disk.open()
        self._failures = min(self._failures, 1)
        self._post(partial(self._events.on_recovered, recovery))

    def _commit(self, work: _Work) -> None:
        batch = work.batch
        size = sum(len(request.body) for request in batch.inserts.values())
        size += sum(map(len, filter(None, batch.state.values())))
        self._disk.commit(batch)
        work.dirty, self._tidies = False, True
        self._flusher.committed(size + COMMIT_BYTES)
        self._post(partial(self._events.on_committed, batch.ledger))

    def _read(self, work: _Work) -> None:
        requests = self._disk.read(work.reads)
        work.reads = []
        self._post(partial(self._events.on_read, requests))

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
            self._disk.note_damage()
            self._failures = REOPEN_AFTER
        elif isinstance(error, FreeSpaceError):
            self._failures = 1  # the connection is not the problem
        else:
            self._failures += 1
        self._disk.note_failure()
        self._next_attempt = time.monotonic() + RETRY_INTERVAL
        if self._failures == 1:
            try:
                self._disk.mark_incomplete()
            except Exception as failure:  # noqa: BLE001 - the disk fails already
                _log.debug("ledger cannot be marked", extra=fields(reason=str(failure)))
        self._post(partial(self._events.on_failed, reason))
