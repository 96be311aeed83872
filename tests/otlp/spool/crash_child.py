"""A program that lives on a spool and tells each step before the next, to be killed at any instruction.

python -m tests.otlp.spool.crash_child DIRECTORY FSYNC FIRST HOW_MANY END

It puts records FIRST, FIRST + 1, … and takes two for every three it puts, and more when many wait.
On standard output: `try N` before a record is put, `put N` when the spool has it, `sent N` when the backend has it,
`gone N` when the spool knows that.
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

from .harness import BOUNDS, NOW, number_of, record

if TYPE_CHECKING:
    from collections.abc import Callable


MOST = 60
"""Records that may wait, fewer than would be dropped."""


class Inline(ThreadPoolExecutor):
    """Runs everything in the one thread there is, so that strace counts calls through."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def say(word: str, number: int) -> None:
    os.write(1, f"{word} {number}\n".encode())


async def put(spool: Spool, books: DeliveryAccounting, number: int) -> None:
    one = record(number)
    say("try", number)
    books.count_enqueued(one.points)
    books.count_dropped(spool.put(one, NOW))
    await spool.commit()
    say("put", number)


async def take(spool: Spool, books: DeliveryAccounting) -> None:
    if (head := spool.peek()) is not None:
        number = number_of(head)
        say("sent", number)
        assert spool.ack(head)
        books.count_acked(head.points, 0)
        await spool.commit()
        say("gone", number)


async def live(directory: Path, fsync: Fsync, first: int, many: int) -> Spool:
    asyncio.get_running_loop().set_default_executor(Inline())
    books = DeliveryAccounting()
    spool = Spool(directory, BOUNDS, books, NOW, fsync)
    for number in range(first, first + many) if many else count(first):
        await put(spool, books, number)
        if number % 3:
            await take(spool, books)
        while len(spool) > MOST:
            await take(spool, books)
        if number % 4 == 0:
            await spool.sync()
    return spool


def main(directory: str, fsync: str, first: str, many: str, end: str) -> None:
    spool = asyncio.run(live(Path(directory), cast("Fsync", fsync), int(first), int(many)))
    if end == "abrupt":
        os._exit(0)
    spool.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
