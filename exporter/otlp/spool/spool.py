"""The durable queue: records on disk, and in memory for as long as the disk does not take them.

Every record is put at the end of a short tail in memory and written from there to disk at once, so the tail is empty
but when the disk fails. Then it grows, bounded, the alarm is on (`why`), and each put tries again. The order is always:
what is on disk, then the tail.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from exporter.log import fields
from exporter.otlp.delivery.queue import Loss, Record, losses
from exporter.otlp.spool.checkpoint import Mark
from exporter.otlp.spool.files import InUseError, flush
from exporter.otlp.spool.messages import astray, tell, trouble
from exporter.otlp.spool.record import OVERHEAD, Frame, pack
from exporter.otlp.spool.store import Disk, Entry, boot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.delivery.queue import Record
    from exporter.otlp.spool.files import Segment


# What a spool may hold, and what of it is not on disk yet.


MIB: Final = 1024 * 1024

SLICE: Final = 4 * MIB
"""Bytes of the tail that are written at a stretch, some milliseconds."""

RETRY: Final = 5.0
"""The least time between two attempts to write to a disk that failed, in seconds."""

IDLE: Final = 64 * 1024
"""Bytes of a segment in which nothing waits that are kept to write on in."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a spool may hold: bytes on disk and in memory together, seconds of age, and bytes in memory alone.

    On disk it may be one segment more: a segment's space comes back when all of it has gone. Segments grow to a 64th
    of the bytes, and to `segment` bytes at least.
    """

    bytes: int
    age: float
    memory: int = 64 * MIB
    segment: int = 64 * 1024

    @property
    def full(self) -> int:
        """Return the size at which a segment is full, in bytes."""
        return max(self.bytes // 64, self.segment)


class Tail:
    """Records in memory, in order, with their bytes (as they would take on disk) and their points."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.bytes = 0
        self.points = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> Record:
        """The oldest record; there is one."""
        return self._records[0]

    def append(self, record: Record) -> None:
        """Add a record at the end."""
        self._records.append(record)
        self.bytes += OVERHEAD + len(record.body)
        self.points += record.points

    def shift(self) -> Record:
        """Take the oldest record away."""
        record = self._records.popleft()
        self.bytes -= OVERHEAD + len(record.body)
        self.points -= record.points
        return record


# rooms


_log = logging.getLogger(__name__)

Fsync = Literal["always", "interval", "never"]


