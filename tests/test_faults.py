"""FAULTS.md has complete rows, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
ROWS: Final = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in (TESTS / "FAULTS.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| symptom ")
]


def test_every_row_has_a_symptom_a_cause_a_finder_a_version_and_a_test() -> None:
    assert ROWS
    assert [row for row in ROWS if len(row) != 5 or not all(row)] == []


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_the_tests_of_a_fault_exist(row: tuple[str, ...]) -> None:
    names = re.findall(r"`([^`]+)::(test_\w+)`", row[-1])
    assert names
    assert [(file, name) for file, name in names if name not in _functions(TESTS / file)] == []


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
