"""Observe the database of a running exporter: every request that was ever seen in its queue, by number.

The database is only read. Most requests are delivered and deleted between two reads; the accounting beside them has the
points of all requests ever queued, so the ledger reports what was not observed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from exporter.storage import schema
from exporter.storage.directory import DATABASE_FILE
from exporter.storage.ledger import Ledger as StoredLedger
from exporter.storage.ledger import decode_ledger
from exporter.storage.model import QueuedRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


class StorageObserver:
    """The observed requests by number, and the accounting that was read last."""

    def __init__(self, directory: Path) -> None:
        self.requests: dict[int, QueuedRequest] = {}
        self.accounting = StoredLedger()
        self._directory = directory

    @property
    def total_points(self) -> int:
        """The points of all requests that were ever queued, according to the accounting."""
        return sum(self.accounting.counts.values()) + self.accounting.queued_points

    def observe(self) -> None:
        """Read new requests, and the accounting of the same moment."""
        # There is no file yet, its schema is being created, or a checkpoint holds the lock.
        with suppress(sqlite3.OperationalError):
            requests, ledger = new_requests(self._directory, self.requests)
            self.requests |= requests
            self.accounting = ledger or self.accounting


def new_requests(directory: Path, besides: Collection[int]) -> tuple[Mapping[int, QueuedRequest], StoredLedger | None]:
    """Return the stored requests besides those of some numbers, delivered ones too, and the ledger of that commit."""
    with closing(schema.connect(directory / DATABASE_FILE, "ro")) as connection:
        connection.execute("BEGIN")
        numbers = [row[0] for row in connection.execute(schema.REQUEST_HEADS) if row[0] not in besides]
        rows = [connection.execute(schema.REQUEST, (number,)).fetchone() for number in numbers]
        ledger = connection.execute(schema.LEDGER).fetchone()
    requests = {row[0]: QueuedRequest(row[6], row[3], row[2]) for row in rows if schema.is_sound(row)}
    return requests, decode_ledger(ledger[0]) if ledger is not None else None
