"""What is committed together, and how its rows look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.storage import schema
from exporter.storage.ledger import Ledger

if TYPE_CHECKING:
    from exporter.storage.model import TransitionRecord

_NO_LEDGER: Final = Ledger()


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

    With `rewrite_state`, the rows of `state` replace all rows on disk; None removes one.
    """

    inserts: dict[int, tuple[RequestHead, bytes]] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    state: dict[str, bytes | None] = field(default_factory=dict)
    rewrite_state: bool = False
    transitions: list[TransitionRecord] = field(default_factory=list)
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
        self.ledger = later.ledger

    @property
    def needs_database(self) -> bool:
        """Whether it is more than acknowledgements; after a clean shutdown the database alone has everything."""
        return bool(
            self.inserts or self.state or self.rewrite_state or self.transitions or self.ledger.clean_shutdown
        )  # fmt: skip


def request_row(head: RequestHead, body: bytes) -> schema.Row:
    """Return the row of a request; its head has a checksum of its own, as it is read without the body."""
    return schema.with_checksum(*schema.with_checksum(*head), body)


def transition_row(record: TransitionRecord) -> schema.Row:
    """Return the row of a transition."""
    columns = (record.sequence, float(record.timestamp), record.namespace, record.name, record.type, record.body)
    return schema.with_checksum(*columns)
