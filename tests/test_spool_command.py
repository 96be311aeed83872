"""Delivery with a spool, and the command `spool`."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands.spool import drain
from exporter.config.load import load
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service.delivery import PERSISTENT_COUNTERS, DeliveryService

from .otlp.backend import Backend, status
from .otlp.helpers import gauge, snapshot
from .otlp.spool.harness import NOW, SpoolHarness

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config.settings import Settings

STARTED = NOW + 60


def _options(directory: Path | None, url: str = "http://127.0.0.1:1") -> dict[str, str]:
    spool = {"storage.directory": str(directory), "storage.max_age": "1000000h"} if directory else {}
    return {"otlp.endpoint": url.removesuffix("/v1/metrics"), "attributes.cluster": "none", **spool}


def _settings(directory: Path, backend: Backend) -> Settings:
    return load(None, {}, _options(directory, backend.url)).settings


def _value(self_metrics: SelfMetrics, metric: OwnMetric) -> float:
    (family,) = (family for family in self_metrics.families() if family.name == metric.value.name)
    return family.values[0]


async def _enqueue(service: DeliveryService, *numbers: float) -> None:
    await service.producer.enqueue(snapshot(gauge("x", *(({"i": str(i)}, i) for i in numbers))), NOW)


async def _until_sent(service: DeliveryService) -> None:
    async with asyncio.timeout(20):
        while service.accounting.queued:
            await asyncio.sleep(0.005)


async def test_undelivered_requests_are_delivered_by_the_next_process(backend: Backend, tmp_path: Path) -> None:
    backend.default_reply = status(503)
    async with DeliveryService(_settings(tmp_path, backend), SelfMetrics("a", STARTED)) as first:
        await _enqueue(first, 1, 2)
        await _enqueue(first, 3)
        assert await first.drain(0.05)
    assert backend.stored == []
    backend.default_reply = status(200)
    self_metrics = SelfMetrics("a", STARTED + 60)
    async with DeliveryService(_settings(tmp_path, backend), self_metrics) as second:
        assert _value(self_metrics, OwnMetric.POINTS_MADE) == 3
        await _until_sent(second)
        assert _value(self_metrics, OwnMetric.POINTS_DELIVERED) == _value(self_metrics, OwnMetric.POINTS_MADE) == 3
    assert backend.stored == [1, 2, 3]


async def test_persistent_counters_keep_their_start_time_over_a_restart(backend: Backend, tmp_path: Path) -> None:
    first = SelfMetrics("a", STARTED)
    async with DeliveryService(_settings(tmp_path, backend), first) as service:
        await _enqueue(service, 1)
        await _until_sent(service)
    second = SelfMetrics("a", STARTED + 60)
    async with DeliveryService(_settings(tmp_path, backend), second):
        persistent = {metric.value.name for metric in PERSISTENT_COUNTERS}
        families = [family for family in second.families() if family.start_times]
        starts = {family.name: family.start_times[0] for family in families if family.start_times}
    assert len({starts[name] for name in persistent & starts.keys()}) == 1
    assert starts["rollouts_exporter_points_made_total"] not in {STARTED, STARTED + 60}
    assert starts["rollouts_exporter_cycles_total"] == STARTED + 60


async def test_a_degraded_spool_has_a_metric_and_a_reason(backend: Backend, tmp_path: Path) -> None:
    self_metrics = SelfMetrics("a", STARTED)
    (tmp_path / "spool").write_text("in the way")
    async with DeliveryService(_settings(tmp_path / "spool", backend), self_metrics) as service:
        assert _value(self_metrics, OwnMetric.SPOOL_ON_DISK) == 0
        assert re.search(r"storage\.directory .*/spool is not a directory: choose another", service.degraded_reason)
        await _enqueue(service, 1)
        await _until_sent(service)
    assert backend.stored == [1]


async def test_without_a_directory_there_is_no_reason_and_no_metric(backend: Backend) -> None:
    self_metrics = SelfMetrics("a", STARTED)
    async with DeliveryService(load(None, {}, _options(None, backend.url)).settings, self_metrics) as service:
        assert service.degraded_reason == ""
        assert OwnMetric.SPOOL_ON_DISK.value.name not in {family.name for family in self_metrics.families()}


@pytest.mark.slow
async def test_drained_segments_are_deleted_by_the_periodic_sync(backend: Backend, tmp_path: Path) -> None:
    async with DeliveryService(_settings(tmp_path, backend), SelfMetrics("a", STARTED)) as service:
        await _enqueue(service, *range(40_000))
        await _until_sent(service)
        async with asyncio.timeout(20):
            while any(name.endswith(".spool") for name in os.listdir(tmp_path)):  # noqa: PTH208 - the loop may wait
                await asyncio.sleep(0.05)


async def test_drain_delivers_the_queued_requests(backend: Backend, tmp_path: Path) -> None:
    backend.replies = [status(503)]
    settings = _settings(tmp_path, backend)
    async with DeliveryService(settings, SelfMetrics("a", STARTED)) as first:
        await _enqueue(first, 1, 2, 3)
        await first.drain(0)
    result = await drain(settings, 20)
    assert (result.lines, result.ok) == (["3 points queued: 3 delivered, 0 rejected, 0 dropped, 0 remaining"], True)
    backend.default_reply = status(503)
    async with DeliveryService(settings, SelfMetrics("a", STARTED)) as second:
        await _enqueue(second, 4)
        await second.drain(0)
    result = await drain(settings, 0.05)
    assert not result.ok
    assert result.lines[0].startswith("1 points queued: 0 delivered, 0 rejected, 0 dropped, 1 remaining (")


# At the command line -------------------------------------------------------------------------------------------------


def _run(*arguments: str, directory: Path | None) -> tuple[int, list[str]]:
    options = [part for key, value in _options(directory).items() for part in ("-s", f"{key}={value}")]
    result = CliRunner().invoke(main, [*options, "spool", *arguments])
    return result.exit_code, result.output.splitlines()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return a directory with records 1 to 6 pending; the first segment has five records, one of them delivered."""
    harness = SpoolHarness(tmp_path)
    harness.put(*range(7))
    harness.deliver(1)
    harness.close()
    return tmp_path


