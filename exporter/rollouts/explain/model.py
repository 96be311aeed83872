"""The explanation of a rollout, as data: every part is absent (None or "") unless it applies and is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.details import Images, MetricMeasurements


class Cause(StrEnum):
    """Why a rollout is degraded, or paused for a reason that is not a step; the values of the label `cause`."""

    ANALYSIS = "analysis"
    PERSON = "person"
    DEADLINE = "deadline"
    EXPERIMENT = "experiment"
    PLUGIN = "plugin"
    INVALID_SPEC = "invalid_spec"
    NEW_REVISION = "new_revision"
    UNKNOWN = "unknown"


class Activity(StrEnum):
    """What an update under way spends its time on; the values of the label `activity`."""

    PODS = "pods"
    TIMER = "timer"
    PERSON = "person"
    ANALYSIS = "analysis"
    EXPERIMENT = "experiment"
    PLUGIN = "plugin"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StepPosition:
    """The step of a canary: its `index` from 0, how many there are, and its kind; `done` at the end."""

    index: int
    count: int
    kind: str


@dataclass(frozen=True, slots=True)
class ActivePause:
    """A pause condition of the status: reason and start (Unix seconds)."""

    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class RevisionImages:
    """The images of the current and of the stable revision, by container; never of one alone."""

    current: Images
    stable: Images


@dataclass(frozen=True, slots=True)
class ReplacedRevision:
    """The revision that a newer one replaced before it was promoted, and the step that it had reached."""

    revision: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """A fact that the explanation rests on, which source shows it, and its age (seconds, None: not known)."""

    text: str
    source: str
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rollout is where it is, at `now` of `explain`.

    `sentence` and `next_action` are for people: the state and why, who has to act and the command (`next` in JSON; ""
    if nobody has to). `activity` is "" unless an update is under way, not aborted. `run`, `metric` and `slot` are those
    that caused what `cause` names; `experiment` and `plugin` the same. `step` and `stopped_at` (index of the step that
    an aborted update had reached) are of a canary with steps whose update is not promoted. `waits_for` is person or
    timer, of a pause only; `until` (Unix seconds) is when the timer ends. `paused_by` is person while `spec.paused` is
    set. `replaces` lasts while the replacing revision is under way. `routes` are header and mirror routes: name → kind;
    they reach the canary at weight 0. `message` is the controller's own text.
    """

    sentence: str = ""
    next_action: str = ""
    evidence: tuple[EvidenceLine, ...] = ()
    activity: Activity | None = None
    revision: str = ""
    cause: Cause | None = None
    run: str = ""
    slot: str = ""
    metric: MetricMeasurements | None = None
    experiment: str = ""
    plugin: str = ""
    step: StepPosition | None = None
    stopped_at: int | None = None
    pauses: tuple[ActivePause, ...] = ()
    until: float | None = None
    paused_by: str = ""
    waits_for: str = ""
    images: RevisionImages | None = None
    replaces: ReplacedRevision | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
