"""The sender of one destination: its messages in order, each until the destination has decided about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.otlp.delivery.loop import DeliveryLoop, SenderClock
from exporter.otlp.result import Accepted, Blocked, Permanent, Retryable
from exporter.storage.outbox import DELIVERED, REJECTED

if TYPE_CHECKING:
    from exporter.notify.model import MessageDestination
    from exporter.otlp.delivery.loop import BackoffPolicy
    from exporter.otlp.result import RequestResult
    from exporter.storage import Storage
    from exporter.storage.batch import StoredMessage

_log: Final = logging.getLogger(__name__)


class MessageSender:
    """Delivers the messages of a destination. Cancelling is safe at any moment: an unfinished message stays."""

    def __init__(
        self,
        storage: Storage,
        destination: MessageDestination,
        backoff: BackoffPolicy,
        clock: SenderClock | None = None,
    ) -> None:
        self._storage = storage
        self._destination = destination
        self._backoff = backoff
        self._clock = clock or SenderClock()
        self._loop = DeliveryLoop(self._clock)
        self._state: type[RequestResult] = Accepted

    def wake(self) -> None:
        """Wake `run` up: there may be a message."""
        self._loop.wake()

    def finish(self) -> None:
        """End `run` once there is no message, and cut the current back-off short."""
        self._loop.finish()

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self._loop.run(self._drain)

    async def _drain(self) -> None:
        attempt, previous = 0, None
        # Read again before each attempt: a message may become too old while it is retried.
        while (message := self._storage.outbox.peek(self._destination.name)) is not None:
            started = self._clock.monotonic()
            result = await self._post(message)
            self._log_state(result)
            if isinstance(result, Retryable | Blocked):
                attempt = attempt + 1 if type(result) is previous else 0
                await self._back_off(result, attempt, self._clock.monotonic() - started)
            else:
                self._storage.outbox.finish(message, _finished(result))
                await self._storage.commit()
            previous = type(result)

    async def _post(self, message: StoredMessage) -> RequestResult:
        try:
            return await self._destination.client.post(message.body)
        except Exception:  # noqa: BLE001 - a bug of the exporter costs one message, but never stops delivery
            _log.exception("message failed with an internal error; please report this")
            return Permanent("fault", "internal error of the exporter; see its log")

    async def _back_off(self, result: Retryable | Blocked, attempt: int, elapsed: float) -> None:
        jitter = self._clock.jitter()
        if isinstance(result, Retryable):
            spent = elapsed if result.unanswered else 0.0
            await self._loop.sleep(self._backoff.retry_delay(attempt, result.retry_after, jitter, spent))
            return
        delay = self._backoff.blocked_delay(attempt, jitter)
        await self._loop.sleep_blocked(delay, self._destination.client.credentials_changed)

    def _log_state(self, result: RequestResult) -> None:
        """Log a message that is lost, and each change between working, retrying and holding."""
        fields = log.fields(destination=self._destination.name, reason=log.REDACTOR.redact(result.message))
        if isinstance(result, Permanent):
            _log.error("message rejected by its destination", extra=fields)
        elif type(result) is not self._state:
            level, event = _STATE_EVENTS[type(result)]
            _log.log(level, event, extra=fields)
            self._state = type(result)


_STATE_EVENTS: Final[dict[type[RequestResult], tuple[int, str]]] = {
    Accepted: (logging.INFO, "messages are delivered again"),
    Retryable: (logging.WARNING, "messages are retried"),
    Blocked: (logging.ERROR, "messages held: fix credential or address"),
}


def _finished(result: Accepted | Permanent) -> str:
    """Return what the outbox counts; a bug of ours is no verdict of the destination."""
    if isinstance(result, Accepted):
        return DELIVERED
    return result.reason if result.reason == "fault" else REJECTED
