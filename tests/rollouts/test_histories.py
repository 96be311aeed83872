"""Properties of the snapshots of any history of a rollout, whatever happens to it and to the exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricType, Source
from tests.rollouts.histories import ACTIONS, STRATEGIES, Disturbance, RolloutHistory, ScriptedAction, observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy
    from exporter.metrics import Labels, MetricsSnapshot

SeriesKey = tuple[str, "Labels"]
VARIANTS = ("full", "no-state", "plain", "argo-only")
WORKLOAD = frozenset({Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE})
WITHOUT_PAUSE = frozenset(ACTIONS) - {"pause"}
# A rollout whose spec is paused while it is scaled never updates its status, so its progress cannot be inferred.

strategies = st.sampled_from(STRATEGIES)
variants = st.sampled_from(VARIANTS)
replicas = st.integers(0, 8)


def scripts(names: Iterable[str]) -> st.SearchStrategy[list[ScriptedAction]]:
    action = st.builds(
        ScriptedAction, st.sampled_from(sorted(names)), st.integers(0, 7), st.floats(1.5, 7, allow_nan=False)
    )
    return st.lists(action, max_size=7)


RESTARTS = st.lists(st.builds(Disturbance, exporter_restart=st.booleans()), max_size=4)
GAPS = st.lists(
    st.builds(
        Disturbance, not_due=st.sampled_from([frozenset(), WORKLOAD]), failed=st.sampled_from([frozenset(), WORKLOAD])
    ),
    max_size=4,
)
SKEW = st.lists(
    st.builds(Disturbance, delayed=st.sampled_from([frozenset(), WORKLOAD, frozenset({Source.ARGO})])), max_size=4
)
ANYTHING = st.lists(
    st.builds(
        Disturbance,
        not_due=st.sampled_from([frozenset(), WORKLOAD]),
        failed=st.sampled_from([frozenset(), frozenset(Source), WORKLOAD]),
        delayed=st.sampled_from([frozenset(), WORKLOAD, frozenset({Source.ARGO})]),
        exporter_restart=st.booleans(),
        clock_set_back=st.sampled_from([0.0, 0.5, 30.0]),
    ),
    max_size=5,
)


def samples(snapshot: MetricsSnapshot) -> dict[SeriesKey, tuple[float, float, MetricType]]:
    """Return value, start time and type of every series; fails if one is exported twice."""
    exported: dict[SeriesKey, tuple[float, float, MetricType]] = {}
    for family in snapshot.families:
        for place, series in enumerate(family.series):
            key = (series.name, series.labels)
            assert key not in exported, f"{series} is exported twice"
            start = family.start_times[place] if family.start_times is not None else 0.0
            exported[key] = (family.values[place], start, family.type)
    return exported


def values(snapshot: MetricsSnapshot, name: str) -> list[float]:
    return [value for family in snapshot.families if family.name == name for value in family.values]


def results(snapshot: MetricsSnapshot) -> dict[str, float]:
    return {
        series.label("result"): value
        for family in snapshot.families
        if family.name == "argo_rollouts_updates_total"
        for series, value in zip(family.series, family.values, strict=True)
        if value
    }


@pytest.mark.slow
@settings(max_examples=40, derandomize=True, deadline=None)
@given(strategies, replicas, variants, scripts(ACTIONS), ANYTHING)
def test_every_snapshot_of_any_history_is_consistent(
    strategy: CanaryStrategy | BlueGreenStrategy,
    count: int,
    variant: str,
    script: list[ScriptedAction],
    disturbances: list[Disturbance],
) -> None:
    previous: dict[SeriesKey, tuple[float, float, MetricType]] = {}
    for tick in observe(RolloutHistory(strategy, count), variant, script, disturbances):
        now = samples(tick.snapshot)
        phases = values(tick.snapshot, "argo_rollouts_phase")
        assert not phases or (len(phases), sum(phases)) == (7, 1.0)
        assert all(0 <= value <= 1 for value in values(tick.snapshot, "argo_rollouts_canary_fraction"))
        for name, (value, start_time, kind) in now.items():
            if kind is MetricType.COUNTER and name[0].startswith("argo_rollouts_") and name in previous:
                assert start_time > previous[name][1] or value >= previous[name][0]
        previous |= now


@pytest.mark.slow
@settings(max_examples=40, derandomize=True, deadline=None)
@given(strategies, replicas, variants, scripts(WITHOUT_PAUSE), RESTARTS | GAPS | SKEW)
def test_results_are_those_of_the_updates_that_happened(
    strategy: CanaryStrategy | BlueGreenStrategy,
    count: int,
    variant: str,
    script: list[ScriptedAction],
    disturbances: list[Disturbance],
) -> None:
    """Limit: a blue-green rollback under a new leader, inferred from events alone, counts as superseded, too."""
    if strategy.label == "blueGreen":
        script = [action for action in script if action.name != "failover"]
    history = RolloutHistory(strategy, count)
    *_, last = observe(history, variant, [*script, ScriptedAction("resume", 0, 24, undisturbed=True)], disturbances)
    assert results(last.snapshot) == {name: count for name, count in history.cluster.results.items() if count}


@pytest.mark.slow
@settings(max_examples=20, derandomize=True, deadline=None)
@given(strategies, replicas, variants, scripts(ACTIONS), GAPS)
def test_after_any_history_a_settled_rollout_has_no_unknown_values(
    strategy: CanaryStrategy | BlueGreenStrategy,
    count: int,
    variant: str,
    script: list[ScriptedAction],
    disturbances: list[Disturbance],
) -> None:
    ending = [
        ScriptedAction("resume", 0, 2),
        ScriptedAction("deploy", 99, 22, interval=2),
        ScriptedAction("promote", 0, 45, interval=5, undisturbed=True),
    ]
    *_, last = observe(RolloutHistory(strategy, count), variant, [*script, *ending], disturbances)
    assert last.truth.phase == "Completed"
    assert values(last.snapshot, "argo_rollouts_update_in_progress") == [0.0]
    assert values(last.snapshot, "argo_rollouts_canary_fraction") == ([0.0] if last.truth.strategy == "canary" else [])
    assert {reason for rollout in last.tracker.status.rollouts for reason in rollout.unknown_reasons} <= {"roles"}
    assert variant == "plain" or values(last.snapshot, "argo_rollouts_unknown") == []


@pytest.mark.slow
@settings(max_examples=25, derandomize=True, deadline=None)
@given(strategies, replicas, st.sampled_from(["full", "no-state"]), scripts(WITHOUT_PAUSE))
def test_progress_and_pod_roles_are_those_of_the_ground_truth(
    strategy: CanaryStrategy | BlueGreenStrategy, count: int, variant: str, script: list[ScriptedAction]
) -> None:
    for tick in observe(RolloutHistory(strategy, count), variant, script):
        truth = tick.truth
        progress = values(tick.snapshot, "argo_rollouts_update_in_progress")
        assert not progress or progress == [float(bool(truth.updating))]
        roles = {pod.uid: role.value for rollout in tick.tracker.status.rollouts for pod, role in rollout.pod_roles}
        true = {pod.uid: pod.role for pod in truth.pods if not pod.terminating and pod.role}
        assert {uid: role for uid, role in roles.items() if role != "unknown" and role != true.get(uid, role)} == {}


@pytest.mark.slow
@settings(max_examples=25, derandomize=True, deadline=None)
@given(strategies, replicas, variants, scripts(ACTIONS), GAPS | SKEW)
def test_a_series_goes_stale_exactly_once_after_it_is_gone(
    strategy: CanaryStrategy | BlueGreenStrategy,
    count: int,
    variant: str,
    script: list[ScriptedAction],
    disturbances: list[Disturbance],
) -> None:
    active: set[SeriesKey] = set()
    quiet = ScriptedAction("wait", 0, 600, interval=30, undisturbed=True)
    for tick in observe(RolloutHistory(strategy, count), variant, [*script, quiet], disturbances):
        now = samples(tick.snapshot).keys()
        stale = [(series.name, series.labels) for family in tick.snapshot.stale for series in family.series]
        assert len(set(stale)) == len(stale)
        assert set(stale) <= active - now
        active = (active | now) - set(stale)
    assert active == now
