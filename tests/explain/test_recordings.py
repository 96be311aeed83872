"""The explanations of real recordings are right, readable, and the same after a restart at any frame."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from exporter.commands.replay import explanations_after
from exporter.rollouts.tracker import RolloutTracker
from tests.explain.golden import GOLDEN_FOLDER, golden_text
from tests.explain.judge import QUESTIONS, Verdicts, judge, play
from tests.recorded import EXPLAINED_NAMES, thin_out
from tests.rollouts.stored import StoredRows

if TYPE_CHECKING:
    from tests.recorded import Recordings

MAX_WRONG: Final = 0.003
MAX_UNKNOWN: Final = 0.02
MAY_BE_UNKNOWN: Final = {0.0: frozenset[str](), 15.0: frozenset({"stopped_at", "replaces"})}
"""By seconds between frames: both need the page before, and the recorded steps last seconds."""
MIN_ANSWERS: Final = {0.0: 100, 15.0: 8}


def all_verdicts(recordings: Recordings, variant: str, seconds: float) -> tuple[Verdicts, list[str]]:
    """Judge all recordings; return the sums, and the wrong answers."""
    sums: Verdicts = {question: Counter() for question in QUESTIONS}
    wrong: list[str] = []
    for name in EXPLAINED_NAMES:
        frames = play(thin_out(recordings.ticks(name, variant), seconds), recordings.policy)
        verdicts, lines = judge(recordings.folder / name / "expected.jsonl", frames)
        wrong += [f"{name}/{variant} {line}" for line in lines]
        for question, counts in verdicts.items():
            sums[question] += counts
    return sums, wrong


@pytest.mark.slow
@pytest.mark.parametrize("seconds", MAY_BE_UNKNOWN)
def test_with_rollout_state_the_explanations_are_right(explained_recordings: Recordings, seconds: float) -> None:
    verdicts, wrong = all_verdicts(explained_recordings, "full", seconds)
    for question, counts in verdicts.items():
        asked = counts["right"] + counts["wrong"] + counts["unknown"]
        assert asked > MIN_ANSWERS[seconds], question
        assert counts["wrong"] <= MAX_WRONG * asked, "\n".join(wrong)
        if question not in MAY_BE_UNKNOWN[seconds]:
            assert counts["unknown"] <= MAX_UNKNOWN * asked, question


@pytest.mark.slow
@pytest.mark.parametrize("seconds", MAY_BE_UNKNOWN)
def test_the_controllers_page_alone_never_shows_a_wrong_cause(explained_recordings: Recordings, seconds: float) -> None:
    verdicts, wrong = all_verdicts(explained_recordings, "argo-only", seconds)
    assert not [line for line in wrong if " cause:" in line]
    assert verdicts["cause"]["right"] > MIN_ANSWERS[seconds]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED_NAMES)
@pytest.mark.parametrize("seconds", [0.0, 15.0])
def test_a_restart_before_any_frame_changes_no_explanation(
    explained_recordings: Recordings, name: str, seconds: float
) -> None:
    for variant in ("full", "argo-only"):
        continuous, stored = RolloutTracker(explained_recordings.policy), StoredRows()
        for tick in thin_out(explained_recordings.ticks(name, variant), seconds, 2 * seconds):
            restarted = RolloutTracker(explained_recordings.policy, stored.restart())
            for tracker in (restarted, continuous):
                tracker.process(tick.timestamp, tick.results)
            stored.commit(restarted.state)
            explanations = explanations_after(restarted, tick.timestamp)
            assert explanations == explanations_after(continuous, tick.timestamp)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_the_explanations_of_a_recording_are_those_of_its_golden_text(
    explained_recordings: Recordings, name: str
) -> None:
    expected = (GOLDEN_FOLDER / f"{name}.txt").read_text()
    assert golden_text(explained_recordings, name) == expected, (
        "python -m tests.explain.golden --write, and review the diff"
    )


def test_every_golden_text_has_its_recording() -> None:
    assert {file.stem for file in GOLDEN_FOLDER.glob("*.txt")} == set(EXPLAINED_NAMES)
