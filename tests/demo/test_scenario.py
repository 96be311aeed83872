from __future__ import annotations

from exporter.demo.simulator.objects import ObjectKey
from exporter.demo.simulator.scenario import FAILOVER_SECONDS, SPEED, Scenario

CHECKOUT = ObjectKey("shop", "checkout")
OPENING = 1_795_446_000.0


def watched(seconds: float) -> dict[ObjectKey, list[tuple[str, float | None]]]:
    """Note what each rollout shows, four times a second."""
    stage = Scenario(OPENING)
    seen: dict[ObjectKey, list[tuple[str, float | None]]] = {}
    for tick in range(int(seconds * 4) + 1):
        stage.advance(OPENING + tick / 4)
        for key, truth in stage.cluster.ground_truth().items():
            shown = seen.setdefault(key, [])
            if shown[-1:] != [(truth.phase, truth.fraction)]:
                shown.append((truth.phase, truth.fraction))
    return seen


def test_the_play_opens_with_every_rollout_at_rest() -> None:
    assert {shown[0][0] for shown in watched(0).values()} == {"Completed"}


def test_twenty_seconds_show_a_canary_from_0_up_and_back_to_0() -> None:
    resting = [fraction for phase, fraction in watched(20)[CHECKOUT] if phase in {"Completed", "Paused"}]
    assert resting == [0.0, 0.2, 0.4, 0.6, 0.8, 0.0]


def test_twenty_seconds_show_an_abort_a_rollback_a_switch_and_weights() -> None:
    seen = watched(20)
    assert ("Abort", 0.0) in seen[ObjectKey("shop", "search")]
    assert seen[ObjectKey("pay", "invoices")][-1] == ("Completed", 0.0)
    assert ("Paused", 0.5) in seen[ObjectKey("pay", "invoices")]
    assert [phase for phase, _ in seen[ObjectKey("shop", "store")]] == ["Completed", "Progressing", "Paused", "Completed"]
    assert [f for phase, f in seen[ObjectKey("pay", "ledger")] if phase == "Paused"] == [0.05, 0.25, 0.5]
    assert {fraction for _, fraction in seen[ObjectKey("shop", "cart")]} == {0.0}


def test_the_play_goes_on_for_an_hour_of_its_own_and_survives_its_failovers() -> None:
    stage = Scenario(OPENING)
    leaders = set()
    for number in range(1, 13):
        stage.advance(OPENING + (number * FAILOVER_SECONDS + 60) / SPEED)
        leader = stage.cluster.controllers.leader
        assert leader
        leaders.add(leader.name)
    assert leaders == {"argo-a", "argo-b"}
    assert all(len(rollout.replica_sets) <= rollout.spec.history_limit + 2 for rollout in stage.cluster.rollouts.values())


def test_a_late_look_sees_what_an_eager_one_does() -> None:
    lazy, eager = Scenario(OPENING), Scenario(OPENING)
    for tick in range(300):
        eager.advance(OPENING + tick)
    lazy.advance(OPENING + 299)
    assert lazy.cluster.kube_state_metrics_page() == eager.cluster.kube_state_metrics_page()
    assert lazy.cluster.argo_page("argo-b") == eager.cluster.argo_page("argo-b")
