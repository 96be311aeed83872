"""Bisection of a refused request: every point is sent and accepted once, or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otlp.delivery.bisect import RequestBisector

if TYPE_CHECKING:
    from collections.abc import Callable

TRIALS = 20


def bisect(points: int, refuse: Callable[[range], str]) -> tuple[list[int], list[int], int]:
    """Bisect a refused request; return the accepted points, the dropped points, and the number of requests sent."""
    bisector = RequestBisector(points, TRIALS, too_large=refuse(range(points)) == "large")
    accepted: list[int] = []
    sent = 0
    while span := bisector.next():
        sent += 1
        if error := refuse(span):
            bisector.refused(span, too_large=error == "large")
        else:
            bisector.accepted()
            accepted.extend(span)
    return accepted, [point for span in bisector.bad_spans for point in span], sent


def refusing(*bad: int) -> Callable[[range], str]:
    return lambda span: "bad" if any(index in span for index in bad) else ""


def too_large_over(max_points: int) -> Callable[[range], str]:
    return lambda span: "large" if len(span) > max_points else ""


@given(st.integers(2, 6000), st.sets(st.integers(0, 5999), min_size=1, max_size=8), st.integers(0, 6000))
@settings(max_examples=300, deadline=None)
def test_every_point_is_accepted_or_dropped_once_within_twenty_requests(
    points: int, bad: set[int], max_points: int
) -> None:
    def refuse(span: range) -> str:
        return too_large_over(max_points)(span) or refusing(*bad)(span)

    accepted, dropped, sent = bisect(points, refuse)
    assert sorted(accepted + dropped) == list(range(points))
    assert {index for index in bad if index < points} <= set(dropped)
    assert sent <= TRIALS


@given(st.integers(2, 5000), st.data())
@settings(max_examples=300, deadline=None)
def test_one_bad_point_of_five_thousand_is_dropped_alone(points: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, points - 1))
    accepted, dropped, _ = bisect(points, refusing(bad))
    assert dropped == [bad]
    assert len(accepted) == points - 1


@pytest.mark.parametrize(("bad", "max_dropped"), [((0, 999), 20), ((333, 334), 4), ((10, 500, 900), 130)])
def test_a_few_bad_points_cost_few_others(bad: tuple[int, ...], max_dropped: int) -> None:
    _, dropped, _ = bisect(1000, refusing(*bad))
    assert len(bad) <= len(dropped) <= max_dropped


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_a_request_that_is_only_too_large_is_split_without_loss(parts: int) -> None:
    accepted, dropped, _ = bisect(5000, too_large_over(5000 // parts))
    assert (sorted(accepted), dropped) == (list(range(5000)), [])


def test_one_huge_point_is_dropped_alone() -> None:
    def refuse(span: range) -> str:
        return "large" if 700 in span else ""

    accepted, dropped, _ = bisect(1000, refuse)
    assert dropped == [700]
    assert len(accepted) == 999


def test_if_every_point_is_bad_all_are_dropped() -> None:
    accepted, dropped, sent = bisect(1000, lambda _: "bad")
    assert (accepted, len(dropped)) == ([], 1000)
    assert sent <= TRIALS


@pytest.mark.parametrize("bad", range(8))
def test_a_point_is_dropped_only_after_a_request_of_its_own_was_refused_if_trials_are_left(bad: int) -> None:
    refused: list[range] = []

    def refuse(span: range) -> str:
        error = refusing(bad)(span)
        if error:
            refused.append(span)
        return error

    bisect(8, refuse)
    assert range(bad, bad + 1) in refused
