"""Accuracy of the derived series: every recording, compared with the Kubernetes objects at the same moments.

    python -m tests.truth [--recordings DIRECTORY] [--only NAME…] [--every SECONDS [--pods SECONDS] [--offset SECONDS]]
        [--each] [--verbose] [--write]

prints a Markdown table: of all questions about all rollouts in all frames, the percentage answered right, wrong or
not at all, and how many updates `argo_rollouts_updates_total` counts of those that ended. Frames in which no controller
shows the rollout (failover, restart) are excused and not counted.
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

from exporter import manual
from tests.agreement import QUESTIONS, Comparison, Correctness, TruthComparer
from tests.readme import replace_section
from tests.recorded import VARIANTS, Recordings, unpack
from tests.updates import ExportedResults, different_results, true_results

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from exporter.rollouts.model import RolloutKey
    from tests.updates import ResultCounts

FRAME_INTERVALS: Final = ((0.0, 0.0), (15.0, 15.0), (15.0, 30.0))
"""Seconds between scrapes, and between those of kube-state-metrics: every frame (0), and what people configure."""
VARIANT_NAMES: Final = {
    "full": "controllers, kube-state-metrics, rollout state",
    "no-state": "controllers, kube-state-metrics",
    "plain": "controllers, kube-state-metrics without allow-lists",
    "argo-only": "controllers alone",
}
EXPLANATION: Final = "Percent right / wrong / unknown; updates that were counted of those that ended."
PAGE: Final = manual.FOLDER / "truth.md"
UNEXPLAINED: Final = "UNEXPLAINED"
UNREADY_PODS: Final = "the controllers' page does not show which revision's pods are not ready"
AWAY: Final = "promoted and updated again while its controller was away, whose counters then started at 0"
REPLACED_SOONER: Final = "a revision was replaced between two frames, so that the objects do not show it"
KNOWN_CAUSES: Final = (
    # [anp]*: all variants but the full one.
    ("scale", "argo-only all", "shop/checkout", "fraction", UNREADY_PODS),
    (
        "basic-canary-ksm2.9.2",
        "* all",
        "shop/checkout",
        "updates",
        "the recording has no family of a controller's page",
    ),
    ("bare", "*", "pay/empty", "updates", REPLACED_SOONER),
    ("ksm-restart", "full all", "shop/checkout", "health", "the recording names the page from before the restart"),
    ("two-installations", "argo-only 15 s*", "shop/green-basic", "updates", AWAY),
    ("restart", "argo-only 15 s*", "shop/checkout", "updates", AWAY),
)
"""Known causes of wrong answers: patterns of recording, variant and frames, rollout and question, and the cause."""


Intervals = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """One recording in one variant at one of `FRAME_INTERVALS`: all comparisons, and the updates that ended."""

    recording: str
    variant: str
    intervals: Intervals
    comparisons: tuple[Comparison, ...]
    true_updates: Mapping[RolloutKey, ResultCounts]
    exported_updates: Mapping[RolloutKey, ResultCounts]


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


@dataclass(slots=True)
class UpdateCounts:
    """How many updates ended and how many were counted; `different`: rollouts with a wrong count of any result."""

    true: int = 0
    exported: int = 0
    different: int = 0

    def __str__(self) -> str:
        wrong = f", {self.different} rollouts differ" if self.different else ""
        return f"{self.exported} of {self.true}{wrong}"


class AccuracyTable:
    """All comparisons of a folder of recordings, or of those among them that `names` lists.

    `intervals` are those between frames; with an `offset` (seconds) they begin so long after the first frame.
    """

    def __init__(
        self,
        recordings: Recordings,
        names: Collection[str] = (),
        intervals: Sequence[Intervals] = FRAME_INTERVALS,
        offset: float = 0.0,
    ) -> None:
        self.intervals = intervals
        self._recordings = recordings
        self._offset = offset
        self._names = [name for name in recordings.names if not names or name in names]

    @cached_property
    def results(self) -> tuple[RecordingResult, ...]:
        """The result of every recording, in every variant and at all frame intervals."""
        return tuple(
            self._result(name, variant, intervals)
            for intervals in self.intervals
            for variant in VARIANTS
            for name in self._names
            if variant in self._recordings.variants(name)
        )

    def _result(self, name: str, variant: str, intervals: Intervals) -> RecordingResult:
        truth = self._recordings.truth(name)
        comparer = TruthComparer(truth, pods_only=variant != "full")
        comparisons: list[Comparison] = []
        updates, last = ExportedResults(), 0.0
        for tick, snapshot, _ in self._recordings.play(name, variant, *intervals, self._offset):
            comparisons += comparer.compare(tick.timestamp, tick.results, snapshot)
            updates.add(snapshot)
            last = max(last, tick.timestamp)
        return RecordingResult(
            name, variant, intervals, tuple(comparisons), true_results(truth, last), updates.by_rollout
        )

    def select(self, variant: str, intervals: Intervals, recording: str = "*") -> list[RecordingResult]:
        """Return the results of a variant at the given intervals, of all recordings or of one."""
        return [
            result
            for result in self.results
            if (result.variant, result.intervals) == (variant, intervals) and recording in ("*", result.recording)
        ]

    def count_answers(self, variant: str, intervals: Intervals, question: str, recording: str = "*") -> AnswerCounts:
        """Count the answers to a question in all recordings, or in one."""
        return AnswerCounts(
            Counter(
                comparison.correctness
                for result in self.select(variant, intervals, recording)
                for comparison in result.comparisons
                if comparison.question == question
            )
        )

    def count_updates(self, variant: str, intervals: Intervals, recording: str = "*") -> UpdateCounts:
        """Count the updates that ended in all recordings, or in one."""
        counts = UpdateCounts()
        for result in self.select(variant, intervals, recording):
            counts.true += sum(map(Counter.total, result.true_updates.values()))
            counts.exported += sum(map(Counter.total, result.exported_updates.values()))
            counts.different += len(different_results(result.true_updates, result.exported_updates))
        return counts

    def wrong_answers(self) -> Iterator[tuple[RecordingResult, Comparison, str]]:
        """Yield every wrong answer with its known cause, "" for none."""
        for result in self.results:
            for comparison in result.comparisons:
                if comparison.correctness is Correctness.WRONG:
                    yield result, comparison, known_cause(result, comparison.key, comparison.question)

    def unused_causes(self) -> list[tuple[str, ...]]:
        """Return the rows of `KNOWN_CAUSES` that no wrong answer and no wrong count of updates has."""
        wrong = [(result, comparison.key, comparison.question) for result, comparison, _ in self.wrong_answers()]
        for result in self.results:
            wrong += [
                (result, key, "updates") for key in different_results(result.true_updates, result.exported_updates)
            ]
        used = {_known_row(*answer) for answer in wrong}
        return [row for row in KNOWN_CAUSES if row not in used]


def known_cause(result: RecordingResult, key: RolloutKey, question: str) -> str:
    """Return the known cause of a wrong answer, "" for none."""
    row = _known_row(result, key, question)
    return row[-1] if row else ""


def _known_row(result: RecordingResult, key: RolloutKey, question: str) -> tuple[str, ...] | None:
    frames = f"{result.variant} {_intervals_name(result.intervals)}"
    names = (result.recording, frames, "/".join(key), question)
    return next((row for row in KNOWN_CAUSES if all(map(fnmatchcase, names, row[:-1]))), None)


def totals_table(table: AccuracyTable) -> Iterator[str]:
    """Yield the lines of the table of all recordings together."""
    yield f"| sources | frames | {' | '.join(QUESTIONS)} | updates |"
    yield f"|---|---|{'---|' * (len(QUESTIONS) + 1)}"
    for variant in VARIANTS:
        for intervals in table.intervals:
            yield f"| {VARIANT_NAMES[variant]} | {_intervals_name(intervals)} | {_cells(table, variant, intervals)} |"


def recordings_table(table: AccuracyTable) -> Iterator[str]:
    """Yield the lines of the table with a row for each recording."""
    yield f"| recording | variant | frames | {' | '.join(QUESTIONS)} | updates |"
    yield f"|---|---|---|{'---|' * (len(QUESTIONS) + 1)}"
    for result in table.results:
        cells = _cells(table, result.variant, result.intervals, result.recording)
        yield f"| {result.recording} | {result.variant} | {_intervals_name(result.intervals)} | {cells} |"


def _cells(table: AccuracyTable, variant: str, intervals: Intervals, recording: str = "*") -> str:
    answers = (str(table.count_answers(variant, intervals, question, recording)) for question in QUESTIONS)
    return " | ".join((*answers, str(table.count_updates(variant, intervals, recording))))


def wrong_answer_list(table: AccuracyTable) -> Iterator[str]:
    """Yield a line for every wrong answer, and for every rollout with a wrong count of updates, with its cause."""
    for result, comparison, cause in table.wrong_answers():
        yield (
            f"- {_title(result)}, frame {comparison.frame}, {'/'.join(comparison.key)} {comparison.question}: "
            f"exported {comparison.exported}, expected {comparison.expected}: {cause or UNEXPLAINED}"
        )
    for result in table.results:
        for key, (true, exported) in different_results(result.true_updates, result.exported_updates).items():
            cause = known_cause(result, key, "updates") or UNEXPLAINED
            yield f"- {_title(result)}, {'/'.join(key)} updates: {dict(exported)}, expected {dict(true)}: {cause}"


def _title(result: RecordingResult) -> str:
    return f"{result.recording}/{result.variant} {_intervals_name(result.intervals)}"


def _intervals_name(intervals: Intervals) -> str:
    ticks, workloads = intervals
    if not ticks:
        return "all"
    return f"{ticks:g} s apart" if ticks == workloads else f"{ticks:g} s, pods {workloads:g} s apart"


def page_section(table: AccuracyTable) -> str:
    """Return the section of the manual's page."""
    return "\n".join((EXPLANATION, "", *totals_table(table)))


def main() -> None:
    """Print the tables that the options select."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="a folder of recordings (default: those of the tests)")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="recordings to play (default: all)")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="only frames that far apart")
    parser.add_argument("--pods", type=float, metavar="SECONDS", help="with --every: kube-state-metrics that far apart")
    parser.add_argument("--offset", type=float, default=0.0, metavar="SECONDS", help="with --every: where they begin")
    parser.add_argument("--each", action="store_true", help="add a row for each recording")
    parser.add_argument("--verbose", action="store_true", help="add each wrong answer with its cause")
    parser.add_argument("--write", action="store_true", help="write the first table into the manual")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        recordings = Recordings(options.recordings or unpack(Path(directory)))
        intervals = FRAME_INTERVALS if options.every is None else ((options.every, options.pods or options.every),)
        table = AccuracyTable(recordings, options.only, intervals, options.offset)
        if options.write:
            replace_section(PAGE, "truth", page_section(table))
        sections = [
            (page_section(table),),
            recordings_table(table) if options.each else (),
            wrong_answer_list(table) if options.verbose else (),
        ]
        for lines in sections:
            sys.stdout.writelines(f"{line}\n" for line in (*lines, ""))


if __name__ == "__main__":
    main()
