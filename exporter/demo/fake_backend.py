"""A fake backend: receives OTLP/HTTP metrics as strictly as real stores do, and counts them."""

from __future__ import annotations

import gzip
import hmac
import time
from collections import Counter, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags

from exporter.demo.servers import serve_routes
from exporter.net.auth import basic_auth
from exporter.net.gzip import GZIP_ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint

    Point = NumberDataPoint | HistogramDataPoint | SummaryDataPoint

PATH = "/v1/metrics"
LAST_REQUESTS = 15
"""Requests that the page lists: they fit on a screen."""
REFRESH_SECONDS = 2
FRACTION = "argo_rollouts_canary_fraction"
CONTENT_TYPE = "application/x-protobuf"
NO_RECORDED_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

SeriesIdentity = tuple[str, tuple[tuple[str, str], ...]]
"""A series: its metric's name, and its resource's and point's attributes in alphabetical order."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request: when it was received (Unix seconds), bytes as sent, its points (0 if rejected), the HTTP status."""

    received_at: float
    size: int
    points: int
    status: int


@dataclass(slots=True)
class ReceivedMetrics:
    """Received metrics: `series` holds the last value of each active series (for a histogram its count).

    `stale` are the series that got a staleness marker, `rejected` counts rejected requests by HTTP status.
    """

    requests: int = 0
    points: int = 0
    rejected: Counter[int] = field(default_factory=Counter)
    series: dict[SeriesIdentity, float] = field(default_factory=dict)
    stale: set[SeriesIdentity] = field(default_factory=set)
    last_requests: deque[ReceivedRequest] = field(default_factory=lambda: deque(maxlen=LAST_REQUESTS))

    def add(self, request: metrics_service_pb2.ExportMetricsServiceRequest) -> None:
        """Add an accepted request."""
        self.requests += 1
        for resource in request.resource_metrics:
            attributes = _attributes(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._add_metric(metric, attributes)

    def _add_metric(self, metric: Metric, attributes: dict[str, str]) -> None:
        for point in _points(metric):
            self.points += 1
            identity = (metric.name, tuple(sorted((attributes | _attributes(point.attributes)).items())))
            if point.flags & NO_RECORDED_VALUE:
                self.series.pop(identity, None)
                self.stale.add(identity)
            else:
                self.stale.discard(identity)
                self.series[identity] = _value(point)


class RejectedRequestError(ValueError):
    """A rejected request, with the HTTP status of the response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@asynccontextmanager
async def fake_backend(received: ReceivedMetrics, *, username: str, password: str) -> AsyncIterator[str]:
    """Receive OTLP on loopback; yield the endpoint, without `/v1/metrics`. `GET /` of it shows what was received."""
    expected = basic_auth(username, password).encode()

    async def receive(request: web.Request) -> web.Response:
        body, points = await request.read(), received.points
        try:
            _check_headers(request, expected)
            decoded = decode_request(_decompress(body, request.headers.get("Content-Encoding", "")))
        except RejectedRequestError as error:
            received.rejected[error.status] += 1
            received.last_requests.append(ReceivedRequest(time.time(), len(body), 0, error.status))
            return web.Response(status=error.status, text=str(error))
        received.add(decoded)
        received.last_requests.append(ReceivedRequest(time.time(), len(body), received.points - points, 200))
        response = metrics_service_pb2.ExportMetricsServiceResponse().SerializeToString()
        return web.Response(body=response, content_type=CONTENT_TYPE)

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=page_text(received), headers={"Refresh": str(REFRESH_SECONDS)})

    async with serve_routes(web.post(PATH, receive), web.get("/", show)) as address:
        yield f"http://{address}"


def decode_request(body: bytes) -> metrics_service_pb2.ExportMetricsServiceRequest:
    """Decode the body of a request.

    Raise RejectedRequestError (400) if it is invalid or contains a metric that real stores reject.
    """
    try:
        request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise RejectedRequestError(400, f"the body is not an ExportMetricsServiceRequest: {error}") from error
    scopes = (scope for resource in request.resource_metrics for scope in resource.scope_metrics)
    for metric in (metric for scope in scopes for metric in scope.metrics):
        # Some stores reject a whole request for one such metric (T53).
        if not metric.name or not any(True for _ in _points(metric)):
            raise RejectedRequestError(400, f"metric {metric.name!r} has no name or no points")
    return request


def _check_headers(request: web.Request, expected: bytes) -> None:
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(errors="surrogateescape"), expected):
        raise RejectedRequestError(401, "the Authorization header does not match")
    if request.headers.get("Content-Type") != CONTENT_TYPE:
        raise RejectedRequestError(400, f"the Content-Type is not exactly {CONTENT_TYPE}")


def _decompress(body: bytes, encoding: str) -> bytes:
    """Decode the Content-Encoding; raise RejectedRequestError for invalid gzip and for any other encoding."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise RejectedRequestError(400, f"the Content-Encoding {encoding!r} is neither gzip nor identity")
    try:
        return gzip.decompress(body)
    except GZIP_ERRORS as error:
        raise RejectedRequestError(400, f"the body is not valid gzip: {error}") from error


def _points(metric: Metric) -> Iterable[Point]:
    """Return the points of a metric of any type; none if it has no type."""
    kind = metric.WhichOneof("data")
    if kind is None:
        return ()
    points: Iterable[Point] = getattr(metric, kind).data_points
    return points


def _value(point: Point) -> float:
    if hasattr(point, "count"):
        return float(point.count)
    return float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {attribute.key: _text(attribute.value) for attribute in attributes}


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))


# The page, for a person


def page_text(received: ReceivedMetrics) -> str:
    """Return the page: the counts, the last requests, and the canary's fraction of each rollout."""
    return "\n".join(_lines(received)) + "\n"


def received_line(received: ReceivedMetrics) -> str:
    """Return what was received as a line."""
    series = f"{len(received.series)} active series, {len(received.stale)} stale"
    rejected = f"{received.rejected.total()} requests rejected"
    return f"received {received.points} points in {received.requests} requests, {series}, {rejected}"


def _lines(received: ReceivedMetrics) -> Iterator[str]:
    yield "The demo's stand-in for a store, with what the exporter has pushed to it"
    yield received_line(received)
    yield ""
    yield "Last requests, the newest first"
    yield f"{'time, UTC':<12}{'bytes':>10}{'points':>10}{'status':>10}"
    yield from map(_request_line, reversed(received.last_requests))
    yield ""
    yield f"Canary's fraction of the traffic ({FRACTION})"
    yield from sorted(_fraction_lines(received)) or ["none so far"]


def _request_line(request: ReceivedRequest) -> str:
    received_at = datetime.fromtimestamp(request.received_at, UTC).strftime("%H:%M:%S")
    return f"{received_at:<12}{request.size:>10,}{request.points:>10,}{request.status:>10}"


def _fraction_lines(received: ReceivedMetrics) -> Iterator[str]:
    for (name, attributes), value in received.series.items():
        labels = dict(attributes)
        if name == FRACTION:
            rollout = f"{labels.get('namespace', '')}/{labels.get('name', '')}"
            yield f"{rollout:<32}{value:>10.1%}"
