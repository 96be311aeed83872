"""The generated tables of the README: `python -m tests.readme --write` writes them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from exporter.commands.series import series_rows
from exporter.gate.lint.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ALERTS = ROOT / "charts/rollouts-exporter/rules/alerts.yaml"


def series_table() -> str:
    """Return the derived series as a Markdown table."""
    lines = ["| series | type | labels | meaning |", "|---|---|---|---|"]
    for name, metric_type, labels, text in series_rows():
        extra_labels = ", ".join(
            label for label in labels.split(", ") if label not in {"namespace", "name"} or label == labels
        )
        lines.append(f"| `{name}` | {metric_type} | {extra_labels} | {text} |")
    return "\n".join(lines)


def rule_table() -> str:
    """Return the rules of `gate lint` as a Markdown table."""
    lines = ["| rule | | finds |", "|---|---|---|"]
    for rule in RULES:
        description = rule.summary.replace("|", "\\|")
        lines.append(f"| `{rule.name}` | {rule.severity} | {description} |")
    return "\n".join(lines)


def alert_table() -> str:
    """Return the alerts as a Markdown table; label templates are replaced by the label names."""
    lines = ["| alert | severity | `for` | summary |", "|---|---|---|---|"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: match[1].upper(), rule["annotations"]["summary"])
            text = re.sub(r"\{\{ \$value.*?\}\}", "…", text)
            lines.append(
                f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule.get('for', 'at once')} | {text} |"
            )
    return "\n".join(lines)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "series": series_table,
    "alerts": alert_table,
    "rules": rule_table,
}
"""The tables by the marks around them."""


def split_section(text: str, mark: str) -> tuple[str, str, str]:
    """Return the text before, inside and after the comments `<!-- mark… -->` and `<!-- /mark -->`."""
    before, _, rest = text.partition(f"<!-- {mark}")
    head, _, rest = rest.partition("-->\n")
    inside, end, after = rest.partition(f"<!-- /{mark} -->")
    assert end, f"the README has no section {mark}"
    return f"{before}<!-- {mark}{head}-->\n", inside, end + after


def main() -> None:
    """Write the tables."""
    for mark, table in TABLES.items():
        before, _, after = split_section(README.read_text(), mark)
        README.write_text(f"{before}{table()}\n{after}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.readme --write")
    main()
