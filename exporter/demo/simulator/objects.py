"""Objects of the simulated cluster: Rollouts with spec and status, ReplicaSets, pods. They are changed in place."""

from __future__ import annotations

import math
import uuid
import zlib
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

FULL_WEIGHT = 100
NEVER = math.inf
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters and digits that Kubernetes uses in generated names: no vowels, so that no words appear."""

# The spec of a Rollout, as far as the simulator supports it


@dataclass(frozen=True, slots=True)
class SetWeight:
    """A canary step: set the canary's weight, of 100."""

    weight: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A canary step: wait for some seconds, or with None until a user promotes."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SetCanaryScale:
    """A canary step with a router: size the canary apart from its weight; None: as its weight says."""

    replicas: int | None = None


CanaryStep = SetWeight | Pause | SetCanaryScale


@dataclass(frozen=True, slots=True)
class CanaryStrategy:
    """The canary strategy; delays in seconds, `router` is the controller's `traffic_router` label ("" for none).

    `dynamic_stable_scale`: with a router, the stable ReplicaSet shrinks as the canary's weight grows.
    """

    label: ClassVar = "canary"
    steps: tuple[CanaryStep, ...] = ()
    router: str = ""
    max_surge: float = 0.25
    max_unavailable: float = 0.25
    scale_down_delay: float = 30.0
    abort_scale_down_delay: float = 30.0
    dynamic_stable_scale: bool = False


@dataclass(frozen=True, slots=True)
class BlueGreenStrategy:
    """The blue-green strategy; a switch waits for a user (`manual`), for `auto_promotion` seconds, or not at all.

    `post_analysis`: seconds of the analysis after the switch, 0 for none; it fails for an image tagged `fail…`.
    """

    label: ClassVar = "blueGreen"
    manual: bool = False
    auto_promotion: float = 0.0
    preview_replicas: int | None = None
    scale_down_delay: float = 30.0
    abort_scale_down_delay: float = 30.0
    post_analysis: float = 0.0


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """The spec of a Rollout. Its pod template is an image; pods of an image tagged `bad…` never become ready.

    `rollback_window`: a way back over fewer revisions than this skips the steps.
    """

    namespace: str
    name: str
    image: str
    replicas: int = 1
    strategy: CanaryStrategy | BlueGreenStrategy = CanaryStrategy()
    paused: bool = False
    progress_deadline: float = 600.0
    progress_deadline_abort: bool = False
    history_limit: int = 3
    rollback_window: int = 0

    @property
    def error(self) -> str:
        """Why the controller rejects this spec, "" if it is valid."""
        weights = [step.weight for step in self.steps if isinstance(step, SetWeight)]
        invalid = [weight for weight in weights if not 0 <= weight <= FULL_WEIGHT]
        return f"setWeight {invalid[0]} is not between 0 and {FULL_WEIGHT}" if invalid else ""

    @property
    def steps(self) -> tuple[CanaryStep, ...]:
        """The canary's steps; none for a blue-green rollout."""
        return self.strategy.steps if isinstance(self.strategy, CanaryStrategy) else ()

    @property
    def router(self) -> str:
        """The traffic router's name, "" without one."""
        return self.strategy.router if isinstance(self.strategy, CanaryStrategy) else ""


# Objects and status


class ObjectKey(NamedTuple):
    """Namespace and name of a rollout."""

    namespace: str
    name: str


def template_hash(image: str) -> str:
    """Return the hash of a pod template in Kubernetes' format: digits of a 32-bit number in `ALPHABET`."""
    # The number is a crc32 of the image, where Kubernetes hashes the whole template: only the format matters.
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(zlib.crc32(image.encode())))


@dataclass(slots=True)
class SimulatedPod:
    """A pod; times are seconds of the simulation, NEVER for what does not happen."""

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
        """Whether it is being deleted; it stays Running, and may stay ready, until it is gone."""
        return self.deleted_at < NEVER


@dataclass(slots=True)
class SimulatedReplicaSet:
    """A ReplicaSet of a rollout.

    `desired` is its spec.replicas, `rollout_replicas` the rollout's when it was last scaled (an annotation). `sync_at`
    is when the ReplicaSet controller reconciles it next.
    """

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
        """`<rollout>-<hash>`."""
        return f"{self.owner.name}-{self.hash}"

    @property
    def active_pods(self) -> list[SimulatedPod]:
        """The pods that are not terminating."""
        return [pod for pod in self.pods if not pod.terminating]

    @property
    def replicas(self) -> int:
        """status.replicas: active pods, ready or not."""
        return len(self.active_pods)

    @property
    def available(self) -> int:
        """status.availableReplicas: active pods that are ready."""
        return sum(pod.ready for pod in self.active_pods)


@dataclass(frozen=True, slots=True)
class TrafficWeights:
    """A router's weights: the canary's, of 100, and the pod template hashes of both sides."""

    canary: int
    canary_hash: str
    stable_hash: str


@dataclass(frozen=True, slots=True)
class PauseCondition:
    """A pause condition: its reason and start."""

    reason: str
    started_at: float


@dataclass(slots=True)
class SimulatedStatus:
    """The status of a Rollout. `reason` is that of its Progressing condition, `progressed_at` the last update of that.

    `abort` is None if the object does not have the field: a retry sets it to False.
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
    switched_at: float | None = None
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
    """A Rollout: spec, status, ReplicaSets by hash, and the selectors of its two Services.

    `stable_service_hash` is the selector of the stable (or active) Service, `canary_service_hash` that of the canary
    (or preview) Service. `unwritten_status` is what the controller writes once its notifications are sent, in the
    reconciliation that began at `reconciled_at` and takes `reconcile_seconds` without them.
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
    unwritten_status: SimulatedStatus | None = None
    reconciled_at: float = 0.0
    reconcile_seconds: float = 0.0

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return ObjectKey(self.spec.namespace, self.spec.name)

    @property
    def uid(self) -> str:
        """metadata.uid: another one for each object, also of the same name."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.spec.namespace}/{self.spec.name}/{self.created_at}"))

    @property
    def current_hash(self) -> str:
        """The hash of the current pod template."""
        return template_hash(self.spec.image)

    @property
    def new_replica_set(self) -> SimulatedReplicaSet | None:
        """The ReplicaSet of the current pod template, if it exists."""
        return self.replica_sets.get(self.current_hash)

    @property
    def stable_replica_set(self) -> SimulatedReplicaSet | None:
        """The stable ReplicaSet by the status, if any."""
        return self.replica_sets.get(self.status.stable_hash)

    @property
    def other_replica_sets(self) -> list[SimulatedReplicaSet]:
        """The ReplicaSets that are neither current nor stable, highest revision first."""
        in_use = {self.current_hash, self.status.stable_hash}
        others = [replica_set for replica_set in self.replica_sets.values() if replica_set.hash not in in_use]
        return sorted(others, key=lambda replica_set: -replica_set.revision)

    @property
    def is_promoted(self) -> bool:
        """Whether the current revision is the stable one, by the status."""
        return bool(self.status.stable_hash) and self.status.stable_hash == self.status.current_hash
