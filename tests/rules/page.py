"""The table of rules as Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from . import ROWS
from .row import ROOT, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .row import Row

FILE: Final = ROOT / "tests" / "RULES.md"
_HEAD: Final = """\
<!-- made by `python -m tests.rules --write`; do not edit -->
# The rules of translation and export

What the OpenTelemetry specification, its collector and Prometheus ask of whoever turns exposition text into OTLP (T)
and sends it (E), and what is done here. `test_rules.py` fails when a rule has no row, or names a test that is not
there. A test of `oracle/` compares with what a real collector made of the same page, and is named here by its case.
"""


def page() -> str:
    """Return the whole page."""
    counted = Counter(row.verdict for row in ROWS)
    sums = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict)
    return "\n".join([_HEAD, f"Of {len(ROWS)} rules: {sums}.", "", *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    for letter, title in {"T": "Translation", "E": "Export"}.items():
        yield from (f"## {title}", "", "| | rule | | why | tests |", "|---|---|---|---|---|")
        yield from (_line(row) for row in ROWS if row.number.startswith(letter))
        yield ""


def _line(row: Row) -> str:
    tests = "<br>".join(map(_link, row.tests))
    verdict = row.verdict if row.verdict is Verdict.KEPT else f"**{row.verdict}**"
    cells = (row.number, row.rule, verdict, row.reason, tests)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _link(node: str) -> str:
    """Link a test's file by its promise, or by the case of the oracle."""
    file, _, name = node.removeprefix("tests/").partition("::")
    promise, _, case = name.rpartition("::")[2].removesuffix("]").partition("[")
    return f"[{case or promise.removeprefix('test_').replace('_', ' ')}]({file})"
