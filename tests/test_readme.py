"""The README and the help: tables, commands and configuration are current."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from exporter.cli import main
from exporter.cli.gate import gate
from exporter.config import load
from tests.readme import README, ROOT, TABLES, split_section

if TYPE_CHECKING:
    from pathlib import Path

TEXT = README.read_text()


@pytest.mark.parametrize("mark", TABLES)
def test_generated_tables_are_current(mark: str) -> None:
    assert split_section(TEXT, mark)[1].strip() == TABLES[mark](), "python -m tests.readme --write"


def test_pictures_exist_and_are_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\((\S+)\)", TEXT)
    assert len(pictures) == 3
    assert all(0 < (ROOT / picture).stat().st_size <= 200_000 for picture in pictures)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_documented(command: str) -> None:
    assert re.search(rf"`{command}[ `]", TEXT)
    assert main.commands[command].help


@pytest.mark.parametrize("command", sorted(gate.commands))
def test_every_gate_command_is_documented(command: str) -> None:
    assert f"`gate {command}" in TEXT
    assert gate.commands[command].help


@pytest.mark.parametrize("group", [main, gate], ids=lambda group: str(group.name))
def test_the_help_lists_commands_in_80_columns_without_truncation(group: click.Group) -> None:
    listing = group.get_help(click.Context(group, terminal_width=80)).partition("Commands:")[2]
    assert len(listing.strip().splitlines()) == len(group.commands)
    assert "..." not in listing


def test_example_configuration_is_valid(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert example
    secret = tmp_path / "authorization"
    secret.write_text("Basic YTpi")
    file = tmp_path / "config.yaml"
    file.write_text(example[1].replace("/etc/last9/authorization", str(secret)))
    assert load(file, {}).warnings == ()
