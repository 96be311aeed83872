"""The real process and its backend: the books at every scrape, and an end of which the exit status tells the truth."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families

from exporter.net.gzip import gunzip_body
from exporter.otlp.encode.protobuf import Request
from exporter.self_metrics import OwnMetric
from tests.otlp.backend import Backend, dawdle, status
from tests.otlp.grpc_backend import GrpcBackend
from tests.otlp.helpers import metrics, points
from tests.process import exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.process import Exporter

SECRET = "c2VjcmV0OnZlcnktc2VjcmV0"
LOST = 3
NOBODY = "127.0.0.1:9"


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[Backend]:
    server = Backend()
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def running(folder: Path, endpoint: str, target: str = NOBODY, **otlp: object) -> AsyncIterator[Exporter]:
    """Run an exporter that has nobody to ask, and so only its own metrics to push."""
    authorization = folder / "authorization"
    authorization.write_text(f"Basic {SECRET}\n")
    settings = {
        "argo": {"targets": [target], "interval": "200ms"},
        "kube_state_metrics": {"targets": []},
        "otlp": {"endpoint": endpoint, "authorization_file": str(authorization), **otlp},
        "attributes": {"k8s.cluster.name": "test"},
        "web": {"listen": "127.0.0.1:0"},
        "log": {"level": "debug"},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    async with exporter(file) as process:
        yield process
    assert SECRET not in process.log


def told(process: Exporter) -> dict[str, int]:
    (line,) = [line for line in process.log.splitlines() if " stopped " in line]
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_was_made_is_delivered_before_the_end(
    tmp_path: Path, backend: Backend, number: signal.Signals
) -> None:
    async with running(tmp_path, backend.url) as process:
        await until(lambda: len(backend.seen) > 2)
        process.process.send_signal(number)
        assert await process.wait() == 0
    books = told(process)
    assert books == {"delivered": len(backend.stored), "kept": 0, "lost": 0, "dropped": 0}


async def test_a_long_wait_is_cut_short_at_once_and_all_is_delivered(tmp_path: Path, backend: Backend) -> None:
    backend.replies = [status(429, Retry_After="600")]
    async with running(tmp_path, backend.url) as process:
        await process.say("delivery retrying")
        await asyncio.sleep(0.5)
        assert len(backend.seen) == 1
        began = time.monotonic()
        assert await process.stop() == 0
        assert time.monotonic() - began < 3
    assert told(process)["delivered"] == len(backend.stored) > 0


async def test_what_memory_cannot_keep_is_counted_and_the_exit_status_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, f"http://{NOBODY}", grace="300ms") as process:
        await process.say("delivery retrying")
        began = time.monotonic()
        assert await process.stop() == LOST
        assert time.monotonic() - began < 4
    books = told(process)
    assert (books["delivered"], books["kept"]) == (0, 0)
    assert books["lost"] > 0


async def test_what_the_disk_keeps_is_not_lost_and_is_delivered_by_the_next_process(
    tmp_path: Path, backend: Backend
) -> None:
    await backend.stop()
    queue = {"directory": str(tmp_path / "queue")}
    async with running(tmp_path, backend.url, grace="100ms", queue=queue) as process:
        await process.say("delivery retrying")
        assert await process.stop() == 0
    books = told(process)
    assert (books["delivered"], books["lost"]) == (0, 0)
    await backend.start()
    async with running(tmp_path, backend.url, queue=queue) as process:
        await until(lambda: len(backend.seen) > 1)
        assert await process.stop() == 0
    assert told(process)["delivered"] == len(backend.stored) > books["kept"] > 0


async def test_the_end_of_the_process_ends_no_series(tmp_path: Path, backend: Backend) -> None:
    target = Backend(always=status(200, b'rollout_info{namespace="shop",name="cart",phase="Paused"} 1\n'))
    await target.start()
    async with running(tmp_path, backend.url, f"127.0.0.1:{target.port}") as process:
        await until(lambda: len(target.seen) > 2 and len(backend.seen) > 2)
        assert await process.stop() == 0
    await target.stop()
    sent = [one for seen in backend.seen for one in metrics(Request(gunzip_body(seen.body), 0))]
    assert "rollout_info" in {metric.name for metric in sent}
    assert {point.flags for metric in sent for point in points(metric)} == {0}


async def test_scraping_ends_at_once_and_a_second_signal_forces_the_end(tmp_path: Path, backend: Backend) -> None:
    backend.always = dawdle
    target = Backend()
    await target.start()
    async with running(tmp_path, backend.url, f"127.0.0.1:{target.port}", grace="60s") as process:
        await until(lambda: target.seen and backend.seen)
        process.process.send_signal(signal.SIGTERM)
        await process.say("stopping")
        await asyncio.sleep(0.1)
        asked = len(target.seen)
        await asyncio.sleep(0.6)
        assert process.process.returncode is None
        assert len(target.seen) == asked
        began = time.monotonic()
        assert await process.stop() == LOST
        assert time.monotonic() - began < 1
    await target.stop()
    assert told(process)["lost"] > 0


async def test_grpc_is_spoken_by_the_real_process(tmp_path: Path) -> None:
    backend = GrpcBackend()
    await backend.start()
    try:
        async with running(tmp_path, backend.target, protocol="grpc", insecure=True) as process:
            await until(lambda: len(backend.taken) > 2)
            assert await process.stop() == 0
    finally:
        await backend.stop()
    assert told(process) == {"delivered": len(backend.stored), "kept": 0, "lost": 0, "dropped": 0}
    assert {metadata["authorization"] for metadata in backend.metadata} == {f"Basic {SECRET}"}


BOOKS = (OwnMetric.POINTS_DELIVERED, OwnMetric.POINTS_REJECTED, OwnMetric.POINTS_DROPPED, OwnMetric.POINTS_QUEUED)
TOLD = (
    *BOOKS,
    OwnMetric.POINTS_MADE,
    OwnMetric.QUEUE_BYTES,
    OwnMetric.QUEUE_AGE,
    OwnMetric.REQUESTS,
    OwnMetric.REQUESTS_RETRIED,
    OwnMetric.DELIVERY_WARNINGS,
)
LATELY = (OwnMetric.LAST_DELIVERY, OwnMetric.DELIVERY_LAG, OwnMetric.DELIVERY_STATE)


async def scraped(session: aiohttp.ClientSession, url: str) -> dict[str, dict[str, float]]:
    """Return the exporter's own metrics: values by the value of their one label, "" without one."""
    async with session.get(url) as response:
        text = await response.text()
    samples: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            label = next((value for name, value in one.labels.items() if name not in {"instance", "le"}), "")
            samples.setdefault(one.name, {})[label] = one.value
    return samples


