"""OTLP's own request once more, the points of a metric as ready bytes: the same wire form.

Made from the published descriptors in a pool of their own, so that no field number is written here. Points that are
kept encoded go into a request without being decoded; OTLP's plain messages read the result back. Joined encodings
of parts of a message are an encoding of the message: points are put together from kept and fresh parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint, SummaryDataPoint
from opentelemetry.proto.resource.v1 import resource_pb2

from exporter.family import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

    from exporter.family import Labels

Point = type[NumberDataPoint] | type[HistogramDataPoint] | type[SummaryDataPoint]

FIELDS: Final = {
    Kind.GAUGE: "gauge",
    Kind.UNTYPED: "gauge",
    Kind.COUNTER: "sum",
    Kind.HISTOGRAM: "histogram",
    Kind.SUMMARY: "summary",
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
        for field in (field for message in file.message_type for field in message.field):
            if field.name in FIELDS.values():
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
        pool.Add(file)
    name = metrics_service_pb2.ExportMetricsServiceRequest.DESCRIPTOR.full_name
    request = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return cast("type[metrics_service_pb2.ExportMetricsServiceRequest]", request)


SplicedRequest: Final = _spliced_request()


def splice(metric: metrics_pb2.Metric, kind: Kind, points: bytes) -> None:
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
