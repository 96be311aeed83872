"""The generated tables of the README and of the manual: `python -m tests.readme --write` writes them."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
import yaml

from exporter import manual
from exporter.cli import main as cli
from exporter.commands.series import series_rows
from exporter.config.reference import setting_references
from exporter.self_metrics import DEFINITIONS
from tests.bench.report import cost_page, preset_table, read_figures, readme_table
from tests.install_time import install_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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


def own_metric_table() -> str:
    """Return the exporter's own metrics as a Markdown table."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{row.name}` | {row.type.value} | {', '.join(row.labels)} | {_cell(row.help)} |" for row in DEFINITIONS
    ]
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


def setting_tables() -> str:
    """Return all settings, a table for each section at the top."""
    return "\n".join(_setting_lines())


def _setting_lines() -> Iterator[str]:
    section = None
    for setting in sorted(setting_references(), key=lambda setting: setting.section != ""):
        if setting.section != section:
            section = setting.section
            heading = f"## {section}" if section else "## At the top"
            yield from ("", heading, "", "| setting | meaning | value | default | variables |", "|---|---|---|---|---|")
        variables = ", ".join(f"`{name}`" for name in setting.variables)
        yield (
            f"| `{setting.key}` | {_cell(setting.meaning)} | {_cell(setting.kind)} | `{_cell(setting.default)}`"
            f" | {variables} |"
        )


def command_reference() -> str:
    """Return all commands with their options."""
    return "\n".join(line for name, command in _commands(cli) for line in _command_lines(name, command))


def _commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        elif name == command.name:  # a former name is not listed
            yield f"{prefix}{name}", command


def _command_lines(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"rollouts-exporter {name}", show_default=True)
    yield from ("", f"## {name}", "", f"`{command.get_usage(context).removeprefix('Usage: ')}`", "")
    yield inspect.cleandoc(command.help or "").replace("\b\n", "")
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    rows = [(option, text) for option, text in records if "--help" not in option]
    if rows:
        yield from ("", "| option | meaning |", "|---|---|")
        yield from (f"| `{_cell(option)}` | {_cell(text)} |" for option, text in rows)


def topic_table() -> str:
    """Return the pages of the manual as a Markdown table of links."""
    lines = ["| page | what it answers |", "|---|---|"]
    for each in manual.contents():
        path = manual.topics()[each.topic].relative_to(ROOT).as_posix()
        lines.append(f"| [{each.title}]({path}) | {_cell(each.summary)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


class GeneratedTable(NamedTuple):
    """A part of a file between marks, and the function that makes it."""

    file: Path
    make: Callable[[], str]


TABLES: Final[Mapping[str, GeneratedTable]] = {
    "series": GeneratedTable(manual.FOLDER / "series.md", series_table),
    "own metrics": GeneratedTable(manual.FOLDER / "own-metrics.md", own_metric_table),
    "alerts": GeneratedTable(manual.FOLDER / "alerts.md", alert_table),
    "settings": GeneratedTable(manual.FOLDER / "settings.md", setting_tables),
    "commands": GeneratedTable(manual.FOLDER / "commands.md", command_reference),
    "install": GeneratedTable(README, install_table),
    "measured": GeneratedTable(README, lambda: readme_table(read_figures())),
    "presets": GeneratedTable(manual.FOLDER / "cost.md", lambda: preset_table(read_figures())),
    "cost": GeneratedTable(manual.FOLDER / "cost.md", lambda: cost_page(read_figures())),
    "manual": GeneratedTable(README, topic_table),
}
"""The tables by the marks around them."""


def split_section(text: str, mark: str) -> tuple[str, str, str]:
    """Return the text before, inside and after the comments `<!-- mark… -->` and `<!-- /mark -->`."""
    before, _, rest = text.partition(f"<!-- {mark}")
    head, _, rest = rest.partition("-->\n")
    inside, end, after = rest.partition(f"<!-- /{mark} -->")
    assert end, f"there is no section {mark}"
    return f"{before}<!-- {mark}{head}-->\n", inside, end + after


def replace_section(file: Path, mark: str, text: str) -> None:
    """Write a section of a file again."""
    before, _, after = split_section(file.read_text(), mark)
    file.write_text(f"{before}{text}\n{after}")


def main() -> None:
    """Write the tables."""
    for mark, table in TABLES.items():
        replace_section(table.file, mark, table.make())


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.readme --write")
    main()
