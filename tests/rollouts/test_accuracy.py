"""How accurate the derived series are, compared with Kubernetes objects, and whether the comparison finds errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.commands.replay import replay_frames
from exporter.config.settings import Settings
from exporter.metrics import MetricFamily, Series
from tests.agreement import QUESTIONS, Comparison, Correctness, TruthComparer
from tests.readme import README, split_section
from tests.recorded import NAMES, VARIANTS
from tests.truth import FRAME_INTERVALS, AccuracyTable, totals_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.metrics import MetricsSnapshot
    from tests.recorded import Recordings

LIMITS: Final[dict[str, dict[str, tuple[float, float | None]]]] = {
    # Maximum percentages over all recordings: question -> (wrong, unknown). None: any share may be unknown.
    "full": dict.fromkeys(QUESTIONS, (0.1, 0.5)),
    "no-state": {
        "phase": (0.1, 0.0),
        "progress": (0.5, 2.0),
        "fraction": (2.0, 2.0),
        "roles": (0.1, 2.0),
        "health": (0.0, None),
        "alive": (0.1, 0.0),
    },
    "plain": {
        "phase": (0.1, 0.0),
        "progress": (0.5, 2.0),
        "fraction": (2.0, 2.0),
        "roles": (0.1, None),
        "health": (0.0, None),
        "alive": (0.1, 0.0),
    },
    "argo-only": {
        "phase": (0.1, 0.0),
        "progress": (1.0, 2.0),
        "fraction": (2.5, 2.0),
        "roles": (0.0, None),
        "health": (0.0, None),
        "alive": (0.1, 0.0),
    },
}


@pytest.fixture(scope="session")
def table(recordings: Recordings) -> AccuracyTable:
    return AccuracyTable(recordings)


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("interval", FRAME_INTERVALS)
def test_shares_of_wrong_and_unknown_answers_are_within_limits(
    table: AccuracyTable, variant: str, interval: float, question: str
) -> None:
    allowance = 2 if interval else 1
    wrong, unknown = LIMITS[variant][question]
    counts = table.count_answers(variant, interval, question)
    assert counts.question_count > 400
    assert counts.percent(Correctness.WRONG) <= wrong * allowance
    assert unknown is None or counts.percent(Correctness.UNKNOWN) <= unknown * allowance


@pytest.mark.slow
@pytest.mark.parametrize("question", ["phase", "progress", "roles", "alive"])
def test_phase_progress_roles_and_existence_are_never_wrong(table: AccuracyTable, question: str) -> None:
    assert [comparison for _, comparison, _ in table.wrong_answers() if comparison.question == question] == []


def test_every_wrong_answer_has_a_known_cause(table: AccuracyTable) -> None:
    unexplained = [
        (result.recording, result.variant, comparison)
        for result, comparison, cause in table.wrong_answers()
        if not cause
    ]
    assert unexplained == []


def test_the_table_has_a_row_for_each_choice_of_sources_and_frames(table: AccuracyTable) -> None:
    rows = list(totals_table(table))
    assert len(rows) == 2 + len(VARIANTS) * len(FRAME_INTERVALS)
    assert rows == list(totals_table(table))


def test_the_readme_has_these_figures(table: AccuracyTable) -> None:
    text = split_section(README.read_text(), "truth")[1]
    assert [row for row in totals_table(table) if row not in text] == [], "python -m tests.truth, and copy its table"


def test_every_recording_has_all_its_variants(recordings: Recordings) -> None:
    assert recordings.names == list(NAMES)
    assert len(NAMES) == 32
    assert {name: len(recordings.variants(name)) for name in NAMES if len(recordings.variants(name)) != 4} == (
        dict.fromkeys([name for name in NAMES if "-v1." in name] + ["fine-grained"], 1)
    )


@pytest.mark.parametrize("name", ["abort", "leader-failover"])
def test_replay_exports_the_same_as_processing_parsed_pages(recordings: Recordings, name: str) -> None:
    replayed = replay_frames(recordings.frames(name, "full"), Settings())
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
