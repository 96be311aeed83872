"""Kills, failing operations, losses of power and any sequence of all of them: the conservation oracle holds.

More of each: `LD_PRELOAD=shim.so python -m tests.storage.crash SUITE --stride 1 --cycles 40`, `… random --minutes 5`,
`… -m tests.storage.machine --examples 20000 --seed 7`; `gcc -shared -fPIC -o shim.so tests/storage/shim.c` makes it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.storage.shim import run_preloaded

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "options", "min_count"),
    [
        ("kills", ["--cycles=5"], 250),
        ("errors", ["--cycles=8", "--stride=13"], 100),
        ("power", ["--cycles=8", "--stride=24"], 300),
        ("random", ["--minutes=0.3"], 40),
    ],
)
def test_a_disturbed_life_loses_invents_and_repeats_nothing(
    shim_library: Path, suite: str, options: list[str], min_count: int
) -> None:
    with ThreadPoolExecutor() as pool:  # CI has two processors
        parts = [("--parts=2", f"--part={part}") for part in range(2)]
        outputs = pool.map(
            lambda part: run_preloaded(shim_library, "tests.storage.crash", suite, *options, *part), parts
        )
        assert sum(int(output.split("=")[1]) for output in outputs) > min_count


@pytest.mark.slow
def test_any_sequence_of_steps_and_faults_conserves_every_point(shim_library: Path) -> None:
    run_preloaded(shim_library, "tests.storage.machine", "--examples=200")
