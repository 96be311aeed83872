"""`config --example`, `--explain` and `--schema` show every setting, as the exporter reads it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.config import Settings, as_yaml, load
from exporter.config.env import PREFIXED
from exporter.config.example import example_yaml
from exporter.config.load import SECTION_LISTS
from exporter.config.reference import explained, setting_references
from exporter.config.schema import dotted, iter_fields

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [setting.key for setting in setting_references()]


def test_every_setting_is_explained_with_meaning_and_variable() -> None:
    assert [dotted(path) for path, field in iter_fields(Settings) if field.section is None] == KEYS
    assert all(
        setting.meaning and setting.kind and setting.variables[0] in PREFIXED for setting in setting_references()
    )


def test_the_example_as_it_is_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(example_yaml())
    loaded = load(file, {})
    assert (loaded.settings, loaded.warnings) == (Settings(), ())


def test_the_example_without_its_marks_is_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^( *)#(?=\w+: )", r"\1", example_yaml(), flags=re.MULTILINE)
    # An unset list of targets has a default of its own; an item of another list needs more than defaults.
    text = text.replace("  targets: []", "  #", 1)
    for name in SECTION_LISTS.keys() - {"argo"}:
        text = re.sub(rf"^{name}:\n(?: .*\n)*", "", text, flags=re.MULTILINE)
    file = tmp_path / "example.yaml"
    file.write_text(text)
    loaded = load(file, {})
    assert loaded.settings == Settings()
    assert "# file" in as_yaml(loaded)


def test_a_key_is_explained_with_all_below_it() -> None:
    assert [setting.key for setting in explained("otlp.request")] == ["otlp.request.points", "otlp.request.bytes"]
    assert "OTEL_EXPORTER_OTLP_TIMEOUT" in explained("otlp.timeout")[0].variables
    assert len(explained("")) == len(KEYS)
    assert explained("otlp.req") == ()


@pytest.mark.parametrize("arguments", [["--explain"], ["--explain", "otlp"], ["--example"], ["--schema"]])
def test_the_options_of_config_read_no_configuration(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["--config", "/no/file.yaml", "config", *arguments])
    assert result.exit_code == 0, result.output


def test_an_unknown_key_is_an_error_that_suggests_another() -> None:
    result = CliRunner().invoke(main, ["config", "--explain", "otlp.timeot"])
    assert (result.exit_code, "did you mean otlp.timeout?" in result.output) == (2, True)


def test_the_schema_describes_the_example() -> None:
    schema = json.loads(CliRunner().invoke(main, ["config", "--schema"]).output)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(yaml.safe_load(example_yaml())) <= set(schema["properties"])
