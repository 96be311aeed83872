"""The manual page has a row for each finding."""

from __future__ import annotations

import re

from exporter.commands.doctor.table import CHECKS
from tests.doctor.manual import PAGE, page


def test_the_table_is_that_of_the_checks() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.doctor.manual --write"
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \((error|warning)\) \| [^|]+ \| [^|]{8,} \|$", PAGE.read_text(), re.MULTILINE
    )
    assert rows == [(check.id, check.level) for check in CHECKS]


def test_the_page_begins_with_the_question_that_is_asked_most() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    assert headings == ["I see nothing in Last9", "Findings"]
