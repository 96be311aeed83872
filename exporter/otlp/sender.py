"""The loop that takes records from the queue, one at a time and in order, and gets each over with."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from google.protobuf.message import DecodeError

from exporter import log
from exporter.otlp.books import State
from exporter.otlp.pace import Clock, Pace
from exporter.otlp.queue import Loss, Record
from exporter.otlp.request import Request, halves, packed, unpacked
from exporter.otlp.verdict import Done, Hold, Later, Never, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.otlp.books import Books
    from exporter.otlp.queue import Queue
    from exporter.otlp.verdict import Outcome, Verdict

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
    State.STOPPED: (logging.INFO, "otlp has stopped"),
}


class Transport(Protocol):
    """What carries a request to the endpoint and tells what came of it."""

    async def post(self, body: bytes) -> Outcome:
        """Send a body; never raises."""

    def renewed(self) -> bool:
        """Return whether there is another credential than the one last sent."""


@dataclass(slots=True)
class Tally:
    """What became of the parts of one record, what was said of the last, and the requests beyond the first."""

    accepted: int = 0
    rejected: int = 0
    losses: list[Loss] = field(default_factory=list)
    taken: bool = False
    message: str = ""
    probes: int = 0


class Sender:
    """Delivers a queue's records over a transport and keeps the books; one request is under way at a time."""

    def __init__(
        self, queue: Queue, transport: Transport, books: Books, pace: Pace | None = None, clock: Clock | None = None
    ) -> None:
        self._queue = queue
        self._transport = transport
        self._books = books
        self._pace = pace or Pace()
        self._clock = clock or Clock()
        self._arrival = asyncio.Event()
        self._told = float("-inf")

    def notice(self) -> None:
        """Say that something was put into the queue."""
        self._arrival.set()

    async def run(self) -> None:
        """Deliver until cancelled, which it may be at any moment: what is not acknowledged stays in the queue."""
        while True:
            await self._drain()
            self._arrival.clear()
            await self._arrival.wait()

    async def flush(self, seconds: float) -> bool:
        """Deliver what is queued, for so long at most, once `run` was cancelled; return whether nothing is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._drain()
        self._turn(State.STOPPED, f"{self._queue.points} points are left")
        return not len(self._queue)

    async def _drain(self) -> None:
        while record := self._queue.head():
            tally = await self._deliver(record)
            if tally is None:
                continue
            if self._queue.acknowledge(record):
                self._books.settle(tally.accepted, tally.rejected, tally.losses)
            self._turn(State.DELIVERING if tally.taken else State.REFUSED, tally.message)

    async def _deliver(self, record: Record) -> Tally | None:
        """Get a record over with, in halves where it is refused as a whole; None when it was given up meanwhile."""
        tally = Tally()
        parts = [record]
        while parts:
            part = parts.pop()
            verdict = await self._settled(part, record)
            if verdict is None:
                return None
            smaller = _smaller(part, verdict, tally)
            parts.extend(reversed(smaller))
            if not smaller:
                self._count(part, verdict, tally)
        return tally

    async def _settled(self, part: Record, record: Record) -> Done | Never | None:
        """Send a part of a record until there is nothing to try again, or the record is too old."""
        before: type[Verdict] | None = None
        attempt = 0
        while True:
            self._books.lose(self._queue.expire(self._clock.now()))
            if self._queue.head() is not record:
                return None
            verdict = await self._post(part)
            if isinstance(verdict, Done | Never):
                return verdict
            attempt = attempt + 1 if type(verdict) is before else 0
            before = type(verdict)
            await self._wait(verdict, attempt)

    async def _post(self, part: Record) -> Verdict:
        outcome = await self._transport.post(part.body)
        self._books.requests[outcome.code] += 1
        return judge(outcome, part.points, self._clock.now())

    async def _wait(self, verdict: Later | Hold, attempt: int) -> None:
        self._books.retried += 1
        chance = self._clock.chance()
        match verdict:
            case Later(why, after):
                self._turn(State.RETRYING, why)
                await self._clock.sleep(self._pace.retry(attempt, after, chance))
            case Hold(why):
                self._turn(State.HOLDING, why)
                await self._hold(self._pace.hold(attempt, chance))

    async def _hold(self, seconds: float) -> None:
        """Wait for so long, or until there is another credential."""
        left = seconds
        while left > 0 and not self._transport.renewed():
            await self._clock.sleep(min(left, GLANCE))
            left -= GLANCE

    def _count(self, part: Record, verdict: Done | Never, tally: Tally) -> None:
        match verdict:
            case Done(accepted, rejected, message):
                tally.accepted += accepted
                tally.rejected += rejected
                tally.taken = True
                self._taken(part, rejected, message)
            case Never(reason, message):
                tally.losses.append(Loss(reason, part.points))
                self._tell("otlp points are refused", part.points, message)
        tally.message = message or tally.message

    def _taken(self, part: Record, rejected: int, message: str) -> None:
        now = self._clock.now()
        self._books.last_success = now
        self._books.lag = now - part.at
        if message or rejected:
            self._books.warnings += 1
            self._tell("otlp points are taken with a warning", rejected, message)

    def _turn(self, state: State, why: str) -> None:
        """Take on a state; log when it is another."""
        self._books.why = log.SECRETS.mask(why)
        if state is not self._books.state:
            self._books.state = state
            level, event = EVENTS[state]
            LOG.log(level, event, extra=log.fields(why=self._books.why))

    def _tell(self, event: str, points: int, why: str) -> None:
        """Log that points were not taken, now and then."""
        if (now := self._clock.now()) >= self._told + QUIET:
            self._told = now
            LOG.warning(event, extra=log.fields(points=points, why=why))


def _smaller(part: Record, verdict: Done | Never, tally: Tally) -> Sequence[Record]:
    """Return the halves to try in place of a part that was refused, none when that is no use."""
    if not (isinstance(verdict, Never) and verdict.split) or tally.probes + 2 > PROBES:
        return ()
    try:
        requests = halves(Request(unpacked(part.body), part.points))
    except (DecodeError, OSError, EOFError):
        return ()
    tally.probes += len(requests)
    pack = packed if unpacked(part.body) != part.body else bytes
    return [Record(pack(request.body), request.points, part.at) for request in requests]
