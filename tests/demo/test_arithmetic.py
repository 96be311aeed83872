from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.simulator.arithmetic import (
    ReplicaBounds,
    ReplicaSetSize,
    basic_canary_sizes,
    only_replica_set_size,
    resolve_bounds,
    routed_canary_size,
    split_by_weight,
)
from exporter.demo.simulator.objects import FULL_WEIGHT

SIZES = st.integers(0, 40)
WEIGHTS = st.integers(0, 100)


@pytest.mark.parametrize(
    ("replicas", "weight", "surge", "expected"),
    [
        (10, 20, 3, (2, 8)),
        (10, 75, 3, (8, 3)),
        (1, 5, 1, (1, 1)),
        (1, 5, 0, (0, 1)),
        (2, 5, 1, (1, 2)),
        (8, 40, 2, (3, 5)),
        (10, 0, 3, (0, 10)),
        (10, 100, 3, (10, 0)),
        (0, 50, 1, (0, 0)),
    ],
)
def test_a_weight_becomes_the_nearest_numbers_of_pods(
    replicas: int, weight: int, surge: int, expected: tuple[int, int]
) -> None:
    assert split_by_weight(replicas, weight, surge) == expected


@pytest.mark.parametrize(
    ("replicas", "weight", "unavailable", "surge", "expected"),
    [
        (10, 10, 1, 1, (1, 9)),
        (10, 30, 0, 3, (3, 10)),
        (10, 30, 5, 0, (0, 7)),
        (1, 5, 0, 1, (1, 1)),
    ],
)
def test_a_canary_starts_with_the_sizes_of_the_controllers_own_examples(
    replicas: int, weight: int, unavailable: int, surge: int, expected: tuple[int, int]
) -> None:
    assert (
        basic_canary_sizes(
            ReplicaBounds(replicas, surge, unavailable), weight, ReplicaSetSize(), ReplicaSetSize(replicas, replicas), 0
        )
        == expected
    )


@pytest.mark.parametrize(("replicas", "expected"), [(10, (3, 2)), (4, (1, 1)), (1, (1, 0)), (0, (0, 1))])
def test_surge_is_rounded_up_and_unavailable_down(replicas: int, expected: tuple[int, int]) -> None:
    limits = resolve_bounds(replicas, 0.25, 0.25)
    assert (limits.surge, limits.unavailable) == expected


def test_a_rollout_without_surge_and_unavailable_pods_may_have_one_pod_less() -> None:
    assert resolve_bounds(10, 0.0, 0.0) == ReplicaBounds(10, 0, 1)


@settings(derandomize=True, max_examples=200)
@given(replicas=SIZES, weight=WEIGHTS, surge=st.integers(0, 10))
def test_a_split_has_all_pods_or_one_more_with_surge(replicas: int, weight: int, surge: int) -> None:
    canary, stable = split_by_weight(replicas, weight, surge)
    assert canary >= 0
    assert stable >= 0
    assert canary + stable in ({replicas, replicas + 1} if surge and replicas else {replicas})
    if 0 < weight < 100 and replicas > 1 and surge:
        assert canary > 0


def test_a_tie_at_the_top_without_surge_gives_no_canary_as_in_the_controller() -> None:
    assert split_by_weight(5, 90, 0) == (0, 5)


@settings(derandomize=True, max_examples=200)
@given(replicas=SIZES, weight=WEIGHTS, new=SIZES, stable=SIZES, unavailable=SIZES, others=st.integers(0, 3))
def test_a_canary_never_exceeds_the_maximum_total_nor_goes_below_the_minimum_available(
    replicas: int, weight: int, new: int, stable: int, unavailable: int, others: int
) -> None:
    limits = resolve_bounds(replicas, 0.25, 0.25)
    available = ReplicaSetSize(new, max(0, new - unavailable)), ReplicaSetSize(stable, stable)
    next_new, next_stable = basic_canary_sizes(limits, weight, *available, others)
    assert min(next_new, next_stable) >= 0
    if next_new + next_stable > new + stable:
        assert next_new + next_stable + others <= limits.max_total
    if next_stable < stable and not others:
        assert available[0].available + min(next_stable, stable) >= min(
            limits.min_available, available[0].available + stable
        )


@settings(derandomize=True, max_examples=200)
@given(replicas=SIZES, weight=WEIGHTS)
def test_sizes_converge_to_the_split_when_all_pods_become_ready(replicas: int, weight: int) -> None:
    limits = resolve_bounds(replicas, 0.25, 0.25)
    new, stable = 0, replicas
    for _ in range(2 * replicas + 2):
        new, stable = basic_canary_sizes(limits, weight, ReplicaSetSize(new, new), ReplicaSetSize(stable, stable), 0)
    assert (new, stable) == split_by_weight(replicas, weight, limits.surge)


@settings(derandomize=True, max_examples=200)
@given(replicas=SIZES, desired=SIZES, others=st.integers(0, 3))
def test_an_only_replica_set_gets_all_pods_once_others_are_gone(replicas: int, desired: int, others: int) -> None:
    limits = resolve_bounds(replicas, 0.25, 0.25)
    size = only_replica_set_size(limits, ReplicaSetSize(desired, desired), others)
    assert size == replicas or (others and size <= max(desired, limits.max_total))


@settings(derandomize=True, max_examples=200)
@given(replicas=SIZES, weight=WEIGHTS)
def test_a_routed_canary_has_just_enough_pods_for_its_weight(replicas: int, weight: int) -> None:
    canary = routed_canary_size(replicas, weight)
    assert canary * FULL_WEIGHT >= weight * replicas
    assert (canary - 1) * FULL_WEIGHT < weight * replicas or canary == 0
