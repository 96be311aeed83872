"""The open database: one connection that writes, its ledger file, and the checks when it is opened. Everything blocks.

Methods raise sqlite3.Error and OSError; `is_damage` distinguishes a damaged file from a failing system.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

from exporter.storage import schema
from exporter.storage.directory import DATABASE_FILE, LEDGER_FILE, WAL_FILE, is_damage, read_through
from exporter.storage.ledger import Ledger, LedgerFile, decode_ledger, encode_ledger
from exporter.storage.model import NewerSchemaError, QueuedRequest, TransitionRecord
from exporter.storage.salvage import SalvageReport, finish_salvage, salvage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from exporter.storage.model import Fsync

WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of WAL after which it is checkpointed: several cycles, so that a page that each of them uses is copied once."""


_NO_LEDGER: Final = Ledger()


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A stored request without its body; `queued_at` is a time of the clock of ages, `size` the bytes of the body."""

    id: int
    queued_at: float
    timestamp: float
    points: int
    size: int


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request to store."""

    head: RequestHead
    body: bytes

    def row(self) -> schema.Row:
        """Return the row of the table."""
        head = self.head
        numbers = (head.id, float(head.queued_at), float(head.timestamp), head.points, head.size)
        return schema.with_checksum(*schema.with_checksum(*numbers), self.body)


@dataclass(slots=True)
class Batch:
    """Changes that are committed together. `rewrite_state`: rows of `state` replace all rows on disk."""

    inserts: dict[int, NewRequest] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    state: dict[str, bytes | None] = field(default_factory=dict)
    rewrite_state: bool = False
    transitions: list[TransitionRecord] = field(default_factory=list)
    ledger: Ledger = _NO_LEDGER

    def merge(self, later: Batch) -> None:
        """Add the changes of a later batch, so that both together are committed with its ledger."""
        self.inserts |= later.inserts
        # Those that were not written yet need no deletion, unless a commit that seemed to fail did write them.
        for request_id in later.removed:
            self.inserts.pop(request_id, None)
        self.removed += later.removed
        if later.rewrite_state:
            self.state.clear()
        self.state |= later.state
        self.rewrite_state = self.rewrite_state or later.rewrite_state
        self.transitions += later.transitions
        self.ledger = later.ledger

    def clear(self, *, keep_inserts: bool = False) -> None:
        """Forget what was committed."""
        if not keep_inserts:
            self.inserts.clear()
        self.removed.clear()
        self.state.clear()
        self.transitions.clear()
        self.rewrite_state = False


