"""A scripted life of a storage: cycles, deliveries, ends; each step is noted, so that the oracle can follow it.

The content of a cycle follows from its number. Notes, in the journal of shim.py: `stored N` at the start, with the
last cycle of the state, or `blank` if nothing could be read; `try N` before cycle N is handed over, `put N` or `held N`
after its commit (held: in memory only), `sent N R` or `rejected N R` when the store has decided on request R of it,
`lost` if that answer does not arrive, `acked` or `forgot` after the commit of the acknowledgement; `message N` when the
destination has the message of cycle N, `finished N` after the commit of that.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.storage import (
    CycleCommit,
    OutboxMessage,
    QueuedRequest,
    StorageConfig,
    StorageLimits,
    TransitionRecord,
    flusher,
    writer,
)
from exporter.storage.clock import Clocks
from exporter.storage.outbox import DELIVERED
from exporter.storage.storage import Storage
from tests.storage.oracle import ConservationOracle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from exporter.storage.model import Fsync

START: Final = 1_800_000_000.0
ROLLOUTS: Final = 5
DESTINATION: Final = "hook"
LIMITS: Final = StorageLimits(patience=20.0, reserve=0)
"""Without a bound on time, so that a loaded machine does not cause memory mode."""


def hurry(checkpoint_interval: float = 0.02) -> None:
    """Let this process retry, sync and checkpoint after milliseconds, so that a short life contains all of it."""
    vars(writer).update(RETRY_INTERVAL=0.01)
    vars(flusher).update(SYNC_INTERVAL=0.003, CHECKPOINT_INTERVAL=checkpoint_interval)


def request_count(cycle: int) -> int:
    """Return how many requests a cycle puts: none to two."""
    return (1, 2, 1, 0)[cycle % 4]


def points_of(cycle: int, request: int) -> dict[Any, object]:
    """Return the points of a request, by series and time."""
    return {(f"series {request}.{number}", cycle): cycle * 10 + number for number in range(cycle % 3 + 1)}


def points_of_cycle(cycle: int) -> dict[Any, object]:
    """Return all points of a cycle."""
    return {
        point: value for request in range(request_count(cycle)) for point, value in points_of(cycle, request).items()
    }


def request_for(cycle: int, request: int) -> QueuedRequest:
    """Return a request; a fourth of them fill more than one page of the database."""
    rng = random.Random(10 * cycle + request)
    body = b"%d %d " % (cycle, request) + rng.randbytes(rng.choice([30, 300, 1500, 9000]))
    return QueuedRequest(body, len(points_of(cycle, request)), START + cycle)


def number_of(request: QueuedRequest) -> tuple[int, int]:
    """Return cycle and number of a request; fail if its content differs."""
    cycle, number, _ = request.body.split(b" ", 2)
    assert request == request_for(int(cycle), int(number)), "altered"
    return int(cycle), int(number)


def state_after(cycles: Sequence[int]) -> dict[str, bytes | None]:
    """Return the rows of the tracker's state after some cycles: for each rollout the last cycle that changed it."""
    return {f"rollout {cycle % ROLLOUTS}": b"%d" % cycle for cycle in cycles}


@dataclass(slots=True)
class Life:
    """An open storage, used as cycle and sender use it."""

    directory: Path | None
    note: Callable[[str], object] = lambda _: None
    fsync: Fsync = "always"
    limits: StorageLimits = LIMITS
    clocks: Clocks = field(default_factory=Clocks)
    accounting: DeliveryAccounting = field(default_factory=DeliveryAccounting)
    cycles: list[int] = field(default_factory=list)
    read_timeout: float | None = None
    """Seconds that a delivery waits for a disk that fails, and need not answer."""
    storage: Storage = field(init=False)

    def __post_init__(self) -> None:
        config = StorageConfig(self.directory, self.limits, self.fsync, "test")
        self.storage = Storage(config, self.accounting, self.clocks)

    async def start(self) -> None:
        """Start the writer, and note which cycle is the last of the state, or that nothing could be read."""
        self.storage.start()
        self.cycles = sorted(map(int, self.storage.state.values()))
        if self.storage.rewrite_state:
            self.note("blank")
        else:
            self.note(f"stored {max(self.cycles, default=0)}")

    async def put(self, cycle: int) -> bool:
        """Perform a cycle; return whether it is durable."""
        self.note(f"try {cycle}")
        self.cycles.append(cycle)
        complete = self.storage.rewrite_state
        rows = state_after(self.cycles if complete else [cycle])
        for request in range(request_count(cycle)):
            self.storage.queue.put(request_for(cycle, request))
        transition = TransitionRecord(START + cycle, "shop", "cart", "started", b"%d" % cycle)
        message = OutboxMessage(DESTINATION, b"%d" % cycle)
        durable = await self.storage.commit(CycleCommit(rows, complete, [transition], [message]))
        self.note(f"{'put' if durable else 'held'} {cycle}")
        return durable

    async def send(self, answer: str = "accepted") -> bool:
        """Send the oldest request and get an answer: accepted, rejected or lost; return whether there was a request."""
        if (request := await self._peek()) is None:
            return False
        cycle, number = number_of(request)
        self.note(f"{'rejected' if answer == 'rejected' else 'sent'} {cycle} {number}")
        if answer == "lost":
            self.note("lost")
            return True
        assert self.storage.queue.ack(request)
        rejected = request.points if answer == "rejected" else 0
        self.accounting.count_acked(request.points - rejected, rejected)
        self.note("acked" if await self.storage.commit(CycleCommit()) else "forgot")
        return True

    async def send_message(self) -> bool:
        """Deliver the oldest message; return whether there was one."""
        message = self.storage.outbox.peek(DESTINATION)
        if message is None:
            return False
        self.note(f"message {int(message.body)}")
        self.storage.outbox.finish(message, DELIVERED)
        if await self.storage.commit():
            self.note(f"finished {int(message.body)}")
        return True

    async def _peek(self) -> QueuedRequest | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.read_timeout):
                return await self.storage.queue.peek()
        return None

    async def run(self, first: int, count: int, settle: float = 0.0) -> None:
        """Perform cycles, and deliver about two of three requests; now and then wait for `settle` seconds."""
        await self.start()
        for cycle in range(first, first + count):
            await self.put(cycle)
            for _ in range(request_count(cycle) - (cycle % 4 == 0)):
                await self.send()
            if cycle % 3:
                await self.send_message()
            if settle and cycle % 4 == 0:
                await asyncio.sleep(settle)
                self.note("settled")

    def close(self) -> int:
        """End as on SIGTERM; return the points that are lost."""
        return self.storage.close(60)


