"""`init` writes a configuration that `check` accepts, and prints commands; it overwrites nothing unasked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands.init import InitAnswers, next_steps
from exporter.config import load


def run(directory: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["init", "--output", str(directory / "config.yaml"), *options])
    return result.exit_code, result.output


def test_the_file_is_valid_once_the_credential_is_there(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--cluster", "prod", "--environment", "eu", "--argo-namespace", "argo")
    assert code == 0
    (tmp_path / "authorization").write_text("Basic YTpi")
    loaded = load(tmp_path / "config.yaml", {})
    assert loaded.warnings == ()
    assert loaded.settings.argo[0].targets == ("argo-rollouts-metrics.argo.svc:8090",)
    assert loaded.settings.identity()["deployment.environment"] == "eu"
    assert "--set argoRollouts.namespace=argo" in output
    assert f"> {tmp_path / 'authorization'}" in output


def test_without_a_terminal_a_question_without_default_needs_its_option(tmp_path: Path) -> None:
    code, output = run(tmp_path)
    assert (code, "pass --cluster" in output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_overwritten_only_by_force(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mode: sidecar\n")
    assert run(tmp_path, "--cluster", "prod")[0] == 2
    assert file.read_text() == "mode: sidecar\n"
    assert run(tmp_path, "--cluster", "prod", "--force")[0] == 0
    assert "prod" in file.read_text()


@pytest.mark.parametrize(("exact", "options"), [(True, 1), (False, 0)])
def test_exact_numbers_are_one_switch_of_the_chart(exact: bool, options: int) -> None:  # noqa: FBT001 a table's column
    answers = InitAnswers("a cluster's", "production", "https://otlp.last9.io", "argo-rollouts", exact)
    steps = next_steps(answers, Path("config.yaml"), Path("authorization"))
    assert steps.count("--set rolloutState.create=true") == options
    assert "'last9.cluster.name=a cluster'\"'\"'s'" in steps  # quoted for the shell
    assert subprocess.run(["bash", "-n"], input=steps, text=True, check=False).returncode == 0


def test_on_a_terminal_five_questions_are_asked(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "exporter", "init", "--output", str(tmp_path / "config.yaml")]
    with subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.write(controller, b"prod\n\n\n\nno\n")
        output, questions = process.communicate(timeout=30)
    assert process.returncode == 0
    assert questions.count(b": ") >= 5
    assert b"rolloutState" not in output
