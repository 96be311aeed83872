"""An HTTP answer → a verdict (E21-E35). Pure: the time is an argument."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from google.protobuf import json_format
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.otlp.transport.response import (
    CREDENTIAL,
    ENDPOINT,
    LONGEST_WAIT,
    MESSAGE_LENGTH,
    SIZE,
    Done,
    Hold,
    Later,
    Never,
    Verdict,
    short,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOBUF: Final = "application/x-protobuf"
_GARBLED: Final = 3

_RETRYABLE: Final = {429, 502, 503, 504}
_HELD: Final = {401, 403, 404, 407, *range(300, 400)}
"""407 and the 3xx bend E27, which gives them up: a proxy that wants a credential or a login must not cost data."""
_SPLIT: Final = {400, 413}
_DATES: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The three forms of an HTTP date (RFC 9110 §5.6.7)."""

CURES: Final = {
    **dict.fromkeys(range(300, 400), f"{ENDPOINT}, and any proxy that wants a login: redirects are not followed"),
    **dict.fromkeys((400, 404, 405), ENDPOINT),
    **dict.fromkeys((401, 403), CREDENTIAL),
    407: "HTTP_PROXY, which holds the proxy's user and password",
    413: SIZE,
    415: "otlp.compression or otlp.protocol",
}
"""The settings to look at, by status."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; `headers` are by lower-case name, `body` is decompressed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """Return the status, as requests are counted by."""
        return str(self.status)


def of_answer(answer: Answer, points: int, now: float) -> Verdict:
    """Judge the answer to a request of so many points; `now` (Unix seconds) is for dates in Retry-After."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return _success(answer, points)
    why = _why(answer)
    if status in _RETRYABLE:
        return Later(why, retry_after(answer.headers.get("retry-after", ""), now))
    if status in _HELD:
        return Hold(why)
    return Never(f"http_{status}", why, split=status in _SPLIT, large=status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _success(answer: Answer, points: int) -> Done:
    """Read partial success; an answer that cannot be read is a success with a warning (E22-E24)."""
    if not answer.body:
        return Done(points)
    try:
        return taken(READERS[_type(answer)](answer.body), points)
    except (KeyError, DecodeError, ParseError):
        return Done(points, message=f"{_why(answer)} (an answer that is not OTLP; see otlp.endpoint)")


def _type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _from_json(body: bytes) -> ExportMetricsServiceResponse:
    return json_format.Parse(body, ExportMetricsServiceResponse(), ignore_unknown_fields=True)


READERS: Final = {PROTOBUF: ExportMetricsServiceResponse.FromString, "application/json": _from_json}
"""How an answer is read, by media type: OTLP's own, and its JSON form, which some servers always give."""


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait by a Retry-After header: whole seconds or an HTTP date, ahead; else None (E32)."""
    text = value.strip()
    wait = float(text) if re.fullmatch(r"[0-9]{1,15}", text) else _until(text, now)
    return min(wait, LONGEST_WAIT) if wait > 0 else None


def _until(text: str, now: float) -> float:
    for form in _DATES:
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp() - now
    return 0.0


def _why(answer: Answer) -> str:
    cure = f"; see {CURES[answer.status]}" if answer.status in CURES else ""
    said = _elsewhere(answer) or _said(answer)
    return f"{_named(answer.status)}{f': {said}' if said else ''}{cure}"


def _elsewhere(answer: Answer) -> str:
    """Return the host that a redirect points to; the rest of such a URL may be secret."""
    with suppress(ValueError):
        host = urlsplit(answer.headers.get("location", "")).hostname
        return short(f"to {host}") if host else ""
    return ""


def _named(status: int) -> str:
    with suppress(ValueError):
        return f"{status} {HTTPStatus(status).phrase}"
    return str(status)


def _said(answer: Answer) -> str:
    """Return what an error's body says: a google.rpc.Status, text, or that it is neither (E26)."""
    if _type(answer) == PROTOBUF:
        with suppress(DecodeError):
            return short(Status.FromString(answer.body).message)
    text = answer.body[: 8 * MESSAGE_LENGTH].decode(errors="replace")
    garbled = "\0" in text or text.count("\ufffd") > _GARBLED
    return f"{len(answer.body)} bytes that are no text" if garbled else short(text)
