"""Simulated rollouts behave as real ones; the name of a test ends with the recording that shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, RolloutSpec, SetWeight

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.demo.conftest import ObservedRollout

    Observe = Callable[[RolloutSpec], ObservedRollout]

APP = "registry.local/app:v1"
FIRST_DEPLOY_EVENTS = {
    "RolloutAddedToInformer": 1,
    "RolloutUpdated": 1,
    "NewReplicaSetCreated": 1,
    "ScalingReplicaSet": 1,
}
FOUR_STEPS = (SetWeight(20), Pause(15), SetWeight(40), Pause(), SetWeight(60), Pause(8), SetWeight(80), Pause(8))
THREE_STEPS = (SetWeight(20), Pause(5), SetWeight(40), Pause(), SetWeight(80), Pause(4))
ROUTED = CanaryStrategy(
    (SetWeight(10), Pause(5), SetWeight(50), Pause(5)), "Nginx", scale_down_delay=12, abort_scale_down_delay=10
)


def basic(replicas: int, *steps: SetWeight | Pause) -> RolloutSpec:
    return RolloutSpec("shop", "checkout", APP, replicas, CanaryStrategy(steps))


def test_a_first_deployment_completes_and_is_counted(observe: Observe) -> None:
    canary = observe(basic(4, *THREE_STEPS))
    assert canary.phases == ["Completed"]
    assert canary.events() == FIRST_DEPLOY_EVENTS | {"RolloutNotCompleted": 1, "RolloutCompleted": 1}
    blue_green = observe(RolloutSpec("shop", "web", APP, 2, BlueGreenStrategy()))
    assert blue_green.events() == FIRST_DEPLOY_EVENTS | {"RolloutCompleted": 1, "SwitchService": 2}


def test_a_basic_canary_climbs_its_steps_as_in_basic_canary(observe: Observe) -> None:
    observed = observe(basic(10, *FOUR_STEPS))
    observed.advance_to(3)
    observed.deploy("v2")
    assert (observed.advance_to(16).updated, observed.ground_truth.fraction) == (2, 0.2)
    assert (observed.advance_to(28).updated, observed.ground_truth.fraction) == (4, 0.4)
    observed.cluster.resume(*observed.key)
    assert (observed.advance_to(37).updated, observed.ground_truth.fraction) == (6, 0.6)
    assert (observed.advance_to(46).updated, observed.ground_truth.fraction) == (8, 0.8)
    assert (observed.advance_to(64).updated, observed.ground_truth.fraction) == (10, 0.0)
    assert observed.phases == ["Completed", *["Progressing", "Paused"] * 4, "Progressing", "Completed"]
    assert observed.events() == {
        "RolloutAddedToInformer": 1,
        "RolloutUpdated": 2,
        "NewReplicaSetCreated": 2,
        "RolloutNotCompleted": 2,
        "ScalingReplicaSet": 11,
        "RolloutStepCompleted": 8,
        "RolloutPaused": 4,
        "RolloutResumed": 3,
        "RolloutCompleted": 2,
    }


def test_an_abort_lasts_until_a_retry_or_a_new_revision_as_in_abort(observe: Observe) -> None:
    observed = observe(basic(10, *THREE_STEPS))
    observed.advance_to(3)
    observed.deploy("v2")
    observed.advance_to(17)
    observed.cluster.abort(*observed.key)
    aborted = observed.advance_to(33)
    assert (aborted.phase, aborted.health, aborted.updated, aborted.step_index) == ("Abort", "Degraded", 0, 0)
    observed.cluster.retry(*observed.key)
    observed.advance_to(47)
    observed.cluster.abort(*observed.key)
    observed.advance_to(57)
    observed.deploy("v3")
    observed.advance_to(72)
    observed.cluster.resume(*observed.key)
    observed.advance_to(92)
    climb, end = ["Progressing", "Paused"] * 2, ["Progressing", "Paused", "Progressing", "Completed"]
    assert observed.phases == ["Completed", *climb, "Abort", *climb, "Abort", *climb, *end]
    events = observed.events()
    assert (events["RolloutAborted"], events["RolloutResumed"], events["RolloutPaused"]) == (2, 4, 7)
    assert (events["NewReplicaSetCreated"], events["RolloutCompleted"], events["RolloutNotCompleted"]) == (3, 2, 2)


def test_a_rollback_to_stable_skips_the_steps_and_reuses_the_replicaset_as_in_rollback(observe: Observe) -> None:
    observed = observe(basic(8, *THREE_STEPS))
    rollout = observed.cluster.rollouts[observed.key]
    stable = observed.ground_truth.stable_hash
    observed.advance_to(3)
    observed.deploy("v2")
    observed.advance_to(18)
    observed.cluster.rollback(*observed.key)
    assert observed.advance_to(28).current_hash == stable
    assert observed.phases == ["Completed", *["Progressing", "Paused"] * 2, "Progressing", "Completed"]
    assert observed.events()["SkipSteps"] == 1
    assert observed.events()["RolloutResumed"] == 2
    assert rollout.replica_sets[stable].revision == 3
    assert rollout.replica_sets[stable].created_at < min(
        replica_set.created_at for replica_set in rollout.replica_sets.values() if replica_set.hash != stable
    )


def test_a_rollback_of_a_settled_rollout_is_a_canary_of_an_old_replicaset(observe: Observe) -> None:
    observed = observe(basic(8, SetWeight(25), Pause(4)))
    first = observed.ground_truth.stable_hash
    observed.deploy("v2")
    observed.advance_to(16)
    observed.cluster.rollback(*observed.key)
    halfway = observed.advance_to(20)
    assert (halfway.current_hash, halfway.phase, halfway.fraction) == (first, "Paused", 0.25)
    assert observed.advance_to(32).stable_hash == first
    assert observed.events()["NewReplicaSetCreated"] == 2
    assert "SkipSteps" not in observed.events()


def test_a_superseded_canary_is_replaced_by_the_third_revision_as_in_paused(observe: Observe) -> None:
    observed = observe(basic(4, SetWeight(25), Pause(), SetWeight(50), Pause(3)))
    observed.advance_to(4)
    observed.deploy("v2")
    observed.advance_to(10)
    observed.deploy("v3")
    assert observed.advance_to(16).phase == "Paused"
    assert observed.events()["RolloutResumed"] == 1
    assert [pod.role for pod in observed.ground_truth.pods] == ["stable"] * 3 + ["canary"]
    observed.cluster.promote_full(*observed.key)
    observed.advance_to(28)
    assert observed.phases == [
        "Completed",
        "Progressing",
        "Paused",
        "Progressing",
        "Paused",
        "Progressing",
        "Completed",
    ]
    assert observed.events()["RolloutStepCompleted"] == 2


def test_a_routed_canary_drains_its_old_pods_after_promotion_as_in_traffic_canary(observe: Observe) -> None:
    steps = (SetWeight(5), Pause(10), SetWeight(25), Pause(), SetWeight(50), Pause(10))
    observed = observe(RolloutSpec("shop", "checkout", APP, 10, CanaryStrategy(steps, "Nginx", scale_down_delay=25)))
    observed.advance_to(3)
    observed.deploy("v2")
    states = [observed.advance_to(seconds) for seconds in (12, 26)]
    assert [(state.weight, state.updated, state.replicas) for state in states] == [(5, 1, 11), (25, 3, 13)]
    observed.cluster.resume(*observed.key)
    assert (observed.advance_to(36).weight, observed.ground_truth.updated, observed.ground_truth.replicas) == (
        50,
        5,
        15,
    )
    draining = observed.advance_to(60)
    assert (draining.phase, draining.health, draining.replicas, draining.weight) == ("Progressing", "Healthy", 20, 0)
    assert draining.fraction == 0.0
    observed.advance_to(74)
    assert observed.phases == ["Completed", *["Progressing", "Paused"] * 3, "Progressing", "Completed"]
    events = observed.events()
    assert (events["TrafficWeightUpdated"], events["SwitchService"], events["PatchingCanaryIngress"]) == (7, 4, 5)
    assert (events["ScalingReplicaSet"], events["RolloutStepCompleted"], events["CreatingCanaryIngress"]) == (6, 6, 1)


def test_an_aborted_routed_canary_loses_traffic_at_once_and_pods_after_a_delay_as_in_abort(observe: Observe) -> None:
    observed = observe(RolloutSpec("pay", "ledger", APP, 3, ROUTED))
    observed.deploy("v2")
    assert observed.advance_to(5).weight == 10
    observed.cluster.abort(*observed.key)
    aborted = observed.advance_to(7)
    assert (aborted.phase, aborted.weight, aborted.updated, aborted.available) == ("Abort", 0, 1, 4)
    assert observed.advance_to(14).updated == 1
    assert observed.advance_to(18).updated == 0
    assert observed.events()["SwitchService"] == 4
    observed.cluster.rollback(*observed.key)
    assert observed.advance_to(20).phase == "Completed"
    assert observed.events()["SkipSteps"] == 1


def test_a_routed_canary_that_is_rolled_back_keeps_old_pods_for_the_delay_as_in_rollback(observe: Observe) -> None:
    observed = observe(RolloutSpec("pay", "ledger", APP, 3, ROUTED))
    observed.deploy("v2")
    observed.advance_to(5)
    observed.cluster.rollback(*observed.key)
    rolled_back = observed.advance_to(9)
    assert (rolled_back.phase, rolled_back.health, rolled_back.updated, rolled_back.replicas) == (
        "Progressing",
        "Healthy",
        3,
        4,
    )
    assert observed.advance_to(22).phase == "Completed"


def test_a_blue_green_is_completed_the_moment_it_switches_as_in_bluegreen(observe: Observe) -> None:
    observed = observe(RolloutSpec("shop", "front", APP, 3, BlueGreenStrategy(manual=True, scale_down_delay=8)))
    observed.advance_to(3)
    observed.deploy("v2")
    waiting = observed.advance_to(20)
    assert (waiting.updated, waiting.available, waiting.replicas) == (3, 3, 6)
    observed.cluster.resume(*observed.key)
    switched = observed.advance_to(21)
    assert (switched.phase, switched.replicas - switched.available) == ("Completed", 3)
    assert observed.advance_to(32).replicas == 3
    assert observed.phases == ["Completed", "Progressing", "Paused", "Completed"]
    assert observed.events() == {
        "RolloutAddedToInformer": 1,
        "RolloutUpdated": 2,
        "NewReplicaSetCreated": 2,
        "RolloutNotCompleted": 1,
        "ScalingReplicaSet": 3,
        "SwitchService": 4,
        "RolloutPaused": 1,
        "RolloutCompleted": 2,
    }


def test_a_small_preview_grows_before_the_switch_as_in_bluegreen(observe: Observe) -> None:
    strategy = BlueGreenStrategy(auto_promotion=10, preview_replicas=1, scale_down_delay=10)
    observed = observe(RolloutSpec("pay", "portal", APP, 2, strategy))
    observed.deploy("v2")
    assert (observed.advance_to(8).updated, observed.ground_truth.replicas) == (1, 3)
    observed.advance_to(30)
    assert observed.phases == ["Completed", "Progressing", "Paused", "Progressing", "Completed"]
    assert observed.events()["RolloutResumed"] == 1
    assert observed.events()["ScalingReplicaSet"] == 4


def test_a_bad_image_times_out_until_the_next_deployment_as_in_bad_image(observe: Observe) -> None:
    observed = observe(replace(basic(5, SetWeight(40), Pause(4)), progress_deadline=20))
    observed.advance_to(3)
    observed.deploy("bad-2")
    stuck = observed.advance_to(44)
    assert (stuck.updated, stuck.available, stuck.replicas, stuck.health) == (2, 4, 6, "Degraded")
    observed.deploy("v3")
    observed.advance_to(64)
    assert observed.phases[:3] == ["Completed", "Progressing", "Timeout"]
    assert observed.phases[3:] == ["Progressing", "Paused", "Progressing", "Completed"]


def test_a_deadline_that_aborts_counts_two_aborts_as_in_bad_image(observe: Observe) -> None:
    strategy = CanaryStrategy((SetWeight(25), Pause(4)), "Nginx", abort_scale_down_delay=10)
    spec = RolloutSpec("shop", "search", APP, 4, strategy, progress_deadline=20, progress_deadline_abort=True)
    observed = observe(spec)
    observed.advance_to(3)
    observed.deploy("bad-2")
    assert observed.advance_to(44).updated == 0
    assert observed.phases == ["Completed", "Progressing", "Abort"]
    assert observed.events()["RolloutAborted"] == 2


def test_scaling_a_healthy_rollout_is_progress_without_an_update_as_in_scale(observe: Observe) -> None:
    observed = observe(basic(2))
    observed.cluster.scale(*observed.key, 5)
    scaling = observed.advance_to(2)
    assert (scaling.phase, scaling.updating, scaling.desired) == ("Progressing", False, 5)
    observed.advance_to(8)
    observed.cluster.scale(*observed.key, 0)
    assert observed.advance_to(12).replicas == 0
    assert observed.phases == ["Completed", "Progressing", "Completed"]


def test_scaling_a_paused_canary_shows_progressing_briefly_as_in_scale(observe: Observe) -> None:
    observed = observe(basic(10, SetWeight(20), Pause(), SetWeight(50), Pause()))
    observed.deploy("v2")
    observed.advance_to(6)
    observed.cluster.scale(*observed.key, 15)
    phases = set()
    for tick in range(600):
        observed.cluster.advance(observed.started_at + 6 + tick / 100)
        phases.add(observed.ground_truth.phase)
    assert phases == {"Paused", "Progressing"}
    assert (observed.advance_to(14).phase, observed.ground_truth.updated) == ("Paused", 3)
    observed.cluster.scale(*observed.key, 0)
    assert (observed.advance_to(18).phase, observed.ground_truth.replicas) == ("Paused", 0)
    assert observed.events()["RolloutPaused"] == 1


def test_a_healthy_rollout_that_is_paused_stays_completed_as_in_paused(observe: Observe) -> None:
    observed = observe(basic(2))
    observed.cluster.pause(*observed.key)
    phases = set()
    for tick in range(400):
        observed.cluster.advance(observed.started_at + tick / 100)
        phases.add(observed.ground_truth.phase)
    assert "Paused" not in phases
    assert (observed.advance_to(4).phase, observed.ground_truth.health) == ("Completed", "Paused")
    observed.cluster.resume(*observed.key)
    assert observed.advance_to(6).health == "Healthy"


def test_a_spec_that_is_made_invalid_is_fixed_only_when_the_back_off_runs_out_as_in_invalid_spec(
    observe: Observe,
) -> None:
    observed = observe(basic(2))
    observed.cluster.apply(replace(observed.spec, strategy=CanaryStrategy((SetWeight(200),))))
    invalid = observed.advance_to(13)
    assert (invalid.phase, invalid.health, invalid.available) == ("InvalidSpec", "Degraded", 2)
    observed.cluster.apply(observed.spec)
    assert observed.advance_to(14).phase == "InvalidSpec"
    observed.advance_to(34)
    assert observed.phases == ["Completed", "InvalidSpec", "Completed"]