async def test_the_books_balance_at_every_scrape_and_every_row_of_delivery_is_fed(
    tmp_path: Path, backend: Backend
) -> None:
    two = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="old")
    partial = ExportMetricsServiceResponse(partial_success=two).SerializeToString()
    bad = [status(503), status(500), status(200, partial, Content_Type="application/x-protobuf")]
    backend.replies = [reply for one in bad * 3 for reply in (one, status(200))]
    async with running(tmp_path, backend.url) as process, aiohttp.ClientSession() as session:
        port = re.search(r"port (\d+)", await process.say("started"))
        assert port
        made = set[float]()
        while backend.replies or len(made) < 5:
            now = await scraped(session, f"http://127.0.0.1:{port[1]}/metrics")
            assert now[OwnMetric.POINTS_MADE.value.name][""] == sum(
                sum(now.get(own.value.name, {}).values()) for own in BOOKS
            )
            made.add(now[OwnMetric.POINTS_MADE.value.name][""])
            await asyncio.sleep(0.01)
        now = await scraped(session, f"http://127.0.0.1:{port[1]}/metrics")
        assert await process.stop() == 0
    assert now[OwnMetric.POINTS_DROPPED.value.name].keys() == {"http_500"}
    assert now[OwnMetric.POINTS_REJECTED.value.name] == {"": 6}
    assert {own.value.name for own in (*TOLD, *LATELY)} <= now.keys()
    assert now[OwnMetric.REQUESTS.value.name].keys() == {"200", "500", "503"}
    assert now[f"{OwnMetric.REQUEST_SECONDS.value.name}_count"][""] == sum(now[OwnMetric.REQUESTS.value.name].values())
    assert 0 <= now[OwnMetric.DELIVERY_LAG.value.name][""] < 60
    assert time.time() - now[OwnMetric.LAST_DELIVERY.value.name][""] < 60
    assert sum(now[OwnMetric.DELIVERY_STATE.value.name].values()) == 1
