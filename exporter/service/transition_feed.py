"""The transitions on their way out: into the commit of their cycle, then to the log and to readers of /api/events."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.rollouts.events.document import transition_json
from exporter.storage.history import HistoryUnreadableError
from exporter.storage.model import TransitionRecord
from exporter.web.events import EventsUnavailableError, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.rollouts.events.model import ReportedTransition
    from exporter.storage.history import History
    from exporter.storage.model import OutboxMessage
    from exporter.web.events import EventFilter

_log: Final = logging.getLogger(__name__)
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode
_LOGGED_AT_ONCE: Final = 100
"""Transitions that are logged before other tasks get a turn: 10,000 of a cycle would hold the event loop for 0.7 s."""


class TransitionFeed:
    """Holds the transitions of a cycle until they are committed, so that one that fails loses none."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting: list[TransitionRecord] = []
        self._waiting_messages: list[OutboxMessage] = []
        self._next_commit = asyncio.Event()

    def add(self, records: Iterable[TransitionRecord], messages: Iterable[OutboxMessage] = ()) -> None:
        """Add the transitions of a tick, and the messages about them; they go into the next commit."""
        self._waiting += records
        self._waiting_messages += messages

    @property
    def waiting(self) -> Sequence[TransitionRecord]:
        """The transitions that are not committed yet."""
        return tuple(self._waiting)

    @property
    def waiting_messages(self) -> Sequence[OutboxMessage]:
        """The messages that are not committed yet."""
        return tuple(self._waiting_messages)

    async def committed(self) -> None:
        """Wake the readers of the transitions that were just committed, and log each."""
        records, self._waiting, self._waiting_messages = self._waiting, [], []
        if records:
            self._next_commit.set()
            self._next_commit = asyncio.Event()
        for number, record in enumerate(records, 1):
            _log.info("transition", extra=log.fields(**json.loads(record.body)))
            if number % _LOGGED_AT_ONCE == 0:
                await asyncio.sleep(0)

    # For /api/events --------------------------------------------------------------------------------------------------

    @property
    def held_since(self) -> float:
        """Since when transitions are held (Unix seconds)."""
        return self._history.held_since

    @property
    def next_commit(self) -> asyncio.Event:
        """An event that is set once more transitions are committed; take it before `read`, so that none is missed."""
        return self._next_commit

    async def read(self, filters: EventFilter) -> Sequence[StoredEvent]:
        """Return the newest transitions that pass all filters, oldest first. Raises EventsUnavailableError."""
        try:
            records = await self._history.read(
                after=filters.after,
                since=filters.since,
                namespace=filters.namespace,
                name=filters.name,
                types=filters.types,
                limit=filters.limit,
            )
        except HistoryUnreadableError as error:
            raise EventsUnavailableError(str(error)) from error
        return [StoredEvent(record.sequence, record.body) for record in records]


def transition_records(transitions: Iterable[ReportedTransition]) -> list[TransitionRecord]:
    """Return transitions as storage holds them."""
    return [_record(transition) for transition in transitions]


def _record(transition: ReportedTransition) -> TransitionRecord:
    namespace, name = transition.rollout or ("", "")
    body = _encode(transition_json(transition)).encode(errors="replace")
    return TransitionRecord(transition.timestamp, namespace, name, transition.type.value, body)
