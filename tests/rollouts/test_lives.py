"""What holds of everything that is said of any life of a rollout, whatever is done to it and to us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricType, Source
from tests.rollouts.lives import DEEDS, STRATEGIES, Act, Hitch, Life, watched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy
    from exporter.metrics import Labels, MetricsSnapshot

Name = tuple[str, "Labels"]
VARIANTS = ("full", "no-state", "plain", "argo-only")
WORKLOAD = frozenset({Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE})
STILL = frozenset(DEEDS) - {"pause"}
# A rollout whose spec is paused while it is scaled keeps its status for ever: nobody could tell what it is doing.

strategies = st.sampled_from(STRATEGIES)
variants = st.sampled_from(VARIANTS)
replicas = st.integers(0, 8)


def acts(deeds: Iterable[str]) -> st.SearchStrategy[list[Act]]:
    one = st.builds(Act, st.sampled_from(sorted(deeds)), st.integers(0, 7), st.floats(1.5, 7, allow_nan=False))
    return st.lists(one, max_size=7)


RESTARTS = st.lists(st.builds(Hitch, restart=st.booleans()), max_size=4)
GAPS = st.lists(
    st.builds(Hitch, unasked=st.sampled_from([frozenset(), WORKLOAD]), dead=st.sampled_from([frozenset(), WORKLOAD])),
    max_size=4,
)
SKEW = st.lists(st.builds(Hitch, late=st.sampled_from([frozenset(), WORKLOAD, frozenset({Source.ARGO})])), max_size=4)
ANYTHING = st.lists(
    st.builds(
        Hitch,
        unasked=st.sampled_from([frozenset(), WORKLOAD]),
        dead=st.sampled_from([frozenset(), frozenset(Source), WORKLOAD]),
        late=st.sampled_from([frozenset(), WORKLOAD, frozenset({Source.ARGO})]),
        restart=st.booleans(),
        back=st.sampled_from([0.0, 0.5, 30.0]),
    ),
    max_size=5,
)


def said(cycle: MetricsSnapshot) -> dict[Name, tuple[float, float, MetricType]]:
    """Return value, start and kind of every series; fails where one is said twice."""
    found: dict[Name, tuple[float, float, MetricType]] = {}
    for family in cycle.families:
        for place, series in enumerate(family.series):
            name = (series.name, series.labels)
            assert name not in found, f"{series} is said twice"
            start = family.start_times[place] if family.start_times is not None else 0.0
            found[name] = (family.values[place], start, family.type)
    return found


def values(cycle: MetricsSnapshot, name: str) -> list[float]:
    return [value for family in cycle.families if family.name == name for value in family.values]


def results(cycle: MetricsSnapshot) -> dict[str, float]:
    return {
        series.label("result"): value
        for family in cycle.families
        if family.name == "argo_rollouts_updates_total"
        for series, value in zip(family.series, family.values, strict=True)
        if value
    }


@settings(max_examples=40, derandomize=True, deadline=None)
@given(strategies, replicas, variants, acts(DEEDS), ANYTHING)
def test_every_cycle_of_any_life_is_sound(
    strategy: CanaryStrategy | BlueGreenStrategy, count: int, variant: str, script: list[Act], hitches: list[Hitch]
) -> None:
    before: dict[Name, tuple[float, float, MetricType]] = {}
    for seen in watched(Life(strategy, count), variant, script, hitches):
        now = said(seen.cycle)
        phases = values(seen.cycle, "argo_rollouts_phase")
        assert not phases or (len(phases), sum(phases)) == (7, 1.0)
        assert all(0 <= value <= 1 for value in values(seen.cycle, "argo_rollouts_canary_fraction"))
        for name, (value, start, kind) in now.items():
            if kind is MetricType.COUNTER and name[0].startswith("argo_rollouts_") and name in before:
                assert start > before[name][1] or value >= before[name][0]
        before |= now


@settings(max_examples=40, derandomize=True, deadline=None)
@given(strategies, replicas, variants, acts(STILL), RESTARTS | GAPS | SKEW)
def test_results_add_up_to_the_updates_that_happened(
    strategy: CanaryStrategy | BlueGreenStrategy, count: int, variant: str, script: list[Act], hitches: list[Hitch]
) -> None:
    """Blind spot: a blue-green rollback under a new leader, told by events alone, counts as superseded, too."""
    if strategy.label == "blueGreen":
        script = [act for act in script if act.deed != "failover"]
    life = Life(strategy, count)
    *_, last = watched(life, variant, [*script, Act("resume", 0, 24, smooth=True)], hitches)
    assert results(last.cycle) == {name: count for name, count in life.cluster.results.items() if count}


@settings(max_examples=20, derandomize=True, deadline=None)
@given(strategies, replicas, variants, acts(DEEDS), GAPS)
def test_whatever_happened_everything_settles_and_is_known_again(
    strategy: CanaryStrategy | BlueGreenStrategy, count: int, variant: str, script: list[Act], hitches: list[Hitch]
) -> None:
    ending = [Act("resume", 0, 2), Act("deploy", 99, 22, apart=2), Act("promote", 0, 45, apart=5, smooth=True)]
    *_, last = watched(Life(strategy, count), variant, [*script, *ending], hitches)
    assert last.truth.phase == "Completed"
    assert values(last.cycle, "argo_rollouts_update_in_progress") == [0.0]
    assert values(last.cycle, "argo_rollouts_canary_fraction") == ([0.0] if last.truth.strategy == "canary" else [])
    assert {reason for rollout in last.watch.status.rollouts for reason in rollout.unknown_reasons} <= {"roles"}
    assert variant == "plain" or values(last.cycle, "argo_rollouts_unknown") == []


@settings(max_examples=25, derandomize=True, deadline=None)
@given(strategies, replicas, st.sampled_from(["full", "no-state"]), acts(STILL))
def test_progress_and_roles_are_those_of_the_objects(
    strategy: CanaryStrategy | BlueGreenStrategy, count: int, variant: str, script: list[Act]
) -> None:
    for seen in watched(Life(strategy, count), variant, script):
        truth = seen.truth
        progress = values(seen.cycle, "argo_rollouts_update_in_progress")
        assert not progress or progress == [float(bool(truth.updating))]
        roles = {pod.uid: role.value for rollout in seen.watch.status.rollouts for pod, role in rollout.pod_roles}
        true = {pod.uid: pod.role for pod in truth.pods if not pod.terminating and pod.role}
        assert {uid: role for uid, role in roles.items() if role != "unknown" and role != true.get(uid, role)} == {}


@settings(max_examples=25, derandomize=True, deadline=None)
@given(strategies, replicas, variants, acts(DEEDS), GAPS | SKEW)
def test_a_series_ends_once_when_it_is_gone_for_good_and_not_while_it_is_said(
    strategy: CanaryStrategy | BlueGreenStrategy, count: int, variant: str, script: list[Act], hitches: list[Hitch]
) -> None:
    opened: set[Name] = set()
    quiet = Act("wait", 0, 600, apart=30, smooth=True)
    for seen in watched(Life(strategy, count), variant, [*script, quiet], hitches):
        now = said(seen.cycle).keys()
        gone = [(series.name, series.labels) for family in seen.cycle.stale for series in family.series]
        assert len(set(gone)) == len(gone)
        assert set(gone) <= opened - now
        opened = (opened | now) - set(gone)
    assert opened == now
