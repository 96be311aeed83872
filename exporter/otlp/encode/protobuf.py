"""OTLP's own request once more, the points of a metric as ready bytes: the same wire form.

Made from the published descriptors in a pool of their own, so that no field number is written here. Points that are
kept encoded go into a request without being decoded; OTLP's plain messages read the result back. Joined encodings
of parts of a message are an encoding of the message: points are put together from kept and fresh parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint, SummaryDataPoint
from opentelemetry.proto.resource.v1 import resource_pb2

from exporter.metrics import MetricType

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableSequence

    from google.protobuf.message import Message
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

    from exporter.metrics import Labels


Point = type[NumberDataPoint] | type[HistogramDataPoint] | type[SummaryDataPoint]

FIELDS: Final = {
    MetricType.GAUGE: "gauge",
    MetricType.UNTYPED: "gauge",
    MetricType.COUNTER: "sum",
    MetricType.HISTOGRAM: "histogram",
    MetricType.SUMMARY: "summary",
}
"""The field of Metric that holds the points of a kind (T14-T16)."""

CUMULATIVE: Final = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
ENDED: Final = int(metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)
"""The flag of a point that says that its series has ended (T41)."""


def _spliced_request() -> type[metrics_service_pb2.ExportMetricsServiceRequest]:
    """Return the request's message with the points of a metric a field of bytes, whatever its kind."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, metrics_pb2, metrics_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for descriptor in (item for message in file.message_type for item in message.field):
            if descriptor.name in FIELDS.values():
                descriptor.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                descriptor.ClearField("type_name")
        pool.Add(file)
    name = metrics_service_pb2.ExportMetricsServiceRequest.DESCRIPTOR.full_name
    request = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return cast("type[metrics_service_pb2.ExportMetricsServiceRequest]", request)


SplicedRequest: Final = _spliced_request()


def splice(metric: metrics_pb2.Metric, kind: MetricType, points: bytes) -> None:
    """Put framed points, and what else there is of the kind, into a metric of a SplicedRequest."""
    setattr(metric, FIELDS[kind], points)


def attributes(labels: Iterable[tuple[str, str]]) -> list[common_pb2.KeyValue]:
    """Return labels as string attributes; empty values are left out (T32)."""
    text = common_pb2.AnyValue
    return [common_pb2.KeyValue(key=key, value=text(string_value=value)) for key, value in labels if value]


def encoded_attributes(point: Point, labels: Labels) -> bytes:
    """Return a point of nothing but attributes, encoded."""
    return point(attributes=attributes(labels)).SerializeToString()


def before_numbers(message: Message, numbers: int = 1) -> bytes:
    """Return what precedes the eight-byte numbers that end a message's encoding: the part that is always the same."""
    return message.SerializeToString()[: -8 * numbers]


def nanoseconds(seconds: float) -> int:
    """Return a Unix time in seconds as OTLP's nanoseconds, in whole milliseconds (floats know no better)."""
    return round(seconds * 1000) * 1_000_000


# Who the points are from.


@dataclass(frozen=True, slots=True)
class Identity:
    """Attributes of the resource, and those that each point has as well, under the same keys (DESIGN §5).

    A label that a point has of its own wins over an attribute of the same key (T38), as a scraped label wins over
    Prometheus' external labels.
    """

    resource: Labels
    point: Labels = ()
    _keys: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", frozenset(key for key, _ in self.point))

    def touches(self, labels: Labels) -> bool:
        """Tell whether a point with these labels has an own opinion of something that is told of every point."""
        return not self._keys.isdisjoint(dict(labels))

    def beside(self, labels: Labels) -> Labels:
        """Return the attributes that a point with these labels gets from here."""
        taken = {key for key, value in labels if value}
        return tuple((key, value) for key, value in self.point if key not in taken)

    def with_labels(self, labels: Labels) -> Labels:
        """Return all attributes of a point with these labels, sorted."""
        return tuple(sorted((*self.beside(labels), *labels)))


# An encoded OTLP request: its parts, packed or not, its JSON form.


@dataclass(frozen=True, slots=True)
class Request:
    """An ExportMetricsServiceRequest in protobuf, not compressed, and how many data points it has."""

    body: bytes
    points: int


def part(request: Request, first: int, end: int) -> Request:
    """Return a request of the points from `first` to before `end`, in order.

    It keeps resource, scope and metadata (T05). Raises google.protobuf.message.DecodeError.
    """
    plain = ExportMetricsServiceRequest.FromString(request.body)
    at = 0
    for resource in plain.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                at += _keep(_points(metric), first - at, end - at)
            _prune(scope.metrics, [bool(_points(metric)) for metric in scope.metrics])
        _prune(resource.scope_metrics, [bool(scope.metrics) for scope in resource.scope_metrics])
    _prune(plain.resource_metrics, [bool(resource.scope_metrics) for resource in plain.resource_metrics])
    return Request(plain.SerializeToString(), end - first)


def otlp_json(body: bytes) -> dict[str, Any]:
    """Return a request in the OTLP/JSON mapping: camelCase, 64-bit integers and NaN as strings, enums as numbers."""
    plain = ExportMetricsServiceRequest.FromString(body)
    mapped: dict[str, Any] = json_format.MessageToDict(plain, use_integers_for_enums=True)
    return mapped


def _points(metric: Metric) -> MutableSequence[Any]:
    points: MutableSequence[Any] = getattr(metric, metric.WhichOneof("data") or "gauge").data_points
    return points


def _keep(points: MutableSequence[Any], first: int, end: int) -> int:
    """Delete the points outside a range; return how many there were."""
    many = len(points)
    del points[max(end, 0) :]
    del points[: max(first, 0)]
    return many


def _prune(parts: MutableSequence[Any], filled: list[bool]) -> None:
    """Delete what has become empty: an empty metric can fail a whole request (T53)."""
    for place in reversed([place for place, full in enumerate(filled) if not full]):
        del parts[place]
