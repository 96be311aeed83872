"""The loop that takes records from the queue, one at a time and in order, and gets each over with."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from exporter import log
from exporter.otlp.delivery.accounting import State
from exporter.otlp.delivery.bisect import Search, Span
from exporter.otlp.delivery.queue import Loss, Record
from exporter.otlp.encode.protobuf import Request, is_packed, packed, part, unpacked
from exporter.otlp.result import judge
from exporter.otlp.transport.response import Done, Hold, Later, Never

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.otlp.delivery.queue import Queue
    from exporter.otlp.result import Outcome
    from exporter.otlp.transport.response import Verdict


# How long to wait before the next attempt, and the clock, the rest and the chance that this needs.


_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits in seconds: they double from `initial` (held requests: from `held_initial`) up to a longest.

    `longest` bounds how late a backend's return is noticed, so it is short (issue: first delivery within 2 s).
    """

    initial: float = 0.2
    longest: float = 1.5
    held_initial: float = 1.0
    held_longest: float = 300.0

    def retry(self, attempt: int, after: float | None, chance: float, spent: float = 0.0) -> float:
        """Return the wait after attempt 0, 1, …: never less than `after` (E31), spread by chance in [0, 1).

        `spent` is what of it has gone by already: an attempt that nobody answered was a wait in itself.
        """
        return (after or 0.0) + max(_step(self.initial, self.longest, attempt) * (1 - chance / 2) - spent, 0.0)

    def hold(self, attempt: int, chance: float) -> float:
        """Return the wait after attempt 0, 1, … that was refused for want of a credential or an address."""
        return _step(self.held_initial, self.held_longest, attempt) * (1 - chance / 2)


def _step(initial: float, longest: float, attempt: int) -> float:
    return min(longest, initial * 2.0 ** min(attempt, _DOUBLINGS))


async def rest(seconds: float, unless: asyncio.Event) -> None:
    """Wait for so long, or until the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock in Unix seconds, how to wait, a number from [0, 1), and seconds that only ever run on."""

    now: Callable[[], float] = time.time
    rest: Callable[[float, asyncio.Event], Awaitable[None]] = rest
    chance: Callable[[], float] = random.random
    running: Callable[[], float] = time.monotonic


# rooms


LOG: Final = logging.getLogger(__name__)

PROBES: Final = 20
"""How many more requests the search for the bad part of one may cost."""

GLANCE: Final = 1.0
"""How often a held sender looks for a new credential, in seconds."""

QUIET: Final = 60.0
"""The least time between two log lines about points that were not taken, in seconds."""

EVENTS: Final = {
    State.DELIVERING: (logging.INFO, "otlp delivers"),
    State.RETRYING: (logging.WARNING, "otlp tries again"),
    State.HOLDING: (logging.ERROR, "otlp holds what it has"),
    State.REFUSED: (logging.ERROR, "otlp is refused"),
}


class Transport(Protocol):
    """What carries a request to the endpoint and tells what came of it."""

    async def post(self, body: bytes) -> Outcome:
        """Send a body; never raises."""

    def renewed(self) -> bool:
        """Return whether there is another credential than the one last sent."""


@dataclass(slots=True)
class Tally:
    """What became of the points of one record, and what was said of them last."""

    accepted: int = 0
    rejected: int = 0
    losses: list[Loss] = field(default_factory=list)
    taken: bool = False
    message: str = ""


