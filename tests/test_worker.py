"""The worker runs one function at a time in its own thread, and hands results and errors to the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from exporter.service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    started.close()


async def test_all_functions_run_in_one_thread_one_after_another(worker: Worker) -> None:
    running: list[int] = []
    overlaps: list[int] = []

    def function(number: int) -> tuple[int, int]:
        running.append(number)
        overlaps.append(len(running))
        time.sleep(0.001)
        running.remove(number)
        return number, threading.get_ident()

    results = await asyncio.gather(*(worker.run(function, number) for number in range(20)))
    assert [number for number, _ in results] == list(range(20))
    assert {thread for _, thread in results} != {threading.get_ident()}
    assert len({thread for _, thread in results}) == 1
    assert max(overlaps) == 1


async def test_an_error_is_raised_where_the_result_is_awaited_and_the_worker_goes_on(worker: Worker) -> None:
    def fail() -> None:
        raise LookupError("no such rollout")

    with pytest.raises(LookupError, match="no such rollout"):
        await worker.run(fail)
    assert await worker.run(len, "abc") == 3


async def test_the_event_loop_runs_while_the_worker_does(worker: Worker) -> None:
    release = threading.Event()
    task = asyncio.create_task(worker.run(release.wait, 10.0))
    await asyncio.sleep(0.01)
    assert not task.done()
    release.set()
    assert await task


async def test_a_function_runs_to_its_end_although_its_caller_is_cancelled(worker: Worker) -> None:
    release, ended = threading.Event(), threading.Event()

    def function() -> None:
        release.wait(10.0)
        ended.set()

    task = asyncio.create_task(worker.run(function))
    await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    release.set()
    worker.close()
    assert ended.is_set()
