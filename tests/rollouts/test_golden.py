"""What is said of every recording stands in texts that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.recorded import NAMES
from tests.rollouts.golden import TEXTS, text

if TYPE_CHECKING:
    from tests.recorded import Recordings


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_recording_is_what_was_read_and_found_right(recordings: Recordings, name: str) -> None:
    told = (TEXTS / f"{name}.txt").read_text()
    assert text(recordings, name).strip() == told.strip(), "python -m tests.rollouts.golden --write, and read it"


def test_every_text_has_its_recording() -> None:
    assert {file.stem for file in TEXTS.glob("*.txt")} == set(NAMES)
