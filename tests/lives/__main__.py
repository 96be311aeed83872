"""Judges random lives: `python -m tests.lives [--seeds N] [--from SEED] [--variant NAME] [--verbose]`.

Prints what the table of `python -m tests.truth` has, for every variant, and the seeds with wrong answers.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.agreement import QUESTIONS, Correctness
from tests.lives.watch import judge, watch
from tests.recorded import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lives.watch import Judgement, WatchedLife


def main() -> None:
    """Print the shares of wrong and unknown answers, and the seeds that have any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many lives")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="only these sources")
    parser.add_argument("--verbose", action="store_true", help="print every wrong answer, and what happened before")
    options = parser.parse_args()
    answers: dict[str, Counter[tuple[str, Correctness]]] = defaultdict(Counter)
    updates: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in range(options.first, options.first + options.seeds):
        variants = options.variant or VARIANTS
        life = watch(seed, variants)
        for variant in variants:
            judgement = judge(life, variant)
            answers[variant].update((item.question, item.correctness) for item in judgement.comparisons)
            updates[variant].update(true=judgement.true_count, exported=judgement.exported_count)
            if options.verbose:
                sys.stdout.writelines(f"{line}\n" for line in wrong_lines(life, variant, judgement))
    for variant, counted in answers.items():
        shares = (f"{question} {_shares(counted, question)}" for question in QUESTIONS)
        print(f"{variant}: {', '.join(shares)}; updates {updates[variant]['exported']} of {updates[variant]['true']}")


def _shares(counted: Counter[tuple[str, Correctness]], question: str) -> str:
    """Return the percentages of wrong and unknown answers."""
    total = sum(counted[question, answer] for answer in Correctness if answer is not Correctness.EXCUSED)
    shares = (100 * counted[question, answer] / max(total, 1) for answer in (Correctness.WRONG, Correctness.UNKNOWN))
    return " / ".join(f"{share:.2f}" for share in shares)


def wrong_lines(life: WatchedLife, variant: str, judgement: Judgement) -> Iterator[str]:
    """Yield every wrong answer of a life, among what happened; nothing if all is right."""
    lines = list(_wrong_answers(life, judgement))
    for key, (true, exported) in judgement.different_updates.items():
        lines.append((float("inf"), f"{key[1]} updates: exported {dict(exported)}, expected {dict(true)}"))
    lines += [(float("inf"), f"restart: {text}") for text in judgement.restart_changed]
    if not lines:
        return
    yield f"seed {life.seed}, {variant}: {life.title}"
    for seconds, line in sorted((*lines, *((seconds, f"# {action}") for seconds, action in life.log))):
        yield f"  {seconds:6.1f} {line}"


def _wrong_answers(life: WatchedLife, judgement: Judgement) -> Iterator[tuple[float, str]]:
    for item in judgement.comparisons:
        if item.correctness is Correctness.WRONG:
            seconds = life.truth[item.frame]["at"] - life.started_at
            yield seconds, f"{item.key[1]} {item.question}: exported {item.exported}, expected {item.expected}"


if __name__ == "__main__":
    main()
