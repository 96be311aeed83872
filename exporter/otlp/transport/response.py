"""Outcomes of sending one request over either transport, and their classification into results. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from exporter.net.response import HttpResponse
from exporter.otlp.result import (
    DEFAULT_RULES,
    RESPONSE_SIZE_SETTING,
    Accepted,
    Blocked,
    Permanent,
    RequestResult,
    Retryable,
    RetryRules,
)
from exporter.otlp.transport.grpc_status import GrpcResponse, classify_grpc
from exporter.otlp.transport.http_status import classify_http, is_page, is_success, not_otlp


@dataclass(frozen=True, slots=True)
class ResponseTooLarge:
    """A response whose body exceeds the limit (E25); `code` is its status, `response` that of HTTP, without body."""

    code: str
    response: HttpResponse | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BrokenResponse:
    """A response that broke after its header, and why; `response` has no body.

    The server has made its decision, so it counts: sent again, a request that was accepted would be stored twice.
    """

    response: HttpResponse
    message: str

    @property
    def code(self) -> str:
        """The status."""
        return self.response.code


@dataclass(frozen=True, slots=True)
class UnreadableResponse:
    """A response of which nothing can be read, not even its status, since its header is invalid or too long."""

    message: str
    code: str = "unreadable"


@dataclass(frozen=True, slots=True)
class CredentialRefused:
    """A response that refuses the credential; `sent` describes what was sent, without its value."""

    response: HttpResponse | GrpcResponse
    sent: str

    @property
    def code(self) -> str:
        """The status."""
        return self.response.code


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


TransportOutcome = (
    HttpResponse
    | GrpcResponse
    | ResponseTooLarge
    | BrokenResponse
    | UnreadableResponse
    | CredentialRefused
    | NoResponse
    | NotSent
)


def classify(outcome: TransportOutcome, points: int, now: float, rules: RetryRules = DEFAULT_RULES) -> RequestResult:
    """Classify the outcome of a request of `points` points; `now` (Unix seconds) is for dates in Retry-After."""
    match outcome:
        case HttpResponse():
            return classify_http(outcome, points, now, rules)
        case GrpcResponse():
            return classify_grpc(outcome, points, rules)
        case CredentialRefused(response, sent):
            result = classify(response, points, now, rules)
            return replace(result, message=f"{result.message}; {sent}")
        case BrokenResponse() | ResponseTooLarge():
            return _classify_without_body(outcome, points, now, rules)
        case NoResponse(message):
            return Retryable(message, unanswered=True)
        case UnreadableResponse(message) | NotSent(message):
            # Unreadable, the server may have stored the points: no reason to send them again soon. Unsent, a file can
            # be corrected while requests wait.
            return Blocked(message, unsent=isinstance(outcome, NotSent))


def _classify_without_body(
    outcome: BrokenResponse | ResponseTooLarge, points: int, now: float, rules: RetryRules
) -> RequestResult:
    response = outcome.response
    if response is not None and not is_success(response.status):
        # The status of an error decides: an endless page with 503 must not cost data.
        return classify_http(response, points, now, rules)
    if isinstance(outcome, ResponseTooLarge):
        # Sent again, the request would get the same response (E25). The reason is a public label.
        message = f"{outcome.code} with a response that is too large; see {RESPONSE_SIZE_SETTING}"
        return Permanent("endless_answer", message)
    if is_page(outcome.response) and not rules.strict:
        return not_otlp(outcome.response)
    return Accepted(points, message=f"{outcome.code}, but {outcome.message}")