@dataclass(slots=True)
class Record:
    """What the notes of several lives on one directory prove; `origins`: the cycles after which the state began."""

    oracle: ConservationOracle = field(default_factory=ConservationOracle)
    tried: list[int] = field(default_factory=list)
    committed: int = 0
    origins: list[int] = field(default_factory=lambda: [0])
    messages: set[int] = field(default_factory=set)
    finished_messages: set[int] = field(default_factory=set)
    next_cycle: int = 1
    """A number that no life has used, not even for a cycle that a kill undid."""

    def add(self, note: str) -> None:
        """Add the next note."""
        word, *numbers = note.split()
        match word, list(map(int, numbers)):
            case "blank", []:
                self.origins.append(max(self.tried, default=0))
                self.oracle.start_unreadable()
            case "stored", [cycle]:
                assert self.committed <= cycle, (self.committed, cycle)
                self.tried = [tried for tried in self.tried if tried <= cycle]
            case "try", [cycle]:
                self.tried.append(cycle)
                self.next_cycle = max(self.next_cycle, cycle + 1)
                self.oracle.issue(points_of_cycle(cycle))
            case "put" | "held", [cycle]:
                self.oracle.commit(points_of_cycle(cycle), durable=word == "put")
                self.committed = cycle if word == "put" else self.committed
            case "message" | "finished", [cycle]:
                self._add_message(cycle, finished=word == "finished")
            case "sent", [cycle, request]:
                self.oracle.deliver(points_of(cycle, request))
            case "rejected", [cycle, request]:
                self.oracle.reject(points_of(cycle, request))
            case "lost", []:
                self.oracle.lose_answer()
            case "acked" | "forgot", []:
                self.oracle.acknowledge(durable=word == "acked")
                self.committed = self.tried[-1] if word == "acked" and self.tried else self.committed

    def _add_message(self, cycle: int, *, finished: bool) -> None:
        if finished:
            self.finished_messages.add(cycle)
            return
        assert cycle not in self.finished_messages, f"message {cycle} is repeated"
        assert cycle < self.next_cycle, f"message {cycle} is invented"
        self.messages.add(cycle)

    def kill(self, synced: Record | None = None) -> None:
        """Note a kill, or a loss of power, at which only what was committed before a sync is safe."""
        self.oracle.kill(synced.oracle if synced else None)
        self.committed = synced.committed if synced else self.committed
        self.finished_messages = set(synced.finished_messages) if synced else self.finished_messages

    def end(self) -> None:
        """Note that a life ended as on SIGTERM, on a disk that works: everything is durable."""
        self.oracle.commit([])
        self.committed = max(self.tried, default=0)

    def check_end(self, directory: Path, *, may_drop: bool = False) -> None:
        """Open what is left, deliver it and a fresh point, and check that nothing was lost, invented or repeated."""
        asyncio.run(self._check_end(Life(directory, self.add), may_drop=may_drop))

    async def _check_end(self, life: Life, *, may_drop: bool) -> None:
        fresh = self.next_cycle
        await life.start()
        await self.check_rows(life)
        await life.put(fresh)
        while await life.send() or await life.send_message():
            pass
        assert may_drop or set(self.tried) <= self.messages, "messages are lost"
        assert life.storage.degraded_reason == ""
        assert life.close() == 0
        assert not (missing := self.oracle.missing()), missing
        self.oracle.check(life.accounting, may_drop=may_drop)

    async def check_rows(self, life: Life) -> None:
        """Check that state and transitions of a life that starts are those of one and the same cycle."""
        cycles = [int(transition.body) for transition in await life.storage.history.read(limit=10**6)]
        assert cycles == self.tried, (cycles[-10:], self.tried[-10:])
        states = [state_after([cycle for cycle in cycles if cycle > origin]) for origin in self.origins]
        assert life.storage.state in states, (life.storage.state, states)
