"""The outbox: messages for destinations, each in order, until the destination has decided about them.

A message is committed with the transition that it is about, and its body never changes: a retry sends the same bytes,
also in the next process. All messages are in memory, since there are few; it changes only on the event loop.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.storage.batch import StoredMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from exporter.storage.batch import Batch
    from exporter.storage.model import OutboxMessage, StorageLimits

DELIVERED: Final = "delivered"
REJECTED: Final = "rejected"
_RESULTS: Final = frozenset({DELIVERED, REJECTED})


@dataclass(slots=True)
class MessageAccount:
    """What became of the messages for a destination: made = delivered + rejected + dropped + pending.

    `finished` counts by result: `delivered`, `rejected`, or the reason why they were dropped.
    """

    finished: Counter[str] = field(default_factory=Counter)
    pending: int = 0

    @property
    def produced(self) -> int:
        """How many messages were made."""
        return self.finished.total() + self.pending

    @property
    def delivered(self) -> int:
        """How many messages the destination accepted."""
        return self.finished[DELIVERED]

    @property
    def rejected(self) -> int:
        """How many messages the destination refused for good."""
        return self.finished[REJECTED]

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages were dropped, by reason."""
        return {reason: count for reason, count in self.finished.items() if reason not in _RESULTS}


class Outbox:
    """The messages of all destinations; `accounts` has what became of them, by destination.

    A message can be sent once its commit is finished or was waited for long enough (`release`); `wake` is then called.
    """

    def __init__(self, limits: StorageLimits, clock: Callable[[], float], *, durable: bool) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.accounts: dict[str, MessageAccount] = {}
        self.last_number = 0
        self._limits = limits
        self._clock = clock
        self._durable = durable
        self._messages: dict[str, OrderedDict[int, StoredMessage]] = {}
        self._bytes: Counter[str] = Counter()
        self._inserts: dict[int, StoredMessage] = {}
        self._finished: list[int] = []
        self._rewrite = self._is_counted = False
        self._released = 0

    def account(self, destination: str) -> MessageAccount:
        """Return what became of the messages for a destination."""
        return self.accounts.setdefault(destination, MessageAccount())

    def put(self, message: OutboxMessage) -> None:
        """Append a message; the oldest of its destination are dropped to make room."""
        self.last_number += 1
        stored = StoredMessage(self.last_number, float(self._clock()), message.destination, message.body)
        self._append(stored)
        self._inserts[stored.id] = stored
        while self._bytes[message.destination] > self._limits.outbox_bytes:
            self.finish(next(iter(self._messages[message.destination].values())), "outbox_full")

    def _append(self, message: StoredMessage) -> None:
        self._messages.setdefault(message.destination, OrderedDict())[message.id] = message
        self._bytes[message.destination] += len(message.body)
        self.account(message.destination).pending += 1

    def peek(self, destination: str) -> StoredMessage | None:
        """Return the oldest message for a destination that can be sent, without those that are too old."""
        while (oldest := self._oldest(destination)) is not None and self.age(destination) > self._limits.max_age:
            self.finish(oldest, "expired")
        return oldest if oldest is not None and oldest.id <= self._released else None

    def _oldest(self, destination: str) -> StoredMessage | None:
        return next(iter(self._messages.get(destination, {}).values()), None)

    def age(self, destination: str) -> float:
        """Return how long the oldest message for a destination has been waiting, in seconds, 0 if there is none."""
        oldest = self._oldest(destination)
        return max(self._clock() - oldest.queued_at, 0.0) if oldest is not None else 0.0

    def finish(self, message: StoredMessage, result: str) -> None:
        """Remove a message, delivered, rejected, or dropped for a reason; the next commit stores that.

        Does nothing if it was removed meanwhile.
        """
        if self._messages.get(message.destination, OrderedDict()).pop(message.id, None) is None:
            return
        self._bytes[message.destination] -= len(message.body)
        account = self.account(message.destination)
        account.pending -= 1
        self.count(message.destination, result)
        if self._inserts.pop(message.id, None) is None:
            self._finished.append(message.id)

    def count(self, destination: str, result: str) -> None:
        """Count a message that is finished."""
        self.account(destination).finished[result] += 1
        self._is_counted = True

    def drop_unknown(self, destinations: Collection[str]) -> None:
        """Drop the messages for destinations that are not among these: their settings are gone."""
        for destination in self._messages.keys() - destinations:
            for message in list(self._messages[destination].values()):
                self.finish(message, "not_configured")

    # The disk ---------------------------------------------------------------------------------------------------------

    def move_changes(self, batch: Batch) -> None:
        """Put what changed since the last call into a batch."""
        if self._durable:
            batch.rewrite_messages = self._rewrite
            batch.messages = dict(self._all()) if self._rewrite else self._inserts
            batch.finished = self._finished
            batch.message_counts = json.dumps(self._counts()) if self._inserts or self._is_counted else ""
        self._inserts, self._finished, self._rewrite, self._is_counted = {}, [], False, False

    def _all(self) -> Iterable[tuple[int, StoredMessage]]:
        return ((number, message) for messages in self._messages.values() for number, message in messages.items())

    def _counts(self) -> Mapping[str, Mapping[str, int]]:
        return {
            destination: {"made": account.produced, **account.finished}
            for destination, account in self.accounts.items()
        }

    def release(self, number: int) -> None:
        """Let messages up to a number be sent."""
        self._released = max(self._released, number)
        self.wake()

    def adopt(self, messages: Iterable[StoredMessage], counts: str) -> None:
        """Take over the messages of an earlier process, before all others, and its accounting ("": counts begin).

        What that has made, and what is neither finished nor here, is damaged.
        """
        former, self._messages = self._messages, {}
        for message in messages:
            self._append(message)
            self._released = max(self._released, message.id)
            self.last_number = max(self.last_number, message.id)
        for destination, counted in _decode(counts).items():
            account = self.account(destination)
            total = counted.pop("made", 0)
            account.finished.update(counted)
            account.finished.update({"damaged": missing} if (missing := total - account.produced) > 0 else {})
        for destination, waiting in former.items():
            self._messages.setdefault(destination, OrderedDict()).update(waiting)

    def rewrite(self) -> None:
        """Write all messages again: the file may not have them, or have others."""
        self._rewrite = True


def _decode(counts: str) -> dict[str, dict[str, int]]:
    decoded: dict[str, dict[str, int]] = json.loads(counts) if counts else {}
    return decoded
