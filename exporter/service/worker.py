"""The one thread that runs the core, so that seconds of CPU work never block the event loop.

The worker owns all mutable state of the core: the tracker with everything below it (inputs, inference, renderer,
staleness), the encoder with its caches, and the encoder of the state rows. Nothing else calls them while the exporter
runs; `once`, `replay` and the tests call them directly, since they have no event loop that could be blocked.

The event loop owns the rest: sockets, queue, accounting, self metrics, and the scrape cache, which the parser writes
while pages arrive. The worker reads none of these; a cycle scrapes first and processes then, and cycles do not overlap.

They exchange only values that are never changed afterwards: scrape results in; metrics snapshots, the tracker's
status and encoded requests out. A series or a sample batch may be read by both threads at once, since
neither caches anything when it is read.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Worker:
    """A thread that runs one function at a time, in the order of the calls; it starts with the first one."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker")

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what the function returns, or raise what it raises; it runs to its end even if this is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

    def close(self) -> None:
        """End the thread after the function that runs."""
        self._executor.shutdown()
