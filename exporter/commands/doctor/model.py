"""What the doctor looks at, and what it finds. All values are frozen; only `examine` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from exporter.config.errors import ConfigIssue
    from exporter.config.settings import Settings
    from exporter.metrics import ScrapeResult
    from exporter.otlp.result import RequestResult
    from exporter.otlp.transport.response import TransportOutcome

Level = Literal["error", "warning"]
"""error: something is not exported, or wrong; warning: it may be, or becomes so."""
GROUPS = (
    "settings", "targets", "controllers", "kube-state-metrics", "rollout-state", "rollouts", "otlp", "clock", "storage",
)  # fmt: skip # a table
"""In the order of the report."""


@dataclass(frozen=True, slots=True)
class ExaminedPage:
    """The response of one address: parsed, and as it was sent.

    `host` and `port` are those of the setting, `headers` by lower-case name. `received_at` is when the head of the
    response came (Unix seconds), `body` its first bytes without secrets, `families` the names of families on it.
    """

    result: ScrapeResult
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    received_at: float = 0.0
    body: bytes = field(default=b"", repr=False)
    families: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, str]:
        """Source, installation and address."""
        return self.result.source.value, self.result.installation, self.result.target


@dataclass(frozen=True, slots=True)
class ExaminedDelivery:
    """The outcome of a request without points to the endpoint, and what it would mean for one with points.

    `proxy` is the address of the proxy in between, "" for none, and `is_reachable_directly` whether the endpoint
    accepts connections past it. `spoken` are protocol and address that it answers, if they differ from the configured.
    """

    endpoint: str
    protocol: str
    outcome: TransportOutcome
    result: RequestResult
    received_at: float
    proxy: str = ""
    is_reachable_directly: bool = False
    spoken: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ExaminedStorage:
    """The directory of the database; sizes in bytes, `free` and `needed` of its file system.

    `error` is why it cannot be written, `filesystem` the type of the network file system that it is on, `owner` the
    process that holds its lock; each "" if there is none. `listing` are lines about its content.
    """

    directory: Path
    error: str = ""
    filesystem: str = ""
    owner: str = ""
    free: int = 0
    needed: int = 0
    listing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that checks look at.

    `errors` and `warnings` are those of the configuration; what a section with an error configures is not looked at.
    `later_pages` are of a second look, some seconds later, taken only if the first one raised a question that time
    answers. `repeated` are further responses of one address, each over a connection of its own. `addresses` has the IP
    addresses of each name. `exporter` are the own metrics of an exporter that runs here with these settings, "" if
    none does; `events` what happened last, of the same exporter.
    """

    settings: Settings
    errors: tuple[ConfigIssue, ...] = ()
    warnings: tuple[ConfigIssue, ...] = ()
    pages: tuple[ExaminedPage, ...] = ()
    later_pages: tuple[ExaminedPage, ...] = ()
    repeated: Mapping[str, tuple[ExaminedPage, ...]] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    delivery: ExaminedDelivery | None = None
    storage: ExaminedStorage | None = None
    exporter: str = ""
    events: tuple[Mapping[str, object], ...] = ()

    @property
    def issues(self) -> tuple[ConfigIssue, ...]:
        """Errors and warnings of the configuration."""
        return (*self.errors, *self.warnings)

    @property
    def last_pages(self) -> tuple[ExaminedPage, ...]:
        """The pages of the last look."""
        return self.later_pages or self.pages


@dataclass(frozen=True, slots=True)
class Symptom:
    """What a check sees: the object, the evidence, and the values that its remedy names."""

    subject: str
    evidence: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A kind of finding: its public id, and the pure function that finds it.

    `meaning` and `remedy` are what the manual page shows; `remedy` is a format string of the values of a symptom.
    """

    id: str
    group: str
    level: Level
    meaning: str
    remedy: str
    find: Callable[[Examination], Iterable[Symptom]]


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """A symptom with the id of its check and the exact remedy; the fields are keys of the JSON output."""

    id: str
    group: str
    level: Level
    subject: str
    evidence: str
    remedy: str
