"""The simulation against what the real controllers were seen to do (the recordings of the same names)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, SetWeight, RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.demo.conftest import Play

    Player = Callable[[RolloutSpec], Play]

APP = "registry.local/app:v1"
FIRST = {"RolloutAddedToInformer": 1, "RolloutUpdated": 1, "NewReplicaSetCreated": 1, "ScalingReplicaSet": 1}
LADDER = (SetWeight(20), Pause(15), SetWeight(40), Pause(), SetWeight(60), Pause(8), SetWeight(80), Pause(8))
SHORT = (SetWeight(20), Pause(5), SetWeight(40), Pause(), SetWeight(80), Pause(4))
ROUTED = CanaryStrategy(
    (SetWeight(10), Pause(5), SetWeight(50), Pause(5)), "Nginx", scale_down_delay=12, abort_scale_down_delay=10
)


def basic(replicas: int, *steps: SetWeight | Pause) -> RolloutSpec:
    return RolloutSpec("shop", "checkout", APP, replicas, CanaryStrategy(steps))


def test_a_first_deployment_completes_and_counts_so(play: Player) -> None:
    canary = play(basic(4, *SHORT))
    assert canary.phases == ["Completed"]
    assert canary.events() == FIRST | {"RolloutNotCompleted": 1, "RolloutCompleted": 1}
    blue_green = play(RolloutSpec("shop", "web", APP, 2, BlueGreenStrategy()))
    assert blue_green.events() == FIRST | {"RolloutCompleted": 1, "SwitchService": 2}


def test_a_basic_canary_climbs_its_steps_as_in_basic_canary(play: Player) -> None:
    watched = play(basic(10, *LADDER))
    watched.until(3)
    watched.deploy("v2")
    assert (watched.until(16).updated, watched.truth.fraction) == (2, 0.2)
    assert (watched.until(28).updated, watched.truth.fraction) == (4, 0.4)
    watched.cluster.resume(*watched.key)
    assert (watched.until(37).updated, watched.truth.fraction) == (6, 0.6)
    assert (watched.until(46).updated, watched.truth.fraction) == (8, 0.8)
    assert (watched.until(64).updated, watched.truth.fraction) == (10, 0.0)
    assert watched.phases == ["Completed", *["Progressing", "Paused"] * 4, "Progressing", "Completed"]
    assert watched.events() == {
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


def test_an_abort_lasts_until_a_retry_or_a_new_revision_as_in_abort(play: Player) -> None:
    watched = play(basic(10, *SHORT))
    watched.until(3)
    watched.deploy("v2")
    watched.until(17)
    watched.cluster.abort(*watched.key)
    aborted = watched.until(33)
    assert (aborted.phase, aborted.health, aborted.updated, aborted.step_index) == ("Abort", "Degraded", 0, 0)
    watched.cluster.retry(*watched.key)
    watched.until(47)
    watched.cluster.abort(*watched.key)
    watched.until(57)
    watched.deploy("v3")
    watched.until(72)
    watched.cluster.resume(*watched.key)
    watched.until(92)
    climb, end = ["Progressing", "Paused"] * 2, ["Progressing", "Paused", "Progressing", "Completed"]
    assert watched.phases == ["Completed", *climb, "Abort", *climb, "Abort", *climb, *end]
    events = watched.events()
    assert (events["RolloutAborted"], events["RolloutResumed"], events["RolloutPaused"]) == (2, 4, 7)
    assert (events["NewReplicaSetCreated"], events["RolloutCompleted"], events["RolloutNotCompleted"]) == (3, 2, 2)


def test_a_rollback_to_stable_skips_the_steps_and_reuses_the_replicaset_as_in_rollback(play: Player) -> None:
    watched = play(basic(8, *SHORT))
    rollout = watched.cluster.rollouts[watched.key]
    stable = watched.truth.stable_hash
    watched.until(3)
    watched.deploy("v2")
    watched.until(18)
    watched.cluster.rollback(*watched.key)
    assert watched.until(28).current_hash == stable
    assert watched.phases == ["Completed", *["Progressing", "Paused"] * 2, "Progressing", "Completed"]
    assert watched.events()["SkipSteps"] == 1
    assert watched.events()["RolloutResumed"] == 2
    assert rollout.replica_sets[stable].revision == 3
    assert rollout.replica_sets[stable].created_at < min(one.created_at for one in rollout.replica_sets.values() if one.hash != stable)


def test_a_rollback_at_rest_is_a_canary_of_an_old_replicaset(play: Player) -> None:
    watched = play(basic(8, SetWeight(25), Pause(4)))
    first = watched.truth.stable_hash
    watched.deploy("v2")
    watched.until(16)
    watched.cluster.rollback(*watched.key)
    halfway = watched.until(20)
    assert (halfway.current_hash, halfway.phase, halfway.fraction) == (first, "Paused", 0.25)
    assert watched.until(32).stable_hash == first
    assert watched.events()["NewReplicaSetCreated"] == 2
    assert "SkipSteps" not in watched.events()


def test_a_superseded_canary_gives_way_to_the_third_revision_as_in_paused(play: Player) -> None:
    watched = play(basic(4, SetWeight(25), Pause(), SetWeight(50), Pause(3)))
    watched.until(4)
    watched.deploy("v2")
    watched.until(10)
    watched.deploy("v3")
    assert watched.until(16).phase == "Paused"
    assert watched.events()["RolloutResumed"] == 1
    assert [pod.role for pod in watched.truth.pods] == ["stable"] * 3 + ["canary"]
    watched.cluster.promote_full(*watched.key)
    watched.until(28)
    assert watched.phases == ["Completed", "Progressing", "Paused", "Progressing", "Paused", "Progressing", "Completed"]
    assert watched.events()["RolloutStepCompleted"] == 2


def test_a_routed_canary_drains_its_old_pods_after_promotion_as_in_traffic_canary(play: Player) -> None:
    steps = (SetWeight(5), Pause(10), SetWeight(25), Pause(), SetWeight(50), Pause(10))
    watched = play(RolloutSpec("shop", "checkout", APP, 10, CanaryStrategy(steps, "Nginx", scale_down_delay=25)))
    watched.until(3)
    watched.deploy("v2")
    shown = [watched.until(seconds) for seconds in (12, 26)]
    assert [(one.weight, one.updated, one.replicas) for one in shown] == [(5, 1, 11), (25, 3, 13)]
    watched.cluster.resume(*watched.key)
    assert (watched.until(36).weight, watched.truth.updated, watched.truth.replicas) == (50, 5, 15)
    draining = watched.until(60)
    assert (draining.phase, draining.health, draining.replicas, draining.weight) == ("Progressing", "Healthy", 20, 0)
    assert draining.fraction == 0.0
    watched.until(74)
    assert watched.phases == ["Completed", *["Progressing", "Paused"] * 3, "Progressing", "Completed"]
    events = watched.events()
    assert (events["TrafficWeightUpdated"], events["SwitchService"], events["PatchingCanaryIngress"]) == (7, 4, 5)
    assert (events["ScalingReplicaSet"], events["RolloutStepCompleted"], events["CreatingCanaryIngress"]) == (6, 6, 1)


def test_an_aborted_routed_canary_loses_traffic_at_once_and_pods_after_a_delay_as_in_abort(play: Player) -> None:
    watched = play(RolloutSpec("pay", "ledger", APP, 3, ROUTED))
    watched.deploy("v2")
    assert watched.until(5).weight == 10
    watched.cluster.abort(*watched.key)
    aborted = watched.until(7)
    assert (aborted.phase, aborted.weight, aborted.updated, aborted.available) == ("Abort", 0, 1, 4)
    assert watched.until(14).updated == 1
    assert watched.until(18).updated == 0
    assert watched.events()["SwitchService"] == 4
    watched.cluster.rollback(*watched.key)
    assert watched.until(20).phase == "Completed"
    assert watched.events()["SkipSteps"] == 1


def test_a_routed_canary_taken_back_keeps_old_pods_for_the_delay_as_in_rollback(play: Player) -> None:
    watched = play(RolloutSpec("pay", "ledger", APP, 3, ROUTED))
    watched.deploy("v2")
    watched.until(5)
    watched.cluster.rollback(*watched.key)
    kept = watched.until(9)
    assert (kept.phase, kept.health, kept.updated, kept.replicas) == ("Progressing", "Healthy", 3, 4)
    assert watched.until(22).phase == "Completed"


def test_a_blue_green_is_completed_the_moment_it_switches_as_in_bluegreen(play: Player) -> None:
    watched = play(RolloutSpec("shop", "front", APP, 3, BlueGreenStrategy(manual=True, scale_down_delay=8)))
    watched.until(3)
    watched.deploy("v2")
    waiting = watched.until(20)
    assert (waiting.updated, waiting.available, waiting.replicas) == (3, 3, 6)
    watched.cluster.resume(*watched.key)
    switched = watched.until(21)
    assert (switched.phase, switched.replicas - switched.available) == ("Completed", 3)
    assert watched.until(32).replicas == 3
    assert watched.phases == ["Completed", "Progressing", "Paused", "Completed"]
    assert watched.events() == {
        "RolloutAddedToInformer": 1,
        "RolloutUpdated": 2,
        "NewReplicaSetCreated": 2,
        "RolloutNotCompleted": 1,
        "ScalingReplicaSet": 3,
        "SwitchService": 4,
        "RolloutPaused": 1,
        "RolloutCompleted": 2,
    }


def test_a_small_preview_grows_before_the_switch_as_in_bluegreen(play: Player) -> None:
    strategy = BlueGreenStrategy(auto_promotion=10, preview_replicas=1, scale_down_delay=10)
    watched = play(RolloutSpec("pay", "portal", APP, 2, strategy))
    watched.deploy("v2")
    assert (watched.until(8).updated, watched.truth.replicas) == (1, 3)
    watched.until(30)
    assert watched.phases == ["Completed", "Progressing", "Paused", "Progressing", "Completed"]
    assert watched.events()["RolloutResumed"] == 1
    assert watched.events()["ScalingReplicaSet"] == 4


def test_a_bad_image_times_out_until_the_next_one_as_in_bad_image(play: Player) -> None:
    watched = play(replace(basic(5, SetWeight(40), Pause(4)), progress_deadline=20))
    watched.until(3)
    watched.deploy("bad-2")
    stuck = watched.until(44)
    assert (stuck.updated, stuck.available, stuck.replicas, stuck.health) == (2, 4, 6, "Degraded")
    watched.deploy("v3")
    watched.until(64)
    assert watched.phases[:3] == ["Completed", "Progressing", "Timeout"]
    assert watched.phases[3:] == ["Progressing", "Paused", "Progressing", "Completed"]


def test_a_deadline_that_aborts_counts_two_aborts_as_in_bad_image(play: Player) -> None:
    strategy = CanaryStrategy((SetWeight(25), Pause(4)), "Nginx", abort_scale_down_delay=10)
    spec = RolloutSpec("shop", "search", APP, 4, strategy, progress_deadline=20, progress_deadline_abort=True)
    watched = play(spec)
    watched.until(3)
    watched.deploy("bad-2")
    assert watched.until(44).updated == 0
    assert watched.phases == ["Completed", "Progressing", "Abort"]
    assert watched.events()["RolloutAborted"] == 2


def test_scaling_a_healthy_rollout_is_progress_without_an_update_as_in_scale(play: Player) -> None:
    watched = play(basic(2))
    watched.cluster.scale(*watched.key, 5)
    scaling = watched.until(2)
    assert (scaling.phase, scaling.updating, scaling.desired) == ("Progressing", False, 5)
    watched.until(8)
    watched.cluster.scale(*watched.key, 0)
    assert watched.until(12).replicas == 0
    assert watched.phases == ["Completed", "Progressing", "Completed"]


def test_scaling_a_paused_canary_flickers_and_stays_paused_as_in_scale(play: Player) -> None:
    watched = play(basic(10, SetWeight(20), Pause(), SetWeight(50), Pause()))
    watched.deploy("v2")
    watched.until(6)
    watched.cluster.scale(*watched.key, 15)
    seen = set()
    for tick in range(600):
        watched.cluster.advance(watched.opening + 6 + tick / 100)
        seen.add(watched.truth.phase)
    assert seen == {"Paused", "Progressing"}
    assert (watched.until(14).phase, watched.truth.updated) == ("Paused", 3)
    watched.cluster.scale(*watched.key, 0)
    assert (watched.until(18).phase, watched.truth.replicas) == ("Paused", 0)
    assert watched.events()["RolloutPaused"] == 1


def test_a_healthy_rollout_that_is_paused_stays_completed_as_in_paused(play: Player) -> None:
    watched = play(basic(2))
    watched.cluster.pause(*watched.key)
    phases = set()
    for tick in range(400):
        watched.cluster.advance(watched.opening + tick / 100)
        phases.add(watched.truth.phase)
    assert "Paused" not in phases
    assert (watched.until(4).phase, watched.truth.health) == ("Completed", "Paused")
    watched.cluster.resume(*watched.key)
    assert watched.until(6).health == "Healthy"


def test_a_spec_that_is_made_invalid_is_fixed_only_when_the_back_off_runs_out_as_in_invalid_spec(play: Player) -> None:
    watched = play(basic(2))
    watched.cluster.apply(replace(watched.spec, strategy=CanaryStrategy((SetWeight(200),))))
    invalid = watched.until(13)
    assert (invalid.phase, invalid.health, invalid.available) == ("InvalidSpec", "Degraded", 2)
    watched.cluster.apply(watched.spec)
    assert watched.until(14).phase == "InvalidSpec"
    watched.until(34)
    assert watched.phases == ["Completed", "InvalidSpec", "Completed"]
