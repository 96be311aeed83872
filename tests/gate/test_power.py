"""The sequential test keeps its promises in simulation: false alarms, misses, time to decide."""

from __future__ import annotations

import pytest

from exporter.gate.sequential import ServiceTraffic, detectable_factor, expected_minutes
from tests.gate.power import BAD_SHARE, CASES, TEST, WEIGHT, Power, table
from tests.gate.simulated_service import dispersion

RUNS, SEED = 1500, 5
EQUAL = [case.name for case in CASES if case.factor == 1]


@pytest.fixture(scope="module")
def powers() -> dict[tuple[str, str], Power]:
    """Return what each gate does in each case."""
    return {(row.gate, row.case): row for row in table(RUNS, SEED)}


@pytest.mark.slow
@pytest.mark.parametrize("case", EQUAL)
def test_equal_canary_fails_at_most_as_often_as_chosen(powers: dict[tuple[str, str], Power], case: str) -> None:
    assert powers["sequential", case].low <= TEST.false_alarm, "the interval lies above the promise"


@pytest.mark.slow
def test_worse_canary_is_caught_and_rarely_passes(powers: dict[tuple[str, str], Power]) -> None:
    twice, five_times = powers["sequential", "twice as bad, 20/s"], powers["sequential", "5 times as bad, 20/s"]
    assert twice.failed > 0.9
    assert twice.passed <= TEST.miss
    assert 18 <= twice.fail_minutes <= 26
    assert (five_times.failed, five_times.fail_minutes) == (1.0, 4.0)


@pytest.mark.slow
def test_copied_threshold_sees_nothing_and_a_double_threshold_too_much(
    powers: dict[tuple[str, str], Power],
) -> None:
    assert powers["copied (10 % of all, 4 times)", "5 times as bad, 20/s"].failed == 0
    assert powers["twice the normal share, once", "no difference, 20/s"].failed > 0.5
    assert powers["z at every look", "no difference, 20/s"].low > 0.05, "looked at many times, 1 % is 10 %"


@pytest.mark.slow
def test_bursts_break_the_test_only_without_correction(powers: dict[tuple[str, str], Power]) -> None:
    case = "bursts, no difference, 200/s"
    assert powers["sequential, bursts ignored", case].failed > 0.15
    assert powers["sequential", case].failed <= TEST.false_alarm
    assert powers["sequential", "bursts, twice as bad, 200/s"].failed > 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("case", "factor"), [("no difference, 20/s", 1.0), ("twice as bad, 20/s", 2.0)])
def test_expected_minutes_agree_with_the_simulation(
    powers: dict[tuple[str, str], Power], case: str, factor: float
) -> None:
    power = powers["sequential", case]
    simulated = power.pass_minutes if factor == 1 else power.fail_minutes
    assert expected_minutes(TEST, ServiceTraffic(20, BAD_SHARE), WEIGHT, factor) == pytest.approx(simulated, rel=0.25)


def test_smallest_detectable_factor_takes_just_the_given_time() -> None:
    traffic = ServiceTraffic(20, BAD_SHARE)
    factor = detectable_factor(TEST, traffic, WEIGHT, 30)
    assert expected_minutes(TEST, traffic, WEIGHT, factor) == pytest.approx(30)
    assert expected_minutes(TEST, traffic, WEIGHT, factor * 1.1) < 30
    assert detectable_factor(TEST, ServiceTraffic(0, 0.0), WEIGHT, 30) == float("inf")


def test_dispersion_is_that_of_poisson_or_more() -> None:
    assert dispersion([]) == dispersion([0, 0]) == dispersion([3, 3, 3]) == 1.0
    assert dispersion([0, 10, 0, 10]) == 5.0
