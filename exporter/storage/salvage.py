"""Salvage: the readable rows of a damaged database go into a new one, and the damaged file is set aside.

Rows are read by their keys, so that a damaged page costs its own rows: a scan that runs into it goes on behind it. Only
rows with a valid checksum are taken, so nothing is invented.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from exporter.log import fields
from exporter.storage import schema
from exporter.storage.directory import (
    DAMAGED_FILE,
    DATABASE_FILE,
    SALVAGED_FILE,
    SHM_FILE,
    WAL_FILE,
    read_through,
    result_code,
    sync_directory,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.storage.schema import Row, Table

_log: Final = logging.getLogger(__name__)

_SYSTEM_ERRORS: Final = frozenset(
    {
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM),
    }
)
"""Errors of the system, which end the salvage: what cannot be read now may be sound."""

_MAX_STEP: Final = 2**40
"""Distance up to which a row is looked for behind a damaged page: keys are counted up by 1, but start anywhere."""

_MAX_PROBES: Final = 100_000
"""Bound on reads within the gaps of a table: about a second. A sound file has none."""


class SalvageReport(NamedTuple):
    """How many rows were copied, and how many had an invalid checksum; pages that could not be read hold more."""

    rows: int = 0
    damaged_rows: int = 0


def salvage(directory: Path, head: int) -> SalvageReport:
    """Replace the damaged database by a new one with its readable rows; requests before `head` are done.

    Raises OSError and sqlite3.Error, and then leaves the damaged file in its place. A crash at any moment leaves either
    the damaged or the new database, and `finish_salvage` removes what is left over.
    """
    target_path = directory / SALVAGED_FILE
    target_path.unlink(missing_ok=True)
    source_path = directory / DATABASE_FILE
    with closing(schema.connect(source_path, "ro")) as source, closing(_create(target_path)) as target:
        source.execute(schema.TOLERATE_TRUNCATION)
        target.execute(schema.BEGIN)
        report = SalvageReport()
        for table in schema.TABLES:
            report = _copy(source, target, table, head if table.name == "requests" else 0, report)
        target.execute(schema.COMMIT)
    # What could not be read is given up only now that the system reads all of it without an error.
    for name in (DATABASE_FILE, WAL_FILE):
        read_through(directory / name)
    _replace(directory)
    extra = fields(rows=report.rows, damaged=report.damaged_rows, file=str(directory / DAMAGED_FILE))
    _log.warning("database was damaged; its readable rows were copied to a new one", extra=extra)
    return report


def _create(path: Path) -> sqlite3.Connection:
    """Return a connection to a new, empty database in one file."""
    connection = schema.connect(path, "rwc")
    for statement in chain(schema.CREATION, *map(schema.migration, range(schema.VERSION))):
        connection.execute(statement)
    return connection


def finish_salvage(directory: Path) -> None:
    """Finish a salvage that was interrupted between its renamings. Raises OSError."""
    if not (directory / SALVAGED_FILE).exists():
        return
    if (directory / DATABASE_FILE).exists():
        (directory / SALVAGED_FILE).unlink()  # it may be incomplete, and the damaged file is still there
    else:
        _replace(directory)


def _replace(directory: Path) -> None:
    # The WAL follows its database before the new one has that name: SQLite would replay it into the new one.
    for name, target in ((DATABASE_FILE, DAMAGED_FILE), (WAL_FILE, f"{DAMAGED_FILE}-wal")):
        with suppress(FileNotFoundError):
            (directory / name).replace(directory / target)
    (directory / SHM_FILE).unlink(missing_ok=True)
    (directory / SALVAGED_FILE).replace(directory / DATABASE_FILE)
    sync_directory(directory)


def _copy(
    source: sqlite3.Connection, target: sqlite3.Connection, table: Table, head: int, report: SalvageReport
) -> SalvageReport:
    rows = damaged = 0
    for row in _TableScan(source, table).rows(head):
        columns = row if table.numbered else row[1:]
        if schema.is_sound(columns):
            target.execute(table.insert, columns)
            rows += 1
        else:
            damaged += 1
    return SalvageReport(report.rows + rows, report.damaged_rows + damaged)


@dataclass(slots=True)
class _TableScan:
    """Reads the rows of one table around its damaged pages."""

    source: sqlite3.Connection
    table: Table
    _probes: int = field(default=0, init=False)
    _last: int = field(default=0, init=False)
    _complete: bool = field(default=False, init=False)

    def rows(self, low: int) -> Iterator[Row]:
        """Yield the readable rows from a key on."""
        while True:
            yield from self._range(self.table.rows_upward, low, schema.MAX_KEY)
            if self._complete:
                return
            low = self._last + 1
            next_key = self._leap(low)
            if next_key is None:
                return
            yield from self._gap(low, next_key - 1)
            low = next_key

    def _range(self, statement: str, low: int, high: int) -> Iterator[Row]:
        """Yield rows of a range up to the first damaged page; sets `_last` to the last key, `_complete` at the end."""
        ascending = statement is not self.table.rows_downward
        self._last, self._complete = (low - 1, False) if ascending else (high + 1, False)
        self._probes += 1
        try:
            for row in self.source.execute(statement, (low, high)):
                # A damaged page may lead to any other: keys out of order are not this table's.
                if not (self._last < row[0] <= high if ascending else low <= row[0] < self._last):
                    return
                self._last = row[0]
                yield row
        except sqlite3.DatabaseError as error:
            if result_code(error) in _SYSTEM_ERRORS:
                raise
            return
        self._complete = True

    def _leap(self, low: int) -> int | None:
        """Return a key behind a damaged page from which on rows can be read, None if there is none."""
        step = 1
        while step <= _MAX_STEP:
            for row in self._range(self.table.rows_upward, low + step, schema.MAX_KEY):
                return cast("int", row[0])
            if self._complete:  # there is no row behind the page; those between are the gap's
                return low + step
            step *= 2
        return None

    def _gap(self, low: int, high: int) -> Iterator[Row]:
        """Yield the rows between two keys, by halves, as damaged pages may lie at both ends."""
        gaps = [(low, high)]
        while gaps and self._probes < _MAX_PROBES:
            low, high = gaps.pop()
            if low > high:
                continue
            yield from self._range(self.table.rows_downward, low, high)
            if self._complete or low == high:
                continue
            high = self._last - 1
            yield from self._range(self.table.rows_upward, low, high)
            if not self._complete:
                middle = (self._last + 1 + high) // 2
                gaps += [(self._last + 1, middle), (middle + 1, high)]
