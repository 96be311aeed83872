"""Protobuf helpers: fields whose content is encoded already, the identity, and slicing of requests.

The concatenation of encoded parts of a message is an encoding of the message: requests are joined from cached and new
parts, which are never decoded. A field is a key, a length and a content; keys are taken from OTLP's own messages, so
that no field number is repeated here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint

from exporter.metrics import MetricType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

    from exporter.metrics import Labels


PointMessage = type[NumberDataPoint] | type[HistogramDataPoint] | type[SummaryDataPoint]

PointBlock = tuple[list[bytes], int]
"""Encoded points, and of how many samples they were made."""

_SEVEN_BITS: Final = 0x7F
_CONTINUATION_BIT: Final = 0x80


def field_key(message: Message) -> bytes:
    """Return the key of the only field of a message, which is an empty message."""
    return message.SerializeToString()[:-1]  # without the length, 0


def varint(number: int) -> bytes:
    """Encode a number that is not negative, such as a length."""
    encoded = bytearray()
    while number > _SEVEN_BITS:
        encoded.append(number & _SEVEN_BITS | _CONTINUATION_BIT)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def read_varint(encoded: bytes, position: int) -> tuple[int, int]:
    """Return the number that begins at a position, and where it ends."""
    number = shift = 0
    while True:
        byte = encoded[position]
        number |= (byte & _SEVEN_BITS) << shift
        position += 1
        if byte < _CONTINUATION_BIT:
            return number, position
        shift += 7


def delimited(key: bytes, parts: list[bytes]) -> list[bytes]:
    """Return the parts of a field whose content is the concatenation of some parts."""
    return [key, varint(sum(map(len, parts))), *parts]


_GAUGE_KEY: Final = field_key(Metric(gauge=metrics_pb2.Gauge()))
POINTS_KEYS: Final = {
    MetricType.GAUGE: _GAUGE_KEY,
    MetricType.UNTYPED: _GAUGE_KEY,
    MetricType.COUNTER: field_key(Metric(sum=metrics_pb2.Sum())),
    MetricType.HISTOGRAM: field_key(Metric(histogram=metrics_pb2.Histogram())),
    MetricType.SUMMARY: field_key(Metric(summary=metrics_pb2.Summary())),
}
"""The key of the field of Metric that holds the points, by metric type (T14-T16)."""

CUMULATIVE: Final = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
NO_RECORDED_VALUE: Final = int(metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)
"""The flag of a staleness marker (T41)."""


def attributes(labels: Iterable[tuple[str, str]]) -> list[common_pb2.KeyValue]:
    """Return labels as string attributes, without empty values (T32)."""
    text = common_pb2.AnyValue
    return [common_pb2.KeyValue(key=key, value=text(string_value=value)) for key, value in labels if value]


def encoded_attributes(point: PointMessage, labels: Labels) -> bytes:
    """Encode the attributes of a point."""
    return point(attributes=attributes(labels)).SerializeToString()


def fixed64_prefix(message: Message, count: int = 1) -> bytes:
    """Return the constant bytes before the last `count` eight-byte numbers of an encoded message."""
    return message.SerializeToString()[: -8 * count]


def nanoseconds(seconds: float) -> int:
    """Return a Unix time in seconds as nanoseconds, rounded to milliseconds as in Prometheus."""
    return round(seconds * 1000) * 1_000_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Attributes of this cluster: of the resource, and of each point, since stores drop resource attributes (T35).

    A label of a point overrides an attribute of the same key (T38), as scraped labels override the external labels of
    Prometheus.
    """

    resource: Labels
    point: Labels = ()

    def overlaps(self, label_sets: Iterable[Labels]) -> bool:
        """Return whether a label of a point has the key of an attribute of every point."""
        keys = dict(chain.from_iterable(label_sets)).keys()
        return not keys.isdisjoint(dict(self.point))

    def attributes_for(self, labels: Labels) -> Labels:
        """Return the attributes that a point with these labels gets from the identity."""
        overridden = {key for key, value in labels if value}
        return tuple((key, value) for key, value in self.point if key not in overridden)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An encoded ExportMetricsServiceRequest, and the number of its points."""

    body: bytes
    point_count: int


def slice_request(request: ExportRequest, first: int, end: int) -> ExportRequest:
    """Return a request of the points from `first` to before `end`, in order.

    Resource, scope and metadata are complete (T05). Empty metrics are deleted: some stores refuse a request with one
    (T53). Raises google.protobuf.message.DecodeError.
    """
    message = ExportMetricsServiceRequest.FromString(request.body)
    metrics = message.resource_metrics[0].scope_metrics[0].metrics  # a request has one resource and one scope
    position = request.point_count
    # From the end, since a deletion moves the metrics after it.
    for index in reversed(range(len(metrics))):
        points = getattr(metrics[index], metrics[index].WhichOneof("data") or "gauge").data_points
        position -= len(points)
        del points[max(end - position, 0) :]
        del points[: max(first - position, 0)]
        if not points:
            del metrics[index]
    return ExportRequest(message.SerializeToString(), end - first)


def otlp_json(body: bytes) -> dict[str, Any]:
    """Return a request in the OTLP/JSON mapping: camelCase, 64-bit integers and NaN as strings, enums as numbers."""
    return json_format.MessageToDict(ExportMetricsServiceRequest.FromString(body), use_integers_for_enums=True)
