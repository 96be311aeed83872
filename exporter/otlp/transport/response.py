"""Outcomes of sending one request over either transport, and their classification into results. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.net.response import HttpResponse
from exporter.otlp.result import ENDPOINT_SETTING, Blocked, Permanent, RequestResult, Retryable
from exporter.otlp.transport.grpc_status import GrpcResponse, classify_grpc
from exporter.otlp.transport.http_status import classify_http


@dataclass(frozen=True, slots=True)
class ResponseTooLarge:
    """A response whose body exceeds the limit (E25); `code` is its status."""

    code: str


@dataclass(frozen=True, slots=True)
class NoResponse:
    """No complete response: the connection failed, broke or timed out (E28)."""

    message: str
    code: str = "none"


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing was sent: the settings, or the files that they name, cannot be used."""

    message: str
    code: str = "unsent"


TransportOutcome = HttpResponse | GrpcResponse | ResponseTooLarge | NoResponse | NotSent


def classify(outcome: TransportOutcome, points: int, now: float) -> RequestResult:
    """Classify the outcome of a request of `points` points; `now` (Unix seconds) is for dates in Retry-After."""
    match outcome:
        case HttpResponse():
            return classify_http(outcome, points, now)
        case GrpcResponse():
            return classify_grpc(outcome, points)
        case ResponseTooLarge(code):
            # Sent again, the request would get the same response (E25). The reason is a public label.
            return Permanent("endless_answer", f"{code} with a response of more than 4 MiB; see {ENDPOINT_SETTING}")
        case NoResponse(message):
            return Retryable(message, unanswered=True)
        case NotSent(message):
            return Blocked(message)  # a file can be corrected while requests wait
