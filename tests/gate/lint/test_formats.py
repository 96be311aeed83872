"""What pipelines read: SARIF, exit codes, pages, the hook of pre-commit and the action."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner, Result

from exporter.cli import main
from exporter.commands.gate.load import GateError
from exporter.commands.gate.traffic import add_traffic
from exporter.gate.lint.inputs import MetricTraffic
from exporter.gate.lint.rules import RULES, apply_rules
from tests.gate.lint.golden import PAIRS
from tests.gate.lint.helpers import parse_texts
from tests.gate.lint.pages import FOLDER, pages
from tests.net.prometheus import api, respond_with

ROOT = Path(__file__).parents[3]
ACTION = ROOT / ".github" / "actions" / "gate-lint" / "action.yml"


def lint(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["gate", "lint", *map(str, arguments)])


def test_sarif_has_every_rule_and_each_finding_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "50%, odd name.yaml"
    file.write_text((PAIRS / "empty.bad.yaml").read_text())
    done = lint(file, "--format", "sarif")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["version"]) == (1, "2.1.0")
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [rule.name for rule in RULES]
    (expected,) = json.loads(lint(file, "--format", "json").stdout)["findings"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], result["level"]) == (expected["rule"], expected["severity"])
    assert RULES[result["ruleIndex"]].name == expected["rule"]
    assert place["region"]["startLine"] == expected["line"]
    assert place["artifactLocation"]["uri"].endswith("/50%25%2C%20odd%20name.yaml")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([PAIRS / "empty.good.yaml"], 0),
        ([PAIRS / "gap.bad.yaml"], 0),
        ([PAIRS / "gap.bad.yaml", "--strict"], 1),
        ([PAIRS / "empty.bad.yaml"], 1),
        (["/nowhere.yaml"], 2),
        ([PAIRS / "bursty.bad.yaml", "--arg=service=x", "--read-url=http://127.0.0.1:9"], 2),
        ([ROOT / ".pre-commit-hooks.yaml"], 2),
        ([ROOT / ".pre-commit-hooks.yaml", "--skip-others"], 0),
    ],
)
def test_exit_code_is_0_without_findings_1_with_them_and_2_if_nothing_was_judged(
    arguments: list[Any], code: int
) -> None:
    assert lint(*arguments).exit_code == code


def test_page_of_each_rule_is_up_to_date() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.md")} == pages(), (
        "python -m tests.gate.lint.pages --write"
    )


def test_hook_of_pre_commit_is_a_command(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "rollouts-exporter"
    (tmp_path / "values.yaml").write_text("name: {{ .Values.name }}\n")
    files = [tmp_path / "values.yaml", PAIRS / "empty.bad.yaml"]
    assert CliRunner().invoke(main, [*arguments, str(files[0])]).exit_code == 0
    assert CliRunner().invoke(main, [*arguments, *map(str, files)]).exit_code == 1


def run_action(tmp_path: Path, **inputs: str) -> tuple[int, str]:
    """Run the lint step of the action with inputs."""
    action = yaml.safe_load(ACTION.read_text())
    step = next(step for step in action["runs"]["steps"] if step["name" if "name" in step else "uses"] == "Lint")
    program = tmp_path / "gate-lint" / "bin" / "rollouts-exporter"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m exporter "$@"\n')
    program.chmod(0o755)
    values = {name: str(row["default"]) for name, row in action["inputs"].items()} | inputs
    environment = {name: values[text.split("inputs.")[1].split()[0]] for name, text in step["env"].items()}
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-eo", "pipefail", "-c", step["run"]],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment, "RUNNER_TEMP": str(tmp_path)},
    )
    return done.returncode, done.stdout


@pytest.mark.slow
def test_action_annotates_findings_and_writes_sarif(tmp_path: Path) -> None:
    bad, good = (str((PAIRS / f"gap.{kind}.yaml").relative_to(ROOT)) for kind in ("bad", "good"))
    sarif = tmp_path / "findings.sarif"
    code, output = run_action(tmp_path, paths=f"{bad} {good}", strict="true", sarif=str(sarif))
    assert (code, output.startswith("::warning file=")) == (1, True)
    assert [row["ruleId"] for row in json.loads(sarif.read_text())["runs"][0]["results"]] == ["gap"]
    assert run_action(tmp_path, paths=good)[0] == 0
    assert run_action(tmp_path, paths="nowhere.yaml; echo hidden")[0] == 2


def number(value: float) -> str:
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, str(value)]}]}}
    )


async def test_traffic_is_read_from_the_store_without_the_matchers_of_a_version() -> None:
    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        query = str((await request.post())["query"])
        return web.Response(text=number(4.0 if "stdvar_over_time" in query else 10.0), content_type="application/json")

    share = (
        (PAIRS / "bursty.bad.yaml").read_text().replace('service="{{args', 'pod=~".+{{args.hash}}.+", service="{{args')
    )
    async with api(reply) as served:
        lint_input = await add_traffic(parse_texts(share), served.address, None, {"service": "checkout"})
    # 10 requests/s in a range of two minutes.
    assert lint_input.context.traffic == {
        ("error-rate", "error-rate"): MetricTraffic(1200.0, 4.0, selects_version=True)
    }
    assert "bursty" in {finding.rule for finding in apply_rules(lint_input)}
    queries = [request.form["query"] for request in served.requests]
    assert len(queries) == 2
    assert all('service="checkout"' in query and "hash" not in query for query in queries)


async def test_a_value_of_the_command_line_overrides_the_default_of_an_argument() -> None:
    async def reply(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=number(1.0), content_type="application/json")

    share = (
        (PAIRS / "bursty.bad.yaml").read_text().replace("- name: service\n", "- name: service\n      value: default\n")
    )
    assert "value: default" in share
    async with api(reply) as served:
        await add_traffic(parse_texts(share), served.address, None, {"service": "checkout"})
    queries = [str(request.form["query"]) for request in served.requests]
    assert queries
    assert all('service="checkout"' in query for query in queries)


async def test_a_store_that_cannot_be_read_is_an_error_and_an_argument_without_a_value_is_skipped() -> None:
    share = (PAIRS / "bursty.bad.yaml").read_text()
    async with api(respond_with("{}", 401)) as served:
        assert (await add_traffic(parse_texts(share), served.address, None, {})).context.traffic == {}
        with pytest.raises(GateError, match="--read-url"):
            await add_traffic(parse_texts(share), served.address, None, {"service": "checkout"})
