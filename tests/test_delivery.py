"""The real process and its backend: the accounting at every scrape, and the exit status."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families

from exporter.net.gzip import gunzip_body
from exporter.otlp.encode.protobuf import ExportRequest
from exporter.self_metrics import OwnMetric
from tests.otlp.backend import Backend, answer_too_late, status
from tests.otlp.grpc_backend import GrpcBackend
from tests.otlp.helpers import metrics, points
from tests.process import start_exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.process import ExporterProcess

SECRET = "c2VjcmV0OnZlcnktc2VjcmV0"
EXIT_POINTS_LOST = 3
CLOSED_ADDRESS = "127.0.0.1:9"


@asynccontextmanager
async def run_exporter(
    directory: Path, endpoint: str, target: str = CLOSED_ADDRESS, storage: str = "", **otlp: object
) -> AsyncIterator[ExporterProcess]:
    """Run an exporter that scrapes a closed address, so that it exports only its own metrics."""
    authorization = directory / "authorization"
    authorization.write_text(f"Basic {SECRET}\n")
    settings = {
        "argo": {"targets": [target], "interval": "200ms"},
        "kube_state_metrics": {"targets": []},
        "otlp": {"endpoint": endpoint, "authorization_file": str(authorization), **otlp},
        "attributes": {"k8s.cluster.name": "test"},
        "storage": {"directory": storage},
        "web": {"listen": "127.0.0.1:0"},
        "log": {"level": "debug"},
    }
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    async with start_exporter(file) as process:
        yield process
    assert SECRET not in process.log


def final_counts(process: ExporterProcess) -> dict[str, int]:
    (line,) = [line for line in process.log.splitlines() if " stopped " in line]
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_queued_points_are_delivered_before_the_exit(
    tmp_path: Path, backend: Backend, number: signal.Signals
) -> None:
    async with run_exporter(tmp_path, backend.url) as process:
        await wait_until(lambda: len(backend.received) > 2)
        process.process.send_signal(number)
        assert await process.wait() == 0
    counts = final_counts(process)
    assert counts == {"delivered": len(backend.stored), "queued": 0, "lost": 0, "dropped": 0}


@pytest.mark.slow
async def test_sighup_is_logged_and_does_not_end_the_process(tmp_path: Path, backend: Backend) -> None:
    async with run_exporter(tmp_path, backend.url) as process:
        await wait_until(lambda: backend.received)
        process.process.send_signal(signal.SIGHUP)
        assert "restart it for new settings" in await process.wait_for_log("SIGHUP ignored")
        delivered = len(backend.received)
        await wait_until(lambda: len(backend.received) > delivered)
        assert await process.stop() == 0


@pytest.mark.slow
async def test_a_signal_cuts_a_long_delay_short_and_everything_is_delivered(tmp_path: Path, backend: Backend) -> None:
    backend.replies = [status(429, Retry_After="600")]
    async with run_exporter(tmp_path, backend.url) as process:
        await process.wait_for_log("delivery retrying")
        await asyncio.sleep(0.5)
        assert len(backend.received) == 1
        started = time.monotonic()
        assert await process.stop() == 0
        assert time.monotonic() - started < 3
    assert final_counts(process)["delivered"] == len(backend.stored) > 0


@pytest.mark.slow
async def test_points_lost_with_the_memory_are_counted_and_change_the_exit_status(tmp_path: Path) -> None:
    async with run_exporter(tmp_path, f"http://{CLOSED_ADDRESS}", grace="300ms") as process:
        await process.wait_for_log("delivery retrying")
        started = time.monotonic()
        assert await process.stop() == EXIT_POINTS_LOST
        assert time.monotonic() - started < 4
    counts = final_counts(process)
    assert (counts["delivered"], counts["queued"]) == (0, 0)
    assert counts["lost"] > 0


@pytest.mark.slow
async def test_points_on_disk_are_delivered_by_the_next_process(tmp_path: Path, backend: Backend) -> None:
    await backend.stop()
    storage = str(tmp_path / "storage")
    async with run_exporter(tmp_path, backend.url, grace="100ms", storage=storage) as process:
        await process.wait_for_log("delivery retrying")
        assert await process.stop() == 0
    counts = final_counts(process)
    assert (counts["delivered"], counts["lost"]) == (0, 0)
    await backend.start()
    async with run_exporter(tmp_path, backend.url, storage=storage) as process:
        await wait_until(lambda: len(backend.received) > 1)
        assert await process.stop() == 0
    assert final_counts(process)["delivered"] == len(backend.stored) > counts["queued"] > 0


@pytest.mark.slow
async def test_the_exit_sends_no_staleness_markers(tmp_path: Path, backend: Backend) -> None:
    target = Backend(default_reply=status(200, b'rollout_info{namespace="shop",name="cart",phase="Paused"} 1\n'))
    await target.start()
    async with run_exporter(tmp_path, backend.url, f"127.0.0.1:{target.port}") as process:
        await wait_until(lambda: len(target.received) > 2 and len(backend.received) > 2)
        assert await process.stop() == 0
    await target.stop()
    sent = [metric for request in backend.received for metric in metrics(ExportRequest(gunzip_body(request.body), 0))]
    assert "rollout_info" in {metric.name for metric in sent}
    assert {point.flags for metric in sent for point in points(metric)} == {0}


@pytest.mark.slow
async def test_a_signal_stops_scraping_and_a_second_one_forces_the_exit(tmp_path: Path, backend: Backend) -> None:
    backend.default_reply = answer_too_late
    target = Backend()
    await target.start()
    async with run_exporter(tmp_path, backend.url, f"127.0.0.1:{target.port}", grace="60s") as process:
        await wait_until(lambda: target.received and backend.received)
        process.process.send_signal(signal.SIGTERM)
        await process.wait_for_log("stopping")
        await asyncio.sleep(0.1)
        scrapes = len(target.received)
        await asyncio.sleep(0.6)
        assert process.process.returncode is None
        assert len(target.received) == scrapes
        started = time.monotonic()
        assert await process.stop() == EXIT_POINTS_LOST
        assert time.monotonic() - started < 1
    await target.stop()
    assert final_counts(process)["lost"] > 0


@pytest.mark.slow
async def test_the_process_delivers_over_grpc(tmp_path: Path) -> None:
    backend = GrpcBackend()
    await backend.start()
    try:
        async with run_exporter(tmp_path, backend.target, protocol="grpc", insecure=True) as process:
            await wait_until(lambda: len(backend.accepted_bodies) > 2)
            assert await process.stop() == 0
    finally:
        await backend.stop()
    assert final_counts(process) == {"delivered": len(backend.stored), "queued": 0, "lost": 0, "dropped": 0}
    assert {metadata["authorization"] for metadata in backend.metadata} == {f"Basic {SECRET}"}


POINT_METRICS = (
    OwnMetric.POINTS_DELIVERED,
    OwnMetric.POINTS_REJECTED,
    OwnMetric.POINTS_DROPPED,
    OwnMetric.POINTS_QUEUED,
)
DELIVERY_METRICS = (
    *POINT_METRICS,
    OwnMetric.POINTS_MADE,
    OwnMetric.QUEUE_BYTES,
    OwnMetric.QUEUE_AGE,
    OwnMetric.REQUESTS,
    OwnMetric.REQUESTS_RETRIED,
    OwnMetric.DELIVERY_WARNINGS,
)
RECENT_METRICS = (OwnMetric.LAST_DELIVERY, OwnMetric.DELIVERY_LAG, OwnMetric.DELIVERY_STATE)


async def scrape_own_metrics(session: aiohttp.ClientSession, url: str) -> dict[str, dict[str, float]]:
    """Return the exporter's own metrics: values by the value of their one label, "" without one."""
    async with session.get(url) as response:
        text = await response.text()
    samples: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = next((value for name, value in sample.labels.items() if name not in {"instance", "le"}), "")
            samples.setdefault(sample.name, {})[label] = sample.value
    return samples


