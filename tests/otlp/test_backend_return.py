"""How soon after a backend's return the first delivery comes, by the real clock and with the settings' own pace."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from exporter.config.outputs import RetrySection
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.queue import MemoryQueue
from exporter.otlp.delivery.sender import BackoffPolicy, Sender
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.grpc import GrpcTransport
from exporter.otlp.transport.http import HttpTransport

from .grpc_backend import GrpcBackend
from .helpers import NOBODY, cycle, gauge
from .rude import deaf, rude

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from exporter.otlp.delivery.sender import Transport

AWAY = 7.3
"""Seconds that each backend is away: so long that the system by itself would ask again only after three more."""
SOON = 2.0


@asynccontextmanager
async def delivering(over: Transport) -> AsyncIterator[DeliveryAccounting]:
    """Deliver one point, for as long as it takes."""
    retry, books = RetrySection(), DeliveryAccounting()
    queue = MemoryQueue(1_000_000, float("inf"))
    sender = Sender(queue, over, books, BackoffPolicy(retry.initial, retry.longest))
    producer = RequestProducer(Encoder(NOBODY), queue, books, sender.wake, asyncio.to_thread)
    await producer.enqueue(cycle(gauge("x", ({}, 1))), time.time())
    running = asyncio.create_task(sender.run())
    yield books
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def late(over: Transport, returning: AbstractAsyncContextManager[object]) -> float:
    """Return how long after the return of a backend that was away it took to deliver, in seconds."""
    async with delivering(over) as books:
        await asyncio.sleep(AWAY)
        assert books.delivered == 0
        assert books.retries >= 1
        async with returning:
            began = time.monotonic()
            async with asyncio.timeout(10):
                while not books.delivered:
                    await asyncio.sleep(0.01)
            return time.monotonic() - began


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@asynccontextmanager
async def http_at(port: int) -> AsyncIterator[None]:
    async with rude(sock=socket.create_server(("127.0.0.1", port))):
        yield


@asynccontextmanager
async def grpc_at(port: int, before: socket.socket | None = None) -> AsyncIterator[None]:
    if before is not None:
        before.close()
    backend = GrpcBackend(port=port)
    await backend.start()
    try:
        yield
    finally:
        await backend.stop()


async def http_refusing() -> float:
    port = free_port()
    async with HttpTransport(Destination(f"http://127.0.0.1:{port}/")) as over:
        return await late(over, http_at(port))


async def http_not_heard() -> float:
    with deaf() as listening:
        async with HttpTransport(Destination(f"http://127.0.0.1:{listening.getsockname()[1]}/")) as over:
            return await late(over, rude(sock=listening))


async def grpc_refusing() -> float:
    port = free_port()
    async with GrpcTransport(Destination(f"127.0.0.1:{port}")) as over:
        return await late(over, grpc_at(port))


async def grpc_not_heard() -> float:
    with deaf() as listening:
        port = listening.getsockname()[1]
        async with GrpcTransport(Destination(f"127.0.0.1:{port}")) as over:
            return await late(over, grpc_at(port, listening))


async def test_delivery_resumes_within_two_seconds_of_the_return_of_the_backend() -> None:
    cases = (http_refusing, http_not_heard, grpc_refusing, grpc_not_heard)
    took = await asyncio.gather(*(case() for case in cases))
    late_ones = {case.__name__: seconds for case, seconds in zip(cases, took, strict=True) if seconds > SOON}
    assert late_ones == {}


async def test_a_hanging_connection_attempt_ends_long_before_the_timeout() -> None:
    with deaf() as listening:
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        async with HttpTransport(Destination(f"http://{place}/")) as http, GrpcTransport(Destination(place)) as call:
            async with asyncio.timeout(3.5):
                outcomes = await asyncio.gather(http.post(b""), call.post(b""))
    assert [outcome.code for outcome in outcomes] == ["connect", "UNAVAILABLE"]
