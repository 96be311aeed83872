"""Computes how many pods each ReplicaSet of a canary should have: the controller's arithmetic, on plain numbers.

Follows `utils/replicaset/canary.go` of Argo Rollouts v1.8.3; names in docstrings are the functions there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.demo.simulator.objects import FULL_WEIGHT


@dataclass(frozen=True, slots=True)
class ReplicaSetSize:
    """Desired and available pods of a ReplicaSet."""

    desired: int = 0
    available: int = 0

    def replicas_for_scale_down(self, *, is_growing: bool) -> int:
        """Return the pods that count while scaling down (GetReplicasForScaleDown)."""
        return self.desired if is_growing or self.desired < self.available else self.available


@dataclass(frozen=True, slots=True)
class ReplicaBounds:
    """Desired pods of a rollout, and how many more may exist or fewer be available during an update."""

    desired: int
    surge: int
    unavailable: int

    @property
    def max_total(self) -> int:
        """Maximum number of pods."""
        return self.desired + self.surge

    @property
    def min_available(self) -> int:
        """Minimum number of available pods."""
        return self.desired - min(self.unavailable, self.desired)


def resolve_bounds(replicas: int, surge: float, unavailable: float) -> ReplicaBounds:
    """Convert fractions of `replicas` to pods: surge rounded up, unavailable down, never both 0 (resolveFenceposts)."""
    up, down = math.ceil(replicas * surge), math.floor(replicas * unavailable)
    return ReplicaBounds(replicas, up, down if up or down else 1)


def split_by_weight(replicas: int, weight: int, surge: int) -> tuple[int, int]:
    """Return canary and stable pods nearest to a weight (approximateWeightedCanaryStableReplicaCounts).

    If there is no option (a tie at the top without a surge), the controller creates no canary, and neither does this
    function.
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


def basic_canary_sizes(
    limits: ReplicaBounds, weight: int, new: ReplicaSetSize, stable: ReplicaSetSize, others: int
) -> tuple[int, int]:
    """Return the next sizes of canary and stable on the way to `weight` (CalculateReplicaCountsForBasicCanary).

    `others` are the desired pods of older ReplicaSets: while there are any, nothing else shrinks.
    """
    desired_new, desired_stable = split_by_weight(limits.desired, weight, limits.surge)
    addable = limits.max_total - new.desired - stable.desired - others
    next_stable = _grow(stable.desired, desired_stable, addable)
    next_new = _grow(new.desired, desired_new, addable - (next_stable - stable.desired))
    if others:
        return next_new, next_stable
    growing = desired_new >= new.desired
    removable = new.replicas_for_scale_down(is_growing=not growing) - limits.min_available
    removable += stable.replicas_for_scale_down(is_growing=growing)
    if removable <= 0:
        return next_new, next_stable
    if growing:
        next_stable = _shrink(stable.desired, desired_stable, removable, next_stable)
        next_stable, next_new = _adjust_within_limits(limits, (stable, next_stable), (new, next_new))
    else:
        next_new = _shrink(new.desired, desired_new, removable, next_new)
        next_new, next_stable = _adjust_within_limits(limits, (new, next_new), (stable, next_stable))
    return next_new, next_stable


def only_replica_set_size(limits: ReplicaBounds, new: ReplicaSetSize, others: int) -> int:
    """Return the size of the current ReplicaSet if it is the stable one or there is no stable one yet."""
    grown = _grow(new.desired, limits.desired, limits.max_total - new.desired - others)
    return grown if others else min(grown, limits.desired)


def routed_canary_size(replicas: int, weight: int) -> int:
    """Return the size of a canary behind a traffic router; the stable one keeps its pods (trafficWeightToReplicas)."""
    return math.ceil(weight * replicas / FULL_WEIGHT)


def _grow(current: int, desired: int, addable: int) -> int:
    return min(desired, current + addable) if current < desired and addable > 0 else current


def _shrink(current: int, desired: int, removable: int, fallback: int) -> int:
    return max(desired, current - removable) if current > desired else fallback


def _adjust_within_limits(
    limits: ReplicaBounds, shrinking: tuple[ReplicaSetSize, int], growing: tuple[ReplicaSetSize, int]
) -> tuple[int, int]:
    """Keep the total below its maximum and available pods above their minimum (adjustReplicaWithinLimits)."""
    (draining, drain), (keeping, keep) = shrinking, growing
    keep -= max(0, keep + drain - limits.max_total)
    available = min(draining.available, drain) + min(keeping.available, keep)
    keep += min(max(0, keeping.available - keep), max(0, limits.min_available - available))
    return drain - max(0, keep + drain - limits.max_total), keep
