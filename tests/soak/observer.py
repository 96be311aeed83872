"""Observe the database of a running exporter: every request that was ever seen in its queue, by number.

The database is only read, over a connection of its own. Most requests are delivered and deleted between two reads; the
accounting beside them has the points of all requests ever queued, so the ledger reports what was not observed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from exporter.storage import schema
from exporter.storage.directory import DATABASE_FILE
from exporter.storage.ledger import Ledger as StoredLedger
from exporter.storage.ledger import decode_ledger
from exporter.storage.model import QueuedRequest

if TYPE_CHECKING:
    from pathlib import Path


class StorageObserver:
    """The observed requests by number, and the accounting that was read last."""

    def __init__(self, directory: Path) -> None:
        self.requests: dict[int, QueuedRequest] = {}
        self.accounting = StoredLedger()
        self._path = directory / DATABASE_FILE

    @property
    def total_points(self) -> int:
        """The points of all requests that were ever queued, according to the accounting."""
        return sum(self.accounting.counts.values()) + self.accounting.queued_points

    def observe(self) -> None:
        """Read new requests, and the accounting of the same moment."""
        if not self._path.exists():
            return
        with closing(schema.connect(self._path, "ro")) as connection:
            try:
                connection.execute("BEGIN")
                for number, *_ in connection.execute(schema.REQUEST_HEADS).fetchall():
                    if number not in self.requests:
                        row = connection.execute(schema.REQUEST, (number,)).fetchone()
                        assert schema.is_sound(row)
                        self.requests[number] = QueuedRequest(row[6], row[3], row[2])
                row = connection.execute(schema.LEDGER).fetchone()
                self.accounting = decode_ledger(row[0]) or self.accounting if row else self.accounting
            except sqlite3.OperationalError:
                return  # the schema is being created, or a checkpoint holds the lock
