"""Every alert fires when it should, does not when it should not, and says what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.boards.queries import RULES, alerts

FOLDER = Path(__file__).parent
FILES = sorted(file.name for file in FOLDER.glob("*.yaml"))
TESTS: list[dict[str, Any]] = [test for file in FILES for test in yaml.safe_load((FOLDER / file).read_text())["tests"]]


def test_promtool_takes_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES)
def test_promtools_unit_tests_pass(file: str, promtool: str) -> None:
    done = subprocess.run([promtool, "test", "rules", file], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_is_seen_to_fire_and_seen_to_be_silent(alert: str) -> None:
    seen = [bool(one["exp_alerts"]) for test in TESTS for one in test["alert_rule_test"] if one["alertname"] == alert]
    assert set(seen) == {True, False}


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_has_a_severity_a_summary_and_a_line_of_what_to_do(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
