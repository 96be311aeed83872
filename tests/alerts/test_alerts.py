"""Every alert has unit tests in which it fires and stays silent, and annotations with a runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.rollouts.output.catalogue import PHASE_CODES
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


@pytest.mark.slow
def test_alerts_on_the_phase_judge_its_code_as_they_judge_its_series(promtool: str, tmp_path: Path) -> None:
    """The cases whose rollouts stay in one phase, with the series of preset lean."""
    cases = yaml.safe_load((FOLDER / "rollouts.yaml").read_text())
    cases["tests"] = [test for test in cases["tests"] if any(map(_phase_of, test["input_series"]))]
    tested = {case["alertname"] for test in cases["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert tested >= {"RolloutStuckProgressing", "RolloutStuckPaused", "RolloutUndecided", "RolloutDegraded"}
    for test in cases["tests"]:
        for series in test["input_series"]:
            phase = _phase_of(series)
            if phase is not None:
                series["series"] = re.sub(r'_phase(\{.*), phase="\w+"', r"_phase_code\1", series["series"])
                series["values"] = series["values"].replace("1x", f"{PHASE_CODES[phase]:.0f}x")
    cases["rule_files"] = [str(RULES)]
    (tmp_path / "lean.yaml").write_text(yaml.safe_dump(cases))
    result = subprocess.run(
        [promtool, "test", "rules", "lean.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _phase_of(series: dict[str, str]) -> str | None:
    match = re.match(r'argo_rollouts_phase\{.*phase="(\w+)"', series["series"])
    return match[1] if match and re.fullmatch(r"1x\d+", series["values"]) else None


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
