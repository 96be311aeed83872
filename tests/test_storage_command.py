"""Delivery with a database, and the command `storage`."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands.storage import drain
from exporter.config.load import load
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service.cycle_store import storage_config, storage_metrics
from exporter.service.delivery import DeliveryService
from exporter.storage import Storage
from exporter.storage.model import CycleCommit, QueuedRequest

from .otlp.backend import Backend, status
from .otlp.helpers import gauge, snapshot
from .otlp.pipeline import put_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from exporter.config.settings import Settings

NOW = 1_800_000_000.0


def _options(directory: Path | None, url: str = "http://127.0.0.1:1") -> dict[str, str]:
    storage = {"storage.directory": str(directory), "storage.max_age": "3650d"} if directory else {}
    return {"otlp.endpoint": url.removesuffix("/v1/metrics"), "attributes.cluster": "none", **storage}


def _settings(directory: Path | None, backend: Backend) -> Settings:
    return load(None, {}, _options(directory, backend.url)).settings


class _Service:
    """A delivery service with its storage, as the application builds them."""

    def __init__(self, settings: Settings) -> None:
        self.accounting, self.self_metrics = DeliveryAccounting(), SelfMetrics("a", NOW)
        self.storage = Storage(storage_config(settings), self.accounting)
        self.self_metrics.register_callback(partial(storage_metrics, self.storage))
        self.delivery = DeliveryService(settings, self.self_metrics, self.storage, self.accounting)

    async def enqueue(self, *numbers: float) -> None:
        points = gauge("x", *(({"i": str(i)}, i) for i in numbers))
        await put_all(self.storage, await self.delivery.producer.requests(snapshot(points)))

    async def until_sent(self) -> None:
        async with asyncio.timeout(20):
            while self.accounting.queued:
                await asyncio.sleep(0.005)

    def value(self, metric: OwnMetric) -> float:
        (family,) = (family for family in self.self_metrics.families() if family.name == metric.value.name)
        return family.values[0]


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[_Service]:
    service = _Service(settings)
    service.storage.start()
    async with service.delivery:
        yield service
    await asyncio.to_thread(service.storage.close, 10)


async def test_undelivered_requests_are_delivered_by_the_next_process(backend: Backend, tmp_path: Path) -> None:
    backend.default_reply = status(503)
    async with _service(_settings(tmp_path, backend)) as first:
        await first.enqueue(1, 2)
        await first.enqueue(3)
        await first.delivery.drain(0.05)
    assert backend.stored == []
    backend.default_reply = status(200)
    async with _service(_settings(tmp_path, backend)) as second:
        assert second.value(OwnMetric.POINTS_MADE) == 3
        await second.until_sent()
        assert second.value(OwnMetric.POINTS_DELIVERED) == second.value(OwnMetric.POINTS_MADE) == 3
        assert second.storage.counters_since == first.storage.counters_since
    assert backend.stored == [1, 2, 3]


async def test_a_directory_that_cannot_be_used_has_a_metric_and_a_reason(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with _service(_settings(tmp_path / "file", backend)) as service:
        assert service.value(OwnMetric.STORAGE_DEGRADED) == 1
        reason = service.storage.degraded_reason
        assert re.search(r"storage\.directory .*/file is not a directory: choose another", reason)
        await service.enqueue(1)
        await service.until_sent()
    assert backend.stored == [1]


async def test_without_a_directory_storage_is_not_degraded(backend: Backend) -> None:
    async with _service(_settings(None, backend)) as service:
        assert (service.storage.degraded_reason, service.value(OwnMetric.STORAGE_DEGRADED)) == ("", 0)


async def test_drain_delivers_the_queued_requests(backend: Backend, tmp_path: Path) -> None:
    backend.default_reply = status(503)
    settings = _settings(tmp_path, backend)
    async with _service(settings) as first:
        await first.enqueue(1, 2, 3)
        await first.delivery.drain(0)
    backend.default_reply = status(200)
    result = await drain(settings, 20)
    assert (result.lines, result.ok) == (["3 points queued: 3 delivered, 0 rejected, 0 dropped, 0 remaining"], True)
    backend.default_reply = status(503)
    async with _service(settings) as second:
        await second.enqueue(4)
        await second.delivery.drain(0)
    result = await drain(settings, 0.05)
    assert not result.ok
    assert result.lines[0].startswith("1 points queued: 0 delivered, 0 rejected, 0 dropped, 1 remaining (")


# At the command line -------------------------------------------------------------------------------------------------


def _run(*arguments: str, directory: Path | None, command: str = "storage") -> tuple[int, list[str]]:
    options = [part for key, value in _options(directory).items() for part in ("-s", f"{key}={value}")]
    result = CliRunner().invoke(main, [*options, command, *arguments])
    return result.exit_code, result.output.splitlines()


def _open(directory: Path) -> tuple[Storage, DeliveryAccounting]:
    accounting = DeliveryAccounting()
    return Storage(storage_config(load(None, {}, _options(directory)).settings), accounting), accounting


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a directory with six requests of 1 to 6 points, and two rows of state."""
    storage, _ = _open(tmp_path)
    for points in range(1, 7):
        storage.queue.put(QueuedRequest(b"x" * 100 * points, points, NOW + points))
    asyncio.run(_commit(storage))
    storage.close(10)
    return tmp_path


async def _commit(storage: Storage) -> None:
    storage.start()
    assert await storage.commit(CycleCommit({"tick": b"[1]", "rollout/shop/cart": b"[2]"}))
