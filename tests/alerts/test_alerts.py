"""Every alert has unit tests in which it fires and stays silent, and annotations with a runbook."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.boards.queries import DELIVERY_RULES, RULES, alerts, recording_rules

FOLDER = Path(__file__).parent
FILES = sorted(file.name for file in FOLDER.glob("*.yaml"))
TESTS: list[dict[str, Any]] = [test for file in FILES for test in yaml.safe_load((FOLDER / file).read_text())["tests"]]


@pytest.mark.parametrize("rules", [RULES, DELIVERY_RULES])
def test_promtool_accepts_the_rules(rules: Path, promtool: str) -> None:
    result = subprocess.run([promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_promtool_unit_tests_pass(file: str, promtool: str) -> None:
    result = subprocess.run([promtool, "test", "rules", file], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_firing_and_a_silent_case(alert: str) -> None:
    fires = [
        bool(case["exp_alerts"])
        for test in TESTS
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == alert
    ]
    assert set(fires) == {True, False}


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_severity_a_summary_and_a_runbook(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}


def test_every_recording_rule_has_a_case() -> None:
    tested = {case["expr"] for test in TESTS for case in test.get("promql_expr_test", ())}
    assert [name for name in recording_rules() if not any(name in expr for expr in tested)] == []
