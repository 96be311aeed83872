from __future__ import annotations

import pytest

from exporter.demo.simulator.objects import ObjectKey
from exporter.demo.simulator.scenario import FAILOVER_SECONDS, SPEED, Scenario

CHECKOUT = ObjectKey("shop", "checkout")
START = 1_795_446_000.0


def observed_states(seconds: float) -> dict[ObjectKey, list[tuple[str, float | None]]]:
    """Return the successive phases and fractions of each rollout, sampled four times a second."""
    scenario = Scenario(START)
    states: dict[ObjectKey, list[tuple[str, float | None]]] = {}
    for tick in range(int(seconds * 4) + 1):
        scenario.advance(START + tick / 4)
        for key, truth in scenario.cluster.ground_truth().items():
            of_rollout = states.setdefault(key, [])
            if of_rollout[-1:] != [(truth.phase, truth.fraction)]:
                of_rollout.append((truth.phase, truth.fraction))
    return states


def test_the_scenario_starts_with_every_rollout_completed() -> None:
    assert {of_rollout[0][0] for of_rollout in observed_states(0).values()} == {"Completed"}


def test_twenty_seconds_show_a_canary_from_0_to_80_percent_and_back_to_0() -> None:
    fractions = [fraction for phase, fraction in observed_states(20)[CHECKOUT] if phase in {"Completed", "Paused"}]
    assert fractions == [0.0, 0.2, 0.4, 0.6, 0.8, 0.0]


def test_twenty_seconds_show_an_abort_a_rollback_a_switch_and_weights() -> None:
    states = observed_states(20)
    assert ("Abort", 0.0) in states[ObjectKey("shop", "search")]
    assert states[ObjectKey("pay", "invoices")][-1] == ("Completed", 0.0)
    assert ("Paused", 0.5) in states[ObjectKey("pay", "invoices")]
    assert [phase for phase, _ in states[ObjectKey("shop", "store")]] == [
        "Completed",
        "Progressing",
        "Paused",
        "Completed",
    ]
    assert [f for phase, f in states[ObjectKey("pay", "ledger")] if phase == "Paused"] == [0.05, 0.25, 0.5]
    assert {fraction for _, fraction in states[ObjectKey("shop", "cart")]} == {0.0}


@pytest.mark.slow
def test_the_scenario_runs_for_an_hour_with_its_failovers() -> None:
    scenario = Scenario(START)
    leaders = set()
    for failover in range(1, 13):
        scenario.advance(START + (failover * FAILOVER_SECONDS + 60) / SPEED)
        leader = scenario.cluster.controllers.leader
        assert leader
        leaders.add(leader.name)
    assert leaders == {"argo-a", "argo-b"}
    assert all(
        len(rollout.replica_sets) <= rollout.spec.history_limit + 2 for rollout in scenario.cluster.rollouts.values()
    )


def test_advancing_late_equals_advancing_often() -> None:
    lazy, eager = Scenario(START), Scenario(START)
    for tick in range(300):
        eager.advance(START + tick)
    lazy.advance(START + 299)
    assert lazy.cluster.kube_state_metrics_page() == eager.cluster.kube_state_metrics_page()
    assert lazy.cluster.argo_page("argo-b") == eager.cluster.argo_page("argo-b")
