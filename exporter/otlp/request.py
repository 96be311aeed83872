"""An encoded OTLP request: its parts, packed or not, its JSON form."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from isal import isal_zlib
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


_GZIP: Final = b"\x1f\x8b"
_GZIP_WITH_HEADER: Final = 31  # zlib's word for "a gzip header and trailer, the largest window"


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


def packed(body: bytes) -> bytes:
    """Return a body compressed with gzip, fast, the same for the same body."""
    return isal_zlib.compress(body, 1, _GZIP_WITH_HEADER)


def unpacked(body: bytes) -> bytes:
    """Return a body as it was before it was packed, if it was."""
    return gzip.decompress(body) if is_packed(body) else body


def is_packed(body: bytes) -> bool:
    """Return whether a body is compressed: no protobuf message begins as gzip does."""
    return body.startswith(_GZIP)


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
