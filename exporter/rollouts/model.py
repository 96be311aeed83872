"""The data model of rollouts: what sources show, what is remembered between ticks and exported, and the settings.

Every other module of the package imports this one, and this one only `details`. All of it is frozen, so that an
unchanged rollout is recognised by identity or by one comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exporter.rollouts.details import NO_DETAILS

if TYPE_CHECKING:
    from exporter.rollouts.details import Images, RolloutDetails

T = TypeVar("T")
RolloutKey = tuple[str, str]
"""Namespace and name of a rollout, spelled as the controller spells them."""


def rollout_key(labels: Mapping[str, str]) -> RolloutKey:
    """Return the rollout that a sample with these labels is about."""
    return labels.get("namespace", ""), labels.get("name", "")


NOTHING: Final[Mapping[str, Any]] = {}
"""The one empty mapping of all rollouts: each has eight that mostly are empty, of 64 bytes each otherwise."""


def nothing() -> Mapping[str, Any]:
    """Return NOTHING, as the default of a field."""
    return NOTHING


def shared(mapping: Mapping[str, T]) -> Mapping[str, T]:
    """Return an equal mapping that others have, too: thousands of pods and rollouts have the same few."""
    return _mapping_of(tuple(mapping.items()))


@lru_cache(1024)
def _mapping_of(items: tuple[tuple[str, T], ...]) -> Mapping[str, T]:
    return dict(items)


PHASES: Final = ("InvalidSpec", "Completed", "Progressing", "Paused", "Timeout", "Error", "Abort")
"""Values of `rollout_info{phase}`. The controller computes them from conditions; `InvalidSpec` overrides the others."""
UNKNOWN_PHASE: Final = "Unknown"
"""Stands for a phase of a newer controller (T56)."""
HEALTHS: Final = ("Healthy", "Progressing", "Paused", "Degraded")
"""Values of the API's `status.phase`, which differ from those of `rollout_info{phase}`."""
CANARY: Final = "canary"
BLUE_GREEN: Final = "blueGreen"


class PodRole(StrEnum):
    """Which revision of its rollout a pod runs; the values are those of the label `role`."""

    STABLE = "stable"
    CANARY = "canary"
    PREVIEW = "preview"
    OLD = "old"
    EXPERIMENT = "experiment"
    UNKNOWN = "unknown"


class UpdateState(StrEnum):
    """How far a rollout is between its stable and its current revision."""

    UNKNOWN = "unknown"
    SETTLED = "settled"
    UPDATING = "updating"
    ABORTED = "aborted"


class Transition(StrEnum):
    """An event that starts, changes or ends an update."""

    STARTED = "started"
    SUPERSEDED = "superseded"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    RETRIED = "retried"


# What the sources show of a rollout


@dataclass(frozen=True, slots=True)
class ControllerProcess:
    """A running controller. Its counters start at 0 at `start_time` (Unix seconds, 0 if its page does not show it)."""

    target: str
    start_time: float
    installation: str = "default"


@dataclass(frozen=True, slots=True)
class ReplicaCounts:
    """The controller's four replica gauges of a rollout. Pods of experiments are in none of them."""

    desired: float
    updated: float
    available: float
    unavailable: float

    @property
    def total(self) -> float:
        """Pods of all revisions: the controller computes `unavailable` as `status.replicas` less `available`."""
        return self.available + self.unavailable

    @property
    def updated_available(self) -> float:
        """Pods of the current revision that are available, if those of other revisions are, at most."""
        return min(max(self.available - self.old, 0.0), self.updated)

    @property
    def old(self) -> float:
        """Pods of other revisions than the current one."""
        # After a scaling the controller refreshes `available` at once, `updated` one reconciliation later.
        return max(self.total - self.updated, 0.0)


