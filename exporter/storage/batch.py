"""What is committed together, and how its rows look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.storage import schema
from exporter.storage.ledger import Ledger

if TYPE_CHECKING:
    from exporter.storage.model import TransitionRecord

_NO_LEDGER: Final = Ledger()


class StoredMessage(NamedTuple):
    """A message of the outbox; `queued_at` is a time of the clock of ages."""

    id: int
    queued_at: float
    destination: str
    body: bytes


class RequestHead(NamedTuple):
    """A stored request without its body; `queued_at` is a time of the clock of ages, `size` the bytes of the body."""

    id: int
    queued_at: float
    timestamp: float
    points: int
    size: int


@dataclass(slots=True)
class Batch:
    """Changes that are committed together: new requests with their bodies, and the numbers of those that are done.

    With `rewrite_state`, the rows of `state` replace all rows on disk; None removes one. Of the outbox, `messages` are
    new, those with the numbers `finished` are done, and `message_counts` is the accounting, "" if unchanged; with
    `rewrite_messages` these messages replace all on disk.
    """

    inserts: dict[int, tuple[RequestHead, bytes]] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    state: dict[str, bytes | None] = field(default_factory=dict)
    rewrite_state: bool = False
    transitions: list[TransitionRecord] = field(default_factory=list)
    messages: dict[int, StoredMessage] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)
    message_counts: str = ""
    rewrite_messages: bool = False
    ledger: Ledger = _NO_LEDGER

    def merge(self, later: Batch) -> None:
        """Add the changes of a later batch, so that both together are committed with its ledger."""
        self.inserts |= later.inserts
        # Those that were not written yet need no deletion, unless a commit that seemed to fail did write them.
        for number in later.removed:
            self.inserts.pop(number, None)
        self.removed += later.removed
        if later.rewrite_state:
            self.state.clear()
        self.state |= later.state
        self.rewrite_state = self.rewrite_state or later.rewrite_state
        self.transitions += later.transitions
        self._merge_messages(later)
        self.ledger = later.ledger

    def _merge_messages(self, later: Batch) -> None:
        if later.rewrite_messages:
            self.messages.clear()
        self.messages |= later.messages
        for number in later.finished:
            self.messages.pop(number, None)
        self.finished += later.finished
        self.message_counts = later.message_counts or self.message_counts
        self.rewrite_messages = self.rewrite_messages or later.rewrite_messages

    @property
    def needs_database(self) -> bool:
        """Whether it is more than acknowledgements; after a clean shutdown the database alone has everything."""
        has_messages = self.messages or self.finished or self.message_counts or self.rewrite_messages
        return bool(
            self.inserts
            or self.state
            or self.rewrite_state
            or self.transitions
            or has_messages
            or self.ledger.clean_shutdown
        )


def request_row(head: RequestHead, body: bytes) -> schema.Row:
    """Return the row of a request; its head has a checksum of its own, as it is read without the body."""
    return schema.with_checksum(*schema.with_checksum(*head), body)


def transition_row(record: TransitionRecord) -> schema.Row:
    """Return the row of a transition."""
    columns = (record.sequence, float(record.timestamp), record.namespace, record.name, record.type, record.body)
    return schema.with_checksum(*columns)


def message_row(message: StoredMessage) -> schema.Row:
    """Return the row of a message."""
    return schema.with_checksum(*message)
