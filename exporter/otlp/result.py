"""All that may come of a request, over whichever transport, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.otlp.transport.grpc_status import Reply, of_reply
from exporter.otlp.transport.http_status import Answer, of_answer
from exporter.otlp.transport.response import ENDPOINT, Hold, Later, Never, Verdict


@dataclass(frozen=True, slots=True)
class Endless:
    """An answer whose body is longer than is read (E25); `code` is the status that came with it."""

    code: str


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


Outcome = Answer | Reply | Endless | Silence | Unfit


def judge(outcome: Outcome, points: int, now: float) -> Verdict:
    """Judge what came of a request of so many points; `now` (Unix seconds) is for dates in Retry-After."""
    match outcome:
        case Answer():
            return of_answer(outcome, points, now)
        case Reply():
            return of_reply(outcome, points)
        case Endless(code):
            return Never("endless_answer", f"{code} with an answer of more than 4 MiB; see {ENDPOINT}")
        case Silence(why):
            return Later(why, silent=True)
        case Unfit(why):
            return Hold(why)
