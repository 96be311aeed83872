"""Delivery with a database, and the command `storage`."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands.storage import drain, verify
from exporter.config.load import load
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service.cycle_store import storage_config, storage_metrics
from exporter.service.delivery import DeliveryService
from exporter.storage import Storage
from exporter.storage.model import CycleCommit, QueuedRequest

from .otlp.backend import Backend, status
from .otlp.helpers import all_requests, gauge, snapshot
from .otlp.pipeline import put_all
from .progress import ended_progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from exporter.config.settings import Settings

NOW = 1_800_000_000.0
SECRET = "Basic dXNlcjpwYXNzd29yZC1vZi1hLXN0b3Jl"


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
        await put_all(self.storage, await all_requests(self.delivery.producer, snapshot(points)))

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
    state = {"tick": b"[1]", "rollout/shop/cart": f"[{SECRET}]".encode()}
    assert await storage.commit(CycleCommit(state=state))


def test_ls_lists_files_tables_and_the_queue(stored: Path) -> None:
    code, lines = _run("ls", directory=stored)
    assert code == 0
    assert re.fullmatch(r"exporter\.db: [\d,]+ bytes", lines[0])
    assert [line for line in lines if line.startswith(("requests", "tracker_state"))] == [
        "requests: 6 rows, 2,100 bytes, since 2027-01-15T08:00:01Z",
        f"tracker_state: 2 rows, {3 + len(SECRET) + 2} bytes",
    ]
    assert lines[-1] == "21 points queued; schema 2"
    assert _run("ls", directory=stored, command="spool")[1][-4:] == lines[-4:]


def test_verify_lists_damaged_rows(stored: Path) -> None:
    code, lines = _run("verify", directory=stored)
    assert (code, len(lines)) == (0, 1)
    assert re.fullmatch(r"\d+ rows, 0 damaged", lines[0])
    file = stored / "exporter.db"
    file.write_bytes(file.read_bytes().replace(b"x" * 300, b"x" * 299 + b"y"))
    code, lines = _run("verify", directory=stored)
    assert code == 1
    assert "requests 6: its checksum does not match" in lines
    assert re.fullmatch(r"\d+ rows, \d damaged", lines[-1])


def test_verify_counts_the_rows_that_it_has_read(stored: Path) -> None:
    with ended_progress() as ended:
        result = verify(load(None, {}, _options(stored)).settings)
    rows = int(result.lines[-1].partition(" ")[0])
    assert rows == 6 + 2
    assert ended == [(rows, rows)]


def test_ls_and_verify_change_nothing_and_need_no_lock(stored: Path) -> None:
    storage, accounting = _open(stored)
    before = {path: path.read_bytes() for path in stored.iterdir() if path.suffix != ".db-shm"}
    assert _run("ls", directory=stored)[0] == _run("verify", directory=stored)[0] == 0
    assert {path: path.read_bytes() for path in stored.iterdir() if path.suffix != ".db-shm"} == before
    assert accounting.queued == 21
    storage.close(10)


def test_clear_requires_yes_and_discards_the_queue(stored: Path) -> None:
    code, lines = _run("clear", directory=stored)
    assert (code, lines[-1]) == (2, "Error: nothing was discarded; add --yes to discard the queue")
    code, lines = _run("clear", "--yes", directory=stored)
    assert (code, lines[-1]) == (0, "6 requests with 21 points discarded")
    storage, accounting = _open(stored)
    assert (accounting.queued, accounting.dropped, accounting.is_balanced) == (0, {"cleared": 21}, True)
    storage.close(10)


@pytest.mark.parametrize("arguments", [("drain",), ("clear", "--yes")])
def test_drain_and_clear_are_rejected_while_an_exporter_runs(stored: Path, arguments: tuple[str, ...]) -> None:
    storage, accounting = _open(stored)
    code, lines = _run(*arguments, directory=stored)
    assert code == 1
    assert f"error: storage.directory {stored} is in use by another process (its pid: {os.getpid()})" in lines[-1]
    assert accounting.queued == 21
    storage.close(10)


@pytest.mark.parametrize("action", ["ls", "verify", "drain"])
def test_an_error_about_the_directory_names_the_setting(action: str, tmp_path: Path) -> None:
    code, lines = _run(action, directory=None)
    assert (code, lines[-1]) == (1, "error: storage.directory is not set; set it to the directory of the database")
    if action != "drain":
        code, lines = _run(action, directory=tmp_path / "none")
        assert code == 1
        assert "has no exporter.db" in lines[-1]


def test_record_takes_a_copy_of_the_database_along_without_secrets(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "authorization").write_text(SECRET)
    options = {
        **_options(stored),
        "otlp.authorization_file": str(tmp_path / "authorization"),
        "argo.targets": "127.0.0.1:1",
        "kube_state_metrics.targets": "[]",
    }
    arguments = [part for key, value in options.items() for part in ("-s", f"{key}={value}")]
    storage, _ = _open(stored)
    result = CliRunner().invoke(main, [*arguments, "record", "--for", "1s", "--storage", str(tmp_path / "recording")])
    storage.close(10)
    assert result.exit_code == 0, result.output
    assert f"a copy of the database in {tmp_path / 'recording' / 'exporter.db'}" in result.output
    assert SECRET.encode() in (stored / "exporter.db").read_bytes()
    assert SECRET.encode() not in (tmp_path / "recording" / "exporter.db").read_bytes()
    code, lines = _run("verify", directory=tmp_path / "recording")
    assert (code, lines[0]) == (1, "tracker_state rollout/shop/cart: its checksum does not match")
