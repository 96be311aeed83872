"""The disk as the writer thread uses it: opened, and opened again after damage or when its directory vanished.

Everything blocks. Methods raise OSError, sqlite3.Error and StorageError; what was committed stays, and the caller tries
again with the same batch.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.storage import schema
from exporter.storage.batch import RequestHead, StoredMessage, message_row, request_row, transition_row
from exporter.storage.database import WAL_LIMIT, Database, open_database, transaction
from exporter.storage.directory import (
    WAL_FILE,
    DirectoryLock,
    FreeSpaceError,
    create_directory,
    is_damage,
    network_filesystem,
)
from exporter.storage.ledger import Ledger, encode_ledger
from exporter.storage.model import MIB, QueuedRequest, StorageMetrics

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.storage.batch import Batch
    from exporter.storage.model import StorageConfig

_log: Final = logging.getLogger(__name__)

MAX_WAL: Final = 2 * WAL_LIMIT
"""Bytes of WAL at which the writer itself checkpoints: the flusher cannot keep up, or a reader is in its way."""

MAX_DONE: Final = 256
"""Requests that may be done according to the ledger file alone: so many come again if that file is lost, too."""

VACUUM_PAGES: Final = 512
VACUUM_SECONDS: Final = 0.05
"""Pages that one step gives back, and for how long one turn goes on: commits wait for it."""

SPARE_PAGES: Final = 1024
"""Unused pages that stay in the file: each cycle needs some again."""

_COUNTS_KEY: Final = "outbox"
"""The key of the outbox's accounting in the table `meta`."""

PRUNED_ROWS: Final = 10_000
"""Transitions that one turn may delete."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was in the directory when it was opened.

    `adopted` are requests that this process has not queued yet, `lost` the numbers of those that it had stored and that
    are gone. `missing_points` should be queued by the ledger of an earlier process, and are not. `messages` are
    what that left in the outbox, `message_counts` is the accounting of the outbox, "" if there is none.
    """

    ledger: Ledger | None = None
    adopted: Sequence[RequestHead] = ()
    lost: Sequence[int] = ()
    missing_points: int = 0
    state: Mapping[str, bytes] = field(default_factory=dict)
    damaged_state_rows: int = 0
    messages: Sequence[StoredMessage] = ()
    message_counts: str = ""


