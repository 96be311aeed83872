"""`gate lint` and `gate render` as their users run them."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.cli.gate import SinceParam
from exporter.commands.gate.render import complete_answers, lint_warnings
from exporter.gate.render.answers import QUESTIONS

if TYPE_CHECKING:
    from click.testing import Result

PAIRS = Path(__file__).parent / "lint" / "rules"
ARTICLE = Path(__file__).parent / "lint" / "article" / "gate.yaml"
BASE = ["--signal", "error-rate", "--service", "checkout", "--namespace", "production"]
LAST9 = ["--cluster-id", "c1", "--organization", "acme"]


def run(*arguments: str | Path, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["gate", *map(str, arguments)], input=stdin, env=env)


@pytest.mark.parametrize(
    ("rule", "strict", "code"),
    [("empty", False, 1), ("gap", False, 0), ("gap", True, 1), ("empty", True, 1)],
)
def test_errors_exit_with_1_and_warnings_only_with_strict(rule: str, code: int, *, strict: bool) -> None:
    assert run("lint", PAIRS / f"{rule}.bad.yaml", *(["--strict"] if strict else [])).exit_code == code
    assert run("lint", PAIRS / f"{rule}.good.yaml", "--strict").exit_code == 0


def test_directory_and_standard_input_are_read(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "gate.yml").write_text((PAIRS / "empty.bad.yaml").read_text())
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    (tmp_path / "notes.txt").write_text("{{{")
    (tmp_path / "chart.yaml").write_text("kind: Service\nname: {{ .Values.name }}\n")
    of_directory = run("lint", tmp_path)
    of_stdin = run("lint", "-", stdin=(PAIRS / "empty.bad.yaml").read_text())
    assert f"{deep / 'gate.yml'}:20: error:" in of_directory.output
    assert "<stdin>:20: error:" in of_stdin.output
    assert of_directory.exit_code == of_stdin.exit_code == 1


def test_secret_in_another_file_is_checked(tmp_path: Path) -> None:
    gate, _, secret = (PAIRS / "header-newline.bad.yaml").read_text().partition("---\n")
    (tmp_path / "gate.yaml").write_text(gate)
    (tmp_path / "secret.yaml").write_text(secret)
    assert "secret.yaml:7: error:" in run("lint", tmp_path).output


@pytest.mark.parametrize("text", ["", "replicas: 3\n", "kind: Deployment\nmetadata: {name: x}\n"])
def test_input_without_gates_exits_with_2(text: str) -> None:
    result = run("lint", "-", stdin=text)
    assert result.exit_code == 2
    assert "no AnalysisTemplate" in result.output


@pytest.mark.parametrize("arguments", [["nowhere.yaml"], ["-", "--controller", "2.x"], ["-", "--format", "xml"]])
def test_unusable_options_exit_with_2(arguments: list[str]) -> None:
    assert run("lint", *arguments, stdin="kind: Rollout").exit_code == 2


def test_json_contains_every_finding() -> None:
    document = json.loads(run("lint", ARTICLE, "--format", "json").output)
    assert {"rule", "severity", "file", "line", "why", "cure"} == set(document["findings"][0])
    assert document["errors"] == sum(finding["severity"] == "error" for finding in document["findings"])
    assert document["gates"] == 1


def test_github_format_has_one_line_per_finding(tmp_path: Path) -> None:
    odd = tmp_path / "50%, odd:name.yaml"
    odd.write_text(ARTICLE.read_text())
    lines = run("lint", odd, "--format", "github").output.splitlines()
    assert lines[0].startswith(
        f"::warning file={tmp_path}/50%25%2C odd%3Aname.yaml,line=15,title=gate lint%3A no-delay::"
    )
    assert len(lines) == len(json.loads(run("lint", odd, "--format", "json").output)["findings"])


def test_rendered_gate_has_no_findings() -> None:
    rendered = run("render", *BASE, *LAST9, "--credential-env", "TOKEN", env={"TOKEN": "user:hidden"})
    assert rendered.exit_code == 0
    assert [item["kind"] for item in yaml.safe_load_all(rendered.stdout) if item] == ["AnalysisTemplate"]
    assert "# In the Rollout checkout:" in rendered.stdout
    assert run("lint", "-", "--strict", stdin=rendered.stdout).output == "1 gate: 0 errors, 0 warnings\n"


@pytest.mark.parametrize("part", [[], ["--part", "template"], ["--part", "rollout"]])
def test_credential_is_printed_with_the_secret_only(part: list[str]) -> None:
    rendered = run("render", *BASE, *LAST9, *part, "--credential-env", "TOKEN", env={"TOKEN": "user:hidden"})
    assert rendered.exit_code == 0
    assert base64.b64encode(b"user:hidden").decode() not in rendered.output
    assert "hidden" not in rendered.output
    assert "--part secret" in rendered.stderr


def test_credential_comes_from_a_file_a_variable_or_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("Basic dXNlcjpo\naWRkZW4=\n")
    ways = [
        run("render", *BASE, *LAST9, "--part", "secret", "--credential-file", file),
        run("render", *BASE, *LAST9, "--part", "secret", "--credential-env", "T", env={"T": "user:hidden"}),
        run("render", *BASE, *LAST9, "--part", "secret", "--ask-credential", stdin="user:hidden\n"),
    ]
    for result in ways:
        assert yaml.safe_load(result.stdout)["stringData"] == {"authorization": "Basic dXNlcjpoaWRkZW4="}
        assert "hidden" not in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--service", "x", "--namespace", "n", *LAST9], "--signal"),
        (BASE, "--address"),
        ([*BASE, *LAST9, "--part", "secret"], "--credential-file"),
        ([*BASE, *LAST9, "--credential-env", "NOWHERE"], "NOWHERE"),
        ([*BASE, *LAST9, "--credential-file", "nowhere"], "--credential-file"),
        ([*BASE, *LAST9, "--answers", "nowhere"], "--answers"),
        ([*BASE, *LAST9, "--failures", "9"], "--count"),
        ([*BASE, *LAST9, "--success", "much"], "--success"),
        ([*BASE, "--address", "https://user:token@example.com"], "credential"),
        ([*BASE, "--address", "prometheus:9090"], "scheme"),
        ([*BASE, "--address", "http://p:9090/api/v1/query"], "/api"),
        (
            [
                "--signal",
                "promql",
                "--query",
                "up{a='{{args.x}}'}",
                "--success",
                "1",
                "--failure",
                "2",
                *BASE[2:],
                *LAST9,
            ],
            "--query",
        ),
    ],
)
def test_missing_or_invalid_answer_is_named(arguments: list[str], expected: str) -> None:
    result = run("render", *arguments)
    assert result.exit_code == 2
    assert expected in result.output


def test_terminal_prompts_for_missing_answers() -> None:
    """On a real terminal; the typed credential appears in the Secret only."""
    program = str(Path(sys.executable).parent / "rollouts-exporter")
    typed = {
        b"What to measure": b"latency",
        b"The service": b"checkout",
        b"Namespace of": b"production",
        b"Read address": b"https://p.example.com",
        b"user:token": b"user:hidden",
    }
    terminal, theirs = pty.openpty()
    child = subprocess.Popen(
        [program, "gate", "render", "--part", "secret", "--ask-credential"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    output = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            output += os.read(terminal, 4096)
        except OSError:
            break  # it has ended
        prompt = next((question for question in typed if question in output), None)
        if prompt and output.rstrip().endswith(b":"):
            os.write(terminal, typed.pop(prompt) + b"\n")
    assert child.wait(30) == 0
    os.close(terminal)
    assert typed == {}
    assert b"Basic dXNlcjpoaWRkZW4=" in output
    assert b"hidden" not in output


def test_option_overrides_the_answer_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.yaml"
    file.write_text("signal: latency\nservice: a\nnamespace: n\naddress: http://p:9090\nread-delay: 1m\ncount: 7\n")
    result = run("render", "--answers", file, "--count", "9", "--part", "template")
    (template,) = yaml.safe_load_all(result.output)
    assert template["spec"]["metrics"][0]["count"] == 9
    assert template["spec"]["metrics"][0]["initialDelay"] == "3m"


def test_render_prints_lint_warnings() -> None:
    result = run("render", *BASE, "--address", "https://app.last9.io/api/v1/prometheus")
    assert result.exit_code == 0
    assert "warning: app.last9.io/api/v1/prometheus is not an address" in result.stderr
    assert "warning" not in result.stdout


def test_every_answer_has_an_option() -> None:
    help_text = run("render", "--help").output
    for name in QUESTIONS:
        assert f"--{name.replace('_', '-')}" in help_text


def test_a_generated_gate_is_linted_for_the_store_that_is_named() -> None:
    query = "sum(rate(requests_total[1m])) default 0"
    answers = ("promql", "checkout", "shop", "http://prometheus:9090", query, "0", "1", "metricsql")
    names = ("signal", "service", "namespace", "address", "query", "success", "failure", "store")
    assert lint_warnings(complete_answers(dict(zip(names, answers, strict=True)), None)) == ()


@pytest.mark.parametrize("text", ["2026-11-24 10:00:00Z", "2026-11-24T10:00:00Z", "2026-11-24 10:00:00+00:00"])
def test_a_past_time_may_have_a_space_in_place_of_its_t(text: str) -> None:
    assert SinceParam().convert(text, None, None) == 1795514400.0


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000.0), ("1h30m", 5400.0)])
def test_a_past_time_may_be_a_duration(text: str, seconds: float) -> None:
    assert abs(time.time() - seconds - SinceParam().convert(text, None, None)) < 60
