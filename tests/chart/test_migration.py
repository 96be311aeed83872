"""Queries that the migration gives in place of the recipe's: they parse, and ask for what there is."""

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

TEXT: Final = (CHART / "MIGRATION.md").read_text()
ROW: Final = re.compile(r"^\| (?P<recipe>.*?) \| (?P<here>.*) \|$", re.MULTILINE)


def queries() -> list[str]:
    """The expressions of the right column: a code span of a whole name, a call or a comparison."""
    table = TEXT.partition("## Queries")[2]
    spans = [span for row in ROW.finditer(table) for span in re.findall(r"`([^`]+)`", row["here"])]
    return [span for span in spans if "argo_rollouts_" in span or "rollout_" in span]


def test_they_parse(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries())]
    assert len(rules) > 8
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "migration", "rules": rules}]}))
    command = [promtool, "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_ask_for_series_of_the_catalogue() -> None:
    known = {name for name, *_ in series_rows()}
    asked = {name for query in queries() for name in re.findall(r"\bargo_rollouts_\w+", query)}
    assert asked
    assert asked <= known


def test_the_settings_that_it_names_are_there() -> None:
    for name in set(re.findall(r"`((?:config|last9|kubeStateMetrics|argoRollouts)\.[\w.]+)`", TEXT)):
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
