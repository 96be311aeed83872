"""How the database is opened: its pragmas, its schema, its checks, and salvage if they fail. Everything blocks.

Functions raise NewerSchemaError, sqlite3.Error and OSError; `is_damage` distinguishes damage from a failing system.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from exporter.storage import schema
from exporter.storage.directory import DATABASE_FILE, LEDGER_FILE, WAL_FILE, is_damage, read_through
from exporter.storage.ledger import Ledger, LedgerFile, decode_ledger
from exporter.storage.model import NewerSchemaError
from exporter.storage.salvage import SalvageReport, finish_salvage, salvage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.storage.model import Fsync

WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of WAL after which it is checkpointed: several cycles, so that a page that each of them uses is copied once."""


@dataclass(frozen=True, slots=True)
class Database:
    """An open database, the only connection that writes to it, its ledger file, and what was salvaged for it."""

    path: Path
    connection: sqlite3.Connection
    ledger_file: LedgerFile
    salvaged: SalvageReport
    inode: os.stat_result

    def is_linked(self) -> bool:
        """Return whether the path still leads to this file: the directory may have been removed or replaced."""
        try:
            return os.path.samestat(self.path.stat(), self.inode)
        except OSError:
            return False

    def value(self, statement: str) -> int:
        """Return the number that a statement selects."""
        return int(self.connection.execute(statement).fetchone()[0])

    def stored_ledger(self) -> Ledger | None:
        """Return the ledger in the database, None if there is none or a damaged one."""
        row = self.connection.execute(schema.LEDGER).fetchone()
        return decode_ledger(row[0]) if row is not None and schema.is_sound(row) else None

    def close(self) -> None:
        """Close the files; the WAL is copied into the database and removed."""
        with suppress(sqlite3.Error):
            self.connection.close()
        with suppress(OSError):
            self.ledger_file.close()


def open_database(directory: Path, fsync: Fsync, *, wal: bool = True, damaged: bool = False) -> Database:
    """Open the database of a locked directory: created if missing, with the schema of today, salvaged if damaged.

    `damaged` if an earlier connection ran into damage, which a quick check need not find.
    """
    path = directory / DATABASE_FILE
    finish_salvage(directory)
    with ExitStack() as opened:
        ledger_file = LedgerFile(directory / LEDGER_FILE)
        opened.callback(ledger_file.close)
        report = SalvageReport()
        connection = None if damaged else _connect_if_sound(directory, fsync, wal=wal)
        if connection is None:
            head = ledger_file.latest.head if ledger_file.latest is not None else 0
            report = salvage(directory, head)
            connection = _connect(path, fsync, wal=wal)
        opened.callback(connection.close)
        database = Database(path, connection, ledger_file, report, path.stat())
        opened.pop_all()
    return database


def _connect_if_sound(directory: Path, fsync: Fsync, *, wal: bool) -> sqlite3.Connection | None:
    """Return a connection to the file, None if it is damaged."""
    for _ in range(2):
        try:
            return _connect(directory / DATABASE_FILE, fsync, wal=wal)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        # An error of the system may look like damage. If it lasts, this raises it; if it has passed, the second attempt
        # finds a sound file.
        for name in (DATABASE_FILE, WAL_FILE):
            read_through(directory / name)
    return None


def _connect(path: Path, fsync: Fsync, *, wal: bool) -> sqlite3.Connection:
    connection = schema.connect(path, "rwc")
    with ExitStack() as opened:
        opened.callback(connection.close)
        version = connection.execute(schema.VERSION_OF_FILE).fetchone()[0]
        if version > schema.VERSION:
            raise NewerSchemaError(
                f"storage.directory {path.parent} was written by a later version of the exporter (schema {version}, "
                f"this one reads up to {schema.VERSION}): run that version, or choose another directory"
            )
        migrations = chain.from_iterable(map(schema.migration, range(version, schema.VERSION)))
        for statement in chain(schema.settings(fsync, WAL_LIMIT, wal=wal), migrations):
            connection.execute(statement)
        result = connection.execute(schema.QUICK_CHECK).fetchone()
        if result != ("ok",):
            error = sqlite3.DatabaseError(f"quick check: {result}")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        opened.pop_all()
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or roll it back if it raises."""
    connection.execute(schema.BEGIN)
    try:
        yield
        connection.execute(schema.COMMIT)
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute(schema.ROLLBACK)
