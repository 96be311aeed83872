"""HTTP response → result of the request (E21-E35). Pure: the time is an argument."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.net.response import body_text, status_text
from exporter.otlp import result

if TYPE_CHECKING:
    from exporter.net.response import HttpResponse

PROTOBUF: Final = "application/x-protobuf"
_MAX_INVALID_LETTERS: Final = 3
"""Undecodable letters in a body that still counts as text: the cut may split one, and some servers send Latin-1."""

_RETRYABLE: Final = {429, 502, 503, 504}
"""The statuses that the specification allows; it forbids a retry after 500, too (E27)."""
_BLOCKING: Final = {401, 403, 404, 407, *range(300, 400)}
"""407 and 3xx deviate from E27, which drops the data: a proxy that requires a login must not cost data."""
_SPLITTABLE: Final = {400, 413}
"""Some stores respond with 400 to an entire request for one bad point."""
_DATE_FORMATS: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The three forms of an HTTP date (RFC 9110 §5.6.7)."""

_REDIRECT_HINT: Final = f"{result.ENDPOINT_SETTING}, and any proxy with a login: redirects are not followed"
HINTS: Final = {
    **dict.fromkeys(range(300, 400), _REDIRECT_HINT),
    **dict.fromkeys((400, 404, 405), result.ENDPOINT_SETTING),
    **dict.fromkeys((401, 403), result.CREDENTIAL_SETTINGS),
    407: "HTTP_PROXY, which holds the proxy's user and password",
    413: result.SIZE_SETTINGS,
    415: "otlp.compression or otlp.protocol",
}
"""The settings to check, by status."""


def classify_http(response: HttpResponse, points: int, now: float) -> result.RequestResult:
    """Classify the response to a request of `points` points; `now` (Unix seconds) is for dates in Retry-After."""
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return _accepted(response, points)
    message = _message(response)
    if status in _RETRYABLE:
        return result.Retryable(message, retry_after(response.headers.get("retry-after", ""), now))
    if status in _BLOCKING:
        return result.Blocked(message)
    too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return result.Permanent(f"http_{status}", message, can_split=status in _SPLITTABLE, too_large=too_large)


def _accepted(response: HttpResponse, points: int) -> result.Accepted:
    """Read partial success; a body that cannot be parsed is a success with a warning (E22-E24)."""
    if not response.body:  # VictoriaMetrics responds with it, whether it stored the points or not
        return result.Accepted(points)
    try:
        return result.partial_success(BODY_PARSERS[response.media_type](response.body), points)
    except (KeyError, DecodeError, json_format.ParseError):
        hint = f"(a response that is not OTLP; see {result.ENDPOINT_SETTING})"
        return result.Accepted(points, message=f"{_message(response)} {hint}")


def _parse_json(body: bytes) -> ExportMetricsServiceResponse:
    return json_format.Parse(body, ExportMetricsServiceResponse(), ignore_unknown_fields=True)


BODY_PARSERS: Final = {PROTOBUF: ExportMetricsServiceResponse.FromString, "application/json": _parse_json}
"""By media type: OTLP's own, and its JSON form, which some servers send whatever the request was."""


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait of a Retry-After header: an integer or an HTTP date in the future; else None (E32)."""
    text = value.strip()
    wait = float(text) if re.fullmatch(r"[0-9]{1,15}", text) else _seconds_until(text, now)
    return min(wait, result.MAX_RETRY_AFTER) if wait > 0 else None


def _seconds_until(text: str, now: float) -> float:
    for date_format in _DATE_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, date_format).replace(tzinfo=UTC).timestamp() - now
    return 0.0


def _message(response: HttpResponse) -> str:
    hint = f"; see {HINTS[response.status]}" if response.status in HINTS else ""
    host = response.redirect_host
    text = result.redacted_excerpt(f"to {host}") if host else _error_text(response)
    return f"{status_text(response.status)}{f': {text}' if text else ''}{hint}"


def _error_text(response: HttpResponse) -> str:
    """Return the message of a body: of a google.rpc.Status, its text, or only its size if it is binary (E26)."""
    if response.media_type == PROTOBUF:
        with suppress(DecodeError):
            return result.redacted_excerpt(Status.FromString(response.body).message)
    text = body_text(response.body, result.MAX_MESSAGE_LENGTH)
    is_binary = "\0" in text or text.count("\ufffd") > _MAX_INVALID_LETTERS
    return f"{len(response.body)} bytes that are not text" if is_binary else result.redacted_excerpt(text)
