"""The disk as the writer thread uses it: opened, and opened again after damage or when its directory vanished.

Everything blocks. Methods raise OSError, sqlite3.Error and StorageError; what was committed stays, and the caller tries
again with the same batch.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.storage.database import WAL_LIMIT, Database, NewRequest, RequestHead
from exporter.storage.directory import FreeSpaceError, create_directory, lock_directory, network_filesystem
from exporter.storage.ledger import encode_ledger
from exporter.storage.model import MIB, StorageMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.storage.database import Batch
    from exporter.storage.directory import DirectoryLock
    from exporter.storage.ledger import Ledger
    from exporter.storage.model import QueuedRequest, StorageConfig

_log: Final = logging.getLogger(__name__)

MAX_WAL: Final = 2 * WAL_LIMIT
"""Bytes of WAL at which the writer itself checkpoints: the flusher cannot keep up, or a reader is in its way."""

VACUUM_PAGES: Final = 512
VACUUM_SECONDS: Final = 0.05
"""Pages that one step gives back, and for how long one turn goes on: commits wait for it."""

SPARE_PAGES: Final = 1024
"""Unused pages that stay in the file: each cycle needs some again."""

PRUNED_ROWS: Final = 10_000
"""Transitions that one turn may delete."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was in the directory when it was opened.

    `adopted` are requests that this process has not queued yet, `lost` the numbers of those that it had stored and that
    are gone. `missing_points` should be queued by the ledger of an earlier process, and are not.
    """

    ledger: Ledger | None = None
    adopted: Sequence[RequestHead] = ()
    lost: Sequence[int] = ()
    missing_points: int = 0
    state: Mapping[str, bytes] = field(default_factory=dict)
    damaged_state_rows: int = 0


class Disk:
    """The directory of a configuration; `metrics` has its last figures, `history_since` is when history begins."""

    def __init__(self, config: StorageConfig, wall_time: Callable[[], float] = time.time) -> None:
        assert config.directory is not None
        self._directory = config.directory
        self._config = config
        self._wall_time = wall_time
        self._lock: DirectoryLock | None = None
        self._database: Database | None = None
        self._stored: OrderedDict[int, int] = OrderedDict()
        self._stored_points = 0
        self._adopted = False
        self._suspicions = 0
        self._commit = 0
        self._history_bytes = 0
        self.history_since = 0.0
        self.metrics = StorageMetrics()

    @property
    def stored(self) -> frozenset[int]:
        """The numbers of the stored requests."""
        return frozenset(self._stored)

    def is_ready(self) -> bool:
        """Return whether the database is open and its path still leads to it."""
        return self._database is not None and self._database.is_linked()

    # Open -------------------------------------------------------------------------------------------------------------

    def open(self) -> Recovery:
        """Open the directory, created if missing; also again, when the file was damaged or its path is gone."""
        create_directory(self._directory)
        filesystem = network_filesystem(self._directory)
        if self._lock is None or not self._lock.is_linked():
            lock = lock_directory(self._directory, filesystem)
            self._unlock()
            self._lock = lock
        if self._suspicions and self._database is not None:
            # Closed first, since the file itself will be read.
            self._database.close()
            self._database = None
        try:
            database = Database(self._directory, self._config.fsync, wal=not filesystem, damaged=self._suspicions > 1)
        except Exception:
            if self._database is None:
                self._unlock()
            raise
        previous, self._database = self._database, database
        if previous is not None:
            self._copy(previous, database)
            previous.close()
        recovery = self._reconcile(database) if self._adopted else self._adopt(database)
        self._adopted = True
        self._stored.update((head.id, head.points) for head in recovery.adopted)
        self._stored_points = sum(self._stored.values())
        self._history_bytes = database.transition_bytes()
        report = database.salvaged
        self.metrics = replace(
            self.metrics,
            salvaged_rows=self.metrics.salvaged_rows + report.rows,
            damaged_rows=self.metrics.damaged_rows + report.damaged_rows,
        )
        self.measure()
        return recovery

    def _adopt(self, database: Database) -> Recovery:
        """Take over what an earlier process left."""
        ledger, missing_commits = database.ledger(), database.missing_commits()
        heads, damaged = database.request_heads()
        # After commits that are missing, or a salvage, requests may be there again that were done.
        done = ledger.head if ledger is not None and (missing_commits or database.salvaged.rows) else 0
        adopted = [head for head in heads if head.id >= done]
        database.delete_requests([*damaged, *(head.id for head in heads if head.id < done)])
        points = sum(head.points for head in adopted)
        missing_points = max(ledger.queued_points - points, 0) if ledger is not None else 0
        state, damaged_state = self._state_of_cluster(database)
        self._commit = ledger.commit if ledger is not None else 0
        count = self.metrics.damaged_rows + len(damaged) + damaged_state
        self.metrics = replace(self.metrics, damaged_rows=count, missing_commits=missing_commits)
        if missing_commits or missing_points or count:
            extra = fields(commits=missing_commits, points=missing_points, damaged=count, hint="check the disk")
            _log.warning("stored data is missing: the points are counted as dropped", extra=extra)
        return Recovery(ledger, adopted, (), missing_points, state, damaged_state)

    def _state_of_cluster(self, database: Database) -> tuple[Mapping[str, bytes], int]:
        """Return the state rows, and how many are damaged; discard another cluster's."""
        meta, cluster = database.meta(), self._config.cluster
        if meta.get("cluster") == cluster:
            self.history_since = float(meta.get("history_since", 0.0))
            return database.state()
        if "cluster" in meta:
            extra = fields(stored=meta["cluster"], cluster=cluster, hint="requests that are still queued are sent")
            _log.warning("the stored state is another cluster's and is discarded", extra=extra)
        database.discard_cluster()
        self._begin_history(database)
        return {}, 0

    def _begin_history(self, database: Database) -> None:
        database.set_meta({"cluster": self._config.cluster})
        self._set_history_since(database, self._wall_time())

    def _reconcile(self, database: Database) -> Recovery:
        """Compare what the file holds with what this process had stored."""
        heads, damaged = database.request_heads()
        stored = {head.id for head in heads}
        lost = self._stored.keys() - stored
        database.delete_requests([*damaged, *(stored - self._stored.keys())])
        for number in lost:
            del self._stored[number]
        if "cluster" not in database.meta():
            self._begin_history(database)
        return Recovery(lost=sorted(lost))

    def _copy(self, previous: Database, database: Database) -> None:
        """Copy what a file whose path is gone still holds, as far as it can be read."""
        if previous.is_linked():
            return
        extra = fields(directory=str(self._directory), hint="stop the exporter before its files are moved")
        _log.warning("the database was removed or replaced: it is copied", extra=extra)
        heads, _ = database.request_heads()
        missing = self._stored.keys() - {head.id for head in heads}
        try:
            database.copy_requests(_requests(previous, missing))
            database.copy_history(previous)
        except Exception as error:  # noqa: BLE001 - the old file may be on a device that is gone
            _log.warning("the removed database cannot be read", extra=fields(reason=str(error)))

    # Commit and read --------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Commit a batch, and empty it of what was committed.

        Raises FreeSpaceError if too little space is free for new requests; all else is then committed nevertheless,
        since deletions are what frees space.
        """
        database = self._opened()
        started = time.monotonic()
        withheld = dict(batch.inserts) if self._is_space_short(database) else {}
        if withheld:
            batch.inserts.clear()
        try:
            database.apply(batch, self._ledger(batch, complete=not withheld))
        finally:
            inserted = list(batch.inserts.values())
            batch.inserts |= withheld
        self._commit += 1
        self._note_stored({request.head.id: request.head.points for request in inserted}, batch.removed)
        self._history_bytes += sum(len(record.body) for record in batch.transitions)
        batch.clear(keep_inserts=bool(withheld))
        self.metrics = replace(
            self.metrics,
            commits=self.metrics.commits + 1,
            commit_seconds=self.metrics.commit_seconds + time.monotonic() - started,
        )
        if withheld:
            raise self._free_space_error()

    def _ledger(self, batch: Batch, *, complete: bool) -> Ledger:
        """Return the ledger after the commit of a batch."""
        removed = frozenset(batch.removed)
        numbers = (number for number in chain(self._stored, batch.inserts) if number not in removed)
        points = self._stored_points + sum(request.head.points for request in batch.inserts.values())
        points -= sum(self._stored.get(number, 0) for number in removed)
        head = next(numbers, batch.ledger.last_request + 1)
        return replace(batch.ledger, commit=self._commit + 1, head=head, queued_points=points, complete=complete)

    def _note_stored(self, inserted: Mapping[int, int], removed: Iterable[int]) -> None:
        self._stored.update(inserted)
        self._stored_points += sum(inserted.values())
        for number in removed:
            self._stored_points -= self._stored.pop(number, 0)

    def read(self, numbers: Iterable[int]) -> Mapping[int, QueuedRequest | None]:
        """Return requests by number, None for a damaged one."""
        database = self._opened()
        return {number: database.read_request(number) for number in numbers}

    def note_damage(self) -> None:
        """Note that SQLite reported damage: the next `open` checks the file, and after a second time salvages it.

        A quick check need not find the damage, and what looks like damage may have been an error of the system.
        """
        self._suspicions += 1

    def note_failure(self) -> None:
        """Count a failure."""
        self.metrics = replace(self.metrics, commit_failures=self.metrics.commit_failures + 1)

    def note_success(self) -> None:
        """Note that everything worked since the last `open`."""
        self._suspicions = 0

    def mark_incomplete(self) -> None:
        """Note in the ledger file that points are in memory only, so that a later start does not trust its counts."""
        database = self._database
        if database is not None and database.stored_ledger is not None:
            database.ledger_file.write(encode_ledger(replace(database.stored_ledger, complete=False)))

    def _opened(self) -> Database:
        if self._database is None:
            raise OSError("not open")
        return self._database

    # Space ------------------------------------------------------------------------------------------------------------

    def _free_bytes(self) -> int:
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    def _is_space_short(self, database: Database) -> bool:
        free, reserve = self._free_bytes(), self._config.limits.reserve
        # What is unused in the file is filled first.
        return free < reserve and free + database.free_pages() * database.page_size < reserve

    def _free_space_error(self) -> FreeSpaceError:
        free, reserve = self._free_bytes() // MIB, self._config.limits.reserve // MIB
        return FreeSpaceError(
            f"storage.directory {self._directory} has {free} MiB free, less than storage.reserve ({reserve} MiB): "
            "free some space, or lower storage.reserve or storage.max_bytes"
        )

    def bound_wal(self) -> None:
        """Checkpoint if the flusher cannot keep up."""
        database = self._opened()
        if database.sizes()[1] > MAX_WAL:
            database.truncate_wal()

    def tidy(self) -> int:
        """Bound the history, give unused pages back; return the bytes of both, 0 when all is tidy."""
        database = self._opened()
        return self._prune(database) + self._vacuum(database)

    def _vacuum(self, database: Database) -> int:
        """Give unused pages back for a while; return their bytes."""
        end = time.monotonic() + VACUUM_SECONDS
        pages = 0
        while (excess := database.free_pages() - SPARE_PAGES) > 0 and time.monotonic() < end:
            database.vacuum(min(excess, VACUUM_PAGES))
            pages += min(excess, VACUUM_PAGES)
        return pages * database.page_size

    def _prune(self, database: Database) -> int:
        """Delete transitions that are too old or too many, the oldest first; return their bytes."""
        last, size = self._last_excessive(database.oldest_transitions(1))
        if last:
            last, size = self._last_excessive(database.oldest_transitions(PRUNED_ROWS))
            database.delete_transitions(last)
            self._history_bytes -= size
            if oldest := database.oldest_transitions(1):
                self._set_history_since(database, oldest[0][1])
        return size

    def _set_history_since(self, database: Database, timestamp: float) -> None:
        self.history_since = max(self.history_since, timestamp)
        database.set_meta({"history_since": repr(self.history_since)})

    def _last_excessive(self, transitions: Iterable[tuple[int, float, int]]) -> tuple[int, int]:
        """Return the number of the last transition to delete, 0 for none, and the size of all up to it."""
        limits = self._config.limits
        last = excess = 0
        for number, timestamp, size in transitions:
            if timestamp >= self._wall_time() - limits.history and self._history_bytes - excess <= limits.history_bytes:
                break
            last, excess = number, excess + size
        return last, excess

    def measure(self) -> None:
        """Take the sizes into `metrics`."""
        database_bytes, wal_bytes = self._opened().sizes()
        free_bytes = self._free_bytes()
        self.metrics = replace(self.metrics, database_bytes=database_bytes, wal_bytes=wal_bytes, free_bytes=free_bytes)

    def close(self) -> None:
        """Close the files and release the lock."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _requests(database: Database, numbers: Iterable[int]) -> Iterator[NewRequest]:
    for head in database.request_heads()[0]:
        if head.id in numbers:
            with suppress(OSError, sqlite3.Error):  # each that can be read is one less that is lost
                if (request := database.read_request(head.id)) is not None:
                    yield NewRequest(head, request.body)
