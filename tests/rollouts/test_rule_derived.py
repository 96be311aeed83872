"""What is derived is a phase of seven and a share in [0, 1], whatever a controller says: the rules T55 and T56."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.settings import Settings
from exporter.metrics import Source
from exporter.rollouts.model import PHASES
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy

READERS: Final = parser_factory(Settings())
WHO: Final = 'name="cart",namespace="shop"'
STATES: Final = ("desired", "updated", "available", "unavailable")


def said(*lines: str) -> tuple[RolloutTracker, dict[str, dict[str, float]]]:
    """Step once over a controller's page; return values by family and by the last label."""
    reader = READERS(ScrapeRequest(Source.ARGO, "a:8090", 100.0))
    reader.start(200, {})
    reader.feed("".join(f"{line}\n" for line in ("process_start_time_seconds 1", *lines)).encode())
    watch = RolloutTracker(tracking_policy(Settings()))
    cycle = watch.process(100.0, [reader.finish(None, 0.01)])
    return watch, {
        family.name: {one.labels[-1][1]: value for one, value in zip(family.series, family.values, strict=True)}
        for family in cycle.families
    }


def info(phase: str, strategy: str = "canary") -> str:
    return f'rollout_info{{{WHO},phase="{phase}",strategy="{strategy}"}} 1'


def replicas(*numbers: int) -> list[str]:
    return [f"rollout_info_replicas_{state}{{{WHO}}} {one}" for state, one in zip(STATES, numbers, strict=True)]


@pytest.mark.parametrize("phase", PHASES)
def test_one_phase_of_seven_is_1_and_their_sum_is_1(phase: str) -> None:
    watch, found = said(info(phase))
    assert found["argo_rollouts_phase"] == {one: float(one == phase) for one in PHASES}
    assert len(PHASES) == 7
    assert watch.status.unknown_phases == 0


def test_a_phase_never_heard_of_is_unknown_and_counted() -> None:
    watch, found = said(info("Hibernating"))
    assert found["argo_rollouts_phase"] == {**dict.fromkeys(PHASES, 0.0), "Unknown": 1.0}
    assert watch.status.unknown_phases == 1


def test_the_deprecated_family_tells_the_phase_where_it_is_alone() -> None:
    rows = [f'rollout_phase{{{WHO},phase="{one}",strategy="canary"}} {int(one == "Paused")}' for one in PHASES]
    _, found = said(*rows)
    assert found["argo_rollouts_phase"] == {one: float(one == "Paused") for one in PHASES}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(numbers=st.tuples(*[st.integers(0, 12)] * 4), phase=st.sampled_from(PHASES))
def test_a_share_is_in_0_to_1_and_named_by_its_method(numbers: tuple[int, int, int, int], phase: str) -> None:
    _, found = said(info(phase), *replicas(*numbers))
    best = found.get("argo_rollouts_canary_fraction", {})
    estimates = found.get("argo_rollouts_canary_fraction_estimate", {})
    assert all(0 <= share <= 1 for share in (*best.values(), *estimates.values()))
    assert estimates.keys() <= {"weight", "ready_pods", "pods", "replicas"}
    assert ("argo_rollouts_updated_fraction" in found) is (numbers[0] > 0)


def test_a_canary_at_rest_has_a_share_of_0_though_all_its_pods_are_updated() -> None:
    _, found = said(info("Completed"), *replicas(5, 5, 5, 0))
    assert found["argo_rollouts_canary_fraction"] == {"cart": 0}
    assert found["argo_rollouts_updated_fraction"] == {"cart": 1}


def test_a_share_that_is_not_known_is_absent_with_its_reason() -> None:
    _, found = said(info("Progressing"), *replicas(5, 2, 5, 0))
    assert "argo_rollouts_canary_fraction" not in found
    assert found["argo_rollouts_unknown"]


def test_blue_green_has_no_share() -> None:
    _, found = said(info("Paused", "blueGreen"), *replicas(5, 2, 5, 0))
    assert not {name for name in found if "canary_fraction" in name}
