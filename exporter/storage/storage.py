"""The facade of storage: what the service calls, on the event loop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.log import fields
from exporter.storage.batch import Batch
from exporter.storage.clock import AgeClock, Clocks
from exporter.storage.directory import error_message
from exporter.storage.disk import Disk, Recovery
from exporter.storage.history import History
from exporter.storage.ledger import Ledger
from exporter.storage.model import CycleCommit, Drop, StorageMetrics
from exporter.storage.outbox import Outbox
from exporter.storage.queue import StoredQueue
from exporter.storage.writer import Writer, WriterEvents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.storage.model import Books, QueuedRequest, StorageConfig

_log: Final = logging.getLogger(__name__)
T = TypeVar("T")


class Storage:
    """The storage of a process; without a directory everything is in memory, with the same interface.

    The constructor blocks, and raises StorageError if the directory cannot be used at all; a disk that fails is only an
    alarm. `state` has the state rows of an earlier process, `counters_since` (Unix seconds) is when the counts of the
    books began. `rewrite_state`: the rows on disk are not those of this process, until a commit with `complete_state`.

    Nothing waits for the disk longer than `limits.patience`. What a cycle puts into the queue goes into the next
    commit, so nothing may be awaited between the first `put` and `commit`.
    """

    def __init__(self, config: StorageConfig, books: Books, clocks: Clocks | None = None) -> None:
        self._config = config
        self._books = books
        self._clocks = clocks or Clocks()
        self._reasons = {"failure": "", "hang": "", "sync": ""}
        self._lost_points: int | None = None
        self.state: Mapping[str, bytes] = {}
        self.rewrite_state = False
        self.counters_since = self._clocks.wall_time()
        self._disk = Disk(config, self._clocks.wall_time) if config.directory is not None else None
        recovery = self._open()
        ledger = recovery.ledger if recovery is not None else None
        self._clock = AgeClock.continue_from(ledger, self._clocks)
        self.queue = StoredQueue(config.limits, books, self._clock.now, self._read, durable=self._disk is not None)
        self.outbox = Outbox(config.limits, self._clock.now, durable=self._disk is not None)
        self.queue.last_number = self._last_transition = self.outbox.last_number = self._first_number(recovery)
        self.history = History(config, self._history_since, self._clocks.wall_time)
        if recovery is not None:
            self._restore(recovery)
        events = WriterEvents(
            self._on_committed, self._on_failed, partial(self._set_reason, "sync"), self._on_recovered, self._on_read
        )
        self._writer = Writer(self._disk, config, events, failing=recovery is None) if self._disk is not None else None
        self._reading: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Start the writer thread; to be called on the event loop."""
        if self._writer is not None:
            self._writer.start(asyncio.get_running_loop().call_soon_threadsafe)

    @property
    def degraded_reason(self) -> str:
        """Why not everything is on disk as configured, with a hint; "" if it is, or if nothing is to be stored."""
        return next(filter(None, self._reasons.values()), "")

    @property
    def _in_memory(self) -> bool:
        return bool(self._reasons["failure"] or self._reasons["hang"])

    def metrics(self) -> StorageMetrics:
        """Return the latest figures, without touching the disk."""
        metrics = self._disk.metrics if self._disk is not None else StorageMetrics()
        return replace(metrics, damaged_rows=metrics.damaged_rows + len(self.history.damaged))

    def _history_since(self) -> float:
        return self._disk.history_since if self._disk is not None else 0.0

    # Start ------------------------------------------------------------------------------------------------------------

    def _open(self) -> Recovery | None:
        if self._disk is None:
            return None
        try:
            return self._disk.open()
        except (OSError, sqlite3.Error) as error:
            assert self._config.directory is not None
            self._on_failed(error_message(error, self._config.directory))
            return None

    def _first_number(self, recovery: Recovery | None) -> int:
        """Return the number after which requests and transitions are numbered."""
        if recovery is None and self._disk is not None:
            # The directory cannot be read: its numbers are below this, unless it had a thousand requests a second.
            self.rewrite_state = True
            return int(self._clocks.wall_time() * 1000)
        return 0

    def _restore(self, recovery: Recovery) -> None:
        ledger = recovery.ledger
        counts = ""
        self.state = recovery.state
        self.rewrite_state = recovery.damaged_state_rows > 0
        if ledger is not None:
            self.queue.last_number = ledger.last_request
            self._last_transition = ledger.last_transition
            self.outbox.last_number = ledger.last_message
            if ledger.is_authoritative(self._clocks.boot_id):
                self.counters_since = ledger.counters_since
                self._books.restore(ledger.counts)
                counts = recovery.message_counts
        self._adopt(recovery, counts)

    def _adopt(self, recovery: Recovery, message_counts: str = "") -> None:
        max_age = self._config.limits.max_age
        messages = [
            message._replace(queued_at=self._clock.recovered_at(message.queued_at, max_age))
            for message in recovery.messages
        ]
        self.outbox.adopt(messages, message_counts)
        heads = [
            head._replace(queued_at=self._clock.recovered_at(head.queued_at, max_age)) for head in recovery.adopted
        ]
        self.queue.adopt(heads)
        if recovery.missing_points:
            self._books.count_enqueued(recovery.missing_points)
            self._books.count_dropped((Drop("damaged", recovery.missing_points),))

    # Commit -----------------------------------------------------------------------------------------------------------

    async def commit(self, cycle: CycleCommit | None = None) -> bool:
        """Commit what changed: a cycle's state and transitions, the queue, the books; return whether it is on disk.

        Returns when it is, or after `patience`; at once while the disk fails. Never raises.
        """
        cycle = cycle or CycleCommit()
        batch = self._batch(cycle)
        last_request, last_message = self.queue.last_number, self.outbox.last_number
        if self._writer is None:
            self.queue.on_stored(last_request)
            self.outbox.release(last_message)
            return True
        in_memory = self._in_memory
        finished: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._writer.submit(batch, partial(_resolve, finished))
        if in_memory:
            self._release(last_request, last_message)
            return False
        try:
            async with asyncio.timeout(self._config.limits.patience):
                stored = await finished
        except TimeoutError:
            self._note_hang()
            stored = False
        if not stored:
            self._release(last_request, last_message)
        return stored

    def _release(self, request: int, message: int) -> None:
        self.queue.release(request)
        self.outbox.release(message)

    def _batch(self, cycle: CycleCommit, *, clean_shutdown: bool = False) -> Batch:
        transitions = []
        for record in cycle.transitions:
            self._last_transition += 1
            transitions.append(replace(record, sequence=self._last_transition))
        self.history.append(transitions)
        for message in cycle.messages:
            self.outbox.put(message)
        inserts, removed = self.queue.take_changes()
        self.rewrite_state = self.rewrite_state and not cycle.complete_state
        # The disk completes it: what of this is stored depends on the commits before.
        ledger = Ledger(
            last_request=self.queue.last_number,
            last_transition=self._last_transition,
            counts=dict(self._books.counts()),
            counters_since=self.counters_since,
            clean_shutdown=clean_shutdown,
            elapsed=self._clock.now(),
            boot_time=self._clocks.boot_time(),
            boot_id=self._clocks.boot_id,
            wall_time=self._clocks.wall_time(),
            last_message=self.outbox.last_number,
        )
        batch = Batch(inserts, removed, dict(cycle.state), cycle.complete_state, transitions, ledger=ledger)
        self.outbox.move_changes(batch)
        return batch

    async def _read(self, numbers: Sequence[int]) -> bool:
        """Read requests into the queue, for `patience` at most; return whether the disk answered."""
        if self._writer is None:
            return False
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_future()
            self._writer.read(numbers)
        try:
            async with asyncio.timeout(self._config.limits.patience):
                await asyncio.shield(self._reading)
        except TimeoutError:
            self._note_hang()
            return False
        return True

    def _note_hang(self) -> None:
        if self._writer is not None and not self._in_memory:
            self._writer.note_hang()
            reason = f"the disk of storage.directory {self._config.directory} does not answer: check its volume"
            self._set_reason("hang", reason)

    def _set_reason(self, kind: str, reason: str) -> None:
        """Change a reason, "" for none; log when the first one appears and when the last one is gone."""
        was_degraded = bool(self.degraded_reason)
        self._reasons[kind] = reason
        if self.degraded_reason and not was_degraded:
            _log.error("storage degraded", extra=fields(reason=self.degraded_reason))
        elif was_degraded and not self.degraded_reason:
            _log.info("storage back on disk", extra=fields(directory=str(self._config.directory)))

    # Events of the writer ---------------------------------------------------------------------------------------------

    def _on_committed(self, ledger: Ledger) -> None:
        self._set_reason("hang", "")
        self.queue.on_stored(ledger.last_request)
        self.outbox.release(ledger.last_message)
        self.history.on_stored(ledger.last_transition)

    def _on_failed(self, reason: str) -> None:
        self._set_reason("failure", reason)
        if not reason:
            self.queue.wake()

    def _on_recovered(self, recovery: Recovery) -> None:
        self.rewrite_state = True
        self._adopt(recovery)
        self.outbox.rewrite()
        self.queue.lose(recovery.lost)

    def _on_read(self, requests: Mapping[int, QueuedRequest | None]) -> None:
        if self._reading is not None:
            _resolve(self._reading, None)
            self._reading = None
        self.queue.on_read(requests)

    # Stop -------------------------------------------------------------------------------------------------------------

    def close(self, seconds: float) -> int:
        """Commit, close and unlock, within `seconds`; return the points that are lost. Blocks; does nothing twice."""
        if self._lost_points is None:
            stored: frozenset[int] = frozenset()
            if self._writer is not None and self._disk is not None:
                self._writer.submit(self._batch(CycleCommit(), clean_shutdown=True))
                self._writer.close(seconds)
                stored = self._disk.stored
            self._lost_points = self.queue.close(stored)
        return self._lost_points


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():  # whoever waited may have given up
        future.set_result(result)