class Spool:
    """A queue in a directory, which is its own. Raises InUseError at the start, and nothing after that.

    The books began at `since`, in Unix seconds. What comes to light on the disk is booked here; what is put, expired
    and acknowledged is booked by who does it, and `secure` then puts that down.
    """

    def __init__(
        self, directory: Path, bounds: Bounds, books: DeliveryAccounting, now: float, fsync: Fsync = "interval"
    ) -> None:
        self.since = now
        self._directory = directory
        self._bounds = bounds
        self._books = books
        self._fsync = fsync
        self._disk = Disk(directory, bounds.full)
        self._entries: deque[Entry] = deque()
        self._stored_bytes = self._stored_points = 0
        self._tail = Tail()
        self._front: Record | None = None
        self._sequence = self._through = 0
        self._dirty, self._closed, self._whole = False, False, True
        self._trouble = ""
        self._tried = now
        self._boot = boot()
        try:
            self._open()
        except OSError as error:
            self._fall(error)

    # What a sender and a courier see ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries) + len(self._tail)

    @property
    def bytes(self) -> int:
        """Return how many bytes wait, with what each record takes besides its body."""
        return self._stored_bytes + self._tail.bytes

    @property
    def points(self) -> int:
        """Return how many points wait."""
        return self._stored_points + self._tail.points

    @property
    def why(self) -> str:
        """Return why not everything is on disk, with the cure; "" when it is."""
        return self._trouble or astray(self._directory, orphans=self._disk.orphans, tail=bool(self._tail))

    def put(self, record: Record, now: float) -> tuple[Loss, ...]:
        """Add a record at the end; return what had to be given up for it, itself when it alone is too big."""
        size = OVERHEAD + len(record.body)
        if size > self._bounds.bytes:
            return losses("queue_full", record.points)
        expired = self.expire(now)
        full = 0
        while self.bytes + size > self._bounds.bytes:
            full += self._shift()
        self._tail.append(record)
        self._keep(now)
        while self._tail.bytes > self._bounds.memory:
            full += self._forget()
        return (*expired, *losses("queue_full", full))

    def expire(self, now: float) -> tuple[Loss, ...]:
        """Give up what is too old (E36)."""
        expired = 0
        while len(self) and now - self._oldest() > self._bounds.age:
            expired += self._shift()
        return losses("expired", expired)

    def head(self) -> Record | None:
        """Return the oldest record that can be read, None when there is none."""
        while self._front is None and self._entries:
            entry = self._entries[0]
            self._front = entry.record()
            if self._front is None:
                self._lose(entry, self._shift())
        if self._front is None and self._tail:
            self._front = self._tail.first
        return self._front

    def acknowledge(self, record: Record) -> bool:
        """Let go of the oldest record if it is this one; return whether it was (it may have been dropped meanwhile)."""
        if record is not self._front:
            return False
        self._shift()
        return True

    def oldest_age(self, now: float) -> float:
        """Return the age of the oldest record in seconds, 0 when there is none or the clock was set back."""
        return max(now - self._oldest(), 0.0) if len(self) else 0.0

    async def secure(self) -> None:
        """Put down what was booked, after each booking; with `always` wait until it is safe, too."""
        self._note()
        if self._fsync == "always":
            await self.sync()

    async def sync(self) -> None:
        """Make all that was written safe against a crash of the machine, in a thread, and give back drained space."""
        descriptors, spent = self._begin_sync()
        failure = await asyncio.to_thread(flush, descriptors) if descriptors else None
        self._end_sync(failure, spent)

    def clear(self) -> tuple[Loss, ...]:
        """Give up everything, booked as well."""
        cleared = losses("cleared", sum(self._shift() for _ in range(len(self))))
        self._books.lose(cleared)
        return cleared

    def close(self) -> tuple[Loss, ...]:
        """Sync, unlock and end; return what was only in memory."""
        self._tried = -inf
        self._keep(0.0, inf)
        lost = self._tail.points + sum(entry.frame.points for entry in self._entries if entry.segment.orphan)
        self._closed = self._dirty = True
        self._disk.rest(0)
        descriptors, spent = self._begin_sync()
        self._end_sync(flush(descriptors), spent)
        self._disk.close()
        self._entries, self._tail, self._front = deque(), Tail(), None
        self._stored_bytes = self._stored_points = 0
        return losses("shutdown", lost)

    # Between the tail and the disk -----------------------------------------------------------------------------------

    def _keep(self, now: float, most: float = SLICE) -> None:
        """Write so many bytes of the tail to disk, unless that failed just now."""
        if self._trouble and 0 <= now - self._tried < RETRY:
            return
        self._tried = now
        try:
            if not self._disk.stands():
                self._open()
            elif self._trouble:
                self._disk.write(self._mark)
            self._store(most)
        except (OSError, InUseError) as error:
            self._fall(error)
        else:
            self._rise()

    def _store(self, most: float) -> None:
        while self._tail and most > 0:
            record = self._tail.first
            frame = Frame.of(record, self._sequence, self._through + record.points)
            segment, offset = self._disk.append(pack(frame, record.body))
            self._entries.append(Entry(segment, replace(frame, offset=offset)))
            self._sequence, self._through = frame.sequence + 1, frame.through
            self._stored_points += frame.points
            self._stored_bytes += frame.size
            self._tail.shift()
            most -= frame.size

    def _open(self) -> None:
        """Take up what the directory holds; it is older than the tail."""
        found = self._disk.open()
        waiting, mark = found.waiting, found.waiting.mark
        if mark is not None and not self._books.made and mark.tells_all(self._boot):
            self.since = mark.since
            self._books.resume(mark.delivered, mark.rejected, mark.dropped)
        self._entries.extend(found.entries)
        self._stored_points += waiting.points
        self._stored_bytes += sum(entry.frame.size for entry in found.entries)
        self._front = None
        self._sequence = max(self._sequence, waiting.next)
        self._through = max(self._through, waiting.through)
        self._books.enter(waiting.points + waiting.lost)
        self._books.lose(losses("damaged", waiting.lost))
        tell(self._directory, found)
        self._disk.write(self._mark)

    def _fall(self, error: OSError | InUseError) -> None:
        """Go on in memory."""
        before, self._trouble = self._trouble, trouble(error, self._directory)
        if not before:
            _log.error("spool goes on in memory", extra=fields(why=self._trouble))

    def _rise(self) -> None:
        """Go on on disk."""
        if self._trouble:
            self._trouble = ""
            _log.info("spool is on disk again", extra=fields(directory=str(self._directory)))

    # Single records --------------------------------------------------------------------------------------------------

    def _oldest(self) -> float:
        return self._entries[0].frame.at if self._entries else self._tail.first.at

    def _shift(self) -> int:
        """Let go of the oldest record; return its points."""
        if not self._entries:
            return self._forget()
        self._front = None
        self._dirty = True
        entry = self._entries.popleft()
        self._disk.let_go(entry.segment)
        self._stored_points -= entry.frame.points
        self._stored_bytes -= entry.frame.size
        return entry.frame.points

    def _forget(self) -> int:
        """Let go of the oldest record in memory; return its points."""
        if not self._entries:
            self._front = None
        self._dirty = True
        return self._tail.shift().points

    def _lose(self, entry: Entry, points: int) -> None:
        self._books.lose(losses("damaged", points))
        place = {"file": entry.segment.name, "offset": entry.frame.offset, "bytes": entry.frame.size}
        _log.warning("spool lost a damaged record", extra=fields(**place, points=points))

    # The cursor ------------------------------------------------------------------------------------------------------

    def _mark(self, turn: int) -> Mark:
        orphans = self._disk.orphans
        named = [entry for entry in self._entries if not entry.segment.orphan] if orphans else self._entries
        return Mark(
            next=named[0].frame.sequence if named else self._sequence,
            through=self._through,
            queued=sum(entry.frame.points for entry in named) if orphans else self._stored_points,
            since=self.since,
            delivered=self._books.delivered,
            rejected=self._books.rejected,
            dropped=dict(self._books.dropped),
            whole=not self._tail and not orphans,
            closed=self._closed,
            boot=self._boot,
            turn=turn,
        )

    def _note(self) -> None:
        """Put the cursor down if it has moved."""
        whole = not self._tail and not self._disk.orphans
        if not self._dirty and whole is self._whole:
            return
        try:
            self._disk.write(self._mark)
        except OSError as error:
            self._fall(error)
        else:
            self._dirty, self._whole = False, whole

    def _begin_sync(self) -> tuple[Sequence[int], Sequence[Segment]]:
        """Put the cursor down, in both slots if segments are to go; return what to sync, and what may go then."""
        self._disk.rest(IDLE)
        spent = self._disk.spent
        for _ in range(2 if spent else 1):
            self._dirty = self._dirty or bool(spent)
            self._note()
        try:
            descriptors = self._disk.unsynced() if self._fsync != "never" else ()
        except OSError as error:
            self._fall(error)
            return (), ()
        return descriptors, () if self._dirty else spent

    def _end_sync(self, failure: OSError | None, spent: Sequence[Segment]) -> None:
        if failure is None:
            self._disk.synced(spent)
        else:
            self._fall(failure)
