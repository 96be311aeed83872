from __future__ import annotations

import asyncio
import base64
import gzip
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource

from exporter.demo.fake_backend import CONTENT_TYPE, NO_RECORDED_VALUE, PATH, ReceivedMetrics, fake_backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.metrics.export import MetricsData

CREDENTIALS = "Basic " + base64.b64encode(b"user:secret").decode()
HEADERS = {"Authorization": CREDENTIALS, "Content-Type": CONTENT_TYPE}
CLUSTER = ("k8s.cluster.name", "east")


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def measure() -> MetricsData:
    """Return a counter, a gauge and a histogram recorded with the SDK."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource({"k8s.cluster.name": "east"}), shutdown_on_exit=False)
    meter = provider.get_meter("test")
    meter.create_counter("deploys").add(3, {"name": "checkout"})
    meter.create_gauge("fraction").set(0.25, {"name": "checkout"})
    meter.create_histogram("seconds").record(1.5)
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data
    return data


def gauge(name: str, value: float, *, flags: int = 0) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.gauge.data_points.add(time_unix_nano=1, as_double=value, flags=flags)
    return request


async def post(session: ClientSession, url: str, body: bytes, **headers: str) -> tuple[int, str]:
    async with session.post(url + PATH, data=body, headers=HEADERS | headers) as response:
        return response.status, await response.text()


async def test_metrics_of_the_sdks_exporter_are_received() -> None:
    received = ReceivedMetrics()
    async with fake_backend(received, username="user", password="secret") as endpoint:
        sender = OTLPMetricExporter(
            endpoint + PATH, headers={"authorization": CREDENTIALS}, compression=Compression.Gzip
        )
        assert await asyncio.to_thread(sender.export, measure()) is MetricExportResult.SUCCESS
        sender.shutdown()
    assert (received.requests, received.points, received.rejected.total()) == (1, 3, 0)
    assert received.series == {
        ("deploys", (CLUSTER, ("name", "checkout"))): 3.0,
        ("fraction", (CLUSTER, ("name", "checkout"))): 0.25,
        ("seconds", (CLUSTER,)): 1.0,
    }


async def test_a_person_can_read_what_arrived(session: ClientSession) -> None:
    received = ReceivedMetrics()
    request = gauge("argo_rollouts_canary_fraction", 0.25)
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    for name, value in (("namespace", "shop"), ("name", "checkout")):
        point.attributes.add(key=name).value.string_value = value
    async with fake_backend(received, username="user", password="secret") as endpoint:
        await post(session, endpoint, request.SerializeToString())
        await post(session, endpoint, b"no message")
        async with session.get(endpoint) as response:
            assert response.content_type == "text/plain"
            lines = (await response.text()).splitlines()
    assert lines[1] == "received 1 points in 1 requests, 1 active series, 0 stale, 1 requests rejected"
    assert [line.split()[1:] for line in lines[5:7]] == [["10", "0", "400"], [str(request.ByteSize()), "1", "200"]]
    assert lines[-1].split() == ["shop/checkout", "25.0%"]


async def test_a_series_is_stale_after_its_staleness_marker_and_active_again_with_a_value(
    session: ClientSession,
) -> None:
    received = ReceivedMetrics()
    series = ("x", ())
    async with fake_backend(received, username="user", password="secret") as endpoint:
        for request, active, stale in (
            (gauge("x", 7.0), {series: 7.0}, set()),
            (gauge("x", 0.0, flags=NO_RECORDED_VALUE), {}, {series}),
            (gauge("x", 8.0), {series: 8.0}, set()),
        ):
            assert (await post(session, endpoint, request.SerializeToString()))[0] == 200
            assert (received.series, received.stale) == (active, stale)
    assert received.points == 3


async def test_an_empty_request_is_accepted(session: ClientSession) -> None:
    received = ReceivedMetrics()
    async with fake_backend(received, username="user", password="secret") as endpoint:
        assert (await post(session, endpoint, b""))[0] == 200
    assert (received.requests, received.points) == (1, 0)


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic dXNlcjp3cm9uZw==", "Bearer x", "é"])
async def test_a_wrong_credential_is_rejected_with_401(session: ClientSession, authorization: str) -> None:
    received = ReceivedMetrics()
    async with fake_backend(received, username="user", password="secret") as endpoint:
        status, text = await post(session, endpoint, b"", Authorization=authorization)
    assert (status, received.rejected) == (401, {401: 1})
    assert "secret" not in text


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"\xff\xff", {}, "not an ExportMetricsServiceRequest"),
        (b"{}", {"Content-Type": "application/json"}, "Content-Type"),
        (b"", {"Content-Type": "application/x-protobuf; charset=utf-8"}, "Content-Type"),
        (b"plain", {"Content-Encoding": "gzip"}, "not valid gzip"),
        (gzip.compress(b"x" * 1000)[:-9], {"Content-Encoding": "gzip"}, "not valid gzip"),
        (b"x", {"Content-Encoding": "br"}, "Content-Encoding"),
        (gauge("", 1.0).SerializeToString(), {}, "no name or no points"),
    ],
)
async def test_an_invalid_request_is_rejected_with_400_and_the_reason(
    session: ClientSession, body: bytes, headers: dict[str, str], message: str
) -> None:
    received = ReceivedMetrics()
    async with fake_backend(received, username="user", password="secret") as endpoint:
        status, text = await post(session, endpoint, body, **headers)
    assert (status, received.rejected, received.requests) == (400, {400: 1}, 0)
    assert message in text


async def test_a_metric_without_points_is_rejected_as_by_real_stores(session: ClientSession) -> None:
    request = gauge("x", 1.0)
    request.resource_metrics[0].scope_metrics[0].metrics.add(name="empty")
    received = ReceivedMetrics()
    async with fake_backend(received, username="user", password="secret") as endpoint:
        assert (await post(session, endpoint, request.SerializeToString()))[0] == 400
    assert received.series == {}