@dataclass(frozen=True, slots=True)
class ControllerView:
    """What the leading controller exports about a rollout; `event_counts` are its event counters by reason."""

    process: ControllerProcess
    strategy: str
    router: str
    phase: str
    replicas: ReplicaCounts | None
    event_counts: Mapping[str, float] = field(default_factory=nothing)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a rollout; `label_role` is the role in its ephemeral-metadata label, "" without one."""

    name: str
    uid: str
    node: str
    replica_set: str
    hash: str
    ready: bool
    experiment: bool
    label_role: str = ""
    images: Images = field(default_factory=nothing)


PodRoles = tuple[tuple[Pod, PodRole], ...]
"""Pods of a rollout, each with its role."""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet of a rollout; `revision` is None if kube-state-metrics does not export the annotation.

    `committed_at` (Unix seconds) is the time of the commit that its revision was built from, None if nothing shows it.
    """

    hash: str
    revision: int | None
    created_at: float
    desired: float
    pod_count: float
    committed_at: float | None = None


ReplicaSets = Mapping[str, ReplicaSet]
"""The ReplicaSets of a rollout by hash."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What kube-state-metrics exports about a rollout: its ReplicaSets by hash and its pods, without terminating ones.

    `observed_at` (Unix seconds) is the time of the scrape; it is not compared, so that a later scrape of the same pods
    is no change. `has_doubtful_roles`: labels of some pods claim a role, but contradict each other.
    """

    replica_sets: ReplicaSets = field(default_factory=nothing)
    pods: tuple[Pod, ...] = ()
    observed_at: float = field(default=math.inf, compare=False)
    has_doubtful_roles: bool = False


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """The status of a Rollout object, exported by custom-resource state; None and "" mean an absent field.

    `observed_at` (Unix seconds) is the time of the scrape. `pauses` are the pause conditions: reason and start (Unix
    seconds); a pause by `spec.paused` has none. `generation_observed`: the status is about the current spec, of number
    `generation`; `observed_generation` is that of the spec that the controller last reconciled.
    `weight` is the canary's, on the revision `weight_hash`; `uid` is the object's, of newer configurations only.
    `started_at`, `finished_at` (Unix seconds) and `completion` are of the last update, since Argo Rollouts 1.11.
    `details` is None unless the page is of the chart's second configuration.
    """

    stable_hash: str = ""
    current_hash: str = ""
    weight: float | None = None
    weight_hash: str = ""
    max_weight: float = 100.0  # the default of maxTrafficWeight; only Nginx and plugins can have another
    step_index: float | None = None
    health: str = ""
    aborted: bool = False
    generation_observed: bool = False
    generation: float | None = None
    observed_generation: float | None = None
    pauses: tuple[tuple[str, float], ...] = ()
    uid: str = ""
    completion: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    details: RolloutDetails | None = None
    observed_at: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """All sources' view of one rollout at a tick; `first_deploy`: the rollout was created since the last tick."""

    view: ControllerView | None = None
    workload: Workload | None = None
    status: RolloutStatus | None = None
    first_deploy: bool = False

    @property
    def replica_sets(self) -> ReplicaSets:
        """The ReplicaSets by hash, none if kube-state-metrics shows none."""
        return self.workload.replica_sets if self.workload is not None else {}

    def has_pods_since(self, timestamp: float) -> bool:
        """Return whether the pods were scraped at a time (Unix seconds) or later."""
        return self.workload is not None and self.workload.observed_at >= timestamp

    def has_status_since(self, timestamp: float) -> bool:
        """Return whether the status was scraped at a time (Unix seconds) or later."""
        return self.status is not None and self.status.observed_at >= timestamp

    @property
    def details(self) -> RolloutDetails:
        """The details of the status, empty if rollout state shows none."""
        return (self.status.details if self.status is not None else None) or NO_DETAILS


@dataclass(frozen=True, slots=True)
class EventDeltas:
    """Growth of a controller's event counters since the previous scrape.

    `process_restarted`: the counters are another process's, and count only what happened since it became the leader.
    """

    updates: float = 0
    completions: float = 0
    aborts: float = 0
    step_skips: float = 0
    new_replica_sets: float = 0
    pauses: float = 0
    resumes: float = 0
    completed_steps: float = 0
    weight_updates: float = 0
    other_steps: float = 0
    deletions: float = 0
    process_restarted: bool = False

    @property
    def has_transition(self) -> bool:
        """Whether a revision was applied, promoted or aborted."""
        return any((self.updates, self.completions, self.aborts))

    @property
    def has_steps(self) -> bool:
        """Whether an update went on: a pause began or a step was completed."""
        return any((self.pauses, self.completed_steps))

    @property
    def explains_phase_change(self) -> bool:
        """Whether a counted event can have changed the phase."""
        return self.has_transition or any((self.resumes, self.completed_steps))


