"""A look at a directory from outside: its content, its damage, and a copy of it; the exporter may be running.

Connections are read-only. Functions raise OSError, sqlite3.Error, and FileNotFoundError if there is no database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.storage import schema
from exporter.storage.batch import StoredMessage
from exporter.storage.directory import DAMAGED_FILE, DATABASE_FILE, JOURNAL_FILE, LEDGER_FILE, LOCK_FILE, WAL_FILE
from exporter.storage.ledger import read_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

FILES: Final = (DATABASE_FILE, WAL_FILE, JOURNAL_FILE, LEDGER_FILE, LOCK_FILE, DAMAGED_FILE, f"{DAMAGED_FILE}-wal")


@dataclass(frozen=True, slots=True)
class TableContent:
    """The rows of a table, their bytes, and the time of the oldest one (Unix seconds, None if rows have none)."""

    name: str
    rows: int
    bytes: int
    oldest: float | None
    points: int = 0


@dataclass(frozen=True, slots=True)
class StorageContent:
    """What a directory holds: sizes of its files by name, its tables, its schema version, and the queued points."""

    files: Mapping[str, int]
    tables: Sequence[TableContent]
    version: int
    points: int


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A row with an invalid checksum, by its key; or, with key 0, what a check of the file reports."""

    table: str
    key: int | str
    reason: str


def contents(directory: Path) -> StorageContent:
    """Return what a directory holds."""
    head = 0
    with suppress(FileNotFoundError):
        ledger = read_ledger((directory / LEDGER_FILE).read_bytes())
        head = ledger.head if ledger is not None else 0
    with closing(_open(directory)) as connection:
        tables = [
            # Requests before the head are delivered, and deleted by the next commit.
            TableContent(name, *connection.execute(statement, (head * (name == "requests"),)).fetchone())
            for name, statement in schema.CONTENT.items()
        ]
        version = connection.execute(schema.VERSION_OF_FILE).fetchone()[0]
    files = {name: (directory / name).stat().st_size for name in FILES if (directory / name).exists()}
    return StorageContent(files, tables, version, sum(table.points or 0 for table in tables))


def messages(directory: Path) -> Sequence[StoredMessage]:
    """Return the sound messages of the outbox, oldest first."""
    with closing(_open(directory)) as connection:
        rows = connection.execute(schema.MESSAGES).fetchall()
    return [StoredMessage(*row[:-1]) for row in rows if schema.is_sound(row)]


def verify(directory: Path, on_row: Callable[[], None] = lambda: None) -> Sequence[DamagedRow]:
    """Return the damage of the database, nothing if it is sound; `on_row` is called at each row."""
    with closing(_open(directory)) as connection:
        damaged_rows = (row for table in schema.TABLES for row in _damaged_rows(connection, table, on_row))
        return [*_damaged_file(connection), *damaged_rows]


def copy(directory: Path, target: Path) -> None:
    """Write a consistent copy of the database to a file, which must not exist. It has no settings and no secrets."""
    with closing(_open(directory)) as source, closing(schema.connect(target, "rwc")) as connection:
        source.backup(connection)


def _open(directory: Path) -> sqlite3.Connection:
    path = directory / DATABASE_FILE
    if not path.exists():
        raise FileNotFoundError(f"{directory} has no {DATABASE_FILE}: check storage.directory")
    return schema.connect(path, "ro")


def _damaged_file(connection: sqlite3.Connection) -> Iterator[DamagedRow]:
    try:
        messages = [row[0] for row in connection.execute(schema.COMPLETE_CHECK)]
    except sqlite3.DatabaseError as error:
        messages = [str(error)]
    yield from (DamagedRow("", 0, message) for message in messages if message != "ok")


def _damaged_rows(
    connection: sqlite3.Connection, table: schema.Table, on_row: Callable[[], None]
) -> Iterator[DamagedRow]:
    try:
        for row in connection.execute(table.rows_upward, (0, schema.MAX_KEY)):
            on_row()
            columns = row if table.numbered else row[1:]
            if not schema.is_sound(columns):
                yield DamagedRow(table.name, columns[0], "its checksum does not match")
    except sqlite3.DatabaseError as error:
        yield DamagedRow(table.name, 0, str(error))
