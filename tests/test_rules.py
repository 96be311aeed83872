"""Every rule of translation and export has a row that names the tests that prove it, or why it is not followed."""

from __future__ import annotations

import pytest

from tests.rules import ROWS
from tests.rules.page import FILE, page
from tests.rules.row import Compliance, Row

PROOF = ("tests/test_rules.py::test_every_rule_has_one_row_in_order",)


def test_every_rule_has_one_row_in_order() -> None:
    numbers = [f"T{number:02}" for number in range(1, 58)] + [f"E{number:02}" for number in range(1, 44)]
    assert [row.number for row in ROWS] == numbers


@pytest.mark.parametrize("row", ROWS, ids=[row.number for row in ROWS])
def test_a_row_names_existing_tests_and_a_reason_unless_followed(row: Row) -> None:
    assert list(row.errors()) == []
    assert row.rule


def test_the_page_is_generated_from_the_table() -> None:
    assert FILE.read_text() == page(), "python -m tests.rules --write"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("X1", "r", Compliance.FOLLOWED), "no test proves it"),
        (Row("X1", "r", Compliance.ADAPTED, reason="so"), "no test proves it"),
        (Row("X1", "r", Compliance.ADAPTED, PROOF), "no reason is given"),
        (Row("X1", "r", Compliance.NOT_FOLLOWED), "no reason is given"),
        (Row("X1", "r", Compliance.NOT_APPLICABLE), "no reason is given"),
        (Row("X1", "r", Compliance.FOLLOWED, ("tests/test_rules.py::test_nothing",)), "does not exist"),
        (Row("X1", "r", Compliance.FOLLOWED, ("tests/test_nowhere.py::test_nothing",)), "does not exist"),
        (Row("X1", "r", Compliance.FOLLOWED, (f"{PROOF[0]}[t99]",)), "does not exist"),
        (Row("X1", "r", Compliance.FOLLOWED, ("tests/config/test_environment.py::TestHeaders",)), "does not exist"),
    ],
)
def test_an_invalid_row_is_reported(row: Row, expected: str) -> None:
    (error,) = row.errors()
    assert expected in error
