"""What the pages show, as plain values: `service.views` fills them in, `web.pages` renders them.

A time is in Unix seconds, an age or duration in seconds; None, "" and () stand for what no source shows. Text comes
from other people's objects: the renderer escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_ROWS: Final = 100
"""Rollouts on a fleet page: as many as a browser lays out without a pause, on a phone as well."""


class Urgency(StrEnum):
    """The groups of the fleet page, the most urgent first; the values are those of the query `state`."""

    PERSON = "person"
    FAILED = "failed"
    UPDATING = "updating"
    UNKNOWN = "unknown"
    REST = "rest"


class SortKey(StrEnum):
    """Orders of the rollouts of a group; the values are those of the query `sort`."""

    NAME = "name"
    PHASE_TIME = "time"
    """The longest in its phase first."""
    SHARE = "share"
    """The largest canary share first."""


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """Which rollouts the fleet page shows: `text` is part of namespace/name, `page` counts from 1."""

    text: str = ""
    namespace: str = ""
    urgency: Urgency | None = None
    sort: SortKey = SortKey.NAME
    page: int = 1


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """The hours that a timeline shows (None: as many as the history has, some at most), until a time (None: now)."""

    hours: float | None = None
    until: float | None = None


# What every page shows


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """All rollouts of the fleet, whatever the query, and by urgency; all targets, and those that are down."""

    rollouts: int = 0
    by_urgency: Mapping[Urgency, int] = field(default_factory=dict)
    targets: int = 0
    targets_down: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryBrief:
    """Delivery in one line: `state` is that of `DeliveryAccounting`, `reason` why it is not delivering.

    `last_success_age` is None before the first success. `queued` counts points.
    """

    state: str
    endpoint: str = ""
    reason: str = ""
    last_success_age: float | None = None
    queued: int = 0


@dataclass(frozen=True, slots=True)
class PageHead:
    """What stands on each page; `delivery` is None if nothing is pushed. `now` is the time of the page.

    `observed_at` is the time of the last cycle, 0.0 before the first. `has_leader`: a leading controller can be read.
    """

    version: str
    instance: str
    uptime: float
    now: float
    observed_at: float = 0.0
    has_leader: bool = True
    counts: FleetCounts = FleetCounts()
    delivery: DeliveryBrief | None = None
    warnings: tuple[str, ...] = ()
    has_gates: bool = False


# Fleet


@dataclass(frozen=True, slots=True)
class StepMark:
    """Where a canary stands: `index` from 0, or where it stopped; `kind` is `done` after all `count` steps."""

    index: int
    count: int
    kind: str = ""
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class TrafficShare:
    """The new revision's traffic in [0, 1]: the weight that is `set`, the share that is `true`, by `method`, and why.

    With blueGreen the share is 0 before the switch of the active Service, and 1 after it.
    """

    set: float | None = None
    true: float | None = None
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RolePods:
    """The pods of a role: how many there are, and how many of them are ready."""

    role: str
    count: int
    ready: int


@dataclass(frozen=True, slots=True)
class RolloutCard:
    """One rollout on the fleet page.

    `phase_seconds` is the time in its phase. `stable` and `current` name the revisions: images without registry, else
    number or hash; equal if no update is under way. `last_result` is how the last update ended (`promoted`, `aborted`
    …), `last_result_age` how long ago. `absent_seconds` is how long no leader has shown it: the state is the last known
    one; None while one shows it.
    """

    namespace: str
    name: str
    urgency: Urgency
    strategy: str = ""
    phase: str = ""
    phase_seconds: float | None = None
    sentence: str = ""
    next_action: str = ""
    step: StepMark | None = None
    share: TrafficShare = TrafficShare()
    stable: str = ""
    current: str = ""
    pods: tuple[RolePods, ...] = ()
    last_result: str = ""
    last_result_age: float | None = None
    unknown: tuple[str, ...] = ()
    absent_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FleetPage:
    """The rollouts that pass the query's filters, in order of urgency, those of one page.

    `matching` counts them on all pages; `namespaces` are all that can be chosen.
    """

    head: PageHead
    query: FleetQuery = FleetQuery()
    cards: tuple[RolloutCard, ...] = ()
    matching: int = 0
    namespaces: tuple[str, ...] = ()


# One rollout


@dataclass(frozen=True, slots=True)
class PhaseBand:
    """A time in one phase or state of the update; `word` is paused, updating, aborted, degraded, settled or unknown."""

    start: float
    end: float
    word: str


@dataclass(frozen=True, slots=True)
class SharePoint:
    """The canary's share in [0, 1] from a time on; None where it is not known."""

    timestamp: float
    share: float | None


