"""HTTP response → result of the request (E21-E35). Pure: the time is an argument."""

from __future__ import annotations

import json
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
"""The statuses that the specification allows; it forbids a retry after any other (E27)."""
_SERVER_ERRORS: Final = range(500, 1000)
"""Retried unless `otlp.retry.strict`: 500 of an overloaded gateway, 520 to 530 of a CDN and codes beyond 599 are the
trouble of the server, not its verdict about the request. The sender finds requests that are at fault (poison)."""
_BLOCKING: Final = {401, 403, 404, 407}
"""407 deviates from E27, which drops the data: a proxy that requires a login must not cost data."""
_REDIRECTS: Final = range(300, 400)
"""Held, also with `otlp.retry.strict`: the specification is silent about them."""
_CREDENTIAL: Final = {401, 403}
_SPLITTABLE: Final = {400, 413}
"""Some stores respond with 400 to an entire request for one bad point."""
_MARKUP: Final = re.compile(r"<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", re.DOTALL | re.IGNORECASE)
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


def classify_http(
    response: HttpResponse, points: int, now: float, rules: result.RetryRules = result.DEFAULT_RULES
) -> result.RequestResult:
    """Classify the response to a request of `points` points; `now` (Unix seconds) is for dates in Retry-After."""
    status = response.status
    if is_success(status):
        return _success(response, points, rules)
    message = _message(response)
    if rules.retries(response.code, specified=status in _RETRYABLE, usual=status in _SERVER_ERRORS):
        wait = retry_after(response.headers.get("retry-after", ""), now)
        return result.Retryable(message, wait, throttled=status == HTTPStatus.TOO_MANY_REQUESTS)
    if rules.holds(response.code, usual=status in _BLOCKING) or status in _REDIRECTS:
        return result.Blocked(message)
    too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return result.Permanent(f"http_{status}", message, can_split=status in _SPLITTABLE, too_large=too_large)


def is_success(status: int) -> bool:
    """Return whether a status is 2xx."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def refuses_credential(response: HttpResponse) -> bool:
    """Return whether a response is about the credential that was sent."""
    return response.status in _CREDENTIAL


def _success(response: HttpResponse, points: int, rules: result.RetryRules) -> result.Accepted | result.Blocked:
    """Read partial success (E22-E24).

    What is no answer of the protocol (the page of a login, a captive portal, the default of an ingress) comes from
    somebody who stored nothing, so it holds delivery. A server that claims to answer in the protocol has taken the
    request, even if its answer cannot be read.
    """
    if not response.body:  # VictoriaMetrics responds with it, whether it stored the points or not
        return result.Accepted(points)
    try:
        return result.partial_success(_PARSERS.get(response.media_type, _parse_undeclared)(response.body), points)
    except NotOtlpError:
        is_protocol = False
    except _UNREADABLE:
        is_protocol = response.media_type in _PARSERS and not response.body.lstrip(_BLANKS).startswith(b"<")
    if is_protocol or rules.strict:
        return result.Accepted(points, message=f"{_message(response)} ({_NOT_OTLP})")
    return not_otlp(response)


def not_otlp(response: HttpResponse) -> result.Blocked:
    """Return the result of a success that is not an answer of the protocol."""
    return result.Blocked(f"{_message(response)} ({_NOT_OTLP}, and any proxy with a login)")


def is_page(response: HttpResponse) -> bool:
    """Return whether a response is declared as a web page."""
    return response.media_type in _PAGE_TYPES


class NotOtlpError(Exception):
    """A body is valid JSON or protobuf, but not an answer to an OTLP request."""


def _parse_json(body: bytes) -> ExportMetricsServiceResponse:
    # A letter that is not UTF-8 in the text of a message is no reason to doubt the rest.
    document = json.loads(body.decode("utf-8", "replace"))
    if not isinstance(document, dict) or (document and _PARTIAL_SUCCESS.isdisjoint(document)):
        raise NotOtlpError
    return json_format.ParseDict(document, ExportMetricsServiceResponse(), ignore_unknown_fields=True)


def _parse_undeclared(body: bytes) -> ExportMetricsServiceResponse:
    """Parse a body of another media type or none: as JSON, else as protobuf without unknown fields."""
    with suppress(ValueError):
        return _parse_json(body)
    message = ExportMetricsServiceResponse.FromString(body)
    message.DiscardUnknownFields()
    if message.SerializeToString() != body:
        raise NotOtlpError
    return message


_NOT_OTLP: Final = f"a response that is not OTLP; see {result.ENDPOINT_SETTING}"
_BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
_PAGE_TYPES: Final = {"text/html", "application/xhtml+xml"}
_PARTIAL_SUCCESS: Final = {"partialSuccess", "partial_success"}
_PARSERS: Final = {PROTOBUF: ExportMetricsServiceResponse.FromString, "application/json": _parse_json}
"""By media type: OTLP's own, and its JSON form, which some servers send whatever the request was."""
_UNREADABLE: Final = (ValueError, OverflowError, RecursionError, DecodeError, json_format.Error)


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
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        text = _MARKUP.sub(" ", text)
    is_binary = "\0" in text or text.count("\ufffd") > _MAX_INVALID_LETTERS
    return f"{len(response.body)} bytes that are not text" if is_binary else result.redacted_excerpt(text)