# What is remembered of a rollout between ticks


@dataclass(frozen=True, slots=True)
class RevisionHashes:
    """Pod template hashes of the current (newest) and of the stable (last promoted) revision; "" is unknown.

    `newest_created_at` (Unix seconds) is the creation time of the newest ReplicaSet seen so far, `number` the revision
    number of the current revision, 0 if unknown.
    """

    current: str = ""
    stable: str = ""
    newest_created_at: float = 0.0
    number: int = 0


NO_HASHES: Final = RevisionHashes()


@dataclass(frozen=True, slots=True)
class PhaseHistory:
    """The phase that the controller shows, since when (Unix seconds), and how often each phase was entered.

    During the hold-down of a phase, `hold_down_from` is the phase before it and since when that was shown.
    """

    phase: str
    since: float
    transition_counts: Mapping[str, int] = field(default_factory=nothing)
    hold_down_from: tuple[str, float] | None = None

    @property
    def started_at(self) -> float:
        """Start of the phase; during its hold-down, start of the phase before it."""
        return self.hold_down_from[1] if self.hold_down_from is not None else self.since


@dataclass(frozen=True, slots=True)
class Update:
    """A running update; `started_at` (Unix seconds) is None if it began before the first scrape.

    `reuses_replica_set`: no ReplicaSet was created for its revision, so that it may go back to the stable one.
    """

    kind: str
    started_at: float | None
    reuses_replica_set: bool = False


@dataclass(frozen=True, slots=True)
class RouterWeight:
    """The canary's weight on a traffic router, in [0, 1], None if unknown, as it was when it last changed.

    `is_exact`: rollout state showed it; else it is estimated from the canary's pods, and at least `low`. `pod_count` is
    the canary's when the weight was taken. `is_decoupled`: weight and pods were seen to change apart (setCanaryScale),
    so that pods say nothing about a new weight. `is_dynamic`: the stable ReplicaSet shrinks as the canary grows
    (dynamicStableScale). `spare_steps`: steps of the update that were completed, less those that are accounted for.
    """

    fraction: float | None = None
    low: float = 0.0
    is_exact: bool = False
    pod_count: float = 0.0
    is_decoupled: bool = False
    is_dynamic: bool = False
    spare_steps: float = 0.0


@dataclass(frozen=True, slots=True)
class UpdateTransition:
    """A transition between two ticks; `ends_update`: an update was under way, and this is its result.

    `duration` (seconds) is that of the update that ended, None if its start is unknown.
    """

    transition: Transition
    ends_update: bool = False
    duration: float | None = None


AttemptKey = tuple[float, int]
"""An attempt at an update that was reported to begin: the time of the tick, and its place among those of the tick."""


@dataclass(frozen=True, slots=True)
class AttemptEvent:
    """A transition within an attempt: `type` is a value of TransitionType, `step` as in `ShownState`.

    Of an AnalysisRun there are its name (`run`), and at its end its `phase`, "" if it was cut short; `sentence` is of
    its end and of a pause.
    """

    timestamp: float
    type: str
    step: tuple[int, int, str] | None = None
    run: str = ""
    phase: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ShownState:
    """Part of `RolloutState`: what the transitions of earlier ticks have reported, so that none is reported again.

    `hash` is the current revision's, `step` the index that it reached, with the number of steps and the kind if they
    are known. `pauses` are the open pauses: reason and start (Unix seconds), one of reason "phase" by the controller's
    page alone. `degraded_since` (Unix seconds) is None unless the rollout is degraded for another reason than an abort.
    `attempt` is the one under way, None if it was not reported to begin; it stays, whatever the controller says later.
    `history` are its transitions, for the trace at its end.
    """

    hash: str = ""
    step: tuple[int, int, str] | None = None
    pauses: tuple[tuple[str, float], ...] = ()
    degraded_since: float | None = None
    attempt: AttemptKey | None = None
    history: tuple[AttemptEvent, ...] = ()


