"""What to do with a request, by what came of it (DESIGN §5, E21-E35)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.log import SECRETS

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

LONGEST_WAIT: Final = 3600.0
"""The most that a server is believed when it asks to be left alone, in seconds."""

MESSAGE_LENGTH: Final = 200

ENDPOINT: Final = "otlp.endpoint"
CREDENTIAL: Final = "otlp.headers, otlp.headers_file or otlp.authorization_file"
SIZE: Final = "otlp.request.points or otlp.request.bytes"


@dataclass(frozen=True, slots=True)
class Done:
    """Delivered, but for `rejected` points; `message` is the server's warning, "" when it had none."""

    accepted: int
    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """To be sent again, as it is; not before `after` seconds where the server asked for that.

    `silent`: nobody answered, so that the time this took is part of the wait.
    """

    why: str
    after: float | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """To be kept until somebody repairs a credential or an address."""

    why: str


@dataclass(frozen=True, slots=True)
class Never:
    """Not to be sent again; with `split` its parts may be, to set the bad one apart; with `large` they are to fit."""

    reason: str
    why: str
    split: bool = False
    large: bool = False


Verdict = Done | Later | Hold | Never


def taken(response: ExportMetricsServiceResponse, points: int) -> Done:
    """Read partial success, which is none of these points' last chance: what is rejected stays so (E22, E23)."""
    partial = response.partial_success
    rejected = min(max(partial.rejected_data_points, 0), points)
    return Done(points - rejected, rejected, short(partial.error_message))


def short(text: str) -> str:
    """Return a text on one line, cut short, without control characters; secrets are masked first, to be found whole."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in SECRETS.mask(text)).split())
    return line if len(line) <= MESSAGE_LENGTH else f"{line[:MESSAGE_LENGTH]}…"
