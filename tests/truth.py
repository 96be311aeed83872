"""How true is it? Every recording, through the core, held against the Kubernetes objects of the same moment.

    python -m tests.truth [--recordings DIRECTORY] [--each] [--verbose]

prints a Markdown table: of all questions about all rollouts in all frames, the share that was answered right, wrong
or not at all. Frames in which no controller showed the rollout (failover, restart) are excused and not counted.
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

from tests.agreement import QUESTIONS, Answer, Judge, Verdict
from tests.recorded import VARIANTS, Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

RATES: Final = (0.0, 15.0)
"""Seconds between frames: every frame, and as a real scraper sees them."""
NAMED: Final = {
    "full": "controllers, kube-state-metrics, rollout state",
    "no-state": "controllers, kube-state-metrics",
    "plain": "controllers, kube-state-metrics without allow-lists",
    "argo-only": "controllers alone",
}
CAUSES: Final = (
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
"""Known causes of wrong answers: recording, rollout, question, why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on one recording, in one variant, with frames so far apart (seconds)."""

    recording: str
    variant: str
    seconds: float
    verdicts: tuple[Verdict, ...]


@dataclass(slots=True)
class Share:
    """How often a question was answered how; frames that are excused were not asked."""

    answers: Counter[Answer] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        """How often the question was asked."""
        return self.answers.total() - self.answers[Answer.EXCUSED]

    def of(self, answer: Answer) -> float:
        """The share of one answer, in percent."""
        return 100 * self.answers[answer] / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        if not self.asked:
            return "-"
        right, wrong, unknown = (self.of(one) for one in (Answer.RIGHT, Answer.WRONG, Answer.UNKNOWN))
        return f"{right:.2f} / {wrong:.2f} / {unknown:.2f}"


class Table:
    """All verdicts on a folder of recordings."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The verdicts on every recording, in every variant and at every rate."""
        return tuple(
            Judged(name, variant, seconds, tuple(self._verdicts(name, variant, seconds)))
            for seconds in RATES
            for variant in VARIANTS
            for name in self._recordings.names
            if variant in self._recordings.variants(name)
        )

    def _verdicts(self, name: str, variant: str, seconds: float) -> Iterator[Verdict]:
        judge = Judge(self._recordings.truth(name), pods_only=variant != "full")
        for tick, cycle, _ in self._recordings.watched(name, variant, seconds):
            yield from judge.verdicts(tick.at, tick.pages, cycle)

    def share(self, variant: str, seconds: float, question: str, recording: str = "*") -> Share:
        """Add up the answers to a question over all recordings, or over one."""
        return Share(
            Counter(
                verdict.answer
                for one in self.judged
                if (one.variant, one.seconds) == (variant, seconds) and recording in ("*", one.recording)
                for verdict in one.verdicts
                if verdict.question == question
            )
        )

    def wrong(self) -> Iterator[tuple[Judged, Verdict, str]]:
        """Yield every wrong answer with its cause, "" where none is known."""
        for one in self.judged:
            for verdict in one.verdicts:
                if verdict.answer is Answer.WRONG:
                    yield one, verdict, cause(one.recording, verdict)


def cause(recording: str, verdict: Verdict) -> str:
    """Return the known cause of a wrong answer, "" where none is known."""
    asked = (recording, "/".join(verdict.key), verdict.question)
    found = (why for *globs, why in CAUSES if all(map(fnmatchcase, asked, globs)))
    return next(found, "")


def totals(table: Table) -> Iterator[str]:
    """Write the table of all recordings together."""
    yield f"| sources | frames | {' | '.join(QUESTIONS)} |"
    yield f"|---|---|{'---|' * len(QUESTIONS)}"
    for variant in VARIANTS:
        for seconds in RATES:
            shares = (str(table.share(variant, seconds, question)) for question in QUESTIONS)
            yield f"| {NAMED[variant]} | {_rate(seconds)} | {' | '.join(shares)} |"


def each(table: Table) -> Iterator[str]:
    """Write the table of every recording."""
    yield f"| recording | variant | frames | {' | '.join(QUESTIONS)} |"
    yield f"|---|---|---|{'---|' * len(QUESTIONS)}"
    for one in table.judged:
        shares = (str(table.share(one.variant, one.seconds, question, one.recording)) for question in QUESTIONS)
        yield f"| {one.recording} | {one.variant} | {_rate(one.seconds)} | {' | '.join(shares)} |"


def faults(table: Table) -> Iterator[str]:
    """Write every wrong answer with its cause."""
    for one, verdict, why in table.wrong():
        yield (
            f"- {one.recording}/{one.variant} {_rate(one.seconds)}, frame {verdict.place}, {'/'.join(verdict.key)} "
            f"{verdict.question}: said {verdict.said}, true {verdict.true}: {why or 'UNEXPLAINED'}"
        )


def _rate(seconds: float) -> str:
    return f"{seconds:g} s apart" if seconds else "every one"


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="a folder of recordings (default: those of the tests)")
    parser.add_argument("--each", action="store_true", help="a row for each recording, too")
    parser.add_argument("--verbose", action="store_true", help="each wrong answer with its cause, too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        table = Table(Recordings(chosen.recordings or unpack(Path(directory))))
        print("Percent right / wrong / unknown.\n")
        parts = [totals(table), each(table) if chosen.each else (), faults(table) if chosen.verbose else ()]
        for lines in parts:
            sys.stdout.writelines(f"{line}\n" for line in (*lines, ""))


if __name__ == "__main__":
    main()
