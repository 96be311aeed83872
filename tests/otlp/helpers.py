"""How the tests make families and read requests: with OTLP's plain messages only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporter.metrics import MetricFamily, MetricsSnapshot, MetricType, Series, family_from_samples
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

    from exporter.otlp.encode.protobuf import ExportRequest

AT = 1_700_000_000.123
NANOS = 1_700_000_000_123_000_000
NOBODY = Identity((("service.name", "rollouts"),))


def series(name: str, /, **labels: str) -> Series:
    return Series(name, tuple(labels.items()))


def gauge(name: str, *samples: tuple[Mapping[str, str], float], kind: MetricType = MetricType.GAUGE) -> MetricFamily:
    return family_from_samples(
        name, kind, f"About {name}.", [(series(name, **labels), value) for labels, value in samples]
    )


def histogram(name: str, buckets: Mapping[str, float], ends: Mapping[str, float], /, **labels: str) -> MetricFamily:
    """One histogram: cumulative counts by `le`, and whichever of sum and count are given."""
    rows = [(series(f"{name}_bucket", **labels, le=le), count) for le, count in buckets.items()]
    rows += [(series(f"{name}_{end}", **labels), value) for end, value in ends.items()]
    return family_from_samples(name, MetricType.HISTOGRAM, f"About {name}.", rows)


def cycle(*families: MetricFamily, ended: Iterable[MetricFamily] = ()) -> MetricsSnapshot:
    return MetricsSnapshot(AT, families, tuple(ended))


def decoded(request: ExportRequest) -> ExportMetricsServiceRequest:
    return ExportMetricsServiceRequest.FromString(request.body)


def metrics(request: ExportRequest) -> list[Metric]:
    return [
        metric
        for resource in decoded(request).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def points(metric: Metric) -> list[Any]:
    return list(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)


def attributes(message: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in message.attributes}


def encoded(
    *families: MetricFamily, ended: Iterable[MetricFamily] = (), identity: Identity = NOBODY
) -> tuple[Encoder, list[Metric]]:
    """Encode one cycle that fits one request."""
    encoder = Encoder(identity)
    requests = list(encoder.requests(cycle(*families, ended=ended)))
    assert len(requests) <= 1
    return encoder, [metric for request in requests for metric in metrics(request)]


def one_point(*families: MetricFamily, ended: Iterable[MetricFamily] = (), identity: Identity = NOBODY) -> Any:
    _, (metric,) = encoded(*families, ended=ended, identity=identity)
    (point,) = points(metric)
    return point
