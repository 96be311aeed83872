"""What is stored, joined to the service: the settings of storage, the tracker's state, and the own metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.config.settings import cluster_name
from exporter.rollouts.persistence import StateRowEncoder, decode_rows
from exporter.self_metrics import OwnMetric
from exporter.storage.model import CycleCommit, StorageConfig, StorageLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.config.settings import Settings
    from exporter.rollouts.persistence import RowChanges
    from exporter.rollouts.tracker import RolloutTracker, TrackerState
    from exporter.self_metrics import ObservedValues
    from exporter.service.worker import Worker
    from exporter.storage import Storage
    from exporter.storage.model import OutboxMessage, QueuedRequest, TransitionRecord

_log: Final = logging.getLogger(__name__)
_NAMED_ROWS: Final = 5
"""Damaged rows that the log names."""


def storage_config(settings: Settings) -> StorageConfig:
    """Return where and how to store according to the settings."""
    section, identity = settings.storage, settings.identity()
    limits = StorageLimits(
        max_bytes=section.max_bytes,
        max_age=section.max_age,
        history=section.history,
        history_bytes=section.history_bytes,
        patience=section.patience,
        reserve=section.reserve,
    )
    # The state of another cluster is not used.
    return StorageConfig(section.directory, limits, section.fsync, cluster_name(identity))


def read_state(storage: Storage) -> TrackerState:
    """Return the state of the process before; rows that cannot be decoded are logged, and written anew."""
    state, damaged = decode_rows(storage.state)
    if damaged:
        rows = f"{', '.join(damaged[:_NAMED_ROWS])}{', …' if len(damaged) > _NAMED_ROWS else ''}"
        hint = "these rollouts start anew; please report this with a copy of the database (command record)"
        _log.warning("stored state has invalid rows", extra=log.fields(count=len(damaged), rows=rows, hint=hint))
    return state


class CycleStore:
    """Commits each cycle as one transaction: requests, transitions, and the rows of the state that it changed."""

    def __init__(self, storage: Storage, worker: Worker, *, has_directory: bool) -> None:
        self._storage = storage
        self._worker = worker
        # Without a directory the state ends with the process, so it is not encoded.
        self._encoder = StateRowEncoder(storage.state) if has_directory else None
        self._is_encoding = False

    async def commit(
        self,
        tracker: RolloutTracker,
        requests: Sequence[QueuedRequest],
        transitions: Sequence[TransitionRecord] = (),
        messages: Sequence[OutboxMessage] = (),
    ) -> bool:
        """Commit a cycle; return whether it is on disk. Waits no longer than `storage.patience`."""
        rows, is_complete = await self._encode_rows(tracker)
        # Nothing is awaited from the first `put` to the commit: it would be part of another transaction.
        for request in requests:
            self._storage.queue.put(request)
        return await self._storage.commit(CycleCommit(rows, is_complete, transitions, messages))

    async def _encode_rows(self, tracker: RolloutTracker) -> tuple[RowChanges, bool]:
        """Return the rows that changed, or all rows (True) if those on disk are not the ones of the last commit."""
        encoder = self._encoder
        if encoder is None:
            return {}, False
        is_complete = self._storage.rewrite_state or self._is_encoding
        # Stays set if encoding fails: what was encoded by then would be missing in the changes of the next cycle.
        self._is_encoding = True
        rows = await self._worker.run(lambda: encoder.changes(tracker.state, everything=is_complete))
        self._is_encoding = False
        return rows, is_complete


def storage_metrics(storage: Storage) -> ObservedValues:
    """Return the own metrics of storage."""
    metrics = storage.metrics()
    return {
        OwnMetric.STORAGE_BYTES: {"database": metrics.database_bytes, "wal": metrics.wal_bytes},
        OwnMetric.STORAGE_FREE_BYTES: metrics.free_bytes,
        OwnMetric.STORAGE_COMMITS: {"ok": metrics.commits, "failed": metrics.commit_failures},
        OwnMetric.STORAGE_COMMIT_SECONDS: metrics.commit_seconds,
        OwnMetric.STORAGE_DEGRADED: float(bool(storage.degraded_reason)),
        OwnMetric.STORAGE_ROWS_SALVAGED: metrics.salvaged_rows,
        OwnMetric.STORAGE_ROWS_DAMAGED: metrics.damaged_rows,
        OwnMetric.STORAGE_COMMITS_MISSING: metrics.missing_commits,
    }