NOTHING_SHOWN: Final = ShownState()


@dataclass(frozen=True, slots=True)
class UpdateMemory:
    """What no page shows later of the newest attempt at an update; unchanged while nothing happens.

    An attempt begins with a revision or a retry. `revision` is its number, as text, `hash` its hash, `stable_hash` that
    of the stable revision at the last tick. `last_step` is
    the step that it reached last (an abort resets the index on the page); `aborted_at` and `aborted_step` are of its
    abort, the step None if it is not certain. `progressed_at` (Unix seconds) is its last progress before the abort,
    which the deadline counts from. `cause`, `run` and `metric` are those of the abort. `replaced_revision` and
    `replaced_step` are of the revision that this one replaced before its promotion. `images` are by hash, those of the
    current and the stable revision. `counts` are event counters at the last tick, `counts_before` when the attempt
    began; `bad_run` is the AnalysisRun that the controller showed turn bad in it.
    """

    revision: str = ""
    hash: str = ""
    stable_hash: str = ""
    last_step: int | None = None
    aborted_at: float | None = None
    aborted_step: int | None = None
    progressed_at: float | None = None
    cause: str = ""
    run: str = ""
    metric: str = ""
    replaced_revision: str = ""
    replaced_step: int | None = None
    images: Mapping[str, Images] = field(default_factory=nothing)
    counts: Mapping[str, float] = field(default_factory=nothing)
    counts_before: Mapping[str, float] = field(default_factory=nothing)
    bad_run: str = ""


NO_MEMORY: Final = UpdateMemory()


@dataclass(frozen=True, slots=True)
class UpdateAccount:
    """Part of `RolloutState`: where the time of updates goes, and how the last update ended.

    `counted_until` (Unix seconds) is up to when time is counted; None while neither an update is under way nor the
    canary has traffic, so that a rollout at rest does not change. `activity` is that of the update under way, "" if
    there is none, `fraction` the canary's share of traffic (0 if unknown), both since then. `exposure_seconds` is the
    integral of the fraction over time. `result`, `cause`, `metric` and `ended_at` (Unix seconds, None if that was not
    seen) are of the last update that ended. `lead_seconds` is the time from the commit to the promotion of the last
    revision that was promoted, None without a commit's time.
    """

    counted_until: float | None = None
    activity: str = ""
    fraction: float = 0.0
    exposure_seconds: float = 0.0
    result: str = ""
    cause: str = ""
    metric: str = ""
    lead_seconds: float | None = None
    ended_at: float | None = None