class Database:
    """The open database; the constructor creates it, brings its schema up to date, and salvages a damaged file.

    `damaged` if an earlier connection ran into damage, which a quick check need not find.

    Raises NewerSchemaError, sqlite3.Error and OSError. The directory must be locked.
    """

    def __init__(self, directory: Path, fsync: Fsync, *, wal: bool = True, damaged: bool = False) -> None:
        self.path = directory / DATABASE_FILE
        self._wal_path = directory / WAL_FILE
        self._fsync = fsync
        self._wants_wal = wal
        self.salvaged = SalvageReport()
        finish_salvage(directory)
        with ExitStack() as opened:
            self.ledger_file = LedgerFile(directory / LEDGER_FILE)
            opened.callback(self.ledger_file.close)
            self._connection = self._open_sound(directory, damaged=damaged)
            opened.callback(self._connection.close)
            self._inode = self.path.stat()
            self.stored_ledger = self._read_ledger()
            self.page_size = self._value(schema.PAGE_SIZE)
            opened.pop_all()

    def _open_sound(self, directory: Path, *, damaged: bool) -> sqlite3.Connection:
        """Return a connection to a sound file: to the present one, or else to what could be salvaged of it."""
        for _ in range(0 if damaged else 2):
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            # An error of the system may look like damage. If it lasts, this raises it; if it has passed, the second
            # attempt finds a sound file.
            for name in (DATABASE_FILE, WAL_FILE):
                read_through(directory / name)
        head = self.ledger_file.latest.head if self.ledger_file.latest is not None else 0
        self.salvaged = salvage(directory, self._create, head)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        """Return a connection to the file if that is sound; the schema is up to date then."""
        connection = schema.connect(self.path, "rwc")
        with ExitStack() as opened:
            opened.callback(connection.close)
            self._prepare(connection)
            result = connection.execute(schema.QUICK_CHECK).fetchone()
            if result is None or result[0] != "ok":
                error = sqlite3.DatabaseError(f"quick check: {result}")
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
            opened.pop_all()
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute(schema.VERSION_OF_FILE).fetchone()[0]
        if version > schema.VERSION:
            raise NewerSchemaError(
                f"storage.directory {self.path.parent} was written by a later version of the exporter (schema "
                f"{version}, this one reads up to {schema.VERSION}): run that version, or choose another directory"
            )
        for statement in schema.settings(self._fsync, WAL_LIMIT, wal=self._wants_wal):
            connection.execute(statement)
        for step in range(version, schema.VERSION):
            for statement in schema.migration(step):
                connection.execute(statement)

    def _create(self, path: Path) -> sqlite3.Connection:
        """Return a connection to a new, empty database in one file, for salvage."""
        connection = schema.connect(path, "rwc")
        for statement in chain(schema.CREATION, *map(schema.migration, range(schema.VERSION))):
            connection.execute(statement)
        return connection

    # What is stored ---------------------------------------------------------------------------------------------------

    def _value(self, statement: str, *arguments: object) -> int:
        return int(self._connection.execute(statement, arguments).fetchone()[0])

    def _read_ledger(self) -> Ledger | None:
        row = self._connection.execute(schema.LEDGER).fetchone()
        return decode_ledger(row[0]) if row is not None and schema.is_sound(row) else None

    def ledger(self) -> Ledger | None:
        """Return the later of the ledgers in the database and in the file, None if there is none."""
        stored, latest = self.stored_ledger, self.ledger_file.latest
        if stored is None or (latest is not None and latest.commit >= stored.commit):
            return latest
        return stored

    def missing_commits(self) -> int:
        """Return how many commits the ledger file has that the database has not."""
        latest = self.ledger_file.latest
        stored_commit = self.stored_ledger.commit if self.stored_ledger is not None else 0
        return max(latest.commit - stored_commit, 0) if latest is not None else 0

    def last_number(self, table: str) -> int:
        """Return the last number that a table gave to a row."""
        return self._value(schema.LAST_NUMBER, table)

    def request_heads(self) -> tuple[list[RequestHead], list[int]]:
        """Return all requests without their bodies, oldest first, and the numbers of those that are damaged."""
        heads, damaged = [], []
        for row in self._connection.execute(schema.REQUEST_HEADS):
            if schema.is_sound(row):
                heads.append(RequestHead(*row[:-1]))
            else:
                damaged.append(row[0])
        return heads, damaged

    def read_request(self, request_id: int) -> QueuedRequest | None:
        """Return a request, None if it is damaged or not there."""
        row = self._connection.execute(schema.REQUEST, (request_id,)).fetchone()
        if row is None or not schema.is_sound(row):
            return None
        return QueuedRequest(row[6], row[3], row[2])

    def state(self) -> tuple[dict[str, bytes], int]:
        """Return the state rows by key, and the number of damaged ones."""
        rows = self._connection.execute(schema.STATE).fetchall()
        sound = {row[0]: row[1] for row in rows if schema.is_sound(row)}
        return sound, len(rows) - len(sound)

    def meta(self) -> Mapping[str, str]:
        """Return the rows of `meta`."""
        rows = self._connection.execute(schema.META)
        return {row[0]: row[1] for row in rows if schema.is_sound(row)}

    def transition_bytes(self) -> int:
        """Return the bytes of all transitions' bodies."""
        return self._value(schema.TRANSITION_BYTES)

    # Changes ----------------------------------------------------------------------------------------------------------

    def apply(self, batch: Batch, ledger: Ledger) -> None:
        """Commit a batch as one transaction, then write the ledger file."""
        text = encode_ledger(ledger)
        with self._transaction() as connection:
            connection.executemany(schema.INSERT_REQUEST, (request.row() for request in batch.inserts.values()))
            connection.executemany(schema.DELETE_REQUEST, ((number,) for number in batch.removed))
            self._apply_state(connection, batch)
            connection.executemany(schema.INSERT_TRANSITION, map(transition_row, batch.transitions))
            connection.execute(schema.UPSERT_LEDGER, schema.with_checksum(text))
        # Never before: a file ahead of the database means that commits are missing.
        self.ledger_file.write(text)
        self.stored_ledger = ledger

    def _apply_state(self, connection: sqlite3.Connection, batch: Batch) -> None:
        if batch.rewrite_state:
            connection.execute(schema.DELETE_ALL_STATE)
        removed = [(key,) for key, value in batch.state.items() if value is None]
        connection.executemany(schema.DELETE_STATE, removed)
        rows = (schema.with_checksum(key, value) for key, value in batch.state.items() if value is not None)
        connection.executemany(schema.UPSERT_STATE, rows)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    def delete_requests(self, numbers: Iterable[int]) -> None:
        """Delete requests that are done, without a change of the ledger."""
        with self._transaction() as connection:
            connection.executemany(schema.DELETE_REQUEST, [(number,) for number in numbers])

    def copy_requests(self, requests: Iterator[NewRequest]) -> None:
        """Store requests of another database."""
        with self._transaction() as connection:
            connection.executemany(schema.INSERT_REQUEST, (request.row() for request in requests))

    def copy_history(self, previous: Database) -> None:
        """Store the transitions and the meta rows of another database."""
        with self._transaction() as connection:
            connection.executemany(schema.INSERT_TRANSITION, previous._connection.execute(schema.TRANSITIONS))
            connection.executemany(schema.UPSERT_META, previous._connection.execute(schema.META))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Change rows of `meta`."""
        with self._transaction() as connection:
            connection.executemany(schema.UPSERT_META, [schema.with_checksum(*pair) for pair in values.items()])

    def discard_cluster(self) -> None:
        """Delete the state and the history, which are another cluster's."""
        with self._transaction() as connection:
            connection.execute(schema.DELETE_ALL_STATE)
            connection.execute(schema.DELETE_ALL_TRANSITIONS)

    def oldest_transitions(self, count: int) -> Sequence[tuple[int, float, int]]:
        """Return number, time and size of the oldest transitions."""
        return self._connection.execute(schema.OLDEST_TRANSITIONS, (count,)).fetchall()

    def delete_transitions(self, last: int) -> None:
        """Delete the transitions up to a number."""
        self._connection.execute(schema.DELETE_TRANSITIONS, (last,))

    # The file ---------------------------------------------------------------------------------------------------------

    def is_linked(self) -> bool:
        """Return whether the path still leads to this file: the directory may have been removed or replaced."""
        try:
            return os.path.samestat(self.path.stat(), self._inode)
        except OSError:
            return False

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the database file and of its WAL."""
        wal_bytes = 0
        with suppress(FileNotFoundError):
            wal_bytes = self._wal_path.stat().st_size
        return self.path.stat().st_size, wal_bytes

    def free_pages(self) -> int:
        """Return the unused pages in the file."""
        return self._value(schema.FREE_PAGES)

    def vacuum(self, pages: int) -> None:
        """Give unused pages back to the file system."""
        self._connection.execute(schema.incremental_vacuum(pages)).fetchall()

    def truncate_wal(self) -> None:
        """Copy the WAL into the database and empty it; readers may prevent the latter."""
        self._connection.execute(schema.TRUNCATE_WAL).fetchall()

    def close(self) -> None:
        """Close the files; the WAL is copied into the database and removed."""
        with suppress(sqlite3.Error):
            self._connection.close()
        with suppress(OSError):
            self.ledger_file.close()


class _Transaction:
    """A transaction that is rolled back if its block raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute(schema.BEGIN)
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute(schema.COMMIT)
        finally:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute(schema.ROLLBACK)


def transition_row(record: TransitionRecord) -> schema.Row:
    """Return the row of a transition."""
    columns = (record.sequence, float(record.timestamp), record.namespace, record.name, record.type, record.body)
    return schema.with_checksum(*columns)
