"""All destinations of the settings: the bodies of transitions, their senders, and the own metrics."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from exporter.notify.destinations import DESTINATIONS
from exporter.notify.sender import MessageSender
from exporter.otlp.delivery.loop import BackoffPolicy
from exporter.self_metrics import OwnMetric
from exporter.storage.model import OutboxMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from exporter.config.settings import Settings
    from exporter.notify.model import MessageDestination
    from exporter.rollouts.events.model import ReportedTransition
    from exporter.self_metrics import ObservedValues, SelfMetrics
    from exporter.storage import Storage

_log: Final = logging.getLogger(__name__)

BACKOFF: Final = BackoffPolicy(1.0, 30.0)
"""Longer than that of points: an event a minute late is still in time, and an API of a vendor limits its clients."""


def destinations_of(settings: Settings) -> tuple[MessageDestination, ...]:
    """Return the destinations that the settings name."""
    return tuple(destination for configured in DESTINATIONS for destination in configured(settings))


def messages_of(
    destinations: Iterable[MessageDestination], transitions: Iterable[ReportedTransition]
) -> Iterator[OutboxMessage]:
    """Yield the messages about transitions, in order; a destination that fails gets none about that transition."""
    destinations = tuple(destinations)
    for transition in transitions:
        for destination in destinations:
            try:
                bodies = tuple(destination.bodies(transition))
            except Exception:  # noqa: BLE001 - a bug in one destination must not cost a cycle
                _log.exception("no message for a destination; please report this")
                continue
            yield from (OutboxMessage(destination.name, body) for body in bodies)


class Notifier:
    """Delivers what is in the outbox of `storage` while its context lasts."""

    def __init__(self, settings: Settings, self_metrics: SelfMetrics, storage: Storage) -> None:
        self._storage = storage
        self._destinations = destinations_of(settings)
        self._senders = [MessageSender(storage, destination, BACKOFF) for destination in self._destinations]
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        storage.outbox.drop_unknown({destination.name for destination in self._destinations})
        storage.outbox.wake = self._wake
        self_metrics.register_callback(self._collect_metrics)

    def messages(self, transitions: Sequence[ReportedTransition]) -> list[OutboxMessage]:
        """Return the messages about transitions; on the worker."""
        return list(messages_of(self._destinations, transitions))

    def _wake(self) -> None:
        for sender in self._senders:
            sender.wake()

    async def __aenter__(self) -> Self:
        for destination in self._destinations:
            await self._stack.enter_async_context(destination.client)
        self._tasks = [asyncio.create_task(sender.run(), name="messages") for sender in self._senders]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def drain(self, seconds: float) -> None:
        """Deliver what is in the outbox for at most `seconds`."""
        for sender in self._senders:
            sender.finish()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _collect_metrics(self) -> ObservedValues:
        outbox = self._storage.outbox
        # At one moment, so that the counters balance in every export.
        accounts = outbox.accounts
        names = {*accounts, *(destination.name for destination in self._destinations)}
        return {
            OwnMetric.EVENTS_MADE: {name: outbox.account(name).produced for name in names},
            OwnMetric.EVENTS_DELIVERED: {name: outbox.account(name).delivered for name in names},
            OwnMetric.EVENTS_REJECTED: {name: outbox.account(name).rejected for name in names},
            OwnMetric.EVENTS_DROPPED: {
                (name, reason): count for name in names for reason, count in outbox.account(name).dropped.items()
            },
            OwnMetric.EVENTS_PENDING: {name: outbox.account(name).pending for name in names},
            OwnMetric.EVENTS_AGE: {name: outbox.age(name) for name in names},
        }