NO_ACCOUNT: Final = UpdateAccount()


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What is remembered of a rollout between ticks. Equal before and after a tick in which nothing happened.

    `first_seen` (Unix seconds) is the start time of its derived counters. `had_revision` is False for a rollout
    created under observation until its first revision is applied, `had_promotion` until that is counted as promoted; a
    first deploy is not an update.
    `last_event_at` (Unix seconds) is when the counters last showed a transition that the hashes did not show; hashes
    scraped no later are outdated. `ahead_of_counters`: at the last tick the hashes showed a new revision that
    RolloutUpdated had not counted yet; `promotion_ahead` and `abort_ahead`: the same of a promotion and of an abort.
    `event_counts` are the counters less the events that the status did not show yet; `pending_since` (Unix seconds, 0:
    there are none) is when the first of those was counted. `replicas` are the gauges of the last tick; `pods_checksum`
    is of its pods, and `pods_newer`: they changed later than the gauges. `weight` is None without a router. `runs` are
    the AnalysisRuns: name → phase.
    """

    first_seen: float
    phases: PhaseHistory
    process: ControllerProcess
    event_counts: Mapping[str, float]
    update_state: UpdateState = UpdateState.UNKNOWN
    evidence: str = "first sight"
    update: Update | None = None
    hashes: RevisionHashes = NO_HASHES
    has_router: bool = False
    strategy: str = ""
    had_revision: bool = True
    had_promotion: bool = True
    last_event_at: float = 0.0
    ahead_of_counters: bool = False
    promotion_ahead: bool = False
    abort_ahead: bool = False
    pending_since: float = 0.0
    pending_counts: Mapping[str, float] = field(default_factory=nothing)
    replicas: ReplicaCounts | None = None
    pods_checksum: int = 0
    pods_newer: bool = False
    weight: RouterWeight | None = None
    uid: str = ""
    result_counts: Mapping[str, int] = field(default_factory=nothing)
    last_durations: Mapping[str, float] = field(default_factory=nothing)
    paused_seconds: float = 0.0
    runs: Mapping[str, str] = field(default_factory=nothing)
    finished_run_counts: Mapping[str, int] = field(default_factory=nothing)
    memory: UpdateMemory = NO_MEMORY
    last_shown: ShownState = NOTHING_SHOWN
    account: UpdateAccount = NO_ACCOUNT


@dataclass(frozen=True, slots=True)
class TickContext:
    """A tick at `now`, when the rollout was last shown (both Unix seconds), and the hold-down of phases (seconds).

    `has_router`: the settings say that a router splits its traffic. `has_rollout_state`: rollout state is scraped.
    `reconciling_since` is when the longest of the reconciliations began that are not over (Unix seconds): infinity if
    all are over, None if the controller does not show it.
    """

    now: float
    last_seen_at: float
    hold_down: float
    has_router: bool = False
    has_rollout_state: bool = False
    reconciling_since: float | None = None


# What is exported about a rollout


@dataclass(frozen=True, slots=True)
class CanaryFraction:
    """The canary's share of traffic in [0, 1], None if unknown, with the method and the reason for choosing it.

    `estimates` holds the result of every method that could be computed.
    """

    value: float | None = None
    method: str = ""
    reason: str = ""
    estimates: Mapping[str, float] = field(default_factory=nothing)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout at one tick: the input of all derived series.

    `run_counts` are its AnalysisRuns by phase. `unknown_reasons` are values of `argo_rollouts_unknown{reason}`.
    `is_current`: the update state is that of this tick, by a leader or by rollout state; else the last known one.
    `was_shown`: a controller showed it at least once.
    """

    key: RolloutKey
    state: RolloutState
    observation: Observation
    pod_roles: PodRoles = ()
    fraction: CanaryFraction | None = None
    run_counts: Mapping[str, int] = field(default_factory=nothing)
    unknown_reasons: tuple[str, ...] = ()
    is_current: bool = True
    was_shown: bool = True


# What the settings decide


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """Settings of the tracker; times are in seconds.

    `grace`: absence that counts as deletion; longer than a failover, which takes about 20 s (a lease of 15 s and the
    new leader's first reconciliations). `ended_info`: how long a replaced info series is exported as 0. `hold_down`:
    how long a phase without an event that explains it must last to count. `role_labels`: pod label, spelled as
    kube-state-metrics spells it, to role by label value. `has_router`: rollouts that have a traffic router even if the
    controller exports none. `namespace_allowed`: namespaces to track, None for all. `passes_through`: families to
    export unchanged. `passes_event`: series of rollout_events_total to export, by type and reason; None for all.
    `sidecar`: export nothing about rollouts unless this controller leads. `preset`: of which preset
    derived families are exported, with those of `is_requested`, without those of `drops`; `labels`: those of Rollout
    objects to export, spelled as kube-state-metrics spells them. `commit_time`: label or annotation of ReplicaSets with
    the commit's time, spelled in the same way.
    """

    grace: float = 60.0
    ended_info: float = 300.0  # stores that ignore staleness markers return a last value for 5 min
    hold_down: float = 20.0
    role_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    has_router: Callable[[RolloutKey], bool] = lambda _: False
    namespace_allowed: Callable[[str], bool] | None = None
    passes_through: Callable[[str], bool] = lambda _: True
    passes_event: Callable[[str, str], bool] | None = None
    derive: bool = True
    sidecar: bool = False
    series_limit: int = 1_000_000
    preset: str = "article"
    is_requested: Callable[[str], bool] = lambda _: False
    drops: Callable[[str], bool] = lambda _: False
    labels: tuple[str, ...] = ()
    commit_time: tuple[str, ...] = ()
