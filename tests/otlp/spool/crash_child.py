"""A program that uses a spool and reports each step before the next, to be killed at any instruction.

python -m tests.otlp.spool.crash_child DIRECTORY FSYNC FIRST COUNT END

It puts requests FIRST, FIRST + 1, … and delivers two of every three, and more if many are pending.
On standard output: `try N` before a request is put, `put N` after the commit of that, `sent N` when it is delivered,
`acked N` after the commit of that.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.spool import Fsync, Spool

from .harness import LIMITS, NOW, number_of, request_for

if TYPE_CHECKING:
    from collections.abc import Callable


MAX_PENDING = 60
"""Pending requests at most, so that none is dropped."""


class InlineExecutor(ThreadPoolExecutor):
    """Runs everything in the calling thread, so that strace counts the calls of all threads in one sequence."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def report(word: str, number: int) -> None:
    os.write(1, f"{word} {number}\n".encode())


async def put(spool: Spool, accounting: DeliveryAccounting, number: int) -> None:
    request = request_for(number)
    report("try", number)
    accounting.count_enqueued(request.points)
    accounting.count_dropped(spool.put(request, NOW))
    await spool.commit()
    report("put", number)


async def deliver(spool: Spool, accounting: DeliveryAccounting) -> None:
    if (request := spool.peek()) is not None:
        number = number_of(request)
        report("sent", number)
        assert spool.ack(request)
        accounting.count_acked(request.points, 0)
        await spool.commit()
        report("acked", number)


async def run(directory: Path, fsync: Fsync, first: int, total: int) -> Spool:
    asyncio.get_running_loop().set_default_executor(InlineExecutor())
    accounting = DeliveryAccounting()
    spool = Spool(directory, LIMITS, accounting, NOW, fsync)
    for number in range(first, first + total) if total else count(first):
        await put(spool, accounting, number)
        if number % 3:
            await deliver(spool, accounting)
        while len(spool) > MAX_PENDING:
            await deliver(spool, accounting)
        if number % 4 == 0:
            await spool.sync()
    return spool


def main(directory: str, fsync: str, first: str, total: str, end: str) -> None:
    spool = asyncio.run(run(Path(directory), cast("Fsync", fsync), int(first), int(total)))
    if end == "abrupt":
        os._exit(0)
    spool.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