def test_ls_lists_segments_and_pending_requests(spool: Path) -> None:
    since = "since 2027-01-15T08:00:00Z"
    assert _run("ls", directory=spool) == (
        0,
        [
            f"000000000000.spool: 4 requests pending (14 points, 1,392 bytes, {since}) of 5 in 1,756 bytes",
            f"000000000001.spool: 2 requests pending (13 points, 696 bytes, {since}) of 2 in 712 bytes",
            f"2 files: 6 requests pending (27 points, 2,088 bytes, {since})",
        ],
    )


def test_verify_lists_corruptions(spool: Path) -> None:
    assert _run("verify", directory=spool) == (0, ["7 requests in 2 files, 0 corruptions"])
    file = spool / "000000000000.spool"
    content = bytearray(file.read_bytes())
    content[16 + 348 + 100] ^= 1
    content[16 + 2 * 348] ^= 1
    file.write_bytes(content)
    code, lines = _run("verify", directory=spool)
    assert (code, lines[2]) == (1, "6 requests in 2 files, 2 corruptions")
    assert set(lines[:2]) == {
        "000000000000.spool: offset 364, 348 bytes: the body is damaged (2 points)",
        "000000000000.spool: offset 712, 348 bytes: no valid record header (3 points)",
    }


def test_ls_and_verify_change_nothing_and_need_no_lock(spool: Path) -> None:
    harness = SpoolHarness(spool)
    before = {path: path.read_bytes() for path in spool.iterdir()}
    assert _run("ls", directory=spool)[0] == _run("verify", directory=spool)[0] == 0
    assert {path: path.read_bytes() for path in spool.iterdir()} == before
    assert harness.deliver() == [1, 2, 3, 4, 5, 6]


def test_clear_requires_yes_and_discards_the_queue(spool: Path) -> None:
    code, lines = _run("clear", directory=spool)
    assert (code, lines[-1]) == (2, "Error: nothing was discarded; add --yes to discard the queue")
    code, lines = _run("clear", "--yes", directory=spool)
    assert (code, lines[-1]) == (0, "6 requests with 27 points discarded")
    harness = SpoolHarness(spool)
    assert (harness.deliver(), harness.accounting.dropped) == ([], {"cleared": 27})


@pytest.mark.parametrize("arguments", [("drain",), ("clear", "--yes")])
def test_drain_and_clear_are_rejected_while_an_exporter_runs(spool: Path, arguments: tuple[str, ...]) -> None:
    harness = SpoolHarness(spool)
    code, lines = _run(*arguments, directory=spool)
    assert code == 1
    assert f"error: storage.directory {spool} is in use by another process" in lines[-1]
    assert harness.deliver() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("action", ["ls", "verify", "drain"])
def test_an_error_about_the_directory_names_the_setting(action: str, tmp_path: Path) -> None:
    code, lines = _run(action, directory=None)
    assert (code, lines[-1]) == (1, "error: storage.directory is not set; set it to the directory of the spool")
    if action != "drain":
        code, lines = _run(action, directory=tmp_path / "none")
        assert code == 1
        assert lines[-1].endswith("no such file or directory; check the path")