class Disk:
    """The directory of a configuration; `metrics` has its last figures, `history_since` is when history begins.

    `is_late`: counts that are not in the batch at hand were exported, as the disk hangs; another thread sets it.
    """

    def __init__(self, config: StorageConfig, wall_time: Callable[[], float] = time.time) -> None:
        assert config.directory is not None
        self._directory = config.directory
        self._config = config
        self._wall_time = wall_time
        self._lock: DirectoryLock | None = None
        self._opened: Database | None = None
        self._stored: OrderedDict[int, int] = OrderedDict()
        self._stored_points = 0
        self._adopted = False
        self._suspicions = 0
        self._ledger = Ledger()
        self._done = 0
        self._entries = itertools.count(1)
        self._history_bytes = 0
        self.is_late = False
        self.history_since = 0.0
        self.metrics = StorageMetrics()

    @property
    def stored(self) -> frozenset[int]:
        """The numbers of the stored requests."""
        return frozenset(self._stored)

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise OSError("not open")
        return self._opened

    def is_ready(self) -> bool:
        """Return whether the database is open and its path still leads to it."""
        return self._opened is not None and self._opened.is_linked()

    def _count(self, **counts: float) -> None:
        """Add to `metrics`."""
        sums = {name: getattr(self.metrics, name) + count for name, count in counts.items()}
        self.metrics = replace(self.metrics, **sums)

    # Open -------------------------------------------------------------------------------------------------------------

    def open(self) -> Recovery:
        """Open the directory, created if missing; also again, when the file was damaged or its path is gone."""
        create_directory(self._directory)
        filesystem = network_filesystem(self._directory)
        if self._lock is None or not self._lock.is_linked():
            lock = DirectoryLock(self._directory, filesystem)
            self._unlock()
            self._lock = lock
        if self._suspicions and self._opened is not None:
            # Closed first, since the file itself will be read.
            self._opened.close()
            self._opened = None
        previous, database = self._opened, None
        try:
            damaged = self._suspicions > 1
            database = open_database(self._directory, self._config.fsync, wal=not filesystem, damaged=damaged)
            if previous is not None and not previous.is_linked():
                self._copy(previous, database)
            recovery = self._reconcile(database) if self._adopted else self._adopt(database)
        except Exception:
            if database is not None:
                database.close()
            if not self._adopted:  # or another process would send what this one has queued, too
                self._unlock()
            raise
        # Not before: a commit into a file that was not adopted would be discarded with it.
        self._opened, self._adopted = database, True
        if previous is not None:
            previous.close()
        self._note_stored({head.id: head.points for head in recovery.adopted}, recovery.lost)
        self._count(salvaged_rows=database.salvaged.rows, damaged_rows=database.salvaged.damaged_rows)
        self._history_bytes = database.value(schema.TRANSITION_BYTES)
        self.measure()
        return recovery

    def _adopt(self, database: Database) -> Recovery:
        """Take over what an earlier process left."""
        stored, latest = database.stored_ledger(), database.ledger_file.latest
        ledgers = [ledger for ledger in (stored, latest) if ledger is not None]
        ledger = max(ledgers, key=lambda ledger: ledger.order, default=Ledger())
        if latest is not None and latest.entry >= ledger.entry and not latest.complete:
            ledger = replace(ledger, complete=False)  # noted while the commit of the other one hung
        missing_commits = max(ledger.commit - (stored.commit if stored is not None else 0), 0)
        heads, damaged = self._request_heads(database)
        adopted = [head for head in heads if head.id >= ledger.head]
        self._delete_requests(database, [*damaged, *(head.id for head in heads if head.id < ledger.head)])
        missing_points = max(ledger.queued_points - sum(head.points for head in adopted), 0)
        state, damaged_state = self._state_of_cluster(database)
        messages, damaged_messages = _messages(database)
        self._ledger, self._entries = ledger, itertools.count(1 + max((each.entry for each in ledgers), default=0))
        damaged_rows = len(damaged) + damaged_state + damaged_messages
        self._count(damaged_rows=damaged_rows, missing_commits=missing_commits)
        rows = database.salvaged.damaged_rows + damaged_rows
        if missing_commits or missing_points or rows:
            extra = fields(commits=missing_commits, points=missing_points, damaged=rows, hint="check the disk")
            _log.warning("stored data is missing: the points are counted as dropped", extra=extra)
        counts = self._meta(database).get(_COUNTS_KEY, "")
        return Recovery(
            ledger if ledgers else None, adopted, (), missing_points, state, damaged_state, messages, counts
        )  # fmt: skip

    def _state_of_cluster(self, database: Database) -> tuple[Mapping[str, bytes], int]:
        """Return the state rows, and how many are damaged; discard another cluster's."""
        meta, cluster = self._meta(database), self._config.cluster
        if meta.get("cluster") == cluster:
            self.history_since = float(meta.get("history_since", 0.0))
            rows = database.connection.execute(schema.STATE).fetchall()
            state = {key: value for key, value, crc in rows if schema.is_sound((key, value, crc))}
            return state, len(rows) - len(state)
        if "cluster" in meta:
            extra = fields(stored=meta["cluster"], cluster=cluster, hint="requests that are still queued are sent")
            _log.warning("the stored state is another cluster's and is discarded", extra=extra)
        with transaction(database.connection):
            database.connection.execute(schema.DELETE_ALL_STATE)
            database.connection.execute(schema.DELETE_ALL_TRANSITIONS)
        self._begin_history(database)
        return {}, 0

    def _meta(self, database: Database) -> Mapping[str, str]:
        return {row[0]: row[1] for row in database.connection.execute(schema.META) if schema.is_sound(row)}

    def _begin_history(self, database: Database) -> None:
        database.connection.execute(schema.UPSERT_META, schema.with_checksum("cluster", self._config.cluster))
        self._set_history_since(database, self._wall_time())

    def _reconcile(self, database: Database) -> Recovery:
        """Compare what the file holds with what this process had stored."""
        heads, damaged = self._request_heads(database)
        stored = {head.id for head in heads}
        lost = sorted(self._stored.keys() - stored)
        self._delete_requests(database, [*damaged, *(stored - self._stored.keys())])
        if "cluster" not in self._meta(database):
            self._begin_history(database)
        return Recovery(lost=lost)

    def _copy(self, previous: Database, database: Database) -> None:
        """Copy a file whose path is gone."""
        extra = fields(directory=str(self._directory), hint="stop the exporter before its files are moved")
        _log.warning("the database was removed or replaced: it is copied", extra=extra)
        try:
            previous.connection.backup(database.connection)
        except Exception as error:  # noqa: BLE001 - the old file may be on a device that is gone
            _log.warning("the removed database cannot be read", extra=fields(reason=str(error)))
        database.ledger_file.write(encode_ledger(self._ledger))

    def _request_heads(self, database: Database) -> tuple[list[RequestHead], list[int]]:
        """Return all requests without their bodies, oldest first, and the numbers of those that are damaged."""
        rows = database.connection.execute(schema.REQUEST_HEADS).fetchall()
        sound = [RequestHead(*row[:-1]) for row in rows if schema.is_sound(row)]
        return sound, [row[0] for row in rows if not schema.is_sound(row)]

    def _delete_requests(self, database: Database, numbers: Iterable[int]) -> None:
        with transaction(database.connection):
            database.connection.executemany(schema.DELETE_REQUEST, ((number,) for number in numbers))

    # Commit and read --------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Commit a batch; of acknowledgements alone, only the ledger file.

        Raises FreeSpaceError if too little space is free for new requests; all else is then committed nevertheless,
        since deletions are what frees space, and the batch is left with these requests.
        """
        withheld = bool(batch.inserts) and self._is_space_short()
        inserts = {} if withheld else batch.inserts
        ledger = self._ledger_after(batch, inserts, complete=not withheld)
        if self.needs_database(batch):
            started = time.monotonic()
            ledger = replace(ledger, commit=ledger.commit + 1)
            self._apply(batch, inserts, ledger)
            self._write_ledger(ledger)
            self._count(commits=1, commit_seconds=time.monotonic() - started)
            self._done = 0
        else:
            self._write_ledger(ledger)
            self._done += len(batch.removed)
            if self._config.fsync == "always":
                self._database.ledger_file.sync()
        self._note_stored({number: head.points for number, (head, _) in inserts.items()}, batch.removed)
        self._history_bytes += sum(len(record.body) for record in batch.transitions)
        if withheld:
            batch.removed, batch.state, batch.rewrite_state, batch.transitions = [], {}, False, []
            batch.messages, batch.finished, batch.message_counts, batch.rewrite_messages = {}, [], "", False
            raise self._free_space_error()

    def needs_database(self, batch: Batch) -> bool:
        """Return whether the commit of a batch is a transaction of the database, not of the ledger file alone."""
        is_full = self._done + len(batch.removed) > MAX_DONE
        return batch.needs_database or is_full or max(batch.removed, default=0) >= self._head_after(batch, {})

    def _head_after(self, batch: Batch, inserts: Mapping[int, object]) -> int:
        """Return the number of the oldest request after the commit of a batch with these new requests."""
        removed = frozenset(batch.removed)
        oldest = itertools.islice((number for number in self._stored if number not in removed), 1)
        return min(itertools.chain(oldest, inserts), default=batch.ledger.last_request + 1)

    def _ledger_after(
        self, batch: Batch, inserts: Mapping[int, tuple[RequestHead, bytes]], *, complete: bool
    ) -> Ledger:
        points = self._stored_points + sum(head.points for head, _ in inserts.values())
        points -= sum(self._stored.get(number, 0) for number in frozenset(batch.removed))
        return replace(
            batch.ledger,
            entry=next(self._entries),
            commit=self._ledger.commit,
            head=self._head_after(batch, inserts),
            queued_points=points,
            complete=complete,
        )

    def _apply(self, batch: Batch, inserts: Mapping[int, tuple[RequestHead, bytes]], ledger: Ledger) -> None:
        connection = self._database.connection
        removed = (number for number in batch.removed if number >= ledger.head)
        state = batch.state.items()
        with transaction(connection):
            # First, so that new rows use the pages of these.
            connection.execute(schema.DELETE_DONE_REQUESTS, (ledger.head,))
            connection.executemany(schema.DELETE_REQUEST, ((number,) for number in removed))
            connection.executemany(schema.INSERT_REQUEST, (request_row(*request) for request in inserts.values()))
            if batch.rewrite_state:
                connection.execute(schema.DELETE_ALL_STATE)
            connection.executemany(schema.DELETE_STATE, ((key,) for key, value in state if value is None))
            rows = (schema.with_checksum(key, value) for key, value in state if value is not None)
            connection.executemany(schema.UPSERT_STATE, rows)
            connection.executemany(schema.INSERT_TRANSITION, map(transition_row, batch.transitions))
            _apply_messages(connection, batch)
            connection.execute(schema.UPSERT_LEDGER, schema.with_checksum(encode_ledger(ledger)))

    def _write_ledger(self, ledger: Ledger) -> None:
        # Never before its commit: a file ahead of the database means that commits are missing.
        if self.is_late:
            ledger = replace(ledger, entry=next(self._entries), complete=False)
        self._database.ledger_file.write(encode_ledger(ledger))
        self._ledger = ledger

    def _note_stored(self, inserted: Mapping[int, int], removed: Iterable[int]) -> None:
        is_unordered = inserted and self._stored and min(inserted) < next(reversed(self._stored))
        self._stored.update(inserted)
        self._stored_points += sum(inserted.values())
        for number in removed:
            self._stored_points -= self._stored.pop(number, 0)
        if is_unordered:  # requests that a damaged file had lost
            self._stored = OrderedDict(sorted(self._stored.items()))

    def read(self, numbers: Iterable[int]) -> Mapping[int, QueuedRequest | None]:
        """Return requests by number, None for one that is damaged or not there."""
        rows = {
            number: self._database.connection.execute(schema.REQUEST, (number,)).fetchone() for number in numbers
        }  # fmt: skip
        return {
            number: QueuedRequest(row[6], row[3], row[2]) if row is not None and schema.is_sound(row) else None
            for number, row in rows.items()
        }

    def note_failure(self, error: Exception) -> None:
        """Count a failure; after damage, the next `open` checks the file, and after a second time salvages it.

        A quick check need not find the damage, and what looks like damage may have been an error of the system.
        """
        self._suspicions += is_damage(error)
        self._count(commit_failures=1)

    def note_success(self) -> None:
        """Note that everything worked since the last `open`."""
        self._suspicions = 0

    def mark_incomplete(self) -> None:
        """Note in the ledger file that points are in memory only, so that a later start does not trust its counts.

        Any thread may call it, since the writer may hang.
        """
        if self._opened is not None:
            ledger = replace(self._ledger, entry=next(self._entries), complete=False)
            self._opened.ledger_file.write(encode_ledger(ledger))

    # Space ------------------------------------------------------------------------------------------------------------

    def _free_bytes(self) -> int:
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    def _is_space_short(self) -> bool:
        free, reserve = self._free_bytes(), self._config.limits.reserve
        # What is unused in the file is filled first.
        return free < reserve and free + self._unused_bytes() < reserve

    def _unused_bytes(self) -> int:
        return self._database.value(schema.FREE_PAGES) * self._database.value(schema.PAGE_SIZE)

    def _free_space_error(self) -> FreeSpaceError:
        free, reserve = self._free_bytes() // MIB, self._config.limits.reserve // MIB
        return FreeSpaceError(
            f"storage.directory {self._directory} has {free} MiB free, less than storage.reserve ({reserve} MiB): "
            "free some space, or lower storage.reserve or storage.max_bytes"
        )

    def bound_wal(self) -> None:
        """Checkpoint if the flusher cannot keep up; readers may prevent that."""
        if self._wal_bytes() > MAX_WAL:
            self._database.connection.execute(schema.TRUNCATE_WAL).fetchall()

    def tidy(self) -> int:
        """Bound the history, give unused pages back; return the bytes of both, 0 when all is tidy."""
        return self._prune() + self._vacuum()

    def _vacuum(self) -> int:
        """Give unused pages back for a while; return their bytes."""
        end = time.monotonic() + VACUUM_SECONDS
        before = self._unused_bytes()
        while (excess := self._database.value(schema.FREE_PAGES) - SPARE_PAGES) > 0 and time.monotonic() < end:
            with transaction(self._database.connection):  # or each page would be a transaction, and write two pages
                statement = schema.incremental_vacuum(min(excess, VACUUM_PAGES))
                self._database.connection.execute(statement).fetchall()
        return before - self._unused_bytes()

    def _prune(self) -> int:
        """Delete transitions that are too old or too many, the oldest first; return their bytes."""
        last, size = self._last_excessive(1)
        if last:
            last, size = self._last_excessive(PRUNED_ROWS)
            self._database.connection.execute(schema.DELETE_TRANSITIONS, (last,))
            self._history_bytes -= size
            for _, timestamp, _ in self._oldest_transitions(1):
                self._set_history_since(self._database, timestamp)
        return size

    def _set_history_since(self, database: Database, timestamp: float) -> None:
        self.history_since = max(self.history_since, timestamp)
        row = schema.with_checksum("history_since", repr(self.history_since))
        database.connection.execute(schema.UPSERT_META, row)

    def _oldest_transitions(self, count: int) -> Sequence[tuple[int, float, int]]:
        return self._database.connection.execute(schema.OLDEST_TRANSITIONS, (count,)).fetchall()

    def _last_excessive(self, count: int) -> tuple[int, int]:
        """Return which of the oldest transitions is the last to delete, 0 for none, and the size of all up to it."""
        limits = self._config.limits
        last = excess = 0
        for number, timestamp, size in self._oldest_transitions(count):
            if timestamp >= self._wall_time() - limits.history and self._history_bytes - excess <= limits.history_bytes:
                break
            last, excess = number, excess + size
        return last, excess

    def _wal_bytes(self) -> int:
        try:
            return (self._directory / WAL_FILE).stat().st_size
        except FileNotFoundError:
            return 0

    def measure(self) -> None:
        """Take the sizes into `metrics`."""
        self.metrics = replace(
            self.metrics,
            database_bytes=self._database.path.stat().st_size,
            wal_bytes=self._wal_bytes(),
            free_bytes=self._free_bytes(),
        )

    def close(self) -> None:
        """Close the files and release the lock."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _messages(database: Database) -> tuple[Sequence[StoredMessage], int]:
    """Return the messages of the outbox, oldest first, and how many are damaged."""
    rows = database.connection.execute(schema.MESSAGES).fetchall()
    sound = [StoredMessage(*row[:-1]) for row in rows if schema.is_sound(row)]
    return sound, len(rows) - len(sound)


def _apply_messages(connection: sqlite3.Connection, batch: Batch) -> None:
    if batch.rewrite_messages:
        connection.execute(schema.DELETE_ALL_MESSAGES)
    connection.executemany(schema.DELETE_MESSAGE, ((number,) for number in batch.finished))
    connection.executemany(schema.INSERT_MESSAGE, map(message_row, batch.messages.values()))
    if batch.message_counts:
        connection.execute(schema.UPSERT_META, schema.with_checksum(_COUNTS_KEY, batch.message_counts))
