"""`gate lint` and `gate render` as their users run them."""

from __future__ import annotations

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
def test_errors_fail_a_build_and_warnings_when_strict(rule: str, code: int, *, strict: bool) -> None:
    assert run("lint", PAIRS / f"{rule}.bad.yaml", *(["--strict"] if strict else [])).exit_code == code
    assert run("lint", PAIRS / f"{rule}.good.yaml", "--strict").exit_code == 0


def test_a_directory_is_read_whole_and_standard_input_too(tmp_path: Path) -> None:
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


def test_a_secret_of_another_file_is_looked_into(tmp_path: Path) -> None:
    gate, _, secret = (PAIRS / "header-newline.bad.yaml").read_text().partition("---\n")
    (tmp_path / "gate.yaml").write_text(gate)
    (tmp_path / "secret.yaml").write_text(secret)
    assert "secret.yaml:7: error:" in run("lint", tmp_path).output


@pytest.mark.parametrize("text", ["", "replicas: 3\n", "kind: Deployment\nmetadata: {name: x}\n"])
def test_nothing_to_look_at_is_no_success(text: str) -> None:
    done = run("lint", "-", stdin=text)
    assert done.exit_code == 2
    assert "no AnalysisTemplate" in done.output


@pytest.mark.parametrize("arguments", [["nowhere.yaml"], ["-", "--controller", "2.x"], ["-", "--format", "xml"]])
def test_what_cannot_be_done_is_said_with_exit_code_2(arguments: list[str]) -> None:
    assert run("lint", *arguments, stdin="kind: Rollout").exit_code == 2


def test_json_holds_every_finding() -> None:
    told = json.loads(run("lint", ARTICLE, "--format", "json").output)
    assert {"rule", "severity", "file", "line", "why", "cure"} == set(told["findings"][0])
    assert told["errors"] == sum(one["severity"] == "error" for one in told["findings"])
    assert told["gates"] == 1


def test_github_shows_every_finding_at_its_line(tmp_path: Path) -> None:
    odd = tmp_path / "50%, odd:name.yaml"
    odd.write_text(ARTICLE.read_text())
    lines = run("lint", odd, "--format", "github").output.splitlines()
    assert lines[0].startswith(
        f"::warning file={tmp_path}/50%25%2C odd%3Aname.yaml,line=15,title=gate lint%3A no-delay::"
    )
    assert len(lines) == len(json.loads(run("lint", odd, "--format", "json").output)["findings"])


def test_what_is_rendered_lints_clean_as_it_stands() -> None:
    made = run("render", *BASE, *LAST9, "--credential-env", "TOKEN", env={"TOKEN": "user:hidden"})
    assert made.exit_code == 0
    assert [one["kind"] for one in yaml.safe_load_all(made.output) if one] == ["Secret", "AnalysisTemplate"]
    assert "# In the Rollout checkout:" in made.output
    assert run("lint", "-", "--strict", stdin=made.output).output == "1 gate: 0 errors, 0 warnings\n"


def test_a_credential_comes_from_a_file_a_variable_or_a_person(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("Basic dXNlcjpo\naWRkZW4=\n")
    ways = [
        run("render", *BASE, *LAST9, "--part", "secret", "--credential-file", file),
        run("render", *BASE, *LAST9, "--part", "secret", "--credential-env", "T", env={"T": "user:hidden"}),
        run("render", *BASE, *LAST9, "--part", "secret", "--ask-credential", stdin="user:hidden\n"),
    ]
    for done in ways:
        assert yaml.safe_load(done.stdout)["stringData"] == {"authorization": "Basic dXNlcjpoaWRkZW4="}
        assert "hidden" not in done.output


@pytest.mark.parametrize(
    ("arguments", "named"),
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
def test_what_is_missing_or_wrong_is_named(arguments: list[str], named: str) -> None:
    done = run("render", *arguments)
    assert done.exit_code == 2
    assert named in done.output


def test_a_person_at_a_terminal_is_asked_for_what_is_missing() -> None:
    """On a real terminal; the credential that is typed is seen in the Secret alone."""
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
    told = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            told += os.read(terminal, 4096)
        except OSError:
            break  # it has ended
        asked = next((question for question in typed if question in told), None)
        if asked and told.rstrip().endswith(b":"):
            os.write(terminal, typed.pop(asked) + b"\n")
    assert child.wait(30) == 0
    os.close(terminal)
    assert typed == {}
    assert b"Basic dXNlcjpoaWRkZW4=" in told
    assert b"hidden" not in told


def test_answers_come_from_a_file_and_an_option_wins(tmp_path: Path) -> None:
    file = tmp_path / "answers.yaml"
    file.write_text("signal: latency\nservice: a\nnamespace: n\naddress: http://p:9090\nread-delay: 1m\ncount: 7\n")
    done = run("render", "--answers", file, "--count", "9", "--part", "template")
    (made,) = yaml.safe_load_all(done.output)
    assert made["spec"]["metrics"][0]["count"] == 9
    assert made["spec"]["metrics"][0]["initialDelay"] == "3m"


def test_what_lint_would_warn_of_is_said_at_once() -> None:
    done = run("render", *BASE, "--address", "https://app.last9.io/api/v1/prometheus")
    assert done.exit_code == 0
    assert "warning: app.last9.io/api/v1/prometheus is not an address" in done.stderr
    assert "warning" not in done.stdout


def test_there_is_an_option_for_every_answer() -> None:
    told = run("render", "--help").output
    for name in QUESTIONS:
        assert f"--{name.replace('_', '-')}" in told
