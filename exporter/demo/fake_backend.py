"""A stand-in for Last9: receives OTLP/HTTP metrics as strictly as it must, and keeps books on what came."""

from __future__ import annotations

import gzip
import hmac
import zlib
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags

from exporter.demo.servers import serve_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import (
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
        SummaryDataPoint,
    )

    Point = NumberDataPoint | HistogramDataPoint | SummaryDataPoint

PATH = "/v1/metrics"
CONTENT_TYPE = "application/x-protobuf"
NO_RECORDED_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

SeriesIdentity = tuple[str, tuple[tuple[str, str], ...]]
"""A series: its metric's name, and its resource's and point's attributes in alphabetical order."""


@dataclass(slots=True)
class ReceivedMetrics:
    """What arrived: `series` holds each living series' last value (a histogram's count), `ended` those that ended.

    `refused` counts requests turned away, by HTTP status.
    """

    requests: int = 0
    points: int = 0
    rejected: Counter[int] = field(default_factory=Counter)
    series: dict[SeriesIdentity, float] = field(default_factory=dict)
    stale: set[SeriesIdentity] = field(default_factory=set)

    def add(self, request: ExportMetricsServiceRequest) -> None:
        """Enter an accepted request."""
        self.requests += 1
        for resource in request.resource_metrics:
            attributes = _attributes(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._add_metric(metric, attributes)

    def _add_metric(self, metric: Metric, attributes: dict[str, str]) -> None:
        for point in _points(metric):
            self.points += 1
            known = attributes | _attributes(point.attributes)
            identity = (metric.name, tuple(sorted(known.items())))
            if point.flags & NO_RECORDED_VALUE:
                self.series.pop(identity, None)
                self.stale.add(identity)
            else:
                self.stale.discard(identity)
                self.series[identity] = _value(point)


class RejectedRequestError(ValueError):
    """A request that is turned away, with the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@asynccontextmanager
async def fake_backend(received: ReceivedMetrics, *, username: str, password: str) -> AsyncIterator[str]:
    """Receive OTLP on loopback into a ledger; yields the endpoint, without `/v1/metrics`."""
    expected = basic_auth(username, password).encode()

    async def receive(request: web.Request) -> web.Response:
        try:
            _check_headers(request, expected)
            decoded = decode(_decompress(await request.read(), request.headers.get("Content-Encoding", "")))
        except RejectedRequestError as error:
            received.rejected[error.status] += 1
            return web.Response(status=error.status, text=str(error))
        received.add(decoded)
        answer = ExportMetricsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type=CONTENT_TYPE)

    async with serve_path(receive, path=PATH, method="POST") as address:
        yield f"http://{address}"


def decode(body: bytes) -> ExportMetricsServiceRequest:
    """Decode a request's body; RefusedError (400) when it is none, or holds a metric that real stores refuse."""
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise RejectedRequestError(400, f"the body is no ExportMetricsServiceRequest: {error}") from error
    metrics = [
        one for resource in request.resource_metrics for scope in resource.scope_metrics for one in scope.metrics
    ]
    for metric in metrics:
        if not metric.name or not any(True for _ in _points(metric)):
            raise RejectedRequestError(400, f"metric {metric.name!r} has no name or no points")
    return request


def _check_headers(request: web.Request, expected: bytes) -> None:
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(errors="surrogateescape"), expected):
        raise RejectedRequestError(401, "the Authorization header is not the one of this stand-in")
    if request.headers.get("Content-Type") != CONTENT_TYPE:
        raise RejectedRequestError(400, f"the Content-Type is not exactly {CONTENT_TYPE}")


def _decompress(body: bytes, encoding: str) -> bytes:
    """Undo the Content-Encoding; gzip that is cut short or garbled, and any other, is refused."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise RejectedRequestError(400, f"the Content-Encoding {encoding!r} is neither gzip nor identity")
    try:
        return gzip.decompress(body)
    except GZIP_ERRORS as error:
        raise RejectedRequestError(400, f"the body is no gzip: {error}") from error


def _points(metric: Metric) -> Iterable[Point]:
    """Say a metric's points, whatever its kind; none of a kind that is not set."""
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
    return {one.key: _text(one.value) for one in attributes}


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))
