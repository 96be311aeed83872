"""The table of values in the chart's README: `python -m tests.chart.reference --write` makes it anew."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.chart.helm import CHART
from tests.readme import between

if TYPE_CHECKING:
    from collections.abc import Iterator

README: Final = CHART / "README.md"
SCHEMA: Final[dict[str, Any]] = json.loads((CHART / "values.schema.json").read_text())
VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text())
HANDED_DOWN: Final = ("global", "enabled")
"""What a parent chart may set without the chart having a use for it."""


def rows(schema: dict[str, Any] = SCHEMA, values: Any = VALUES, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Return each value with its default and what it means; a mapping of fixed keys as its keys."""
    for key, value in values.items():
        described = schema["properties"][key]
        here = f"{path}{key}"
        if "properties" in described and isinstance(value, dict) and value:
            yield from rows(described, value, f"{here}.")
        else:
            yield here, json.dumps(value), described["description"]


def table() -> str:
    """Return the values as a Markdown table."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{default}` | {text} |" for name, default, text in rows()]
    return "\n".join(lines)


def main() -> None:
    """Write the table."""
    before, _, after = between(README.read_text(), "values")
    README.write_text(f"{before}{table()}\n{after}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.chart.reference --write")
    main()
