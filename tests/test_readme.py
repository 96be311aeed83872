"""README and manual are current: tables, commands, settings, links, pictures, and what --help lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from exporter.cli import main
from exporter.cli.gate import gate
from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.config import load, schema
from exporter.self_metrics import DEFINITIONS
from tests.documents import (
    CHART,
    DOCUMENTS,
    ROOT,
    broken_links,
    commands,
    fences,
    is_chart_value,
    named_settings,
    parse_command,
    prose,
)
from tests.formula import count, readme_figures
from tests.install_time import readme_commands
from tests.readme import README, TABLES, split_section
from tests.recorded import Recordings, unpack

if TYPE_CHECKING:
    from pathlib import Path

TEXT = README.read_text()
OTHER_METRICS = {
    *("argo_rollouts_gate_value", "argo_rollouts_gate_verdict", "argo_rollouts_gate_threshold"),  # of shadow gates
    *("argo_rollouts_controller_info", "rollouts_exporter_delivery_probe", "rollouts_exporter_verify"),
}
"""Metrics that are in no catalogue."""


@pytest.mark.parametrize("mark", TABLES)
def test_generated_tables_are_current(mark: str) -> None:
    table = TABLES[mark]
    written = split_section(table.file.read_text(), mark)[1].strip()
    assert written == table.make().strip(), "python -m tests.readme --write"


def test_the_readme_is_short() -> None:
    assert len(TEXT.splitlines()) <= 160  # what the reader of a coffee break reads


def test_pictures_exist_and_are_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\((\S+)\)", prose(README))
    assert pictures
    assert all(0 < (ROOT / picture).stat().st_size <= 200_000 for picture in pictures)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", sorted(CHART.glob("*.md")), ids=lambda path: path.name)
def test_the_links_of_the_chart_work_in_its_package(document: Path) -> None:
    assert broken_links(document, CHART) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](page.md#two) [c](none.md) [d](https://last9.io) [e](../out.md)")
    assert broken_links(page, tmp_path) == ["page.md#two", "none.md", "../out.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_the_exporter_parses(document: Path) -> None:
    for arguments in commands(document):
        try:
            parse_command(arguments)
        except click.exceptions.Exit:
            pass  # of --help
        except click.UsageError as error:
            pytest.fail(f"{arguments}: {error.format_message()}")


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for wrong in (["last9", "appply"], ["gate", "render", "--clusterid", "x"]):
        with pytest.raises(click.UsageError):
            parse_command(wrong)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(document: Path) -> None:
    for key in named_settings(document):
        if is_chart_value(key):
            continue
        path, field = schema.deepest_field(tuple(key.split(".")))
        assert len(path) == len(key.split(".")) or (field and field.is_mapping), key


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_metric_that_is_named_exists(document: Path) -> None:
    names = re.findall(r"`((?:rollouts_exporter|argo_rollouts)_[a-z_]+)[`{]", prose(document))
    metrics = DERIVED_FAMILY_NAMES | {row.name for row in DEFINITIONS} | OTHER_METRICS
    assert set(names) - metrics == set()


@pytest.mark.parametrize("command", sorted({**main.commands, **gate.commands}))
def test_every_command_has_help(command: str) -> None:
    assert {**main.commands, **gate.commands}[command].help


@pytest.mark.parametrize("group", [main, gate], ids=lambda group: str(group.name))
def test_the_help_lists_commands_in_80_columns_without_truncation(group: click.Group) -> None:
    listing = group.get_help(click.Context(group, terminal_width=80)).partition("Commands:")[2]
    assert len(listing.strip().splitlines()) == len(group.commands)
    assert "..." not in listing


def test_example_configuration_is_valid(tmp_path: Path) -> None:
    (example,) = fences(README, "yaml")
    secret = tmp_path / "authorization"
    secret.write_text("Basic YTpi")
    file = tmp_path / "config.yaml"
    file.write_text(example.replace("/etc/last9/authorization", str(secret)))
    assert load(file, {}).warnings == ()


def test_the_readme_has_the_two_commands_that_are_timed() -> None:
    demo, tests = readme_commands()
    assert demo.endswith("rollouts-exporter demo --for 1m")
    assert tests.endswith(".venv/bin/pytest")


@pytest.mark.slow
def test_the_share_of_wrong_frames_is_that_of_the_recordings(tmp_path: Path) -> None:
    assert split_section(TEXT, "formula")[1].strip() == readme_figures(count(Recordings(unpack(tmp_path))))
