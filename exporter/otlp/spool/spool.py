"""The durable queue: requests on disk, and in memory while the disk fails.

Every request is appended to a memory buffer and written from there to disk at once, so the buffer is empty unless the
disk fails. Then the buffer grows up to a limit, `degraded_reason` is set, and each `put` retries. Requests on disk are
always older than those in the buffer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from exporter.log import fields
from exporter.otlp.delivery.queue import RequestBuffer, drops
from exporter.otlp.spool.checkpoint import Checkpoint
from exporter.otlp.spool.files import fsync_all
from exporter.otlp.spool.record import OVERHEAD, RecordHeader, encode_record
from exporter.otlp.spool.store import SegmentStore, StoredRecord, error_message, log_recovery, read_boot_id
from exporter.storage.model import InUseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.spool.files import Segment
    from exporter.storage.model import Drop, QueuedRequest


_log = logging.getLogger(__name__)

Fsync = Literal["always", "interval", "never"]

MIB: Final = 1024 * 1024

WRITE_CHUNK: Final = 4 * MIB
"""Bytes of the buffer written to disk by one `put`: some milliseconds, so that the event loop is not blocked longer."""

RETRY_INTERVAL: Final = 5.0
"""Minimum seconds between two attempts to write to a failed disk: each attempt may block."""

MAX_IDLE_BYTES: Final = 64 * 1024
"""Size up to which a drained active segment is written on: a new file for each request would cost more."""


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """The limits of a spool: bytes on disk and in memory together, age in seconds, and bytes in memory alone.

    Disk use may exceed `max_bytes` by one segment, whose space is freed when all its records are gone. A segment is a
    64th of `max_bytes`, but at least `min_segment` bytes.
    """

    max_bytes: int
    max_age: float
    max_memory: int = 64 * MIB
    min_segment: int = 64 * 1024


class Spool:
    """A `RequestQueue` in a directory of its own. The constructor raises InUseError; nothing else raises.

    The counters of the accounting started at `counters_since` (Unix seconds). Points recovered or damaged are counted
    here; points put, expired and acknowledged are counted by the caller, and `commit` then persists the counts.
    """

    def __init__(
        self,
        directory: Path,
        limits: SpoolLimits,
        accounting: DeliveryAccounting,
        now: float,
        fsync: Fsync = "interval",
    ) -> None:
        self.counters_since = now
        self._directory = directory
        self._limits = limits
        self._accounting = accounting
        self._fsync = fsync
        self._store = SegmentStore(directory, max(limits.max_bytes // 64, limits.min_segment))
        self._stored: deque[StoredRecord] = deque()
        self._stored_bytes = self._stored_points = 0
        self._buffer = RequestBuffer(OVERHEAD)
        self._head: QueuedRequest | None = None
        self._next_sequence = self._total_points = 0
        self._checkpoint_dirty, self._clean_shutdown, self._was_complete = False, False, True
        self._error = ""
        self._last_attempt = now
        self._boot_id = read_boot_id()
        try:
            self._recover()
        except OSError as error:
            self._enter_memory_mode(error)

    # The interface of a queue -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._stored) + len(self._buffer)

    @property
    def bytes(self) -> int:
        """The size of the queue in bytes, headers of records included."""
        return self._stored_bytes + self._buffer.bytes

    @property
    def points(self) -> int:
        """The number of queued points."""
        return self._stored_points + self._buffer.points

    @property
    def degraded_reason(self) -> str:
        """Why not all requests are on disk, with a hint; "" if they are."""
        if self._error:
            return self._error
        if self._store.has_unlinked:
            reason = "was removed or replaced; its queued requests are held in open files"
            return f"storage.directory {self._directory} {reason}"
        return "requests in memory are being written back to storage.directory" if self._buffer else ""

    def put(self, request: QueuedRequest, now: float) -> tuple[Drop, ...]:
        """Append a request; return what was dropped to make room, or the request if it exceeds the queue by itself."""
        size = OVERHEAD + len(request.body)
        if size > self._limits.max_bytes:
            return drops("queue_full", request.points)
        expired = self.expire(now)
        overflow = 0
        while self.bytes + size > self._limits.max_bytes:
            overflow += self._remove_oldest()
        self._buffer.append(request)
        self._flush(now)
        while self._buffer.bytes > self._limits.max_memory:
            overflow += self._remove_oldest_in_memory()
        return (*expired, *drops("queue_full", overflow))

    def expire(self, now: float) -> tuple[Drop, ...]:
        """Drop requests that are too old (E36)."""
        expired = 0
        while now - self._oldest_timestamp() > self._limits.max_age:
            expired += self._remove_oldest()
        return drops("expired", expired)

    def peek(self) -> QueuedRequest | None:
        """Return the oldest readable request, None if the queue is empty; damaged records before it are dropped."""
        while self._head is None and self._stored:
            stored = self._stored[0]
            self._head = stored.read()
            if self._head is None:
                self._drop_damaged(stored)
        self._head = self._head or self._buffer.peek()
        return self._head

    def ack(self, request: QueuedRequest) -> bool:
        """Remove the oldest request if it is this one; return whether it was (it may have been dropped meanwhile)."""
        if request is not self._head:
            return False
        self._remove_oldest()
        return True

    def oldest_age(self, now: float) -> float:
        """Return the age of the oldest request in seconds, 0 if the queue is empty or the clock was set back."""
        return max(now - self._oldest_timestamp(), 0.0)

    async def commit(self) -> None:
        """Write the checkpoint after a change of the accounting; with fsync `always`, sync it, too."""
        self._write_checkpoint()
        if self._fsync == "always":
            await self.sync()

    async def sync(self) -> None:
        """Sync all files in a thread, so that they survive a crash of the machine, and delete drained segments."""
        descriptors, drained = self._begin_sync()
        failure = await asyncio.to_thread(fsync_all, descriptors) if descriptors else None
        self._end_sync(failure, drained)

    def clear(self) -> tuple[Drop, ...]:
        """Drop and count all requests."""
        cleared = drops("cleared", sum(self._remove_oldest() for _ in range(len(self))))
        self._accounting.count_dropped(cleared)
        return cleared

    def close(self) -> tuple[Drop, ...]:
        """Sync, close and unlock; return the points that were only in memory."""
        self._last_attempt = -inf
        self._flush(0.0, inf)
        lost = self._buffer.points + sum(stored.header.points for stored in self._stored if stored.segment.unlinked)
        self._clean_shutdown = self._checkpoint_dirty = True
        self._store.close_if_idle(0)
        descriptors, drained = self._begin_sync()
        self._end_sync(fsync_all(descriptors), drained)
        self._store.close()
        self._stored, self._buffer, self._head = deque(), RequestBuffer(OVERHEAD), None
        self._stored_bytes = self._stored_points = 0
        return drops("shutdown", lost)

    # Between memory and disk ------------------------------------------------------------------------------------------

    def _flush(self, now: float, max_bytes: float = WRITE_CHUNK) -> None:
        """Write up to `max_bytes` of the buffer to disk, unless the last attempt failed within RETRY_INTERVAL."""
        if self._error and 0 <= now - self._last_attempt < RETRY_INTERVAL:
            return
        self._last_attempt = now
        try:
            if not self._store.is_linked():
                self._recover()
            elif self._error:
                self._store.write_checkpoint(self._checkpoint)
            self._write_buffer(max_bytes)
        except (OSError, InUseError) as error:
            self._enter_memory_mode(error)
        else:
            if self._error:
                self._error = ""
                _log.info("spool back on disk", extra=fields(directory=str(self._directory)))

    def _write_buffer(self, max_bytes: float) -> None:
        while max_bytes > 0 and (request := self._buffer.peek()) is not None:
            header = RecordHeader.for_request(request, self._next_sequence, self._total_points + request.points)
            segment, offset = self._store.append(encode_record(header, request.body))
            self._stored.append(StoredRecord(segment, replace(header, offset=offset)))
            self._next_sequence, self._total_points = header.sequence + 1, header.total_points
            self._stored_points += header.points
            self._stored_bytes += header.size
            self._buffer.pop()
            max_bytes -= header.size

    def _recover(self) -> None:
        """Open the directory and queue its pending records, which are older than the buffer."""
        recovery = self._store.open()
        pending, checkpoint = recovery.pending, recovery.pending.checkpoint
        if checkpoint is not None and not self._accounting.produced and checkpoint.is_authoritative(self._boot_id):
            self.counters_since = checkpoint.counters_since
            dropped = {f"dropped.{reason}": points for reason, points in checkpoint.dropped.items()}
            counts = {"delivered": checkpoint.delivered, "rejected": checkpoint.rejected, **dropped}
            self._accounting.restore(counts)
        self._stored.extend(recovery.records)
        self._stored_points += pending.points
        self._stored_bytes += sum(stored.header.size for stored in recovery.records)
        self._head = None
        self._next_sequence = max(self._next_sequence, pending.next_sequence)
        self._total_points = max(self._total_points, pending.total_points)
        self._accounting.count_enqueued(pending.points + pending.missing_points)
        self._accounting.count_dropped(drops("damaged", pending.missing_points))
        log_recovery(self._directory, recovery)
        self._store.write_checkpoint(self._checkpoint)

    def _enter_memory_mode(self, error: OSError | InUseError) -> None:
        """Note and log that the disk fails."""
        previous, self._error = self._error, error_message(error, self._directory)
        if not previous:
            _log.error("spool degraded, queueing in memory", extra=fields(reason=self._error))

    # The oldest request -----------------------------------------------------------------------------------------------

    def _oldest_timestamp(self) -> float:
        """Return the time of the oldest request, infinity if there is none."""
        oldest = self._stored[0].header if self._stored else self._buffer.peek()
        return inf if oldest is None else oldest.timestamp

    def _remove_oldest(self) -> int:
        """Remove the oldest request; return its points."""
        if not self._stored:
            return self._remove_oldest_in_memory()
        self._head = None
        self._checkpoint_dirty = True
        stored = self._stored.popleft()
        self._store.release(stored.segment)
        self._stored_points -= stored.header.points
        self._stored_bytes -= stored.header.size
        return stored.header.points

    def _remove_oldest_in_memory(self) -> int:
        """Remove the oldest request in memory; return its points."""
        if not self._stored:
            self._head = None
        self._checkpoint_dirty = True
        return self._buffer.pop()

    def _drop_damaged(self, stored: StoredRecord) -> None:
        points = self._remove_oldest()
        self._accounting.count_dropped(drops("damaged", points))
        place = {"file": stored.segment.file.path.name, "offset": stored.header.offset, "bytes": stored.header.size}
        _log.warning("spool dropped a damaged record", extra=fields(**place, points=points))

    # The checkpoint ---------------------------------------------------------------------------------------------------

    def _checkpoint(self, generation: int) -> Checkpoint:
        has_unlinked = self._store.has_unlinked
        linked = [stored for stored in self._stored if not stored.segment.unlinked] if has_unlinked else self._stored
        return Checkpoint(
            next_sequence=linked[0].header.sequence if linked else self._next_sequence,
            total_points=self._total_points,
            queued_points=sum(stored.header.points for stored in linked) if has_unlinked else self._stored_points,
            counters_since=self.counters_since,
            delivered=self._accounting.delivered,
            rejected=self._accounting.rejected,
            dropped=dict(self._accounting.dropped),
            complete=not self._buffer and not has_unlinked,
            clean_shutdown=self._clean_shutdown,
            boot_id=self._boot_id,
            generation=generation,
        )

    def _write_checkpoint(self) -> None:
        """Write the checkpoint if it has changed."""
        complete = not self._buffer and not self._store.has_unlinked
        if not self._checkpoint_dirty and complete is self._was_complete:
            return
        try:
            self._store.write_checkpoint(self._checkpoint)
        except OSError as error:
            self._enter_memory_mode(error)
        else:
            self._checkpoint_dirty, self._was_complete = False, complete

    def _begin_sync(self) -> tuple[Sequence[int], Sequence[Segment]]:
        """Write the checkpoint; return descriptors to sync, and the segments to delete after that.

        Both slots are written before segments are deleted: an older checkpoint would count their records as missing.
        """
        self._store.close_if_idle(MAX_IDLE_BYTES)
        drained = tuple(self._store.drained)
        for _ in range(2 if drained else 1):
            self._checkpoint_dirty = self._checkpoint_dirty or bool(drained)
            self._write_checkpoint()
        try:
            descriptors = self._store.duplicate_dirty() if self._fsync != "never" else ()
        except OSError as error:
            self._enter_memory_mode(error)
            return (), ()
        return descriptors, () if self._checkpoint_dirty else drained

    def _end_sync(self, failure: OSError | None, drained: Sequence[Segment]) -> None:
        if failure is None:
            self._store.remove_drained(drained)
        else:
            self._enter_memory_mode(failure)
