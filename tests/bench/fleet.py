"""A deterministic fleet of any size: rollouts, their ReplicaSets and pods, and the objects that change names."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_NAMESPACES: Final = 200
_PAUSED_INTERVAL: Final = 25
"""One in this number of rollouts (those with enough pods) is paused in the middle of a canary."""
_MIN_PODS_OF_PAUSED: Final = 4


@dataclass(frozen=True, slots=True)
class Size:
    """Number of rollouts and pods; without pods there is no kube-state-metrics page."""

    rollouts: int
    pods: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout; while it is paused, `canary` of its `pods` are of the new revision, otherwise all are."""

    namespace: str
    name: str
    pods: int
    canary: int
    paused: bool


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet; `hash` is the pod template hash."""

    owner: Rollout
    hash: str
    revision: int
    pods: int

    @property
    def name(self) -> str:
        """The name of the owner and the hash."""
        return f"{self.owner.name}-{self.hash}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a ReplicaSet."""

    owner: ReplicaSet
    name: str
    uid: str
    number: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """The objects on the pages; `renames` pairs names with their replacements in every second scrape.

    The renamed rollout has no pods, so exactly one rollout and one pod change per scrape.
    """

    rollouts: Sequence[Rollout]
    replica_sets: Sequence[ReplicaSet]
    pods: Sequence[Pod]
    renames: Sequence[tuple[str, str]]


def build_fleet(size: Size) -> Fleet:
    """Return the fleet of a size."""
    rng = random.Random(20)
    rollouts = [_rollout(number, size) for number in range(size.rollouts)]
    replica_sets = [item for rollout in rollouts for item in _replica_sets(rollout, rng)]
    pods = [_pod(item, number, rng) for item in replica_sets for number in range(item.pods)]
    rng.shuffle(pods)
    old = rollouts[-1].name
    renamed = [(old, old.replace("web", "new"))]
    if pods:
        other = _pod(pods[-1].owner, pods[-1].number, rng)
        renamed += [(pods[-1].name, other.name), (pods[-1].uid, other.uid)]
    return Fleet(rollouts, replica_sets, pods, renamed)


def _rollout(number: int, size: Size) -> Rollout:
    with_pods = size.rollouts - 1
    pods = len(range(number, size.pods or size.rollouts, with_pods)) if number < with_pods else 0
    paused = pods >= _MIN_PODS_OF_PAUSED and number % _PAUSED_INTERVAL == 0
    name = f"web-{number:06}"
    return Rollout(f"team-{number % _NAMESPACES:03}", name, pods, pods // 4 if paused else pods, paused)


def _replica_sets(rollout: Rollout, rng: random.Random) -> list[ReplicaSet]:
    old = [ReplicaSet(rollout, _random_suffix(10, rng), 1, rollout.pods - rollout.canary)] if rollout.paused else []
    return [*old, ReplicaSet(rollout, _random_suffix(10, rng), 1 + len(old), rollout.canary)]


def _pod(owner: ReplicaSet, number: int, rng: random.Random) -> Pod:
    uid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return Pod(owner, f"{owner.name}-{_random_suffix(5, rng)}", uid, number)


def _random_suffix(length: int, rng: random.Random) -> str:
    return "".join(rng.choices(_ALPHABET, k=length))