@dataclass(frozen=True, slots=True)
class TimelineMark:
    """A transition at a time; `type` is that of /api/events."""

    timestamp: float
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class RolloutTransitions:
    """The transitions of a rollout that are held, oldest first: time (Unix seconds) and object of /api/events (JSON).

    `reason` is why they cannot be read, "" if they could be.
    """

    objects: tuple[tuple[float, bytes], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened from `since` to `until`; nothing is known of the time before `held_since`.

    `has_older`: `since` is later than was asked for, since there is more than is drawn.

    `shares` are the canary's true share as transitions report it, `weights` what its steps set, of the newest attempt.
    """

    since: float
    until: float
    held_since: float = 0.0
    hours: float = 6.0
    bands: tuple[PhaseBand, ...] = ()
    shares: tuple[SharePoint, ...] = ()
    weights: tuple[SharePoint, ...] = ()
    marks: tuple[TimelineMark, ...] = ()
    has_older: bool = False


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step of the plan; `state` is done, current, stopped or ahead. `seconds` is how long it took, or has taken."""

    index: int
    text: str
    state: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RevisionLine:
    """A revision with pods: `roles` such as `stable`, or `current, canary`; `share` of the traffic in [0, 1]."""

    hash: str
    roles: str
    number: str = ""
    images: tuple[str, ...] = ()
    pods: int = 0
    ready: int = 0
    share: float | None = None


@dataclass(frozen=True, slots=True)
class PodLine:
    """A pod of a rollout."""

    name: str
    role: str
    hash: str
    is_ready: bool
    node: str = ""


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """A metric of an AnalysisRun: `counts` as in `3 successful, 1 failed`, `condition` what its value has to meet."""

    name: str
    phase: str = ""
    value: str = ""
    counts: str = ""
    condition: str = ""
    message: str = ""
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class AnalysisLine:
    """An AnalysisRun; `slot` is where it runs (step, background, pre, post, experiment)."""

    run: str
    slot: str = ""
    phase: str = ""
    message: str = ""
    started_at: float | None = None
    completed_at: float | None = None
    metrics: tuple[MeasuredMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class FactLine:
    """A fact that the sentence rests on, which source shows it, and its age."""

    text: str
    source: str
    age: float | None = None


@dataclass(frozen=True, slots=True)
class EstimateLine:
    """The canary share by one method, and in words how that method finds it; `is_best`: it is the one that is used."""

    method: str
    text: str
    share: float | None
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link of `web.links`, with the names of the rollout filled in; http and https only."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command to copy, and what it is for."""

    purpose: str
    command: str


@dataclass(frozen=True, slots=True)
class RolloutPage:
    """One rollout; `card` is None if there is none of that name, `similar` then has names that are close to it.

    `timeline` is None while the history cannot be read, for `timeline_reason`. `series` are the lines as exported.
    """

    head: PageHead
    namespace: str
    name: str
    card: RolloutCard | None = None
    similar: tuple[str, ...] = ()
    timeline: Timeline | None = None
    timeline_reason: str = ""
    steps: tuple[StepLine, ...] = ()
    revisions: tuple[RevisionLine, ...] = ()
    pods: tuple[PodLine, ...] = ()
    analyses: tuple[AnalysisLine, ...] = ()
    facts: tuple[FactLine, ...] = ()
    estimates: tuple[EstimateLine, ...] = ()
    unknown: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    links: tuple[PageLink, ...] = ()
    commands: tuple[CommandLine, ...] = ()


# Delivery, targets, gates, configuration


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The queue now; `seconds_until_full` is None unless it grows. `is_durable`: it outlives the process."""

    requests: int = 0
    points: int = 0
    bytes: int = 0
    limit: int = 0
    oldest_age: float = 0.0
    seconds_until_full: float | None = None
    is_durable: bool = False
    storage: str = ""
    """The directory, or why storage is degraded."""


@dataclass(frozen=True, slots=True)
class PointBooks:
    """Where every produced point is: produced = delivered + rejected + dropped + queued; `dropped` by reason."""

    produced: int = 0
    delivered: int = 0
    rejected: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    queued: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning or error of the log, redacted; `count` is how often it came."""

    timestamp: float
    level: str
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Delivery in full; `rate` in delivered points per second over the last minute, `lag` from scrape to delivery."""

    head: PageHead
    protocol: str = ""
    compression: str = ""
    rate: float | None = None
    lag: float | None = None
    requests: Mapping[str, int] = field(default_factory=dict)
    """Requests by result."""
    queue: QueueFigures = QueueFigures()
    books: PointBooks = PointBooks()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetCard:
    """One target and its last scrape; `state` is its controller role, else up or down.

    `error` has a hint. `malformed` are lines that are not valid, bounded and masked, `malformed_count` counts them all.
    `answer` is the begin of the last answer that could not be used, masked.
    """

    source: str
    address: str
    state: str
    installation: str = ""
    last_success_age: float | None = None
    duration: float | None = None
    samples: int | None = None
    bytes: int | None = None
    error: str = ""
    malformed_count: int = 0
    malformed: tuple[str, ...] = ()
    answer: str = ""


@dataclass(frozen=True, slots=True)
class TargetsPage:
    """All targets, in order of source, installation and address; `sources_without` are configured, but have none."""

    head: PageHead
    targets: tuple[TargetCard, ...] = ()
    sources_without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShadowGateRun:
    """A shadow gate's evaluation for one update; `verdict` so far, `values` as `metric 0.98 >= 0.95`."""

    namespace: str
    name: str
    hash: str
    verdict: str
    started_at: float
    reason: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShadowGateCard:
    """A gate of the settings; `error` is why it is not evaluated, `rollouts` the globs that it is for."""

    name: str
    file: str
    rollouts: tuple[str, ...] = ()
    error: str = ""
    runs: tuple[ShadowGateRun, ...] = ()


@dataclass(frozen=True, slots=True)
class GatesPage:
    """The shadow gates; `store` is the address that they read."""

    head: PageHead
    store: str = ""
    gates: tuple[ShadowGateCard, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingLine:
    """A setting in force: `value` is masked if it is secret, `origin` where it was set (file, variable, option)."""

    name: str
    value: str
    origin: str
    is_default: bool = True


@dataclass(frozen=True, slots=True)
class ConfigurationPage:
    """The settings in force, in their order, and what is doubtful in them."""

    head: PageHead
    settings: tuple[SettingLine, ...] = ()
    issues: tuple[str, ...] = ()


# The manual


@dataclass(frozen=True, slots=True)
class ManualEntry:
    """A line of the manual's table of contents."""

    topic: str
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class ManualArticle:
    """A page of the manual; `html` is trusted, since it is of the package. Without a topic it is the contents."""

    topic: str
    title: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class ManualView:
    """A page of the manual with the table of contents beside it."""

    head: PageHead
    article: ManualArticle
    entries: tuple[ManualEntry, ...] = ()
