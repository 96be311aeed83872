"""Observe the database of a running exporter: every request that was ever seen in its queue, by number.

The database is only read. Most requests are delivered and deleted between two reads; the accounting beside them has the
points of all requests ever queued, so the ledger reports what was not observed.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from exporter.storage import inspection
from exporter.storage.ledger import Ledger as StoredLedger

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.storage.model import QueuedRequest


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
        # The schema is being created, or a checkpoint holds the lock.
        with suppress(FileNotFoundError, sqlite3.OperationalError):
            requests, ledger = inspection.new_requests(self._directory, self.requests)
            self.requests |= requests
            self.accounting = ledger or self.accounting
