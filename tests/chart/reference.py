"""The table of values in the chart's README: `python -m tests.chart.reference --write` writes it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter.config.json_schema import settings_schema
from tests.chart.helm import CHART
from tests.readme import split_section

if TYPE_CHECKING:
    from collections.abc import Iterator

README: Final = CHART / "README.md"
SCHEMA: Final[dict[str, Any]] = json.loads((CHART / "values.schema.json").read_text())
VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text())
PARENT_KEYS: Final = ("enabled",)
"""Keys that a parent chart sets for its dependencies; this chart ignores them."""


def value_rows(schema: dict[str, Any] = SCHEMA, values: Any = VALUES, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each value with its default and description; a mapping with fixed keys yields its keys."""
    for key, value in values.items():
        described = schema["properties"][key]
        full_path = f"{path}{key}"
        if "properties" in described and isinstance(value, dict) and value:
            yield from value_rows(described, value, f"{full_path}.")
        else:
            yield full_path, json.dumps(value), described["description"]


def values_table() -> str:
    """Return the values as a Markdown table."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{default}` | {text} |" for name, default, text in value_rows()]
    return "\n".join(lines)


def schema_with_settings() -> dict[str, Any]:
    """Return the schema of the values with that of the settings in `config`."""
    config = {**SCHEMA["properties"]["config"], **settings_schema(), "type": "object"}
    return {**SCHEMA, "properties": {**SCHEMA["properties"], "config": config}}


def main() -> None:
    """Write the table, and the schema of the settings."""
    text = json.dumps(schema_with_settings(), indent=2, ensure_ascii=False)
    (CHART / "values.schema.json").write_text(f"{text}\n")
    before, _, after = split_section(README.read_text(), "values")
    README.write_text(f"{before}{values_table()}\n{after}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.chart.reference --write")
    main()
