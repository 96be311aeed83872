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


Step = SetWeight | Pause


@dataclass(frozen=True, slots=True)
class Canary:
    """The canary strategy; delays are seconds, `router` is the controller's `traffic_router` label ("" is none)."""

    steps: tuple[Step, ...] = ()
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
class BlueGreen:
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
class Spec:
    """A Rollout as it is applied: its only template is an image; an image tagged `bad…` never gets ready."""

    namespace: str
    name: str
    image: str
    replicas: int = 1
    strategy: Canary | BlueGreen = Canary()
    paused: bool = False
    progress_deadline: float = 600.0
    progress_deadline_abort: bool = False
    history: int = 3

    @property
    def fault(self) -> str:
        """Why the controller calls this spec invalid, "" when it does not."""
        weights = [step.weight for step in self.steps if isinstance(step, SetWeight)]
        wrong = [weight for weight in weights if not 0 <= weight <= FULL_WEIGHT]
        return f"setWeight {wrong[0]} is not between 0 and {FULL_WEIGHT}" if wrong else ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The canary's steps; a blue-green rollout has none."""
        return self.strategy.steps if isinstance(self.strategy, Canary) else ()

    @property
    def router(self) -> str:
        """The traffic router's name, "" without one."""
        return self.strategy.router if isinstance(self.strategy, Canary) else ""


NEVER = math.inf
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class Key(NamedTuple):
    """Which rollout: its namespace and name."""

    namespace: str
    name: str


def template_hash(image: str) -> str:
    """Hash a pod template as Kubernetes spells it: the digits of a 32-bit number in its safe alphabet."""
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(zlib.crc32(image.encode())))


@dataclass(slots=True)
class Pod:
    """A pod; times are seconds of the simulation, NEVER where it will not come to that."""

    name: str
    uid: str
    number: int
    created: float
    starts: float
    ready_from: float
    deleted: float = NEVER
    gone_from: float = NEVER
    running: bool = False
    ready: bool = False

    @property
    def terminating(self) -> bool:
        """Whether it was asked to go; it stays Running, and maybe ready, until it has gone."""
        return self.deleted < NEVER


@dataclass(slots=True)
class ReplicaSet:
    """A ReplicaSet of a rollout. `spec` pods are asked for; `sync_at` is when its controller will look next."""

    owner: Key
    hash: str
    image: str
    created: float
    revision: int
    desired: int
    spec: int = 0
    deadline: float | None = None
    generation: int = 1
    sync_at: float = NEVER
    pods: list[Pod] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name: the rollout's and the hash."""
        return f"{self.owner.name}-{self.hash}"

    @property
    def standing(self) -> list[Pod]:
        """The pods that count: those not on their way out."""
        return [pod for pod in self.pods if not pod.terminating]

    @property
    def replicas(self) -> int:
        """Its status.replicas: standing pods, ready or not."""
        return len(self.standing)

    @property
    def available(self) -> int:
        """Its status.availableReplicas: standing pods that are ready."""
        return sum(pod.ready for pod in self.standing)


@dataclass(frozen=True, slots=True)
class Weights:
    """A router's weights, of 100: the canary's, and the hashes the two sides stand for."""

    canary: int
    canary_hash: str
    stable_hash: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pause condition: why, and since when."""

    reason: str
    since: float


@dataclass(slots=True)
class Status:
    """A Rollout's status. `reason` is the Progressing condition's, `progress_at` its last update.

    `abort` is None where the object does not have the field: a retry leaves False behind.
    """

    current_hash: str = ""
    stable_hash: str = ""
    replicas: int = 0
    updated: int = 0
    available: int = 0
    step: int | None = None
    abort: bool | None = None
    aborted_at: float | None = None
    waiting: Waiting | None = None
    controller_pause: bool = False
    promote_full: bool = False
    preview_checked: bool = False
    weights: Weights | None = None
    active: str = ""
    preview: str = ""
    reason: str = ""
    progress_at: float = 0.0
    healthy: bool | None = None
    completed: bool | None = None
    invalid: str = ""
    observed: int = 0
    health: str = ""


@dataclass(slots=True)
class Rollout:
    """A Rollout: what was asked, what is, its ReplicaSets by hash, and the selectors of its two Services.

    `first` is the stable (or active) Service's hash, `second` the canary (or preview) Service's. `due` is when the
    controller wants to look at it next.
    """

    spec: Spec
    created: float
    generation: int = 1
    status: Status = field(default_factory=Status)
    sets: dict[str, ReplicaSet] = field(default_factory=dict)
    revision: int = 0
    first: str = ""
    second: str = ""
    retries: int = 0
    due: float = NEVER

    @property
    def key(self) -> Key:
        """Which rollout it is."""
        return Key(self.spec.namespace, self.spec.name)

    @property
    def hash(self) -> str:
        """The hash of the wanted template."""
        return template_hash(self.spec.image)

    @property
    def new(self) -> ReplicaSet | None:
        """The ReplicaSet of the wanted template."""
        return self.sets.get(self.hash)

    @property
    def stable(self) -> ReplicaSet | None:
        """The ReplicaSet that the status calls stable."""
        return self.sets.get(self.status.stable_hash)

    @property
    def others(self) -> list[ReplicaSet]:
        """The ReplicaSets that are neither, highest revision first."""
        known = {self.hash, self.status.stable_hash}
        others = [one for one in self.sets.values() if one.hash not in known]
        return sorted(others, key=lambda one: -one.revision)

    @property
    def promoted(self) -> bool:
        """Whether the status says that the wanted revision is the stable one."""
        return bool(self.status.stable_hash) and self.status.stable_hash == self.status.current_hash
