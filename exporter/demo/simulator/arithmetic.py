"""How many pods each ReplicaSet of a canary should have: the controller's arithmetic, on plain numbers.

Follows `utils/replicaset/canary.go` of Argo Rollouts v1.8.3; names in docstrings are the functions there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.demo.simulator.objects import FULL_WEIGHT


@dataclass(frozen=True, slots=True)
class Size:
    """A ReplicaSet as the arithmetic sees it: pods asked for, and pods that are available."""

    spec: int = 0
    available: int = 0

    def removable(self, *, trusted: bool) -> int:
        """Count the pods to reckon with while scaling down (GetReplicasForScaleDown)."""
        return self.spec if trusted or self.spec < self.available else self.available


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rollout wants, `replicas` pods, and how far it may stray while moving."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """The most pods there may be."""
        return self.replicas + self.surge

    @property
    def least(self) -> int:
        """The fewest pods that must be available."""
        return self.replicas - min(self.unavailable, self.replicas)


def bounds(replicas: int, surge: float, unavailable: float) -> Bounds:
    """Resolve fractions of `replicas` to pods: surge rounds up, unavailable down, never both 0 (resolveFenceposts)."""
    up, down = math.ceil(replicas * surge), math.floor(replicas * unavailable)
    return Bounds(replicas, up, down if up or down else 1)


def split(replicas: int, weight: int, surge: int) -> tuple[int, int]:
    """Choose canary and stable pods nearest to a weight (approximateWeightedCanaryStableReplicaCounts).

    Where the controller finds no choice, a tie at the top without a surge, it makes no canary; so does this.
    """
    if replicas == 0:
        return 0, 0
    exact = replicas * weight / FULL_WEIGHT
    ceil, floor = math.ceil(exact), math.floor(exact)
    zero_allowed = weight in {0, FULL_WEIGHT} or (replicas == 1 and surge == 0)
    options = [(ceil, replicas)] if ceil < replicas or zero_allowed else []
    for total in (replicas, replicas + 1) if surge else (replicas,):
        if total > replicas:
            options.append((ceil, total))
        tied = total * weight % FULL_WEIGHT == FULL_WEIGHT // 2
        if not tied and (floor or zero_allowed):
            options.append((floor, total))
    canary, total = min(
        options, key=lambda option: abs(option[0] * FULL_WEIGHT / option[1] - weight), default=(0, replicas)
    )
    return canary, total - canary


def basic(limits: Bounds, weight: int, new: Size, stable: Size, others: int) -> tuple[int, int]:
    """Size canary and stable for now, on the way to `weight` (CalculateReplicaCountsForBasicCanary).

    `others` is how many pods older ReplicaSets still ask for: while there are any, nothing else shrinks.
    """
    want_new, want_stable = split(limits.replicas, weight, limits.surge)
    room = limits.most - new.spec - stable.spec - others
    next_stable = _grow(stable.spec, want_stable, room)
    next_new = _grow(new.spec, want_new, room - (next_stable - stable.spec))
    if others:
        return next_new, next_stable
    growing = want_new >= new.spec
    spare = new.removable(trusted=not growing) + stable.removable(trusted=growing) - limits.least
    if spare <= 0:
        return next_new, next_stable
    if growing:
        next_stable = _shrink(stable.spec, want_stable, spare, next_stable)
        next_stable, next_new = _fit(limits, (stable, next_stable), (new, next_new))
    else:
        next_new = _shrink(new.spec, want_new, spare, next_new)
        next_new, next_stable = _fit(limits, (new, next_new), (stable, next_stable))
    return next_new, next_stable


def alone(limits: Bounds, new: Size, others: int) -> int:
    """Size the only ReplicaSet that counts, when the wanted revision is the stable one or there is no stable yet."""
    grown = _grow(new.spec, limits.replicas, limits.most - new.spec - others)
    return grown if others else min(grown, limits.replicas)


def routed(replicas: int, weight: int) -> int:
    """Size the canary behind a traffic router; its stable keeps all its pods (trafficWeightToReplicas)."""
    return math.ceil(weight * replicas / FULL_WEIGHT)


def _grow(now: int, want: int, room: int) -> int:
    return min(want, now + room) if now < want and room > 0 else now


def _shrink(now: int, want: int, spare: int, fallback: int) -> int:
    return max(want, now - spare) if now > want else fallback


def _fit(limits: Bounds, drained: tuple[Size, int], kept: tuple[Size, int]) -> tuple[int, int]:
    """Keep the sum within the most and the available within the least (adjustReplicaWithinLimits)."""
    (draining, drain), (keeping, keep) = drained, kept
    keep -= max(0, keep + drain - limits.most)
    available = min(draining.available, drain) + min(keeping.available, keep)
    keep += min(max(0, keeping.available - keep), max(0, limits.least - available))
    return drain - max(0, keep + drain - limits.most), keep
