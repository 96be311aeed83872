"""The README says what is: its tables, its commands, its configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
    shown = re.findall(r"!\[[^\]]+\]\((\S+)\)", TEXT)
    assert len(shown) == 3
    assert all(0 < (ROOT / one).stat().st_size <= 200_000 for one in shown)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_documented(command: str) -> None:
    assert re.search(rf"`{command}[ `]", TEXT)
    assert main.commands[command].help


@pytest.mark.parametrize("command", sorted(gate.commands))
def test_every_gate_command_is_documented(command: str) -> None:
    assert f"`gate {command}" in TEXT
    assert gate.commands[command].help


def test_example_configuration_is_valid(tmp_path: Path) -> None:
    shown = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert shown
    secret = tmp_path / "authorization"
    secret.write_text("Basic YTpi")
    file = tmp_path / "config.yaml"
    file.write_text(shown[1].replace("/etc/last9/authorization", str(secret)))
    assert load(file, {}).warnings == ()
