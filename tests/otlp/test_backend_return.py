"""The time from the return of a backend to the first delivery, by the real clock and with the default back-off."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from exporter.config.outputs import RetrySection
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.loop import BackoffPolicy
from exporter.otlp.delivery.producer import RequestProducer
from exporter.otlp.delivery.sender import Sender
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.grpc import GrpcTransport
from exporter.otlp.transport.http import HttpTransport
from exporter.storage import Storage
from exporter.storage.model import StorageConfig

from .grpc_backend import GrpcBackend
from .helpers import IDENTITY, all_requests, gauge, snapshot
from .pipeline import put_all
from .raw_server import serve_raw, unresponsive_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from exporter.otlp.delivery.sender import Transport

OUTAGE_SECONDS = 7.3
"""Seconds of the outage: long enough that the system alone would reconnect only three seconds later."""
MAX_SECONDS = 2.0


@asynccontextmanager
async def deliver_one_point(transport: Transport) -> AsyncIterator[DeliveryAccounting]:
    """Deliver one point in the background; yield the accounting."""
    retry, accounting = RetrySection(), DeliveryAccounting()
    storage = Storage(StorageConfig(), accounting)
    sender = Sender(storage, transport, accounting, BackoffPolicy(retry.initial, retry.longest))
    producer = RequestProducer(Encoder(IDENTITY), asyncio.to_thread)
    await put_all(storage, await all_requests(producer, snapshot(gauge("x", ({}, 1)))))
    running = asyncio.create_task(sender.run())
    yield accounting
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def seconds_to_deliver(transport: Transport, returning_backend: AbstractAsyncContextManager[object]) -> float:
    """Return the seconds from the return of a backend to the delivery."""
    async with deliver_one_point(transport) as accounting:
        await asyncio.sleep(OUTAGE_SECONDS)
        assert accounting.delivered == 0
        assert accounting.retries >= 1
        async with returning_backend:
            started = time.monotonic()
            async with asyncio.timeout(10):
                while not accounting.delivered:
                    await asyncio.sleep(0.01)
            return time.monotonic() - started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@asynccontextmanager
async def http_at(port: int) -> AsyncIterator[None]:
    async with serve_raw(sock=socket.create_server(("127.0.0.1", port))):
        yield


@asynccontextmanager
async def grpc_at(port: int, unresponsive: socket.socket | None = None) -> AsyncIterator[None]:
    if unresponsive is not None:
        unresponsive.close()
    backend = GrpcBackend(port=port)
    await backend.start()
    try:
        yield
    finally:
        await backend.stop()


async def http_refusing() -> float:
    port = free_port()
    async with HttpTransport(Destination(f"http://127.0.0.1:{port}/")) as transport:
        return await seconds_to_deliver(transport, http_at(port))


async def http_unresponsive() -> float:
    with unresponsive_socket() as listening:
        async with HttpTransport(Destination(f"http://127.0.0.1:{listening.getsockname()[1]}/")) as transport:
            return await seconds_to_deliver(transport, serve_raw(sock=listening))


async def grpc_refusing() -> float:
    port = free_port()
    async with GrpcTransport(Destination(f"127.0.0.1:{port}")) as transport:
        return await seconds_to_deliver(transport, grpc_at(port))


async def grpc_unresponsive() -> float:
    with unresponsive_socket() as listening:
        port = listening.getsockname()[1]
        async with GrpcTransport(Destination(f"127.0.0.1:{port}")) as transport:
            return await seconds_to_deliver(transport, grpc_at(port, listening))


@pytest.mark.slow
async def test_delivery_resumes_within_two_seconds_of_the_return_of_the_backend() -> None:
    cases = (http_refusing, http_unresponsive, grpc_refusing, grpc_unresponsive)
    durations = await asyncio.gather(*(case() for case in cases))
    too_late = {case.__name__: seconds for case, seconds in zip(cases, durations, strict=True) if seconds > MAX_SECONDS}
    assert too_late == {}


@pytest.mark.slow
async def test_a_hanging_connection_attempt_ends_long_before_the_timeout() -> None:
    with unresponsive_socket() as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        async with (
            HttpTransport(Destination(f"http://{address}/")) as http,
            GrpcTransport(Destination(address)) as call,
        ):
            async with asyncio.timeout(3.5):
                outcomes = await asyncio.gather(http.post(b""), call.post(b""))
    assert [outcome.code for outcome in outcomes] == ["connect", "UNAVAILABLE"]
