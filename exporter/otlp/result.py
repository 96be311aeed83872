"""The result of one export request: what the sender has to do with it (E21-E35)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.log import REDACTOR
from exporter.net.response import excerpt

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

MAX_RETRY_AFTER: Final = 3600.0
"""Seconds of a server's request to wait that are honoured: a wrong clock or unit must not stop delivery for days."""

MAX_MESSAGE_LENGTH: Final = 200
"""Characters of a server's own text in a message."""

ENDPOINT_SETTING: Final = "otlp.endpoint"
CREDENTIAL_SETTINGS: Final = "otlp.headers, otlp.headers_file or otlp.authorization_file"
RESPONSE_SIZE_SETTING: Final = "otlp.response.bytes and otlp.endpoint"
SIZE_SETTINGS: Final = "otlp.request.points or otlp.request.bytes"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Delivered, except for `rejected` points; `message` is the server's warning, "" for none."""

    accepted: int
    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Retryable:
    """To be sent again unchanged, after `retry_after` seconds if the server asked for that.

    `unanswered`: there was no response, so the time that the attempt took counts as part of the wait.
    `throttled`: the server limits the rate, which is never the fault of one request.
    """

    message: str
    retry_after: float | None = None
    unanswered: bool = False
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """To be held until a credential or an address is corrected.

    `unsent`: our own settings or files are the reason, so nothing was sent.
    """

    message: str
    unsent: bool = False


@dataclass(frozen=True, slots=True)
class Permanent:
    """Not to be sent again as it is.

    `can_split`: its parts may be sent, to isolate the bad point; `too_large`: its parts may be small enough.
    """

    reason: str
    message: str
    can_split: bool = False
    too_large: bool = False


RequestResult = Accepted | Retryable | Blocked | Permanent


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Which statuses are retried or held: those of the exporter, or `strict`, those of the specification (E27, E29).

    `added` are retried, `removed` neither retried nor held; both hold HTTP statuses or names of gRPC statuses.
    """

    strict: bool = False
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()

    def retries(self, code: str, *, specified: bool, usual: bool = False) -> bool:
        """Return whether a status is retried: `specified` by the specification, or `usual` with this exporter."""
        by_default = specified or (usual and not self.strict)
        return code in self.added or (by_default and code not in self.removed)

    def holds(self, code: str, *, usual: bool) -> bool:
        """Return whether a status that is not retried holds delivery; the specification has no such status."""
        return usual and not self.strict and code not in self.removed


DEFAULT_RULES: Final = RetryRules()


def partial_success(response: ExportMetricsServiceResponse, points: int) -> Accepted:
    """Read partial success; rejected points are not retried (E22, E23)."""
    partial = response.partial_success
    rejected = min(max(partial.rejected_data_points, 0), points)
    return Accepted(points - rejected, rejected, redacted_excerpt(partial.error_message))


def redacted_excerpt(text: str) -> str:
    """Return a text on one line, cut at a length. Secrets are redacted before the cut, or half of one could stay."""
    return excerpt(REDACTOR.redact(text), MAX_MESSAGE_LENGTH)
