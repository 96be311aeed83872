"""How accurate the derived series are, compared with Kubernetes objects, and whether the comparison finds errors."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final

import pytest

from exporter.commands.replay import replay_frames
from exporter.metrics import MetricFamily, Series
from tests.agreement import QUESTIONS, Comparison, Correctness, TruthComparer
from tests.readme import split_section
from tests.recorded import ARTICLE, NAMES, VARIANTS
from tests.truth import FRAME_INTERVALS, PAGE, UNEXPLAINED, AccuracyTable, page_section, totals_table, wrong_answer_list
from tests.updates import different_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.metrics import MetricsSnapshot
    from tests.recorded import Recordings
    from tests.truth import AnswerCounts

LIMITS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    # Maximum percentages of wrong answers over all recordings: question -> (every frame, frames 15 s apart or more).
    "full": {
        "phase": (0.05, 0.05),
        "progress": (0.03, 0.1),
        "fraction": (0.05, 0.1),
        "roles": (0.03, 0.1),
        "health": (0.05, 0.1),
        "alive": (0.05, 0.05),
    },
    "no-state": {
        "phase": (0.05, 0.05),
        "progress": (0.05, 0.2),
        "fraction": (0.5, 0.5),
        "roles": (0.1, 0.2),
        "health": (0.0, 0.0),
        "alive": (0.05, 0.05),
    },
    "plain": {
        "phase": (0.05, 0.05),
        "progress": (0.1, 0.1),
        "fraction": (0.8, 0.8),
        "roles": (0.1, 0.1),
        "health": (0.0, 0.0),
        "alive": (0.05, 0.05),
    },
    "argo-only": {
        "phase": (0.05, 0.05),
        "progress": (0.1, 0.1),
        "fraction": (1.0, 1.0),
        "roles": (0.0, 0.0),
        "health": (0.0, 0.0),
        "alive": (0.05, 0.05),
    },
}
UNKNOWN_LIMITS: Final[dict[str, dict[str, float]]] = {
    # Maximum percentages of unknown answers over every frame; for a question that is not named, any share.
    "full": {"phase": 0.0, "progress": 0.5, "fraction": 0.5, "roles": 0.5, "health": 0.5, "alive": 0.0},
    "no-state": {"phase": 0.0, "progress": 2.0, "fraction": 2.0, "roles": 2.0, "alive": 0.0},
    "plain": {"phase": 0.0, "progress": 2.0, "fraction": 2.0, "alive": 0.0},
    "argo-only": {"phase": 0.0, "progress": 2.0, "fraction": 2.0, "alive": 0.0},
}
DIFFERENT_UPDATES: Final = frozenset({"bare pay/empty", "basic-canary-ksm2.9.2 shop/checkout"})
"""Recordings and rollouts whose count of updates differs over every frame; `KNOWN_CAUSES` has the cause of each."""


@pytest.fixture(scope="session")
def table(recordings: Recordings) -> AccuracyTable:
    return AccuracyTable(recordings)


def allowed_wrong(counts: AnswerCounts, variant: str, intervals: tuple[float, float], question: str) -> float:
    """Return how many answers may be wrong."""
    is_thinned = any(intervals)
    # One answer is more than such a share of the few frames that are 15 s apart.
    return max(LIMITS[variant][question][is_thinned] / 100 * counts.question_count, is_thinned)


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("intervals", FRAME_INTERVALS)
def test_shares_of_wrong_and_unknown_answers_are_within_limits(
    table: AccuracyTable, variant: str, intervals: tuple[float, float], question: str
) -> None:
    counts = table.count_answers(variant, intervals, question)
    assert counts.question_count > 400
    assert counts.answers[Correctness.WRONG] <= allowed_wrong(counts, variant, intervals, question)
    if not any(intervals):
        assert counts.percent(Correctness.UNKNOWN) <= UNKNOWN_LIMITS[variant].get(question, 100.0)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [4.0, 8.0, 12.0])
def test_limits_hold_wherever_the_frames_fall(recordings: Recordings, offset: float) -> None:
    table, exceeded = AccuracyTable(recordings, intervals=FRAME_INTERVALS[1:2], offset=offset), []
    for variant, question in product(VARIANTS, QUESTIONS):
        counts = table.count_answers(variant, FRAME_INTERVALS[1], question)
        if counts.answers[Correctness.WRONG] > allowed_wrong(counts, variant, FRAME_INTERVALS[1], question):
            exceeded.append(f"{variant} {question}: {counts}")
    assert exceeded == []


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_update_that_ends_is_counted_once(table: AccuracyTable, variant: str) -> None:
    different = {
        f"{result.recording} {'/'.join(key)}"
        for result in table.select(variant, FRAME_INTERVALS[0])
        for key in different_results(result.true_updates, result.exported_updates)
    }
    assert different == DIFFERENT_UPDATES
    assert table.count_updates(variant, FRAME_INTERVALS[0]).true > 100


def test_every_wrong_answer_has_a_known_cause(table: AccuracyTable) -> None:
    assert [line for line in wrong_answer_list(table) if line.endswith(UNEXPLAINED)] == []


def test_every_known_cause_still_has_a_wrong_answer(table: AccuracyTable) -> None:
    assert table.unused_causes() == []


def test_the_table_has_a_row_for_each_choice_of_sources_and_frames(table: AccuracyTable) -> None:
    rows = list(totals_table(table))
    assert len(rows) == 2 + len(VARIANTS) * len(FRAME_INTERVALS)
    assert rows == list(totals_table(table))


def test_the_manual_has_these_figures(table: AccuracyTable) -> None:
    assert split_section(PAGE.read_text(), "truth")[1].strip() == page_section(table), "python -m tests.truth --write"


def test_every_recording_has_all_its_variants(recordings: Recordings) -> None:
    assert recordings.names == list(NAMES)
    assert len(NAMES) == 40
    assert {name: len(recordings.variants(name)) for name in NAMES if len(recordings.variants(name)) != 4} == (
        dict.fromkeys([name for name in NAMES if "-v1." in name] + ["fine-grained"], 1)
    )


@pytest.mark.parametrize("name", ["abort", "leader-failover"])
def test_replay_exports_the_same_as_processing_parsed_pages(recordings: Recordings, name: str) -> None:
    replayed = replay_frames(recordings.frames(name, "full"), ARTICLE)
    assert [_samples(snapshot) for _, snapshot, _ in replayed] == [
        _samples(snapshot) for _, snapshot, _ in recordings.play(name, "full")
    ]


def _samples(snapshot: MetricsSnapshot) -> list[tuple[str, float]]:
    return sorted((repr(series), value) for family in snapshot.families for series, value in family.samples())


FALSIFIED_FAMILIES: Final = {
    "phase": "argo_rollouts_phase",
    "progress": "argo_rollouts_update_in_progress",
    "fraction": "argo_rollouts_canary_fraction",
    "health": "argo_rollouts_health",
}


@pytest.mark.parametrize("question", FALSIFIED_FAMILIES)
def test_the_comparison_finds_wrong_values(recordings: Recordings, question: str) -> None:
    def falsify(family: MetricFamily) -> MetricFamily:
        if family.name != FALSIFIED_FAMILIES[question]:
            return family
        return MetricFamily(
            family.name, family.type, family.help, family.series, [1 - value for value in family.values]
        )

    assert _wrong_questions(_compare_falsified(recordings, falsify)) == {question}


def test_the_comparison_finds_swapped_roles(recordings: Recordings) -> None:
    def falsify(family: MetricFamily) -> MetricFamily:
        if family.name != "argo_rollouts_pod_info":
            return family
        swap = {"stable": "canary", "canary": "stable"}
        series = [
            Series(series.name, tuple((label, swap.get(value, value)) for label, value in series.labels))
            for series in family.series
        ]
        return MetricFamily(family.name, family.type, family.help, series, family.values)

    assert _wrong_questions(_compare_falsified(recordings, falsify)) == {"roles"}


def test_the_comparison_finds_a_rollout_that_does_not_exist(recordings: Recordings) -> None:
    truth = [
        {**frame, "rollouts": [rollout for rollout in frame["rollouts"] if rollout["name"] != "cart"]}
        for frame in recordings.truth("delete")
    ]
    comparer = TruthComparer(truth, pods_only=False)
    comparisons = [
        comparison
        for tick, snapshot, _ in recordings.play("delete", "full")
        for comparison in comparer.compare(tick.timestamp, tick.results, snapshot)
    ]
    assert _wrong_questions(comparisons) == {"alive"}


def _wrong_questions(comparisons: Iterable[Comparison]) -> set[str]:
    return {comparison.question for comparison in comparisons if comparison.correctness is Correctness.WRONG}


def _compare_falsified(recordings: Recordings, falsify: Callable[[MetricFamily], MetricFamily]) -> Iterator[Comparison]:
    comparer = TruthComparer(recordings.truth("basic-canary"), pods_only=False)
    for tick, snapshot, _ in recordings.play("basic-canary", "full"):
        falsified = replace(snapshot, families=tuple(falsify(family) for family in snapshot.families))
        yield from comparer.compare(tick.timestamp, tick.results, falsified)
