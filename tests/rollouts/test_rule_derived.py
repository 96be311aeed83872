"""Derived are one phase of seven and a fraction in [0, 1], whatever a controller exports: the rules T55 and T56."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import Source
from exporter.rollouts.model import PHASES
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy
from tests.recorded import ARTICLE

PARSERS: Final = parser_factory(ARTICLE)
LABELS: Final = 'name="cart",namespace="shop"'
GAUGES: Final = ("desired", "updated", "available", "unavailable")


def derived(*lines: str) -> tuple[RolloutTracker, dict[str, dict[str, float]]]:
    """Process a controller's page; return the tracker, and values by family and last label."""
    parser = PARSERS(ScrapeRequest(Source.ARGO, "a:8090", 100.0))
    parser.start(200, {})
    parser.feed("".join(f"{line}\n" for line in ("process_start_time_seconds 1", *lines)).encode())
    tracker = RolloutTracker(tracking_policy(ARTICLE))
    snapshot = tracker.process(100.0, [parser.finish(None, 0.01)])
    return tracker, {
        family.name: {series.labels[-1][1]: value for series, value in zip(family.series, family.values, strict=True)}
        for family in snapshot.families
    }


def info(phase: str, strategy: str = "canary") -> str:
    return f'rollout_info{{{LABELS},phase="{phase}",strategy="{strategy}"}} 1'


def replicas(*numbers: int) -> list[str]:
    return [
        f"rollout_info_replicas_{state}{{{LABELS}}} {number}" for state, number in zip(GAUGES, numbers, strict=True)
    ]


@pytest.mark.parametrize("phase", PHASES)
def test_one_of_seven_phases_is_1_and_their_sum_is_1(phase: str) -> None:
    tracker, families = derived(info(phase))
    assert families["argo_rollouts_phase"] == {name: float(name == phase) for name in PHASES}
    assert len(PHASES) == 7
    assert tracker.status.unknown_phases == 0


def test_an_unrecognised_phase_is_unknown_and_counted() -> None:
    tracker, families = derived(info("Hibernating"))
    assert families["argo_rollouts_phase"] == {**dict.fromkeys(PHASES, 0.0), "Unknown": 1.0}
    assert tracker.status.unknown_phases == 1


def test_the_deprecated_family_gives_the_phase_if_it_is_the_only_one() -> None:
    rows = [f'rollout_phase{{{LABELS},phase="{phase}",strategy="canary"}} {int(phase == "Paused")}' for phase in PHASES]
    _, families = derived(*rows)
    assert families["argo_rollouts_phase"] == {phase: float(phase == "Paused") for phase in PHASES}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(numbers=st.tuples(*[st.integers(0, 12)] * 4), phase=st.sampled_from(PHASES))
def test_a_canary_fraction_is_in_0_to_1_and_named_by_its_method(numbers: tuple[int, int, int, int], phase: str) -> None:
    _, families = derived(info(phase), *replicas(*numbers))
    best = families.get("argo_rollouts_canary_fraction", {})
    estimates = families.get("argo_rollouts_canary_fraction_estimate", {})
    assert all(0 <= fraction <= 1 for fraction in (*best.values(), *estimates.values()))
    assert estimates.keys() <= {"weight", "ready_pods", "pods", "replicas"}
    assert ("argo_rollouts_updated_fraction" in families) is (numbers[0] > 0)


def test_a_canary_at_rest_has_fraction_0_although_all_its_pods_are_updated() -> None:
    _, families = derived(info("Completed"), *replicas(5, 5, 5, 0))
    assert families["argo_rollouts_canary_fraction"] == {"cart": 0}
    assert families["argo_rollouts_updated_fraction"] == {"cart": 1}


def test_an_unknown_fraction_is_absent_with_its_reason() -> None:
    _, families = derived(info("Progressing"), *replicas(5, 2, 5, 0))
    assert "argo_rollouts_canary_fraction" not in families
    assert families["argo_rollouts_unknown"]


def test_a_blue_green_rollout_has_no_canary_fraction() -> None:
    _, families = derived(info("Paused", "blueGreen"), *replicas(5, 2, 5, 0))
    assert not {name for name in families if "canary_fraction" in name}
