"""What goes into storage and comes out of it: values, limits and errors. Bodies, state rows and events are bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Fsync = Literal["always", "interval", "never"]

MIB: Final = 1024 * 1024
DAY: Final = 86_400.0


class StorageError(Exception):
    """The directory cannot be used at all; the message names the setting to change. `run` ends at its start."""


class InUseError(StorageError):
    """Another process uses the directory; the message has its pid."""


class NewerSchemaError(StorageError):
    """A later version of the exporter wrote the database."""


class UnsupportedFilesystemError(StorageError):
    """The directory is on a file system without working locks."""


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request body ready to send, compressed or not as the endpoint expects it; `timestamp` is its points' time."""

    body: bytes
    points: int
    timestamp: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Points that were dropped, and the reason (a label of the exporter's own metrics)."""

    reason: str
    points: int


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """An event of a rollout, kept for `StorageLimits.history`; `body` is a JSON document.

    `sequence` grows by 1 with each event and never repeats, also over restarts; storage assigns it (0: not yet).
    """

    timestamp: float
    namespace: str
    name: str
    type: str
    body: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message for a destination, by its name: a body that is sent as it is until the destination has decided."""

    destination: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CycleCommit:
    """What one cycle changed, besides the requests that it put into the queue.

    `state` has the rows that changed since the previous commit, by key; None removes a row. With `complete_state` it
    has all rows, and those on disk that are not among them are removed. `messages` go into the outbox.
    """

    state: Mapping[str, bytes | None] = field(default_factory=dict)
    complete_state: bool = False
    transitions: Sequence[TransitionRecord] = ()
    messages: Sequence[OutboxMessage] = ()


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """Limits of the `storage` section, sizes in bytes and times in seconds.

    `max_bytes` and `max_age` bound the queued requests, `max_age` and `outbox_bytes` the messages of each destination,
    `history` and `history_bytes` the transitions, `max_memory` the requests in memory while the disk fails.
    Nobody waits for the disk longer than `patience`; less than `reserve` free bytes on the file system count as a
    failing disk.
    """

    max_bytes: int = 64 * MIB
    max_age: float = DAY
    history: float = 7 * DAY
    history_bytes: int = 16 * MIB
    patience: float = 2.0
    reserve: int = 32 * MIB
    max_memory: int = 64 * MIB
    outbox_bytes: int = 4 * MIB  # thousands of messages; all are in memory


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where and how to store; without a directory everything is in memory.

    `cluster` names the cluster: state and history of another one are discarded.
    """

    directory: Path | None = None
    limits: StorageLimits = StorageLimits()
    fsync: Fsync = "interval"
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class StorageMetrics:
    """Figures at one moment.

    Sizes are bytes: of the database file, its WAL, and free on the file system. `commits` and `commit_seconds` (sum)
    count transactions of this process, `commit_failures` those that failed. `salvaged_rows` were read from a damaged
    file, `damaged_rows` could not be. `missing_commits` had been written, and were not in the file at the start.
    """

    database_bytes: int = 0
    wal_bytes: int = 0
    free_bytes: int = 0
    commits: int = 0
    commit_failures: int = 0
    commit_seconds: float = 0.0
    salvaged_rows: int = 0
    damaged_rows: int = 0
    missing_commits: int = 0


class Books(Protocol):
    """The accounting of points (DeliveryAccounting). Storage calls it on the event loop only."""

    def counts(self) -> Mapping[str, int]:
        """Return the counts that continue after a restart: delivered, rejected, dropped.REASON."""

    def restore(self, counts: Mapping[str, int]) -> None:
        """Add the counts of an earlier process, as `counts` returned them."""

    def count_enqueued(self, points: int) -> None:
        """Count points that are queued now."""

    def count_dropped(self, drops: Iterable[Drop]) -> None:
        """Count queued points that were dropped."""
