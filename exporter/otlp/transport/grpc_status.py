"""A gRPC status → a verdict (E22, E24, E29-E31). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # it ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.otlp.transport.response import (
    CREDENTIAL,
    ENDPOINT,
    LONGEST_WAIT,
    SIZE,
    Done,
    Hold,
    Later,
    Never,
    Verdict,
    short,
    taken,
)

OK: Final = "OK"
EXHAUSTED: Final = "RESOURCE_EXHAUSTED"
_RETRYABLE: Final = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
_SILENT: Final = {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
"""What the library says when nobody answers; of a server that says so itself little time is taken off its wait."""
_HELD: Final = {"UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"}
"""UNIMPLEMENTED bends E29: it is what gRPC makes of a 404, and what a server without OTLP says."""
_TOO_LARGE: Final = re.compile(r"larger than|too large|too big|exceeds? .*(size|limit|max)", re.IGNORECASE)
CURES: Final = {
    "DEADLINE_EXCEEDED": "otlp.timeout",
    "UNAVAILABLE": f"{ENDPOINT} and otlp.tls, if it lasts",
    "UNAUTHENTICATED": CREDENTIAL,
    "PERMISSION_DENIED": CREDENTIAL,
    "NOT_FOUND": ENDPOINT,
    "UNIMPLEMENTED": f"{ENDPOINT}, otlp.protocol and otlp.compression",
    "INVALID_ARGUMENT": ENDPOINT,
}
"""The settings to look at, by status."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended: `code` is the status's name, `details` the trailer grpc-status-details-bin."""

    code: str = OK
    body: bytes = b""
    message: str = ""
    details: bytes = field(default=b"", repr=False)


def of_reply(reply: Reply, points: int) -> Verdict:
    """Judge the reply to a request of so many points."""
    if reply.code == OK:
        return _success(reply, points)
    after = retry_info(reply.details)
    large = reply.code == EXHAUSTED and _TOO_LARGE.search(reply.message) is not None
    cure = SIZE if large else CURES.get(reply.code, "")
    said = short(reply.message)
    why = f"{reply.code}{f': {said}' if said else ''}{f'; see {cure}' if cure else ''}"
    if reply.code in _RETRYABLE or (reply.code == EXHAUSTED and after is not None):
        return Later(why, after or None, silent=reply.code in _SILENT)
    if reply.code in _HELD:
        return Hold(why)
    return Never(f"grpc_{reply.code.lower()}", why, split=large or reply.code == "INVALID_ARGUMENT", large=large)


def _success(reply: Reply, points: int) -> Done:
    try:
        return taken(ExportMetricsServiceResponse.FromString(reply.body), points)
    except DecodeError:
        return Done(points, message=f"OK, with an answer that is not OTLP; see {ENDPOINT}")


def retry_info(details: bytes) -> float | None:
    """Return the seconds that a RetryInfo among the details asks for, 0 where it asks for none; None without one."""
    try:
        for detail in Status.FromString(details).details:
            asked = RetryInfo()
            if detail.Unpack(asked):
                wait: float = asked.retry_delay.seconds + asked.retry_delay.nanos / 1e9
                return min(max(wait, 0.0), LONGEST_WAIT)
    except DecodeError:
        return None
    return None
