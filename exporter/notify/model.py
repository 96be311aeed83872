"""What a destination is, and how names and times are written in its messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from exporter.otlp.result import RequestResult
    from exporter.rollouts.events.model import ReportedTransition
    from exporter.rollouts.model import AttemptKey, RolloutKey

_NAMESPACE: Final = UUID("6f0f2d6e-8a3c-4d0c-9f0b-4d3b6a2f6f11")
"""The namespace of our identifiers; another one would make every event of an earlier version a new one."""


class MessageClient(Protocol):
    """Sends bodies to one system; an asynchronous context manager."""

    async def post(self, body: bytes) -> RequestResult:
        """Send a body. Never raises: errors are returned as a result."""

    def credentials_changed(self) -> bool:
        """Return whether a credential differs from the one that was last used."""

    async def __aenter__(self) -> Self:
        """Open what it needs."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True)
class MessageDestination:
    """A system that gets messages: `name` in metrics and storage, its bodies of a transition, and its client.

    `bodies` is pure: of equal transitions it returns equal bodies.
    """

    name: str
    bodies: Callable[[ReportedTransition], Iterable[bytes]]
    client: MessageClient


def identifier(*parts: object) -> str:
    """Return the UUID of some parts: the same in each process."""
    return str(uuid5(_NAMESPACE, "\n".join(map(str, parts))))


def attempt_id(cluster: str, rollout: RolloutKey, attempt: AttemptKey) -> str:
    """Return the UUID of an attempt at an update."""
    since, place = attempt
    return identifier("attempt", cluster, *rollout, f"{since:.3f}", place)


def time_text(timestamp: float) -> str:
    """Return a time in the format of RFC 3339, in milliseconds."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
