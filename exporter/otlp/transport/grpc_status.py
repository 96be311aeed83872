"""gRPC status → result of the request (E22, E24, E29-E31). Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # it ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.otlp import result

OK: Final = "OK"
RESOURCE_EXHAUSTED: Final = "RESOURCE_EXHAUSTED"
_RETRYABLE: Final = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
_SERVER_ERRORS: Final = {"INTERNAL", "UNKNOWN"}
"""gRPC's form of an HTTP 500, also of a stream that a proxy broke and of a response that is not gRPC; retried as such
unless `otlp.retry.strict` (E29)."""
_UNANSWERED: Final = {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
"""The codes of the library itself when no response came. A server may send them, too; then the attempt was short, and
so is what the sender subtracts from its wait."""
_BLOCKING: Final = {"UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"}
"""UNIMPLEMENTED deviates from E29: gRPC maps a 404 to it, and a server without OTLP sends it."""
_TOO_LARGE: Final = re.compile(r"larger than|too large|too big|exceeds? .*(size|limit|max)", re.IGNORECASE)
"""RESOURCE_EXHAUSTED is also the code of a quota; only the text shows that a request is too large."""
HINTS: Final = {
    "DEADLINE_EXCEEDED": "otlp.timeout",
    "UNAVAILABLE": f"{result.ENDPOINT_SETTING} and otlp.tls, if this persists",
    "UNAUTHENTICATED": result.CREDENTIAL_SETTINGS,
    "PERMISSION_DENIED": result.CREDENTIAL_SETTINGS,
    "NOT_FOUND": result.ENDPOINT_SETTING,
    "UNIMPLEMENTED": f"{result.ENDPOINT_SETTING}, otlp.protocol and otlp.compression",
    "INVALID_ARGUMENT": result.ENDPOINT_SETTING,
    "UNKNOWN": f"{result.ENDPOINT_SETTING}, if this persists",
}
"""The settings to check, by status."""
CREDENTIAL_CODES: Final = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
"""The statuses about the credential that was sent."""


@dataclass(frozen=True, slots=True)
class GrpcResponse:
    """The end of a call: `code` is the name of the status, `details` the trailer grpc-status-details-bin."""

    code: str = OK
    body: bytes = b""
    message: str = ""
    details: bytes = field(default=b"", repr=False)


def classify_grpc(
    response: GrpcResponse, points: int, rules: result.RetryRules = result.DEFAULT_RULES
) -> result.RequestResult:
    """Classify the response to a request of `points` points."""
    code = response.code
    if code == OK:
        return _accepted(response, points)
    retry_after = retry_info(response.details)
    too_large = code == RESOURCE_EXHAUSTED and _TOO_LARGE.search(response.message) is not None
    hint = result.SIZE_SETTINGS if too_large else HINTS.get(code, "")
    text = result.redacted_excerpt(response.message)
    message = f"{code}{f': {text}' if text else ''}{f'; see {hint}' if hint else ''}"
    # Without RetryInfo, RESOURCE_EXHAUSTED is permanent (E30). A delay of 0 means the normal back-off (E31).
    throttled = code == RESOURCE_EXHAUSTED
    specified = retry_after is not None if throttled else code in _RETRYABLE
    if rules.retries(code, specified=specified, usual=code in _SERVER_ERRORS) and not too_large:
        return result.Retryable(message, retry_after or None, unanswered=code in _UNANSWERED, throttled=throttled)
    if rules.holds(code, usual=code in _BLOCKING):
        return result.Blocked(message)
    can_split = too_large or code == "INVALID_ARGUMENT"
    return result.Permanent(f"grpc_{code.lower()}", message, can_split=can_split, too_large=too_large)


def _accepted(response: GrpcResponse, points: int) -> result.Accepted:
    try:
        return result.partial_success(ExportMetricsServiceResponse.FromString(response.body), points)
    except DecodeError:
        return result.Accepted(points, message=f"OK, with a response that is not OTLP; see {result.ENDPOINT_SETTING}")


def retry_info(details: bytes) -> float | None:
    """Return the delay in seconds of the RetryInfo in the details of a status; None without one."""
    with suppress(DecodeError):
        for detail in Status.FromString(details).details:
            info = RetryInfo()
            if detail.Unpack(info):
                delay: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return min(max(delay, 0.0), result.MAX_RETRY_AFTER)
    return None
