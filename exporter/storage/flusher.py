"""The thread that syncs: `fsync: interval`, and the checkpoints that copy the WAL into the database.

A disk may take seconds for a sync. In the writer thread these would stand in the way of each commit; SQLite lets
another connection checkpoint while commits go on. It opens only the WAL by itself, never the database file: closing
that would release SQLite's locks, which belong to the process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from exporter.storage import schema
from exporter.storage.database import WAL_LIMIT
from exporter.storage.directory import DATABASE_FILE, LEDGER_FILE, WAL_FILE, error_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.storage.model import Fsync

SYNC_INTERVAL: Final = 1.0
"""Seconds between two syncs: what a crash of the machine can cost at most with fsync `interval`."""

CHECKPOINT_INTERVAL: Final = 60.0
"""Seconds after which the WAL is checkpointed, however small: a bad sector in it costs all later commits."""


class Flusher:
    """Syncs and checkpoints what `committed` counts; `report` gets each change of why that fails, or ""."""

    def __init__(self, directory: Path, fsync: Fsync, report: Callable[[str], None]) -> None:
        self._directory = directory
        self._fsync = fsync
        self._report = report
        self._stopping = threading.Event()
        self._reason = ""
        self._bytes = 0
        self._unsynced = False
        self._checkpointed_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="storage flusher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def committed(self, size: int) -> None:
        """Note that something was written, about `size` bytes of it to the WAL."""
        self._bytes += size
        self._unsynced = True

    def stop(self) -> None:
        """Let the thread end; a sync that hangs is left behind."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(SYNC_INTERVAL):
            reason = ""
            try:
                self._flush()
            except (OSError, sqlite3.Error) as error:
                reason = error_message(error, self._directory)
            if reason != self._reason:
                self._reason = reason
                self._report(reason)

    def _flush(self) -> None:
        if self._unsynced and self._fsync != "never":
            # Before the sync: a commit meanwhile needs another one.
            self._unsynced = False
            try:
                _sync(self._directory / WAL_FILE)
                _sync(self._directory / LEDGER_FILE)
            except OSError:
                self._unsynced = True
                # The system may have dropped the pages: copying them into the database writes them again.
                self._bytes = WAL_LIMIT
                raise
        is_old = time.monotonic() - self._checkpointed_at > CHECKPOINT_INTERVAL
        if self._bytes >= WAL_LIMIT or (self._bytes and is_old):
            self._bytes = 0
            self._checkpointed_at = time.monotonic()
            with closing(schema.connect(self._directory / DATABASE_FILE, "rw")) as connection:
                connection.execute(schema.SYNCHRONOUS[self._fsync])
                connection.execute(schema.CHECKPOINT).fetchall()


def _sync(path: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
