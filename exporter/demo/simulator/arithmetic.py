"""How many pods each ReplicaSet of a canary should have: the controller's arithmetic, on plain numbers.

Follows `utils/replicaset/canary.go` of Argo Rollouts v1.8.3; names in docstrings are the functions there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.demo.simulator.objects import FULL_WEIGHT


@dataclass(frozen=True, slots=True)
class ReplicaSetSize:
    """A ReplicaSet as the arithmetic sees it: pods asked for, and pods that are available."""

    desired: int = 0
    available: int = 0

    def replicas_for_scale_down(self, *, trusted: bool) -> int:
        """Count the pods to reckon with while scaling down (GetReplicasForScaleDown)."""
        return self.desired if trusted or self.desired < self.available else self.available


@dataclass(frozen=True, slots=True)
class ReplicaBounds:
    """What a rollout wants, `replicas` pods, and how far it may stray while moving."""

    desired: int
    surge: int
    unavailable: int

    @property
    def max_total(self) -> int:
        """The most pods there may be."""
        return self.desired + self.surge

    @property
    def min_available(self) -> int:
        """The fewest pods that must be available."""
        return self.desired - min(self.unavailable, self.desired)


def resolve_bounds(replicas: int, surge: float, unavailable: float) -> ReplicaBounds:
    """Resolve fractions of `replicas` to pods: surge rounds up, unavailable down, never both 0 (resolveFenceposts)."""
    up, down = math.ceil(replicas * surge), math.floor(replicas * unavailable)
    return ReplicaBounds(replicas, up, down if up or down else 1)


def split_by_weight(replicas: int, weight: int, surge: int) -> tuple[int, int]:
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


def basic_canary_sizes(limits: ReplicaBounds, weight: int, new: ReplicaSetSize, stable: ReplicaSetSize, others: int) -> tuple[int, int]:
    """Size canary and stable for now, on the way to `weight` (CalculateReplicaCountsForBasicCanary).

    `others` is how many pods older ReplicaSets still ask for: while there are any, nothing else shrinks.
    """
    want_new, want_stable = split_by_weight(limits.desired, weight, limits.surge)
    room = limits.max_total - new.desired - stable.desired - others
    next_stable = _grow(stable.desired, want_stable, room)
    next_new = _grow(new.desired, want_new, room - (next_stable - stable.desired))
    if others:
        return next_new, next_stable
    growing = want_new >= new.desired
    spare = new.replicas_for_scale_down(trusted=not growing) + stable.replicas_for_scale_down(trusted=growing) - limits.min_available
    if spare <= 0:
        return next_new, next_stable
    if growing:
        next_stable = _shrink(stable.desired, want_stable, spare, next_stable)
        next_stable, next_new = _adjust_within_limits(limits, (stable, next_stable), (new, next_new))
    else:
        next_new = _shrink(new.desired, want_new, spare, next_new)
        next_new, next_stable = _adjust_within_limits(limits, (new, next_new), (stable, next_stable))
    return next_new, next_stable


def only_replica_set_size(limits: ReplicaBounds, new: ReplicaSetSize, others: int) -> int:
    """Size the only ReplicaSet that counts, when the wanted revision is the stable one or there is no stable yet."""
    grown = _grow(new.desired, limits.desired, limits.max_total - new.desired - others)
    return grown if others else min(grown, limits.desired)


def routed_canary_size(replicas: int, weight: int) -> int:
    """Size the canary behind a traffic router; its stable keeps all its pods (trafficWeightToReplicas)."""
    return math.ceil(weight * replicas / FULL_WEIGHT)


def _grow(now: int, want: int, room: int) -> int:
    return min(want, now + room) if now < want and room > 0 else now


def _shrink(now: int, want: int, spare: int, fallback: int) -> int:
    return max(want, now - spare) if now > want else fallback


def _adjust_within_limits(limits: ReplicaBounds, drained: tuple[ReplicaSetSize, int], kept: tuple[ReplicaSetSize, int]) -> tuple[int, int]:
    """Keep the sum within the most and the available within the least (adjustReplicaWithinLimits)."""
    (draining, drain), (keeping, keep) = drained, kept
    keep -= max(0, keep + drain - limits.max_total)
    available = min(draining.available, drain) + min(keeping.available, keep)
    keep += min(max(0, keeping.available - keep), max(0, limits.min_available - available))
    return drain - max(0, keep + drain - limits.max_total), keep
