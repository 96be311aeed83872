"""The history: transitions that happened, read off the event loop by a read-only connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from contextlib import closing, suppress
from typing import TYPE_CHECKING, TypeVar

from exporter.storage import schema
from exporter.storage.directory import DATABASE_FILE
from exporter.storage.model import TransitionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.storage.model import StorageConfig

T = TypeVar("T")


class HistoryUnreadableError(Exception):
    """The disk does not answer or fails; the message names the setting."""


class History:
    """The transitions since `held_since` (Unix seconds), oldest first; without a directory, those in memory.

    `stored_since` returns when the stored history begins, 0 if nothing is stored.
    """

    def __init__(
        self, config: StorageConfig, stored_since: Callable[[], float], wall_time: Callable[[], float]
    ) -> None:
        self._config = config
        self._wall_time = wall_time
        self._stored_since = stored_since
        self._held_since = wall_time()
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
        filters = {"after": after, "since": since, "namespace": namespace, "name": name}
        records: dict[int, TransitionRecord] = {}
        if self._config.directory is not None:
            records = await self._call(lambda: self._read_stored(filters, types, limit))
        for record in self._recent:
            if _passes(record, filters, types):
                records[record.sequence] = record
        return [records[sequence] for sequence in sorted(records)[-limit:]]

    def _read_stored(
        self, filters: Mapping[str, object], types: Sequence[str], limit: int
    ) -> dict[int, TransitionRecord]:
        assert self._config.directory is not None
        statement, arguments = schema.select_transitions(filters, types)
        with closing(schema.connect(self._config.directory / DATABASE_FILE, "ro")) as connection:
            rows = connection.execute(statement, [*arguments, limit]).fetchall()
        return {row[0]: _record(*row[:6]) for row in rows if schema.is_sound(row)}

    async def _call(self, function: Callable[[], T]) -> T:
        """Run a function in a thread, one after another, for `patience` at most."""
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


def _record(sequence: int, timestamp: float, namespace: str, name: str, type_: str, body: bytes) -> TransitionRecord:
    return TransitionRecord(timestamp, namespace, name, type_, body, sequence)


def _passes(record: TransitionRecord, filters: Mapping[str, object], types: Sequence[str]) -> bool:
    namespace, name, since, after = (filters[key] for key in ("namespace", "name", "since", "after"))
    return (
        record.sequence > after  # type: ignore[operator] # a number
        and (since is None or record.timestamp >= since)  # type: ignore[operator] # a number
        and namespace in {None, record.namespace}
        and name in {None, record.name}
        and (not types or record.type in types)
    )
