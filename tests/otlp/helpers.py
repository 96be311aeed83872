"""Build families, and decode requests with OTLP's own messages only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType, Series, family_from_samples
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

    from exporter.otlp.delivery.producer import RequestProducer
    from exporter.otlp.encode.protobuf import ExportRequest
    from exporter.storage.model import QueuedRequest

TIMESTAMP = 1_700_000_000.123
NANOS = 1_700_000_000_123_000_000
IDENTITY = Identity((("service.name", "rollouts"),))


def series(name: str, /, **labels: str) -> Series:
    return Series(name, tuple(labels.items()))


def gauge(name: str, *samples: tuple[Mapping[str, str], float], kind: MetricType = MetricType.GAUGE) -> MetricFamily:
    return family_from_samples(
        name, kind, f"About {name}.", [(series(name, **labels), value) for labels, value in samples]
    )


def histogram(name: str, buckets: Mapping[str, float], ends: Mapping[str, float], /, **labels: str) -> MetricFamily:
    """Return one histogram: cumulative counts by `le`, and sum or count if given."""
    rows = [(series(f"{name}_bucket", **labels, le=le), count) for le, count in buckets.items()]
    rows += [(series(f"{name}_{end}", **labels), value) for end, value in ends.items()]
    return family_from_samples(name, MetricType.HISTOGRAM, f"About {name}.", rows)


def snapshot(*families: MetricFamily, stale: Iterable[MetricFamily] = ()) -> MetricsSnapshot:
    return MetricsSnapshot(TIMESTAMP, families, tuple(stale))


def decode(request: ExportRequest) -> ExportMetricsServiceRequest:
    return ExportMetricsServiceRequest.FromString(request.body)


def metrics(request: ExportRequest) -> list[Metric]:
    return [
        metric
        for resource in decode(request).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def points(metric: Metric) -> list[Any]:
    return list(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)


def attributes(message: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in message.attributes}


def encode(
    *families: MetricFamily, stale: Iterable[MetricFamily] = (), identity: Identity = IDENTITY
) -> tuple[Encoder, list[Metric]]:
    """Encode a snapshot that fits into one request."""
    encoder = Encoder(identity)
    requests = list(encoder.requests(snapshot(*families, stale=stale)))
    assert len(requests) <= 1
    return encoder, [metric for request in requests for metric in metrics(request)]


def only_point(*families: MetricFamily, stale: Iterable[MetricFamily] = (), identity: Identity = IDENTITY) -> Any:
    _, (metric,) = encode(*families, stale=stale, identity=identity)
    (point,) = points(metric)
    return point


async def all_requests(producer: RequestProducer, snapshot: MetricsSnapshot) -> list[QueuedRequest]:
    """Return the requests of a snapshot as a cycle commits them, all at once."""
    (requests,) = [part async for part in producer.parts(snapshot, sys.maxsize)]
    return requests
