"""The derived series of every recording are those in the golden texts, which people have reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.recorded import NAMES
from tests.rollouts.golden import GOLDEN_FOLDER, golden_text

if TYPE_CHECKING:
    from tests.recorded import Recordings


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_derived_series_of_a_recording_are_those_of_its_golden_text(recordings: Recordings, name: str) -> None:
    expected = (GOLDEN_FOLDER / f"{name}.txt").read_text()
    assert golden_text(recordings, name).strip() == expected.strip(), (
        "python -m tests.rollouts.golden --write, and review the diff"
    )


def test_every_golden_text_has_its_recording() -> None:
    assert {file.stem for file in GOLDEN_FOLDER.glob("*.txt")} == set(NAMES)
