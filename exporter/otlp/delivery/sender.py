"""The sender: takes requests from the queue, one at a time and oldest first, and delivers or drops each."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from exporter import log
from exporter.net.gzip import gunzip_body, is_gzip
from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.delivery.bisect import RequestBisector
from exporter.otlp.delivery.drop_log import DropLog
from exporter.otlp.delivery.loop import DeliveryLoop, SenderClock
from exporter.otlp.delivery.producer import queued_request
from exporter.otlp.delivery.suspicion import PART, REPEATED, SLOW, FailureHistory, SuspicionLimits
from exporter.otlp.encode.protobuf import ExportRequest, slice_request
from exporter.otlp.result import DEFAULT_RULES, Accepted, Blocked, Permanent, Retryable, RetryRules
from exporter.otlp.transport.response import classify
from exporter.storage.model import Drop

if TYPE_CHECKING:
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.delivery.loop import BackoffPolicy
    from exporter.otlp.delivery.probe import ProbeRequests
    from exporter.otlp.result import RequestResult
    from exporter.otlp.transport.response import TransportOutcome
    from exporter.storage import Storage
    from exporter.storage.model import QueuedRequest

_log: Final = logging.getLogger(__name__)

MAX_TRIAL_REQUESTS: Final = 20
"""Requests that a bisection may send: enough to isolate one bad point of 5,000 (see bisect.py)."""

POISON: Final = "poison"
"""The reason of drops of points that fail for minutes while the endpoint accepts others."""

MAX_POISON_TRIALS: Final = 100
"""Requests that a bisection of poison may send: it is rare, and waits for minutes anyway."""

POISON_MEMORY: Final = 600.0
"""Seconds for which further poison is found faster; then its cause is checked slowly again."""

SMALL_SHARE: Final = 10
"""Poison is found faster only if at least this many points are accepted for each bad one: then it is the points."""

LONG_DELAY: Final = 10.0
"""Seconds from which on the reason of a delay has its end, for the status page."""
LOGGED_DELAY: Final = 60.0
"""Seconds from which on each delay is logged: after a short one the log would be flooded."""

_STATE_EVENTS: Final = {
    DeliveryState.DELIVERING: (logging.INFO, "delivery working"),
    DeliveryState.RETRYING: (logging.WARNING, "delivery retrying"),
    DeliveryState.BLOCKED: (logging.ERROR, "delivery blocked: fix credential or endpoint"),
    DeliveryState.REFUSED: (logging.ERROR, "delivery failing: the endpoint refuses the request"),
}


class Transport(Protocol):
    """Sends request bodies to the endpoint over one protocol."""

    async def post(self, body: bytes) -> TransportOutcome:
        """Send a body. Never raises: errors are returned as an outcome."""

    def credentials_changed(self) -> bool:
        """Return whether the credential differs from the one last sent."""


@dataclass(slots=True)
class DeliveryTally:
    """What happened to the points of one queued request, and the last message about them."""

    accepted: int = 0
    rejected: int = 0
    drops: list[Drop] = field(default_factory=list)
    message: str = ""


@dataclass(slots=True, eq=False)
class Sender:
    """Delivers queued requests over a transport, one at a time, and accounts for their points."""

    storage: Storage
    transport: Transport
    accounting: DeliveryAccounting
    backoff: BackoffPolicy
    clock: SenderClock = field(default_factory=SenderClock)
    rules: RetryRules = DEFAULT_RULES
    probes: ProbeRequests | None = None
    _drop_log: DropLog = field(init=False)
    _poison_memory_end: float = field(default=float("-inf"), init=False)
    _loop: DeliveryLoop = field(init=False)

    def __post_init__(self) -> None:
        self._drop_log = DropLog(self.clock.monotonic)
        self._loop = DeliveryLoop(self.clock)

    def wake(self) -> None:
        """Wake `run` up: a request was queued."""
        self._loop.wake()

    def finish(self) -> None:
        """End `run` once the queue is empty, and cut the current back-off short."""
        self._loop.finish()

    async def run(self) -> None:
        """Deliver until cancelled, which is safe at any moment: a request stays queued until it is acknowledged."""
        await self._loop.run(self._drain)

    async def _drain(self) -> None:
        while request := await self.storage.queue.peek():
            try:
                tally = await self._deliver(request)
            except Exception:  # noqa: BLE001 - a bug of the exporter costs one request, but never stops delivery
                _log.exception("delivery failed with an internal error; please report this")
                drops = [Drop("fault", request.points)]
                tally = DeliveryTally(drops=drops, message="internal error of the exporter; see its log")
            if tally is None:
                continue
            # False if the queue dropped it meanwhile; its points are then counted as dropped.
            if self.storage.queue.ack(request):
                self.accounting.count_acked(tally.accepted, tally.rejected, tally.drops)
                await self.storage.commit()
            # Points are accepted or rejected only by an accepted request; those of a refused one are dropped.
            request_accepted = tally.accepted + tally.rejected > 0
            self._set_state(DeliveryState.DELIVERING if request_accepted else DeliveryState.REFUSED, tally.message)

    async def _deliver(self, request: QueuedRequest) -> DeliveryTally | None:
        """Send a request, in parts if it is refused and can be split; None when the queue dropped it meanwhile."""
        tally = DeliveryTally()
        # A single point has no other part that could be accepted.
        limits = REPEATED if self._remembers_poison and request.points > 1 else SLOW
        result = await self._send_until_final(request, request, limits)
        match result:
            case None:
                return None
            case Accepted():
                self._note_accepted(request, result, tally)
            case Permanent(can_split=True) if request.points > 1:
                return await self._bisect(request, result, tally)
            case Permanent():
                self._note_dropped(request.points, request, result, tally)
        return tally

    @property
    def _remembers_poison(self) -> bool:
        return self.clock.monotonic() < self._poison_memory_end

    async def _bisect(self, request: QueuedRequest, failure: Permanent, tally: DeliveryTally) -> DeliveryTally | None:
        """Deliver the acceptable parts of a refused request; None when the queue dropped it meanwhile."""
        is_poison = failure.reason == POISON
        max_trials, limits = (MAX_POISON_TRIALS, PART) if is_poison else (MAX_TRIAL_REQUESTS, SLOW)
        bisector = RequestBisector(request.points, max_trials, too_large=failure.too_large)
        while span := bisector.next():
            piece = _slice(request, span)
            result = await self._send_until_final(piece, request, limits)
            match result:
                case None:
                    return None
                case Accepted():
                    bisector.accepted()
                    self._note_accepted(piece, result, tally)
                case Permanent(too_large=too_large):
                    bisector.refused(span, too_large=too_large)
                    failure = result
        if is_poison:
            return await self._drop_confirmed(request, bisector.bad_spans, tally)
        self._note_dropped(sum(map(len, bisector.bad_spans)), request, failure, tally)
        return tally

    async def _drop_confirmed(
        self, request: QueuedRequest, bad_spans: list[range], tally: DeliveryTally
    ) -> DeliveryTally | None:
        """Drop those parts of a request that still fail by themselves, after minutes, while a probe is accepted."""
        is_small = SMALL_SHARE * sum(map(len, bad_spans)) <= request.points
        for span in bad_spans:
            piece = _slice(request, span)
            limits = REPEATED if is_small and self._remembers_poison else SLOW
            result = await self._send_until_final(piece, request, limits)
            match result:
                case None:
                    return None
                case Accepted():
                    self._note_accepted(piece, result, tally)
                case Permanent():
                    self._note_dropped(piece.points, request, result, tally)
                    if limits is SLOW:
                        self._poison_memory_end = self.clock.monotonic() + POISON_MEMORY
        return tally

    async def _send_until_final(
        self, piece: QueuedRequest, request: QueuedRequest, limits: SuspicionLimits
    ) -> Accepted | Permanent | None:
        """Send a piece of a queued request until it is accepted or fails for good; None when the queue drops it.

        Beyond the limits of suspicion, a failure is for good if the endpoint accepts probes.
        """
        history = FailureHistory(limits)
        previous: Retryable | Blocked | None = None
        attempt = 0
        while True:
            # Before each attempt: a request may become too old while it is retried.
            self.storage.queue.expire()
            if not self.storage.queue.is_head(request):
                return None
            started = self.clock.monotonic()
            # While delivery is blocked, a small request comes first.
            result = await self._probe(request) if isinstance(previous, Blocked) else None
            if isinstance(result, Retryable | Blocked):
                history.add_probe(self.clock.monotonic(), accepted=False)
            else:
                result = await self._post(piece)
                if isinstance(result, Accepted | Permanent):
                    return result
                if await self._is_poison(result, request, history):
                    return Permanent(POISON, f"{result.message}; other requests are accepted", can_split=True)
            # Another kind of failure has another cause, so its back-off starts again.
            attempt = attempt + 1 if type(result) is type(previous) else 0
            previous = result
            await self._back_off(result, attempt, self.clock.monotonic() - started)

    async def _is_poison(self, result: Retryable | Blocked, request: QueuedRequest, history: FailureHistory) -> bool:
        """Record a failure, and a probe if it is due; return whether the piece is poison."""
        history.add(result, self.clock.monotonic())
        if self.probes is None or not history.should_probe(self.clock.monotonic()):
            return False
        accepted = isinstance(await self._probe(request), Accepted)
        return history.add_probe(self.clock.monotonic(), accepted=accepted)

    async def _post(self, request: QueuedRequest) -> RequestResult:
        outcome = await self.transport.post(request.body)
        self.accounting.requests[outcome.code] += 1
        return classify(outcome, request.points, self.clock.now(), self.rules)

    async def _probe(self, request: QueuedRequest) -> RequestResult | None:
        """Send a probe for the request at the head of the queue; None if there are no probes."""
        if self.probes is None:
            return None
        result = await self._post(self.probes.build(request.timestamp))
        if isinstance(result, Accepted):
            # In the books like any other point.
            self.accounting.count_enqueued(result.accepted + result.rejected)
            self.accounting.count_acked(result.accepted, result.rejected)
            await self.storage.commit()
        return result

    async def _back_off(self, result: Retryable | Blocked, attempt: int, elapsed: float) -> None:
        self.accounting.retries += 1
        jitter = self.clock.jitter()
        match result:
            case Retryable(message, retry_after, unanswered):
                elapsed = elapsed if unanswered else 0.0
                delay = self.backoff.retry_delay(attempt, retry_after, jitter, elapsed)
                self._set_state(DeliveryState.RETRYING, message, delay)
                await self._loop.sleep(delay)
            case Blocked(message):
                delay = self.backoff.blocked_delay(attempt, jitter)
                self._set_state(DeliveryState.BLOCKED, message, delay)
                await self._loop.sleep_blocked(delay, self.transport.credentials_changed)

    def _note_accepted(self, piece: QueuedRequest, result: Accepted, tally: DeliveryTally) -> None:
        tally.accepted += result.accepted
        tally.rejected += result.rejected
        tally.message = result.message or tally.message
        self.accounting.last_success = self.clock.now()
        self.accounting.last_lag = self.accounting.last_success - piece.timestamp
        if result.message or result.rejected:
            self.accounting.warnings += 1
            event, fields = "points accepted with a warning", {"of": piece.points, "reason": result.message}
            self._drop_log.add(event, result.rejected, logging.WARNING, **fields)

    def _note_dropped(self, points: int, request: QueuedRequest, failure: Permanent, tally: DeliveryTally) -> None:
        if points:
            tally.drops.append(Drop(failure.reason, points))
            tally.message = failure.message
            event = "points dropped: the endpoint refuses the request"
            self._drop_log.add(event, points, of=request.points, kind=failure.reason, reason=failure.message)

    def _set_state(self, state: DeliveryState, reason: str, delay: float = 0.0) -> None:
        """Enter a state, with the delay before the next attempt; log it if it is another or the delay is long."""
        if delay >= LONG_DELAY:
            until = datetime.fromtimestamp(self.clock.now() + delay, UTC)
            reason = f"{reason}; next attempt at {until:%Y-%m-%dT%H:%M:%SZ}"
        self.accounting.state_reason = log.REDACTOR.redact(reason)
        if state is not self.accounting.state or delay >= LOGGED_DELAY:
            self.accounting.state = state
            level, event = _STATE_EVENTS[state]
            _log.log(level, event, extra=log.fields(reason=self.accounting.state_reason))


def _slice(request: QueuedRequest, span: range) -> QueuedRequest:
    """Return some points of a request as a request, compressed if that was."""
    plain = slice_request(ExportRequest(gunzip_body(request.body), request.points), span.start, span.stop)
    return queued_request(plain, request.timestamp, gzip=is_gzip(request.body))
