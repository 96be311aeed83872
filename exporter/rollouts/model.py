"""The words of the domain: what was read of a rollout, its revisions and its pods."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RolloutKey = tuple[str, str]
"""A rollout: its namespace and its name, spelled as the controller spells them."""

PHASES: Final = ("InvalidSpec", "Completed", "Progressing", "Paused", "Timeout", "Error", "Abort")
"""The phases of `rollout_info`, in the controller's order (facts/argo-rollouts.md 1.3)."""
UNKNOWN_PHASE: Final = "Unknown"
HEALTHS: Final = ("Healthy", "Progressing", "Paused", "Degraded")
CANARY: Final = "canary"
BLUE_GREEN: Final = "blueGreen"


class Role(StrEnum):
    """What a pod is to its rollout."""

    STABLE = "stable"
    CANARY = "canary"
    PREVIEW = "preview"
    OLD = "old"
    EXPERIMENT = "experiment"
    UNKNOWN = "unknown"


class UpdateState(StrEnum):
    """Where a rollout stands between its stable and its wanted revision."""

    UNKNOWN = "unknown"
    SETTLED = "settled"
    UPDATING = "updating"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class ControllerProcess:
    """One life of a controller process: its counters count from `start` (Unix seconds, 0 when it does not say)."""

    target: str
    start: float
    installation: str = "default"


@dataclass(frozen=True, slots=True)
class Replicas:
    """The controller's four gauges. available + unavailable are all pods of all its ReplicaSets."""

    desired: float
    updated: float
    available: float
    unavailable: float

    @property
    def total(self) -> float:
        """Every pod of every revision."""
        return self.available + self.unavailable

    @property
    def old(self) -> float:
        """Pods of other revisions than the wanted one."""
        return max(self.total - self.updated, 0.0)


@dataclass(frozen=True, slots=True)
class ControllerView:
    """What the leading controller says of one rollout; `events` are its counters by reason."""

    process: ControllerProcess
    strategy: str
    router: str
    phase: str
    replicas: Replicas | None
    events: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a rollout; `label_role` is the role that an ephemeral-metadata label claims, "" without one."""

    name: str
    uid: str
    node: str
    replica_set: str
    hash: str
    ready: bool
    experiment: bool
    label_role: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet that a rollout owns; `revision` is None without the allow-listed annotation."""

    hash: str
    revision: int | None
    created: float
    wanted: float
    pods: float


@dataclass(frozen=True, slots=True)
class Workload:
    """What kube-state-metrics says of one rollout: its ReplicaSets by hash, and its pods that are not terminating.

    `at` is when it was said (Unix seconds).
    """

    replica_sets: Mapping[str, ReplicaSet] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    at: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """What a Rollout's own status says, by way of custom-resource state; None and "" where it says nothing.

    `at` is when it was said (Unix seconds). `pauses` are the reasons of its pause conditions, each with its start
    (Unix seconds); a pause by spec.paused has none.
    """

    stable: str = ""
    current: str = ""
    weight: float | None = None
    most_weight: float = 100.0
    step: float | None = None
    health: str = ""
    aborted: bool = False
    observed: bool = False
    pauses: tuple[tuple[str, float], ...] = ()
    at: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one tick says of one rollout; `first_deploy`: it was made since the last tick."""

    reading: ControllerView | None = None
    workload: Workload | None = None
    state: RolloutStatus | None = None
    first_deploy: bool = False
