"""The data model of rollouts: what sources show, what is remembered between ticks and exported, and the settings.

Every other module of the package imports this one, and this one imports none of them. All of it is frozen, so that an
unchanged rollout is recognised by identity or by one comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

RolloutKey = tuple[str, str]
"""Namespace and name of a rollout, spelled as the controller spells them."""


def rollout_key(labels: Mapping[str, str]) -> RolloutKey:
    """Return the rollout that a sample with these labels is about."""
    return labels.get("namespace", ""), labels.get("name", "")


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
    event_counts: Mapping[str, float] = field(default_factory=dict)


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


PodRoles = tuple[tuple[Pod, PodRole], ...]
"""Pods of a rollout, each with its role."""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet of a rollout; `revision` is None if kube-state-metrics does not export the annotation."""

    hash: str
    revision: int | None
    created_at: float
    desired: float
    pod_count: float


ReplicaSets = Mapping[str, ReplicaSet]
"""The ReplicaSets of a rollout by hash."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What kube-state-metrics exports about a rollout: its ReplicaSets by hash and its pods, without terminating ones.

    `observed_at` (Unix seconds) is the time of the scrape; it is not compared, so that a later scrape of the same pods
    is no change.
    """

    replica_sets: ReplicaSets = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    observed_at: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """The status of a Rollout object, exported by custom-resource state; None and "" mean an absent field.

    `observed_at` (Unix seconds) is the time of the scrape. `pauses` are the pause conditions: reason and start (Unix
    seconds); a pause by `spec.paused` has none. `generation_observed`: the status is about the current spec.
    """

    stable_hash: str = ""
    current_hash: str = ""
    weight: float | None = None
    max_weight: float = 100.0  # the default of maxTrafficWeight; only Nginx and plugins can have another
    step_index: float | None = None
    health: str = ""
    aborted: bool = False
    generation_observed: bool = False
    pauses: tuple[tuple[str, float], ...] = ()
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
    resumes: float = 0
    completed_steps: float = 0
    process_restarted: bool = False

    @property
    def has_transition(self) -> bool:
        """Whether a revision was applied, promoted or aborted."""
        return any((self.updates, self.completions, self.aborts))

    @property
    def explains_phase_change(self) -> bool:
        """Whether a counted event can have changed the phase."""
        return self.has_transition or any((self.resumes, self.completed_steps))


# What is remembered of a rollout between ticks


@dataclass(frozen=True, slots=True)
class RevisionHashes:
    """Pod template hashes of the current (newest) and of the stable (last promoted) revision; "" is unknown.

    `newest_created_at` (Unix seconds) is the creation time of the newest ReplicaSet seen so far.
    """

    current: str = ""
    stable: str = ""
    newest_created_at: float = 0.0


NO_HASHES: Final = RevisionHashes()


@dataclass(frozen=True, slots=True)
class PhaseHistory:
    """The phase that the controller shows, since when (Unix seconds), and how often each phase was entered.

    During the hold-down of a phase, `hold_down_from` is the phase before it and since when that was shown.
    """

    phase: str
    since: float
    transition_counts: Mapping[str, int] = field(default_factory=dict)
    hold_down_from: tuple[str, float] | None = None

    @property
    def started_at(self) -> float:
        """Start of the phase; during its hold-down, start of the phase before it."""
        return self.hold_down_from[1] if self.hold_down_from is not None else self.since


@dataclass(frozen=True, slots=True)
class Update:
    """A running update; `started_at` (Unix seconds) is None if it began before the first scrape."""

    kind: str
    started_at: float | None


@dataclass(frozen=True, slots=True)
class CompletedUpdate:
    """An update that ended; `duration` (seconds) is None if its start is unknown."""

    result: Transition
    duration: float | None


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What is remembered of a rollout between ticks. Equal before and after a tick in which nothing happened.

    `first_seen` (Unix seconds) is the start time of its derived counters. `had_revision` is False for a rollout
    created under observation until its first revision is applied; that first deploy is not an update.
    `last_event_at` (Unix seconds) is when the counters last showed a transition that the hashes did not show; hashes
    scraped no later are outdated. `ahead_of_counters`: at the last tick the hashes showed a new revision that
    RolloutUpdated had not counted yet. `runs` are the AnalysisRuns: name → phase.
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
    last_event_at: float = 0.0
    ahead_of_counters: bool = False
    result_counts: Mapping[str, int] = field(default_factory=dict)
    last_durations: Mapping[str, float] = field(default_factory=dict)
    paused_seconds: float = 0.0
    runs: Mapping[str, str] = field(default_factory=dict)
    finished_run_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TickContext:
    """A tick at `now`, when the rollout was last shown (both Unix seconds), and the hold-down of phases (seconds)."""

    now: float
    last_seen_at: float
    hold_down: float


# What is exported about a rollout


@dataclass(frozen=True, slots=True)
class CanaryFraction:
    """The canary's share of traffic in [0, 1], None if unknown, with the method and the reason for choosing it.

    `estimates` holds the result of every method that could be computed.
    """

    value: float | None = None
    method: str = ""
    reason: str = ""
    estimates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout at one tick: the input of all derived series.

    `run_counts` are its AnalysisRuns by phase. `unknown_reasons` are values of `argo_rollouts_unknown{reason}`.
    """

    key: RolloutKey
    state: RolloutState
    observation: Observation
    pod_roles: PodRoles = ()
    fraction: CanaryFraction | None = None
    run_counts: Mapping[str, int] = field(default_factory=dict)
    unknown_reasons: tuple[str, ...] = ()


# What the settings decide


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """Settings of the tracker; times are in seconds.

    `grace`: absence that counts as deletion; longer than a failover, which takes about 20 s (a lease of 15 s and the
    new leader's first reconciliations). `ended_info`: how long a replaced info series is exported as 0. `hold_down`:
    how long a phase without an event that explains it must last to count. `role_labels`: pod label, spelled as
    kube-state-metrics spells it, to role by label value. `has_router`: rollouts that have a traffic router even if the
    controller exports none. `namespace_allowed`: namespaces to track, None for all. `passes_through`: families to
    export unchanged. `sidecar`: export nothing about rollouts unless this controller leads.
    """

    grace: float = 60.0
    ended_info: float = 300.0  # stores that ignore staleness markers return a last value for 5 min
    hold_down: float = 20.0
    role_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    has_router: Callable[[RolloutKey], bool] = lambda _: False
    namespace_allowed: Callable[[str], bool] | None = None
    passes_through: Callable[[str], bool] = lambda _: True
    derive: bool = True
    sidecar: bool = False
    series_limit: int = 1_000_000
