"""The inputs of past faults break no law any more, and a fixed set of mutated inputs breaks none."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.mutation import MAX_BYTES, Mutator
from tests.fuzz.runner import failure, run
from tests.fuzz.targets import PAST, TARGETS, LawError, Target, past_inputs

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 3.0
"""Of each target in CI. Long runs are `python -m tests.fuzz --minutes 60 --seed N`."""
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("name", BY_NAME)
def test_inputs_of_past_faults_break_no_law(name: str) -> None:
    broken = [failure(BY_NAME[name], content, "past") for content in past_inputs(name)]
    assert [finding for finding in broken if finding] == []


def test_every_past_input_belongs_to_a_target() -> None:
    assert {folder.name for folder in PAST.iterdir()} <= set(BY_NAME)


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_mutated_inputs_break_no_law(tmp_path: Path, name: str) -> None:
    assert [(finding.key, finding.content) for finding in run(BY_NAME[name], 1, SECONDS, None, tmp_path)] == []


def test_the_same_seed_gives_the_same_inputs_of_bounded_size() -> None:
    def inputs() -> list[bytes]:
        mutator = Mutator(Random(1), (b"word",))
        return [mutator.mutate(b"a 1\nb 2\n" * 5_000, b"other") for _ in range(100)]

    assert inputs() == inputs()
    assert len(set(inputs())) > 90
    assert max(map(len, inputs())) <= MAX_BYTES


def test_a_broken_law_a_crash_and_a_hang_are_findings(tmp_path: Path) -> None:
    def check(content: bytes, _: Random) -> None:
        if b"x" in content:
            raise LawError("x")
        if b"y" in content:
            while True:
                pass

    target = Target("broken", lambda: [b"abc"], list, check, seconds=0.2)
    assert failure(target, b"ok", "1") is None
    assert (failure(target, b"x", "1") or [""])[0] == "LawError x"
    assert (failure(target, b"y", "1") or [""])[0].startswith("TooSlowError")
    missing = Target("none", lambda: [b"abc"], list, check)
    assert [finding.key for finding in run(missing, 1, 1.0, None, tmp_path)] == ["crash 1"]
