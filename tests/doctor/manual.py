"""The table of findings of the manual page, from the table of checks: `python -m tests.doctor.manual --write`."""

from __future__ import annotations

import string
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.commands.doctor.table import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[2] / "exporter" / "manual" / "troubleshooting.md"
_MARK: Final = "--write`. -->\n"


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| finding | meaning | remedy |"
    yield "|---|---|---|"
    for check in CHECKS:
        fields = [name for _, name, _, _ in string.Formatter().parse(check.remedy) if name]
        values = {name: name.upper() for name in fields} | {"hint": "as the finding shows"}
        remedy = check.remedy.format_map(values)
        first, *manifest = remedy.splitlines()
        # A manifest does not fit into a cell: its own section has it.
        cell = f"{first} [the manifest below](#a-headless-service)" if manifest else first
        cells = (f"`{check.id}` ({check.level})", check.meaning, cell)
        yield f"| {' | '.join(text.replace('{{', '{').replace('}}', '}').replace('|', '&#124;') for text in cells)} |"
    yield from ("", "### A headless Service", "", "```yaml", *_manifest(), "```")


def _manifest() -> Iterator[str]:
    remedy = next(check.remedy for check in CHECKS if check.id == "address-shared").format_map({})
    _, *lines = remedy.splitlines()
    yield from (line for line in lines if not line.startswith("and set"))


def page() -> str:
    """Return the page with the table of this version."""
    text = PAGE.read_text()
    head = text[: text.index(_MARK) + len(_MARK)]
    return f"{head}\n" + "\n".join(table()) + "\n"


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(page())
