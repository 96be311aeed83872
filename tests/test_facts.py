"""FACTS.md names files and recordings that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
ROWS: Final = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "tests/FACTS.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| fact ")
]


def test_every_row_has_a_fact_a_source_and_a_file() -> None:
    assert len(ROWS) > 50
    assert [row for row in ROWS if len(row) != 3 or not all(row)] == []


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_the_files_and_recordings_of_a_fact_exist(row: tuple[str, ...]) -> None:
    _, evidence, files = row
    recordings = re.findall(r"`([^`]+)`", evidence) if "recording" in evidence else []
    paths = [*re.findall(r"`([^`]+)`", files), *(f"tests/recordings/{name}.tar.xz" for name in recordings)]
    assert re.findall(r"`([^`]+)`", files)
    assert [path for path in paths if not (ROOT / path).is_file()] == []
