"""Queries and settings in MIGRATION.md are valid and name only existing series and settings."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

import yaml

from exporter.commands.series import series_rows
from exporter.config import Settings
from tests.chart.helm import CHART
from tests.chart.reference import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

MIGRATION: Final = (CHART / "MIGRATION.md").read_text()
ROW: Final = re.compile(r"^\| (?P<recipe>.*?) \| (?P<here>.*) \|$", re.MULTILINE)


def queries() -> list[str]:
    """Return the expressions of the right column: the code spans with a series of the exporter."""
    table = MIGRATION.partition("## Queries")[2]
    spans = [span for row in ROW.finditer(table) for span in re.findall(r"`([^`]+)`", row["here"])]
    return [span for span in spans if "argo_rollouts_" in span or "rollout_" in span]


def test_queries_are_valid_promql(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries())]
    assert len(rules) > 8
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "migration", "rules": rules}]}))
    command = [promtool, "check", "rules", str(tmp_path / "rules.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_queries_select_only_existing_series() -> None:
    catalogue = {name for name, *_ in series_rows()}
    selected = {name for query in queries() for name in re.findall(r"\bargo_rollouts_\w+", query)}
    assert selected
    assert selected <= catalogue


def test_settings_exist() -> None:
    for name in set(re.findall(r"`((?:config|last9|kubeStateMetrics|argoRollouts)\.[\w.]+)`", MIGRATION)):
        first, *rest = name.split(".")
        if first == "config":
            model: object = Settings()
            for key in rest[:2]:
                model = model[0] if isinstance(model, tuple) else model
                assert hasattr(model, key) or rest[0] in {"argo", "attributes"}, name
                model = getattr(model, key, model)
        else:
            part = SCHEMA["properties"][first]
            for key in rest:
                part = part["properties"][key]
