"""The history: transitions that happened, read off the event loop by a read-only connection."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.log import fields
from exporter.storage import schema
from exporter.storage.directory import DATABASE_FILE
from exporter.storage.model import TransitionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from exporter.storage.model import StorageConfig

_log: Final = logging.getLogger(__name__)
T = TypeVar("T")


class HistoryUnreadableError(Exception):
    """The disk does not answer or fails; the message names the setting."""


class History:
    """The transitions since `held_since` (Unix seconds), oldest first; without a directory, those in memory.

    `stored_since` returns when the stored history begins, 0 if nothing is stored. `damaged` are the numbers of stored
    transitions whose checksum did not match when they were read.
    """

    def __init__(
        self, config: StorageConfig, stored_since: Callable[[], float], wall_time: Callable[[], float]
    ) -> None:
        self._config = config
        self._wall_time = wall_time
        self._stored_since = stored_since
        self._held_since = wall_time()
        self.damaged: set[int] = set()
        self._recent: deque[TransitionRecord] = deque()
        self._recent_bytes = 0
        self._lock = asyncio.Lock()
        self._hanging_thread: threading.Thread | None = None

    @property
    def held_since(self) -> float:
        """Since when transitions are held (Unix seconds)."""
        return max(self._stored_since() or self._held_since, self._wall_time() - self._config.limits.history)

    def append(self, records: Sequence[TransitionRecord]) -> None:
        """Hold transitions in memory: until they are on disk, or, if nothing is stored, for good."""
        self._recent.extend(records)
        self._recent_bytes += sum(len(record.body) for record in records)
        limit = self._wall_time() - self._config.limits.history
        while self._recent and (
            self._recent_bytes > self._config.limits.history_bytes or self._recent[0].timestamp < limit
        ):
            self._forget_oldest()
            self._held_since = max(self._held_since, self._recent[0].timestamp if self._recent else limit)

    def on_stored(self, sequence: int) -> None:
        """Forget the transitions up to a number, which are on disk."""
        while self._recent and self._recent[0].sequence <= sequence:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._recent_bytes -= len(self._recent.popleft().body)

    async def read(
        self,
        *,
        after: int = 0,
        since: float | None = None,
        namespace: str | None = None,
        name: str | None = None,
        types: Sequence[str] = (),
        limit: int = 1000,
    ) -> Sequence[TransitionRecord]:
        """Return the newest transitions that pass all filters, oldest first.

        `after` is a sequence number, `since` Unix seconds. Raises HistoryUnreadableError.
        """

        def passes(record: TransitionRecord) -> bool:
            return (
                record.sequence > after
                and (since is None or record.timestamp >= since)
                and namespace in {None, record.namespace}
                and name in {None, record.name}
                and (not types or record.type in types)
            )

        stored: Sequence[TransitionRecord] = ()
        damaged: frozenset[int] = frozenset()
        if (directory := self._config.directory) is not None:
            stored, damaged = await self._call(lambda: _read_stored(directory / DATABASE_FILE, after, passes, limit))
        if new := damaged - self.damaged:
            self.damaged |= new
            _log.warning("stored transitions are damaged", extra=fields(numbers=sorted(new), hint="check the disk"))
        # Those that are on disk meanwhile are the same.
        records = {record.sequence: record for record in chain(stored, filter(passes, self._recent))}
        return [records[sequence] for sequence in sorted(records)[-limit:]]

    async def _call(self, function: Callable[[], T]) -> T:
        """Run a function that reads the disk in a thread, one after another, for `patience` at most."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(target=_run, args=(function, future), name="history reader", daemon=True)
        try:
            async with asyncio.timeout(self._config.limits.patience), self._lock:
                if self._hanging_thread is None or not self._hanging_thread.is_alive():
                    thread.start()  # only one thread for a disk that hangs
                return await future
        except TimeoutError:
            self._hanging_thread = self._hanging_thread if thread.ident is None else thread
            raise HistoryUnreadableError("the disk of storage.directory does not answer: check its volume") from None


def _read_stored(
    path: Path, after: int, passes: Callable[[TransitionRecord], bool], limit: int
) -> tuple[Sequence[TransitionRecord], frozenset[int]]:
    """Return the newest stored transitions, and the numbers of damaged ones among them."""
    records: list[TransitionRecord] = []
    damaged: set[int] = set()
    with closing(schema.connect(path, "ro")) as connection:
        for row in connection.execute(schema.TRANSITIONS_AFTER, (after,)):
            sequence, timestamp, namespace, name, type_, body, _ = row
            record = TransitionRecord(timestamp, namespace, name, type_, body, sequence)
            if not schema.is_sound(row):
                damaged.add(sequence)
            elif passes(record):
                records.append(record)
            if len(records) == limit:
                break
    return records, frozenset(damaged)


def _run(function: Callable[[], T], future: asyncio.Future[T]) -> None:
    try:
        result = function()
    except (OSError, sqlite3.Error) as error:
        reason = HistoryUnreadableError(f"storage.directory cannot be read: {error}")
        _finish(future, lambda: future.set_exception(reason))
    else:
        _finish(future, lambda: future.set_result(result))


def _finish(future: asyncio.Future[T], finish: Callable[[], None]) -> None:
    """Finish a future on its event loop, unless whoever waited has given up, or the loop has ended."""
    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(lambda: None if future.done() else finish())