class Sender:
    """Delivers a queue's records over a transport and keeps the books; one request is under way at a time."""

    def __init__(
        self,
        queue: Queue,
        transport: Transport,
        books: DeliveryAccounting,
        pace: Pace | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._queue = queue
        self._transport = transport
        self._books = books
        self._pace = pace or Pace()
        self._clock = clock or Clock()
        self._arrival = asyncio.Event()
        self._haste = asyncio.Event()
        self._ending = False
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def notice(self) -> None:
        """Say that something was put into the queue."""
        self._arrival.set()

    def finish(self) -> None:
        """Have `run` end once nothing is left, and cut the present back-off short."""
        self._ending = True
        self._haste.set()
        self._arrival.set()

    async def run(self) -> None:
        """Deliver until cancelled, which it may be at any moment: what is not acknowledged stays in the queue."""
        while True:
            await self._drain()
            if self._ending:
                return
            self._arrival.clear()
            await self._arrival.wait()

    async def _drain(self) -> None:
        while record := self._queue.head():
            tally = await self._guarded(record)
            if tally is None:
                continue
            if self._queue.acknowledge(record):
                self._books.settle(tally.accepted, tally.rejected, tally.losses)
                await self._queue.secure()
            self._turn(State.DELIVERING if tally.taken else State.REFUSED, tally.message)

    async def _guarded(self, record: Record) -> Tally | None:
        """Get a record over with; a fault of our own costs this record, never delivery as a whole."""
        try:
            return await self._deliver(record)
        except Exception:
            LOG.exception("delivery failed; please report this")
            return Tally(losses=[Loss("fault", record.points)], message="a fault of the exporter's own; see its log")

    async def _deliver(self, record: Record) -> Tally | None:
        """Send a record, in parts where it is refused as a whole; None when it was given up meanwhile."""
        tally = Tally()
        verdict = await self._settled(record, record)
        match verdict:
            case None:
                return None
            case Done():
                self._take(record, verdict, tally)
            case Never(split=True) if record.points > 1:
                return await self._search(record, verdict, tally)
            case Never():
                self._lose(record.points, record, verdict, tally)
        return tally

    async def _search(self, record: Record, refusal: Never, tally: Tally) -> Tally | None:
        """Send what of a refused record is taken; None when it was given up meanwhile."""
        search = Search(record.points, PROBES, large=refusal.large)
        while span := search.next():
            piece = _piece(record, span)
            verdict = await self._settled(piece, record)
            match verdict:
                case None:
                    return None
                case Done():
                    search.taken()
                    self._take(piece, verdict, tally)
                case Never(large=large):
                    search.refused(span, large=large)
                    refusal = verdict
        self._lose(sum(map(len, search.lost)), record, refusal, tally)
        return tally

    async def _settled(self, piece: Record, record: Record) -> Done | Never | None:
        """Send a part of a record until there is nothing to try again, or the record is too old."""
        before: type[Verdict] | None = None
        attempt = 0
        while True:
            self._books.lose(self._queue.expire(self._clock.now()))
            if self._queue.head() is not record:
                return None
            began = self._clock.running()
            verdict = await self._post(piece)
            if isinstance(verdict, Done | Never):
                return verdict
            attempt = attempt + 1 if type(verdict) is before else 0
            before = type(verdict)
            await self._wait(verdict, attempt, self._clock.running() - began)

    async def _post(self, piece: Record) -> Verdict:
        outcome = await self._transport.post(piece.body)
        self._books.requests[outcome.code] += 1
        return judge(outcome, piece.points, self._clock.now())

    async def _wait(self, verdict: Later | Hold, attempt: int, spent: float) -> None:
        self._books.retried += 1
        chance = self._clock.chance()
        match verdict:
            case Later(why, after, silent):
                self._turn(State.RETRYING, why)
                await self._rest(self._pace.retry(attempt, after, chance, spent if silent else 0.0))
            case Hold(why):
                self._turn(State.HOLDING, why)
                await self._hold(self._pace.hold(attempt, chance))

    async def _hold(self, seconds: float) -> None:
        """Wait for so long, or until there is another credential."""
        while seconds > 0:
            hurried = await self._rest(min(seconds, GLANCE))
            if hurried or self._transport.renewed():
                return
            seconds -= GLANCE

    async def _rest(self, seconds: float) -> bool:
        """Wait for so long; return whether the wait was cut short, which it is once, for the end."""
        await self._clock.rest(seconds, self._haste)
        hurried = self._haste.is_set()
        self._haste.clear()
        return hurried

    def _take(self, piece: Record, done: Done, tally: Tally) -> None:
        tally.accepted += done.accepted
        tally.rejected += done.rejected
        tally.taken = True
        tally.message = done.message or tally.message
        now = self._clock.now()
        self._books.last_success = now
        self._books.lag = now - piece.at
        if done.message or done.rejected:
            self._books.warnings += 1
            self._tell("otlp points are taken with a warning", done.rejected, piece.points, done.message)

    def _lose(self, points: int, record: Record, never: Never, tally: Tally) -> None:
        """Give up so many points of a record."""
        if points:
            tally.losses.append(Loss(never.reason, points))
            tally.message = never.why
            self._tell("otlp points are refused", points, record.points, never.why)

    def _turn(self, state: State, why: str) -> None:
        """Take on a state; log when it is another."""
        self._books.why = log.SECRETS.mask(why)
        if state is not self._books.state:
            self._books.state = state
            level, event = EVENTS[state]
            LOG.log(level, event, extra=log.fields(why=self._books.why))

    def _tell(self, event: str, points: int, of: int, why: str) -> None:
        """Log that points were not taken, now and then, with how many since the last time."""
        self._untold[event] += points
        if (now := self._clock.now()) >= self._told.get(event, 0.0) + QUIET:
            LOG.warning(event, extra=log.fields(points=self._untold.pop(event), of=of, why=why))
            self._told[event] = now


def _piece(record: Record, span: Span) -> Record:
    """Return some of the points of a record as a record of their own."""
    plain = part(Request(unpacked(record.body), record.points), span.first, span.end)
    return Record(packed(plain.body) if is_packed(record.body) else plain.body, plain.points, record.at)
