"""A cluster of any size, the same each time: rollouts, their ReplicaSets and pods, and what has another name."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_NAMESPACES: Final = 200
_UPDATING: Final = 25
"""Of the rollouts with pods to spare, every so many-th is paused in mid-canary."""
_PODS_TO_SPARE: Final = 4


@dataclass(frozen=True, slots=True)
class Size:
    """How many rollouts and pods there are; no pods means that nobody tells of them."""

    rollouts: int
    pods: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """`canary` of its `pods` are of the wanted revision while it is paused; all are while it is at rest."""

    namespace: str
    name: str
    pods: int
    canary: int
    paused: bool


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """`hash` is the pod template's."""

    owner: Rollout
    hash: str
    revision: int
    pods: int

    @property
    def name(self) -> str:
        """The owner's name and the hash."""
        return f"{self.owner.name}-{self.hash}"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a ReplicaSet."""

    owner: ReplicaSet
    name: str
    uid: str
    number: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the pages tell of; `renamed` pairs each name that changes with what stands for it in every second scrape.

    The rollout that is renamed has no pods, so that one rollout and one pod change, and nothing with them.
    """

    rollouts: Sequence[Rollout]
    sets: Sequence[ReplicaSet]
    pods: Sequence[Pod]
    renamed: Sequence[tuple[str, str]]


def fleet(size: Size) -> Fleet:
    """Make the fleet of a size."""
    chance = random.Random(20)
    rollouts = [_rollout(number, size) for number in range(size.rollouts)]
    sets = [one for rollout in rollouts for one in _sets(rollout, chance)]
    pods = [_pod(one, number, chance) for one in sets for number in range(one.pods)]
    chance.shuffle(pods)
    old = rollouts[-1].name
    renamed = [(old, old.replace("web", "new"))]
    if pods:
        other = _pod(pods[-1].owner, pods[-1].number, chance)
        renamed += [(pods[-1].name, other.name), (pods[-1].uid, other.uid)]
    return Fleet(rollouts, sets, pods, renamed)


def _rollout(number: int, size: Size) -> Rollout:
    alive = size.rollouts - 1
    pods = len(range(number, size.pods or size.rollouts, alive)) if number < alive else 0
    paused = pods >= _PODS_TO_SPARE and number % _UPDATING == 0
    name = f"web-{number:06}"
    return Rollout(f"team-{number % _NAMESPACES:03}", name, pods, pods // 4 if paused else pods, paused)


def _sets(rollout: Rollout, chance: random.Random) -> list[ReplicaSet]:
    old = [ReplicaSet(rollout, _word(10, chance), 1, rollout.pods - rollout.canary)] if rollout.paused else []
    return [*old, ReplicaSet(rollout, _word(10, chance), 1 + len(old), rollout.canary)]


def _pod(owner: ReplicaSet, number: int, chance: random.Random) -> Pod:
    uid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return Pod(owner, f"{owner.name}-{_word(5, chance)}", uid, number)


def _word(length: int, chance: random.Random) -> str:
    return "".join(chance.choices(_ALPHABET, k=length))
