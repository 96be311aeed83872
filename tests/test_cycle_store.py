"""A cycle is one commit: its requests with the rows of the state that it changed, also after a failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exporter.config import load
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.rollouts.persistence import decode_rows
from exporter.rollouts.tracker import RolloutTracker, TrackerState
from exporter.service.cycle_store import CycleStore, read_state, storage_config
from exporter.service.wiring import tracking_policy
from exporter.service.worker import Worker
from exporter.storage import QueuedRequest, Storage
from tests.rollouts.test_state_rows import shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Cycles:
    """The cycles of one process on a directory."""

    def __init__(self, directory: Path | None, worker: Worker) -> None:
        self.settings = load(None, {}, {"storage.directory": str(directory or ""), "attributes.cluster": "eu"}).settings
        self.accounting = DeliveryAccounting()
        self.storage = Storage(storage_config(self.settings), self.accounting)
        self.storage.start()
        self.store = CycleStore(self.storage, worker, has_directory=directory is not None)

    async def commit(self, state: TrackerState, *points: int) -> bool:
        requests = [QueuedRequest(b"x", count, state.updated_at) for count in points]
        return await self.store.commit(RolloutTracker(tracking_policy(self.settings), state), requests)

    async def close(self) -> int:
        return await asyncio.to_thread(self.storage.close, 10)


@pytest.fixture
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    started.close()


async def test_the_next_process_starts_with_state_and_requests_of_the_last_cycle(
    tmp_path: Path, worker: Worker
) -> None:
    cycles = _Cycles(tmp_path, worker)
    assert await cycles.commit(shop("cart", "blog"), 3)
    assert await cycles.commit(shop("cart", timestamp=1015.0), 4, 5)
    assert await cycles.close() == 0
    cycles = _Cycles(tmp_path, worker)
    assert read_state(cycles.storage) == shop("cart", timestamp=1015.0)
    assert (cycles.accounting.queued, len(cycles.storage.queue)) == (12, 3)
    await cycles.close()


async def test_after_a_cycle_that_failed_all_rows_are_written(tmp_path: Path, worker: Worker) -> None:
    cycles = _Cycles(tmp_path, worker)
    await cycles.commit(shop("cart", "blog"))
    with pytest.raises(TypeError):
        await cycles.commit(shop("cart", timestamp=1015.0, leaders=5))  # fails after the rollouts are encoded
    await cycles.commit(shop("cart", timestamp=1015.0))
    await cycles.close()
    cycles = _Cycles(tmp_path, worker)
    assert decode_rows(cycles.storage.state) == (shop("cart", timestamp=1015.0), [])
    await cycles.close()


async def test_rows_that_cannot_be_decoded_are_logged_and_removed(
    tmp_path: Path, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    cycles = _Cycles(tmp_path, worker)
    await cycles.commit(shop("cart"))
    cycles.storage.state = {"rollout/shop/cart": b"[1]", "tick": b"[1000.0]"}
    assert read_state(cycles.storage) == TrackerState(1000.0)
    (record,) = [record for record in caplog.records if record.message == "stored state has invalid rows"]
    assert vars(record)["fields"]["rows"] == "rollout/shop/cart"
    await cycles.close()


async def test_without_a_directory_no_state_is_encoded(worker: Worker) -> None:
    cycles = _Cycles(None, worker)
    assert await cycles.commit(shop("cart"), 3)
    assert cycles.accounting.queued == 3
    assert await cycles.close() == 3


async def test_the_state_of_another_cluster_is_not_used(tmp_path: Path, worker: Worker) -> None:
    cycles = _Cycles(tmp_path, worker)
    await cycles.commit(shop("cart"))
    await cycles.close()
    other = load(None, {}, {"storage.directory": str(tmp_path), "attributes.cluster": "us"}).settings
    storage = Storage(storage_config(other), DeliveryAccounting())
    assert read_state(storage) == TrackerState()
    storage.close(10)
