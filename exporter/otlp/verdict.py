"""What came of a request → what to do with it (DESIGN §5, E21-E35). Pure: the time is an argument."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from google.protobuf import json_format
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOBUF: Final = "application/x-protobuf"
LONGEST_WAIT: Final = 3600.0
"""The most that a Retry-After is believed, in seconds."""

MESSAGE_LENGTH: Final = 200
_GARBLED: Final = 3

_RETRYABLE: Final = {429, 502, 503, 504}
_HELD: Final = {401, 403, 404}
_SPLIT: Final = {400, 413}
_DATES: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The three forms of an HTTP date (RFC 9110 §5.6.7)."""

_ENDPOINT: Final = "otlp.endpoint"
_CREDENTIAL: Final = "otlp.headers or otlp.authorization_file"
CURES: Final = {
    **dict.fromkeys((301, 302, 303, 307, 308, 400, 404, 405), _ENDPOINT),
    **dict.fromkeys((401, 403), _CREDENTIAL),
    413: "otlp.request.points or otlp.request.bytes",
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


@dataclass(frozen=True, slots=True)
class Endless:
    """An answer whose body is longer than is read (E25)."""

    status: int

    @property
    def code(self) -> str:
        """Return the status, as requests are counted by."""
        return str(self.status)


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer, or not a whole one: the connection failed, broke or took too long (E28)."""

    why: str
    code: str = "none"


@dataclass(frozen=True, slots=True)
class Unfit:
    """Nothing was sent, since the settings or the files they name do not make a request."""

    why: str
    code: str = "unsent"


Outcome = Answer | Endless | Silence | Unfit


@dataclass(frozen=True, slots=True)
class Done:
    """Delivered, but for `rejected` points; `message` is the server's warning, "" when it had none."""

    accepted: int
    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """To be sent again, as it is; not before `after` seconds where the server asked for that."""

    why: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """To be kept until somebody repairs a credential or an address."""

    why: str


@dataclass(frozen=True, slots=True)
class Never:
    """Not to be sent again; with `split` its halves may be, to set the bad part apart."""

    reason: str
    why: str
    split: bool = False


Verdict = Done | Later | Hold | Never


def judge(outcome: Outcome, points: int, now: float) -> Verdict:
    """Judge what came of a request of so many points; `now` (Unix seconds) is for dates in Retry-After."""
    match outcome:
        case Answer():
            return _judge_answer(outcome, points, now)
        case Endless(status):
            return Never("endless_answer", f"{_named(status)} with an answer of more than 4 MiB; see otlp.endpoint")
        case Silence(why):
            return Later(why)
        case Unfit(why):
            return Hold(why)


def _judge_answer(answer: Answer, points: int, now: float) -> Verdict:
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return _success(answer, points)
    why = _why(answer)
    if status in _RETRYABLE:
        return Later(why, retry_after(answer.headers.get("retry-after", ""), now))
    if status in _HELD:
        return Hold(why)
    return Never(f"http_{status}", why, split=status in _SPLIT)


def _success(answer: Answer, points: int) -> Done:
    """Read partial success; an answer that cannot be read is a success with a warning (E22-E24)."""
    if not answer.body:
        return Done(points)
    try:
        partial = READERS[_type(answer)](answer.body).partial_success
    except (KeyError, DecodeError, ParseError):
        return Done(points, message=f"{_why(answer)} (an answer that is not OTLP; see otlp.endpoint)")
    rejected = min(max(partial.rejected_data_points, 0), points)
    return Done(points - rejected, rejected, _short(partial.error_message))


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
    said = _said(answer)
    return f"{_named(answer.status)}{f': {said}' if said else ''}{cure}"


def _named(status: int) -> str:
    with suppress(ValueError):
        return f"{status} {HTTPStatus(status).phrase}"
    return str(status)


def _said(answer: Answer) -> str:
    """Return what an error's body says: a google.rpc.Status, text, or that it is neither (E26)."""
    if _type(answer) == PROTOBUF:
        with suppress(DecodeError):
            return _short(Status.FromString(answer.body).message)
    text = answer.body[: 8 * MESSAGE_LENGTH].decode(errors="replace")
    garbled = "\0" in text or text.count("\ufffd") > _GARBLED
    return f"{len(answer.body)} bytes that are no text" if garbled else _short(text)


def _short(text: str) -> str:
    """Return a text on one line, cut short, without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MESSAGE_LENGTH else f"{line[:MESSAGE_LENGTH]}…"
