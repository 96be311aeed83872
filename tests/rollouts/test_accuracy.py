"""How true it is, and that the judge can tell: recordings held against the Kubernetes objects of the same moment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.commands.replay import replay_frames
from exporter.config.settings import Settings
from exporter.metrics import MetricFamily, Series
from tests.agreement import QUESTIONS, Answer, Judge, Verdict
from tests.readme import README, between
from tests.recorded import NAMES, VARIANTS
from tests.truth import RATES, Table, totals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.metrics import MetricsSnapshot
    from tests.recorded import Recordings

LIMITS: Final[dict[str, dict[str, tuple[float, float | None]]]] = {
    # Percent at most, over all recordings together: question -> (wrong, unknown). None: it may be, or must be, unknown.
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
def table(recordings: Recordings) -> Table:
    return Table(recordings)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seconds", RATES)
def test_every_limit_of_the_recordings_holds(table: Table, variant: str, seconds: float, question: str) -> None:
    allowance = 2 if seconds else 1
    wrong, unknown = LIMITS[variant][question]
    share = table.share(variant, seconds, question)
    assert share.asked > 400
    assert share.of(Answer.WRONG) <= wrong * allowance
    assert unknown is None or share.of(Answer.UNKNOWN) <= unknown * allowance


@pytest.mark.parametrize("question", ["phase", "progress", "roles", "alive"])
def test_what_is_said_of_phase_progress_roles_and_existence_is_never_wrong(table: Table, question: str) -> None:
    assert [one for _, one, _ in table.wrong() if one.question == question] == []


def test_every_wrong_answer_has_a_known_cause(table: Table) -> None:
    assert [(one.recording, one.variant, verdict) for one, verdict, why in table.wrong() if not why] == []


def test_the_table_has_a_row_for_each_choice_of_sources_and_frames(table: Table) -> None:
    rows = list(totals(table))
    assert len(rows) == 2 + len(VARIANTS) * len(RATES)
    assert rows == list(totals(table))


def test_the_readme_tells_these_figures(table: Table) -> None:
    told = between(README.read_text(), "truth")[1]
    assert [row for row in totals(table) if row not in told] == [], "python -m tests.truth, and copy its table"


def test_every_recording_is_here_in_all_its_variants(recordings: Recordings) -> None:
    assert recordings.names == list(NAMES)
    assert len(NAMES) == 32
    assert {name: len(recordings.variants(name)) for name in NAMES if len(recordings.variants(name)) != 4} == (
        dict.fromkeys([name for name in NAMES if "-v1." in name] + ["fine-grained"], 1)
    )


@pytest.mark.parametrize("name", ["abort", "leader-failover"])
def test_a_recording_says_the_same_through_replay_as_through_parsed_pages(recordings: Recordings, name: str) -> None:
    played = replay_frames(recordings.frames(name, "full"), Settings())
    assert [_said(cycle) for _, cycle, _ in played] == [
        _said(cycle) for _, cycle, _ in recordings.watched(name, "full")
    ]


def _said(cycle: MetricsSnapshot) -> list[tuple[str, float]]:
    return sorted(
        (repr(one), value) for family in cycle.families for one, value in zip(family.series, family.values, strict=True)
    )


LIES: Final = {
    "phase": lambda family: family.name == "argo_rollouts_phase",
    "progress": lambda family: family.name == "argo_rollouts_update_in_progress",
    "fraction": lambda family: family.name == "argo_rollouts_canary_fraction",
    "health": lambda family: family.name == "argo_rollouts_health",
}


@pytest.mark.parametrize("question", LIES)
def test_the_judge_sees_a_lie(recordings: Recordings, question: str) -> None:
    def bent(family: MetricFamily) -> MetricFamily:
        if not LIES[question](family):
            return family
        return MetricFamily(
            family.name, family.type, family.help, family.series, [1 - value for value in family.values]
        )

    found = {one.question for one in _verdicts(recordings, bent) if one.answer is Answer.WRONG}
    assert found == {question}


def test_the_judge_sees_swapped_roles(recordings: Recordings) -> None:
    def bent(family: MetricFamily) -> MetricFamily:
        if family.name != "argo_rollouts_pod_info":
            return family
        swap = {"stable": "canary", "canary": "stable"}
        series = [
            Series(one.name, tuple((key, swap.get(value, value)) for key, value in one.labels)) for one in family.series
        ]
        return MetricFamily(family.name, family.type, family.help, series, family.values)

    assert {one.question for one in _verdicts(recordings, bent) if one.answer is Answer.WRONG} == {"roles"}


def test_the_judge_sees_a_rollout_that_does_not_exist(recordings: Recordings) -> None:
    truth = recordings.truth("delete")
    without = [{**frame, "rollouts": [one for one in frame["rollouts"] if one["name"] != "cart"]} for frame in truth]
    judge = Judge(without, pods_only=False)
    verdicts = [
        verdict
        for tick, cycle, _ in recordings.watched("delete", "full")
        for verdict in judge.verdicts(tick.at, tick.pages, cycle)
    ]
    assert {one.question for one in verdicts if one.answer is Answer.WRONG} == {"alive"}


def _verdicts(recordings: Recordings, bent: object) -> Iterator[Verdict]:
    assert callable(bent)
    judge = Judge(recordings.truth("basic-canary"), pods_only=False)
    for tick, cycle, _ in recordings.watched("basic-canary", "full"):
        lie = replace(cycle, families=tuple(bent(family) for family in cycle.families))
        yield from judge.verdicts(tick.at, tick.pages, lie)