@pytest.mark.slow
async def test_the_accounting_balances_at_every_scrape_and_every_delivery_metric_is_set(
    tmp_path: Path, backend: Backend
) -> None:
    partial_success = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="old")
    partial = ExportMetricsServiceResponse(partial_success=partial_success).SerializeToString()
    failures = [status(503), status(422), status(200, partial, Content_Type="application/x-protobuf")]
    backend.replies = [reply for failure in failures * 3 for reply in (failure, status(200))]
    async with run_exporter(tmp_path, backend.url) as process, aiohttp.ClientSession() as session:
        port = re.search(r"port (\d+)", await process.wait_for_log("started"))
        assert port
        produced = set[float]()
        while backend.replies or len(produced) < 5:
            samples = await scrape_own_metrics(session, f"http://127.0.0.1:{port[1]}/metrics")
            assert samples[OwnMetric.POINTS_MADE.value.name][""] == sum(
                sum(samples.get(metric.value.name, {}).values()) for metric in POINT_METRICS
            )
            produced.add(samples[OwnMetric.POINTS_MADE.value.name][""])
            await asyncio.sleep(0.01)
        samples = await scrape_own_metrics(session, f"http://127.0.0.1:{port[1]}/metrics")
        assert await process.stop() == 0
    assert samples[OwnMetric.POINTS_DROPPED.value.name].keys() == {"http_422"}
    assert samples[OwnMetric.POINTS_REJECTED.value.name] == {"": 6}
    assert {metric.value.name for metric in (*DELIVERY_METRICS, *RECENT_METRICS)} <= samples.keys()
    assert samples[OwnMetric.REQUESTS.value.name].keys() == {"200", "422", "503"}
    assert samples[f"{OwnMetric.REQUEST_SECONDS.value.name}_count"][""] == sum(
        samples[OwnMetric.REQUESTS.value.name].values()
    )
    assert 0 <= samples[OwnMetric.DELIVERY_LAG.value.name][""] < 60
    assert time.time() - samples[OwnMetric.LAST_DELIVERY.value.name][""] < 60
    assert sum(samples[OwnMetric.DELIVERY_STATE.value.name].values()) == 1
