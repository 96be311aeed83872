"""Every rule of translation and export has a row that says which test holds it, or why it is not kept."""

from __future__ import annotations

import pytest

from tests.rules import ROWS
from tests.rules.page import FILE, page
from tests.rules.row import Row, Verdict

PROOF = ("tests/test_rules.py::test_every_rule_has_one_row_and_they_stand_in_order",)


def test_every_rule_has_one_row_and_they_stand_in_order() -> None:
    numbers = [f"T{number:02}" for number in range(1, 58)] + [f"E{number:02}" for number in range(1, 44)]
    assert [row.number for row in ROWS] == numbers


@pytest.mark.parametrize("row", ROWS, ids=[row.number for row in ROWS])
def test_a_row_names_tests_that_there_are_and_a_reason_where_it_is_not_kept(row: Row) -> None:
    assert list(row.faults()) == []
    assert row.rule


def test_the_page_is_what_the_table_makes() -> None:
    assert FILE.read_text() == page(), "python -m tests.rules --write"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Row("X1", "r", Verdict.KEPT), "no test proves it"),
        (Row("X1", "r", Verdict.BENT, reason="so"), "no test proves it"),
        (Row("X1", "r", Verdict.BENT, PROOF), "no reason is given"),
        (Row("X1", "r", Verdict.NOT_KEPT), "no reason is given"),
        (Row("X1", "r", Verdict.FOREIGN), "no reason is given"),
        (Row("X1", "r", Verdict.KEPT, ("tests/test_rules.py::test_nothing",)), "there is no"),
        (Row("X1", "r", Verdict.KEPT, ("tests/test_nowhere.py::test_nothing",)), "there is no"),
        (Row("X1", "r", Verdict.KEPT, (f"{PROOF[0]}[t99]",)), "there is no"),
        (Row("X1", "r", Verdict.KEPT, ("tests/config/test_environment.py::TestHeaders",)), "there is no"),
    ],
)
def test_a_faulty_row_is_found_out(row: Row, fault: str) -> None:
    (told,) = row.faults()
    assert fault in told
