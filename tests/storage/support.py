"""What the unit tests of storage share: a storage with the accounting of delivery, and clocks that are set."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.storage import CycleCommit, QueuedRequest, StorageConfig, StorageLimits
from exporter.storage.clock import Clocks
from exporter.storage.storage import Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from exporter.storage.model import Fsync

WALL_TIME: Final = 1_800_000_000.0
LIMITS: Final = StorageLimits(patience=20.0, reserve=0)


@dataclass(slots=True)
class SetClock:
    """Clocks that stand until they are set."""

    wall_time: float = WALL_TIME
    boot_time: float = 1000.0
    boot_id: str = "boot 1"

    def clocks(self) -> Clocks:
        """Return the clocks."""
        return Clocks(lambda: self.boot_time, self.boot_id, lambda: self.wall_time)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_time += seconds
        self.boot_time += seconds


@dataclass(slots=True)
class Process:
    """One life: a storage and its accounting."""

    directory: Path | None
    limits: StorageLimits = LIMITS
    fsync: Fsync = "interval"
    cluster: str = "test"
    clock: SetClock = field(default_factory=SetClock)
    accounting: DeliveryAccounting = field(default_factory=DeliveryAccounting)
    storage: Storage = field(init=False)

    def __post_init__(self) -> None:
        config = StorageConfig(self.directory, self.limits, self.fsync, self.cluster)
        self.storage = Storage(config, self.accounting, self.clock.clocks())

    def put(self, *bodies: bytes, points: int = 10) -> None:
        """Queue a request for each body."""
        for body in bodies:
            self.storage.queue.put(request_of(body, points))

    async def commit(self, *bodies: bytes, **state: bytes | None) -> bool:
        """Commit a cycle."""
        self.put(*bodies)
        return await self.storage.commit(CycleCommit(state=state))

    async def deliver(self) -> bytes:
        """Deliver the oldest request; return its body."""
        request = await self.storage.queue.peek()
        assert request is not None
        assert self.storage.queue.ack(request)
        self.accounting.count_acked(request.points, 0)
        assert await self.storage.commit()
        return request.body

    async def deliver_all(self) -> list[bytes]:
        """Deliver all requests; return their bodies."""
        bodies = []
        while len(self.storage.queue):
            bodies.append(await self.deliver())
        return bodies

    def close(self) -> int:
        """Close the storage; return the points that were lost."""
        lost = self.storage.close(20)
        assert self.accounting.is_balanced
        return lost


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[Process]:
    """Run a process, and close it."""
    process.storage.start()
    try:
        yield process
    finally:
        process.close()


def request_of(body: bytes, points: int = 10) -> QueuedRequest:
    """Return a request."""
    return QueuedRequest(body, points, WALL_TIME)


async def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
