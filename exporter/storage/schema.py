"""The tables, their versions, and every SQL statement; rows go in and out as tuples with a checksum at the end.

All tables are keyed by an integer, so that a damaged file can be read key by key. A checksum is a CRC-32 of all other
columns: SQLite itself has none, so it would return a flipped byte of a body as if it were sound.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from exporter.storage.model import Fsync

    Row = tuple[object, ...]

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        # AUTOINCREMENT: a number is never used again, though its row was deleted.
        """CREATE TABLE requests (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queued_at REAL NOT NULL, timestamp REAL NOT NULL,
            points INTEGER NOT NULL, size INTEGER NOT NULL, head_crc INTEGER NOT NULL, crc INTEGER NOT NULL,
            body BLOB NOT NULL)""",
        "CREATE TABLE accounting (id INTEGER PRIMARY KEY, ledger TEXT NOT NULL, crc INTEGER NOT NULL)",
        """CREATE TABLE tracker_state (
            id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, crc INTEGER NOT NULL)""",
        """CREATE TABLE transitions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp REAL NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            type TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL)""",
        """CREATE TABLE meta (
            id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL, crc INTEGER NOT NULL)""",
    ),
    (
        """CREATE TABLE outbox (
            id INTEGER PRIMARY KEY, queued_at REAL NOT NULL, destination TEXT NOT NULL, body BLOB NOT NULL,
            crc INTEGER NOT NULL)""",
    ),
)
"""The statements that lead from each schema version to the next; version 0 is an empty file."""

VERSION: Final = len(MIGRATIONS)

VERSION_OF_FILE: Final = "PRAGMA user_version"

CREATION: Final = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # only before the first table; without it the file could never shrink
    "PRAGMA secure_delete = OFF",  # Debian's build overwrites deleted bodies, which doubles the bytes written
    "PRAGMA cell_size_check = ON",  # damage is an error at the page that has it, not a wrong row
    "PRAGMA trusted_schema = OFF",
)
"""Statements for each new connection that may write, before anything else."""

TOLERATE_TRUNCATION: Final = "PRAGMA writable_schema = ON"
"""With it SQLite reads a file that is shorter than its header states; the connection is read-only nevertheless."""

SYNCHRONOUS: Final = {
    "always": "PRAGMA synchronous = FULL",
    "interval": "PRAGMA synchronous = NORMAL",
    "never": "PRAGMA synchronous = OFF",
}
"""The statements for what SQLite syncs by itself."""

CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"
TRUNCATE_WAL: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
COMPLETE_CHECK: Final = "PRAGMA integrity_check(20)"
QUICK_CHECK: Final = "PRAGMA quick_check(1)"
FREE_PAGES: Final = "PRAGMA freelist_count"
PAGE_SIZE: Final = "PRAGMA page_size"
BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

_REQUEST_HEAD: Final = "id, queued_at, timestamp, points, size, head_crc"
REQUEST_HEADS: Final = f"SELECT {_REQUEST_HEAD} FROM requests ORDER BY id"  # noqa: S608 - of constants
REQUEST: Final = f"SELECT {_REQUEST_HEAD}, body, crc FROM requests WHERE id = ?"  # noqa: S608
INSERT_REQUEST: Final = f"INSERT OR REPLACE INTO requests ({_REQUEST_HEAD}, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
DELETE_REQUEST: Final = "DELETE FROM requests WHERE id = ?"
DELETE_DONE_REQUESTS: Final = "DELETE FROM requests WHERE id < ?"

UPSERT_STATE: Final = (
    "INSERT INTO tracker_state (key, value, crc) VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
)
DELETE_STATE: Final = "DELETE FROM tracker_state WHERE key = ?"
DELETE_ALL_STATE: Final = "DELETE FROM tracker_state"
STATE: Final = "SELECT key, value, crc FROM tracker_state ORDER BY id"

_TRANSITION: Final = "id, timestamp, namespace, name, type, body, crc"
INSERT_TRANSITION: Final = f"INSERT OR REPLACE INTO transitions ({_TRANSITION}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
TRANSITIONS_AFTER: Final = f"SELECT {_TRANSITION} FROM transitions WHERE id > ? ORDER BY id DESC"  # noqa: S608
OLDEST_TRANSITIONS: Final = "SELECT id, timestamp, length(body) FROM transitions ORDER BY id LIMIT ?"
DELETE_TRANSITIONS: Final = "DELETE FROM transitions WHERE id <= ?"
TRANSITION_BYTES: Final = "SELECT COALESCE(SUM(length(body)), 0) FROM transitions"
DELETE_ALL_TRANSITIONS: Final = "DELETE FROM transitions"

_MESSAGE: Final = "id, queued_at, destination, body, crc"
INSERT_MESSAGE: Final = f"INSERT OR REPLACE INTO outbox ({_MESSAGE}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
MESSAGES: Final = f"SELECT {_MESSAGE} FROM outbox ORDER BY id"  # noqa: S608
DELETE_MESSAGE: Final = "DELETE FROM outbox WHERE id = ?"
DELETE_ALL_MESSAGES: Final = "DELETE FROM outbox"

UPSERT_LEDGER: Final = (
    "INSERT INTO accounting (id, ledger, crc) VALUES (1, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET ledger = excluded.ledger, crc = excluded.crc"
)
LEDGER: Final = "SELECT ledger, crc FROM accounting WHERE id = 1"

UPSERT_META: Final = (
    "INSERT INTO meta (key, value, crc) VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
)
META: Final = "SELECT key, value, crc FROM meta"

BUSY_SECONDS: Final = 1.0
"""How long to wait for another connection's lock; with a WAL, readers never lock the writer out."""


