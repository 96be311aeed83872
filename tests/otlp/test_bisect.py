"""The search for what is wrong with a request: whatever is wrong, every point is sent and taken once, or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otlp.delivery.bisect import RequestBisector, Span

if TYPE_CHECKING:
    from collections.abc import Callable

PROBES = 20


def searched(points: int, refuses: Callable[[Span], str]) -> tuple[list[int], list[int], int]:
    """Search a request that was refused; return the points taken, the points lost, and the requests it took."""
    search = RequestBisector(points, PROBES, too_large=refuses(Span(0, points)) == "large")
    taken: list[int] = []
    sent = 0
    while span := search.next():
        sent += 1
        if refusal := refuses(span):
            search.rejected(span, too_large=refusal == "large")
        else:
            search.accepted()
            taken.extend(range(span.first, span.end))
    return taken, [point for span in search.bad_spans for point in range(span.first, span.end)], sent


def holding(*bad: int) -> Callable[[Span], str]:
    return lambda span: "bad" if any(span.first <= one < span.end for one in bad) else ""


def longer_than(most: int) -> Callable[[Span], str]:
    return lambda span: "large" if len(span) > most else ""


@given(st.integers(2, 6000), st.sets(st.integers(0, 5999), min_size=1, max_size=8), st.integers(0, 6000))
@settings(max_examples=300, deadline=None)
def test_every_point_is_accepted_or_dropped_once_within_twenty_probes(points: int, bad: set[int], most: int) -> None:
    def refuses(span: Span) -> str:
        return longer_than(most)(span) or holding(*bad)(span)

    taken, lost, sent = searched(points, refuses)
    assert sorted(taken + lost) == list(range(points))
    assert {one for one in bad if one < points} <= set(lost)
    assert sent <= PROBES


@given(st.integers(2, 5000), st.data())
@settings(max_examples=300, deadline=None)
def test_one_bad_point_of_five_thousand_is_dropped_alone(points: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, points - 1))
    taken, lost, _ = searched(points, holding(bad))
    assert lost == [bad]
    assert len(taken) == points - 1


@pytest.mark.parametrize(("bad", "most"), [((0, 999), 20), ((333, 334), 4), ((10, 500, 900), 130)])
def test_a_few_bad_points_cost_few_others(bad: tuple[int, ...], most: int) -> None:
    _, lost, _ = searched(1000, holding(*bad))
    assert len(bad) <= len(lost) <= most


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_a_request_that_is_only_too_large_is_split_without_loss(parts: int) -> None:
    taken, lost, _ = searched(5000, longer_than(5000 // parts))
    assert (sorted(taken), lost) == (list(range(5000)), [])


def test_one_huge_point_is_dropped_alone() -> None:
    def refuses(span: Span) -> str:
        return "large" if span.first <= 700 < span.end else ""

    taken, lost, _ = searched(1000, refuses)
    assert lost == [700]
    assert len(taken) == 999


def test_if_every_point_is_bad_all_are_dropped() -> None:
    taken, lost, sent = searched(1000, lambda _: "bad")
    assert (taken, len(lost)) == ([], 1000)
    assert sent <= PROBES


@pytest.mark.parametrize("bad", range(8))
def test_a_point_is_dropped_only_after_it_was_rejected_by_itself_if_probes_are_left(bad: int) -> None:
    refused: list[Span] = []

    def refuses(span: Span) -> str:
        answer = holding(bad)(span)
        if answer:
            refused.append(span)
        return answer

    searched(8, refuses)
    assert Span(bad, bad + 1) in refused
