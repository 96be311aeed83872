"""The objects the simulated cluster keeps: pods, ReplicaSets, Rollouts with their status. They change in place."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

# What a user writes of a Rollout, as far as the simulated cluster knows it.


FULL_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class SetWeight:
    """A canary step: give the canary this weight, of 100."""

    weight: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A canary step: wait these seconds, or, with None, until somebody promotes."""

    seconds: float | None = None


CanaryStep = SetWeight | Pause


@dataclass(frozen=True, slots=True)
class CanaryStrategy:
    """The canary strategy; delays are seconds, `router` is the controller's `traffic_router` label ("" is none)."""

    steps: tuple[CanaryStep, ...] = ()
    router: str = ""
    max_surge: float = 0.25
    max_unavailable: float = 0.25
    scale_down_delay: float = 30.0
    abort_scale_down_delay: float = 30.0

    @property
    def label(self) -> str:
        """The strategy as the controller's metrics spell it."""
        return "canary"


@dataclass(frozen=True, slots=True)
class BlueGreenStrategy:
    """The blue-green strategy; a switch waits for a person (`manual`), for `auto_promotion` seconds, or for nothing."""

    manual: bool = False
    auto_promotion: float = 0.0
    preview_replicas: int | None = None
    scale_down_delay: float = 30.0
    abort_scale_down_delay: float = 30.0

    @property
    def label(self) -> str:
        """The strategy as the controller's metrics spell it."""
        return "blueGreen"


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """A Rollout as it is applied: its only template is an image; an image tagged `bad…` never gets ready."""

    namespace: str
    name: str
    image: str
    replicas: int = 1
    strategy: CanaryStrategy | BlueGreenStrategy = CanaryStrategy()
    paused: bool = False
    progress_deadline: float = 600.0
    progress_deadline_abort: bool = False
    history_limit: int = 3

    @property
    def error(self) -> str:
        """Why the controller calls this spec invalid, "" when it does not."""
        weights = [step.weight for step in self.steps if isinstance(step, SetWeight)]
        wrong = [weight for weight in weights if not 0 <= weight <= FULL_WEIGHT]
        return f"setWeight {wrong[0]} is not between 0 and {FULL_WEIGHT}" if wrong else ""

    @property
    def steps(self) -> tuple[CanaryStep, ...]:
        """The canary's steps; a blue-green rollout has none."""
        return self.strategy.steps if isinstance(self.strategy, CanaryStrategy) else ()

    @property
    def router(self) -> str:
        """The traffic router's name, "" without one."""
        return self.strategy.router if isinstance(self.strategy, CanaryStrategy) else ""


NEVER = math.inf
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class ObjectKey(NamedTuple):
    """Which rollout: its namespace and name."""

    namespace: str
    name: str


def template_hash(image: str) -> str:
    """Hash a pod template as Kubernetes spells it: the digits of a 32-bit number in its safe alphabet."""
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(zlib.crc32(image.encode())))


@dataclass(slots=True)
class SimulatedPod:
    """A pod; times are seconds of the simulation, NEVER where it will not come to that."""

    name: str
    uid: str
    number: int
    created_at: float
    starts_at: float
    ready_at: float
    deleted_at: float = NEVER
    gone_at: float = NEVER
    running: bool = False
    ready: bool = False

    @property
    def terminating(self) -> bool:
        """Whether it was asked to go; it stays Running, and maybe ready, until it has gone."""
        return self.deleted_at < NEVER


@dataclass(slots=True)
class SimulatedReplicaSet:
    """A ReplicaSet of a rollout. `spec` pods are asked for; `sync_at` is when its controller will look next."""

    owner: ObjectKey
    hash: str
    image: str
    created_at: float
    revision: int
    rollout_replicas: int
    desired: int = 0
    scale_down_at: float | None = None
    generation: int = 1
    sync_at: float = NEVER
    pods: list[SimulatedPod] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name: the rollout's and the hash."""
        return f"{self.owner.name}-{self.hash}"

    @property
    def active_pods(self) -> list[SimulatedPod]:
        """The pods that count: those not on their way out."""
        return [pod for pod in self.pods if not pod.terminating]

    @property
    def replicas(self) -> int:
        """Its status.replicas: standing pods, ready or not."""
        return len(self.active_pods)

    @property
    def available(self) -> int:
        """Its status.availableReplicas: standing pods that are ready."""
        return sum(pod.ready for pod in self.active_pods)


@dataclass(frozen=True, slots=True)
class TrafficWeights:
    """A router's weights, of 100: the canary's, and the hashes the two sides stand for."""

    canary: int
    canary_hash: str
    stable_hash: str


@dataclass(frozen=True, slots=True)
class PauseCondition:
    """A pause condition: why, and since when."""

    reason: str
    started_at: float


@dataclass(slots=True)
class SimulatedStatus:
    """A Rollout's status. `reason` is the Progressing condition's, `progress_at` its last update.

    `abort` is None where the object does not have the field: a retry leaves False behind.
    """

    current_hash: str = ""
    stable_hash: str = ""
    replicas: int = 0
    updated: int = 0
    available: int = 0
    step_index: int | None = None
    abort: bool | None = None
    aborted_at: float | None = None
    pause: PauseCondition | None = None
    controller_pause: bool = False
    promote_full: bool = False
    preview_approved: bool = False
    weights: TrafficWeights | None = None
    active_hash: str = ""
    preview_hash: str = ""
    reason: str = ""
    progressed_at: float = 0.0
    healthy: bool | None = None
    completed: bool | None = None
    spec_error: str = ""
    observed_generation: int = 0
    health: str = ""


@dataclass(slots=True)
class SimulatedRollout:
    """A Rollout: what was asked, what is, its ReplicaSets by hash, and the selectors of its two Services.

    `first` is the stable (or active) Service's hash, `second` the canary (or preview) Service's. `due` is when the
    controller wants to look at it next.
    """

    spec: RolloutSpec
    created_at: float
    generation: int = 1
    status: SimulatedStatus = field(default_factory=SimulatedStatus)
    replica_sets: dict[str, SimulatedReplicaSet] = field(default_factory=dict)
    revision: int = 0
    stable_service_hash: str = ""
    canary_service_hash: str = ""
    retries: int = 0
    next_reconcile_at: float = NEVER

    @property
    def key(self) -> ObjectKey:
        """Which rollout it is."""
        return ObjectKey(self.spec.namespace, self.spec.name)

    @property
    def current_hash(self) -> str:
        """The hash of the wanted template."""
        return template_hash(self.spec.image)

    @property
    def new_replica_set(self) -> SimulatedReplicaSet | None:
        """The ReplicaSet of the wanted template."""
        return self.replica_sets.get(self.current_hash)

    @property
    def stable_replica_set(self) -> SimulatedReplicaSet | None:
        """The ReplicaSet that the status calls stable."""
        return self.replica_sets.get(self.status.stable_hash)

    @property
    def other_replica_sets(self) -> list[SimulatedReplicaSet]:
        """The ReplicaSets that are neither, highest revision first."""
        known = {self.current_hash, self.status.stable_hash}
        others = [one for one in self.replica_sets.values() if one.hash not in known]
        return sorted(others, key=lambda one: -one.revision)

    @property
    def is_promoted(self) -> bool:
        """Whether the status says that the wanted revision is the stable one."""
        return bool(self.status.stable_hash) and self.status.stable_hash == self.status.current_hash