def connect(path: Path, mode: str, seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a connection of a mode of SQLite's URIs: ro, rw or rwc; any one thread may use it at a time."""
    uri = f"file:{quote(str(path))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=seconds)
    # Damaged text must not raise: its checksum does not match.
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


@dataclass(frozen=True, slots=True)
class Table:
    """What salvage needs of a table: its columns, and how a row is written; `numbered`: with its number, `id`."""

    name: str
    columns: str
    insert: str
    numbered: bool = False

    @property
    def rows_upward(self) -> str:
        """The statement for the rows from a key on, ascending."""
        return f"SELECT {self.columns} FROM {self.name} WHERE id >= ? AND id <= ? ORDER BY id"  # noqa: S608

    @property
    def rows_downward(self) -> str:
        """The statement for the rows down from a key."""
        return f"SELECT {self.columns} FROM {self.name} WHERE id >= ? AND id <= ? ORDER BY id DESC"  # noqa: S608


TABLES: Final = (
    Table("requests", f"{_REQUEST_HEAD}, body, crc", INSERT_REQUEST, numbered=True),
    Table("transitions", _TRANSITION, INSERT_TRANSITION, numbered=True),
    Table("outbox", _MESSAGE, INSERT_MESSAGE, numbered=True),
    Table("tracker_state", "id, key, value, crc", UPSERT_STATE),
    Table("meta", "id, key, value, crc", UPSERT_META),
    Table("accounting", "id, ledger, crc", UPSERT_LEDGER),
)


MAX_KEY: Final = 2**62

CONTENT: Final[Mapping[str, str]] = {
    "requests": "SELECT COUNT(*), COALESCE(SUM(size), 0), MIN(timestamp), SUM(points) FROM requests WHERE id >= ?",
    "transitions": "SELECT COUNT(*), COALESCE(SUM(length(body)), 0), MIN(timestamp) FROM transitions WHERE id >= ?",
    "outbox": "SELECT COUNT(*), COALESCE(SUM(length(body)), 0), NULL FROM outbox WHERE id >= ?",
    "tracker_state": "SELECT COUNT(*), COALESCE(SUM(length(value)), 0), NULL FROM tracker_state WHERE id >= ?",
}
"""By table that grows: how many rows there are from a key on, their bytes, the time of the oldest, and their points."""


def settings(fsync: Fsync, journal_size: int, *, wal: bool) -> Iterator[str]:
    """Yield the statements for a connection that writes; the order matters."""
    yield from CREATION
    yield f"PRAGMA journal_mode = {'WAL' if wal else 'TRUNCATE'}"
    yield SYNCHRONOUS[fsync]
    # Checkpoints run in another thread (flusher.py): with a slow disk they would stand in the way of commits.
    yield "PRAGMA wal_autocheckpoint = 0"
    yield f"PRAGMA journal_size_limit = {journal_size}"


def migration(version: int) -> Sequence[str]:
    """Return the transaction that leads from a schema version to the next."""
    return (BEGIN, *MIGRATIONS[version], f"PRAGMA user_version = {version + 1}", COMMIT)


def incremental_vacuum(pages: int) -> str:
    """Return the statement that gives unused pages back; its rows must be read for it to do so."""
    return f"PRAGMA incremental_vacuum({pages})"


def checksum(*columns: object) -> int:
    """Return the CRC-32 of the values of a row."""
    crc = 0
    for column in columns:
        crc = zlib.crc32(column if isinstance(column, bytes) else repr(column).encode(), zlib.crc32(b"|", crc))
    return crc


def with_checksum(*columns: object) -> Row:
    """Return a row with its checksum at the end."""
    return (*columns, checksum(*columns))


def is_sound(row: Sequence[object]) -> bool:
    """Return whether the last column is the checksum of the others."""
    return row[-1] == checksum(*row[:-1])
