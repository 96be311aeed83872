"""Accuracy of the derived series: every recording, compared with the Kubernetes objects at the same moments.

    python -m tests.truth [--recordings DIRECTORY] [--each] [--verbose]

prints a Markdown table: of all questions about all rollouts in all frames, the percentage answered right, wrong or
not at all. Frames in which no controller shows the rollout (failover, restart) are excused and not counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.agreement import QUESTIONS, Comparison, Correctness, TruthComparer
from tests.recorded import VARIANTS, Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME_INTERVALS: Final = (0.0, 15.0)
"""Seconds between frames: every frame (0), and the interval of a real scraper."""
VARIANT_NAMES: Final = {
    "full": "controllers, kube-state-metrics, rollout state",
    "no-state": "controllers, kube-state-metrics",
    "plain": "controllers, kube-state-metrics without allow-lists",
    "argo-only": "controllers alone",
}
KNOWN_CAUSES: Final = (
    ("dynamic-scale", "shop/search", "fraction", "setCanaryScale sizes the canary apart from the router's weight"),
    ("dynamic-scale", "shop/checkout", "fraction", "the router's weight lags behind the pods"),
    ("traffic-canary*", "*", "fraction", "the router's weight lags behind the pods"),
    ("scale", "shop/search", "fraction", "the router's weight lags behind the pods"),
    ("bad-image", "shop/search", "fraction", "the router's weight lags behind the pods"),
    ("bad-image", "shop/checkout", "fraction", "the controllers' page does not say which revision's pods are ready"),
    ("leader-failover", "*", "fraction", "the controllers' page does not say which revision's pods are ready"),
    ("rollback", "shop/checkout", "fraction", "the controllers' page does not say which revision's pods are ready"),
    ("ksm-restart", "shop/checkout", "health", "the recording names the page from before the restart"),
)
"""Known causes of wrong answers: patterns of recording, rollout and question, and the cause."""


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """The comparisons of one recording in one variant, with frames `interval` seconds apart."""

    recording: str
    variant: str
    interval: float
    comparisons: tuple[Comparison, ...]


@dataclass(slots=True)
class AnswerCounts:
    """Counts of the answers to a question; excused frames do not count as questions."""

    answers: Counter[Correctness] = field(default_factory=Counter)

    @property
    def question_count(self) -> int:
        """Questions that were answered or unknown."""
        return self.answers.total() - self.answers[Correctness.EXCUSED]

    def percent(self, answer: Correctness) -> float:
        """Return the share of one answer in percent."""
        return 100 * self.answers[answer] / self.question_count if self.question_count else 0.0

    def __str__(self) -> str:
        if not self.question_count:
            return "-"
        right, wrong, unknown = map(self.percent, (Correctness.RIGHT, Correctness.WRONG, Correctness.UNKNOWN))
        return f"{right:.2f} / {wrong:.2f} / {unknown:.2f}"


class AccuracyTable:
    """All comparisons of a folder of recordings."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    @cached_property
    def results(self) -> tuple[RecordingResult, ...]:
        """The comparisons of every recording, in every variant and at every frame interval."""
        return tuple(
            RecordingResult(name, variant, interval, tuple(self._compare(name, variant, interval)))
            for interval in FRAME_INTERVALS
            for variant in VARIANTS
            for name in self._recordings.names
            if variant in self._recordings.variants(name)
        )

    def _compare(self, name: str, variant: str, interval: float) -> Iterator[Comparison]:
        comparer = TruthComparer(self._recordings.truth(name), pods_only=variant != "full")
        for tick, snapshot, _ in self._recordings.play(name, variant, interval):
            yield from comparer.compare(tick.timestamp, tick.results, snapshot)

    def count_answers(self, variant: str, interval: float, question: str, recording: str = "*") -> AnswerCounts:
        """Count the answers to a question in all recordings, or in one."""
        return AnswerCounts(
            Counter(
                comparison.correctness
                for result in self.results
                if (result.variant, result.interval) == (variant, interval) and recording in ("*", result.recording)
                for comparison in result.comparisons
                if comparison.question == question
            )
        )

    def wrong_answers(self) -> Iterator[tuple[RecordingResult, Comparison, str]]:
        """Yield every wrong answer with its known cause, "" for none."""
        for result in self.results:
            for comparison in result.comparisons:
                if comparison.correctness is Correctness.WRONG:
                    yield result, comparison, known_cause(result.recording, comparison)


def known_cause(recording: str, comparison: Comparison) -> str:
    """Return the known cause of a wrong answer, "" for none."""
    names = (recording, "/".join(comparison.key), comparison.question)
    return next((cause for *patterns, cause in KNOWN_CAUSES if all(map(fnmatchcase, names, patterns))), "")


def totals_table(table: AccuracyTable) -> Iterator[str]:
    """Yield the lines of the table of all recordings together."""
    yield f"| sources | frames | {' | '.join(QUESTIONS)} |"
    yield f"|---|---|{'---|' * len(QUESTIONS)}"
    for variant in VARIANTS:
        for interval in FRAME_INTERVALS:
            shares = (str(table.count_answers(variant, interval, question)) for question in QUESTIONS)
            yield f"| {VARIANT_NAMES[variant]} | {_interval_name(interval)} | {' | '.join(shares)} |"


def recordings_table(table: AccuracyTable) -> Iterator[str]:
    """Yield the lines of the table with a row for each recording."""
    yield f"| recording | variant | frames | {' | '.join(QUESTIONS)} |"
    yield f"|---|---|---|{'---|' * len(QUESTIONS)}"
    for result in table.results:
        source = (result.variant, result.interval)
        shares = (str(table.count_answers(*source, question, result.recording)) for question in QUESTIONS)
        yield f"| {result.recording} | {result.variant} | {_interval_name(result.interval)} | {' | '.join(shares)} |"


def wrong_answer_list(table: AccuracyTable) -> Iterator[str]:
    """Yield a line for every wrong answer with its cause."""
    for result, comparison, cause in table.wrong_answers():
        yield (
            f"- {result.recording}/{result.variant} {_interval_name(result.interval)}, frame {comparison.frame}, "
            f"{'/'.join(comparison.key)} {comparison.question}: exported {comparison.exported}, "
            f"expected {comparison.expected}: {cause or 'UNEXPLAINED'}"
        )


def _interval_name(seconds: float) -> str:
    return f"{seconds:g} s apart" if seconds else "all"


def main() -> None:
    """Print the tables that the options select."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="a folder of recordings (default: those of the tests)")
    parser.add_argument("--each", action="store_true", help="add a row for each recording")
    parser.add_argument("--verbose", action="store_true", help="add each wrong answer with its cause")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        table = AccuracyTable(Recordings(options.recordings or unpack(Path(directory))))
        print("Percent right / wrong / unknown.\n")
        sections = [
            totals_table(table),
            recordings_table(table) if options.each else (),
            wrong_answer_list(table) if options.verbose else (),
        ]
        for lines in sections:
            sys.stdout.writelines(f"{line}\n" for line in (*lines, ""))


if __name__ == "__main__":
    main()
