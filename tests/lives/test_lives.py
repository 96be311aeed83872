"""Random lives of rollouts are judged as the recordings are; `python -m tests.lives --seeds N` plays any number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from tests.agreement import Correctness
from tests.lives.__main__ import wrong_lines
from tests.lives.watch import judge, watch
from tests.recorded import VARIANTS

if TYPE_CHECKING:
    from tests.lives.watch import Judgement

SEEDS: Final = range(200)
"""Takes 65 s of CPU time; `python -m tests.lives` plays more."""
LIMITS: Final[dict[str, dict[str, float]]] = {
    # Maximum percentages of wrong answers, of what holds now: lives are harder than recordings, since sources fail and
    # much happens at once. The aim are the limits of the recordings, in tests/rollouts/test_accuracy.py.
    "full": {"phase": 0.05, "progress": 0.05, "fraction": 0.1, "roles": 0.15, "health": 0.05, "alive": 0.0},
    "no-state": {"phase": 0.05, "progress": 0.3, "fraction": 0.2, "roles": 0.3, "health": 0.0, "alive": 0.0},
    "plain": {"phase": 0.05, "progress": 0.8, "fraction": 0.5, "roles": 1.1, "health": 0.0, "alive": 0.0},
    "argo-only": {"phase": 0.05, "progress": 0.3, "fraction": 1.4, "roles": 0.0, "health": 0.0, "alive": 0.0},
}
UPDATE_LIMITS: Final = {"full": 1.5, "no-state": 3.5, "plain": 5.0, "argo-only": 5.0}
"""By how many percent the number of counted updates may differ."""
FORMER_FAILURES: Final = (
    (102, "full"),
    (103, "full"),
    (109, "full"),
    (110, "full"),
    (112, "full"),
    (113, "full"),
    (103, "no-state"),
    (103, "plain"),
    (106, "plain"),
    # Promoted, or updated, while another process led.
    (1081, "argo-only"),
    (1096, "argo-only"),
    # Believed before the status was written.
    (1033, "argo-only"),
    (1034, "no-state"),
    (1046, "no-state"),
    (1064, "argo-only"),
    (1093, "no-state"),
    (1140, "no-state"),
    (1131, "plain"),
    # Two ReplicaSets of one second, a promotion that was missed.
    (1199, "plain"),
    # A status of the time before a promotion, or before an abort; events of a new leader.
    (1032, "full"),
    (1051, "full"),
    (1076, "full"),
    # Several revisions between two ticks; an abort that followed a promotion; a step from rest.
    (5012, "no-state"),
    (5101, "argo-only"),
    (5137, "plain"),
    (5143, "plain"),
    # A weight that left the canary with its last pods.
    (191, "argo-only"),
)
"""Seeds and variants that came out wrong once, and must stay right."""


@pytest.fixture(scope="module")
def judgements() -> dict[str, list[Judgement]]:
    """Judge each life with one variant of sources, in turn: all of them would take four times as long."""
    by_variant: dict[str, list[Judgement]] = {variant: [] for variant in VARIANTS}
    for seed in SEEDS:
        variant = VARIANTS[seed % len(VARIANTS)]
        by_variant[variant].append(judge(watch(seed, (variant,)), variant))
    return by_variant


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_exported_about_a_life_is_true(judgements: dict[str, list[Judgement]], variant: str) -> None:
    answers: Counter[tuple[str, Correctness]] = Counter()
    for judgement in judgements[variant]:
        answers.update((item.question, item.correctness) for item in judgement.comparisons)
    for question, limit in LIMITS[variant].items():
        total = sum(answers[question, answer] for answer in Correctness)
        assert total > 1000
        assert 100 * answers[question, Correctness.WRONG] / total <= limit, question


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_updates_of_lives_are_counted(judgements: dict[str, list[Judgement]], variant: str) -> None:
    true = sum(judgement.true_count for judgement in judgements[variant])
    exported = sum(judgement.exported_count for judgement in judgements[variant])
    assert true > 70
    assert abs(exported - true) <= true * UPDATE_LIMITS[variant] / 100


@pytest.mark.slow
def test_a_restart_at_any_tick_of_a_life_changes_no_series(judgements: dict[str, list[Judgement]]) -> None:
    assert [item.restart_changed for items in judgements.values() for item in items if item.restart_changed] == []


@pytest.mark.parametrize(("seed", "variant"), FORMER_FAILURES)
def test_a_life_that_came_out_wrong_once_stays_right(seed: int, variant: str) -> None:
    life = watch(seed, (variant,))
    assert list(wrong_lines(life, variant, judge(life, variant))) == []


def test_the_same_seed_gives_the_same_life_whatever_is_watched() -> None:
    alone, together = watch(7, ("argo-only",)), watch(7)
    assert (alone.title, alone.log, alone.truth) == (together.title, together.log, together.truth)
    assert watch(8, ("argo-only",)).log != alone.log
