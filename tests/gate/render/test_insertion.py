"""`gate render --into` inserts the step of a gate, and changes nothing else of the file."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.gate.render.answers import Answers
from exporter.gate.render.insertion import insert_step
from tests.gate.lint.helpers import rules
from tests.gate.render.article import ARTICLE

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS = Answers.model_validate({**ARTICLE, "rollout": "checkout"})
HEAD = """\
# The shop's till.
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: checkout, namespace: production}  # kept
spec:
  replicas: 4
  strategy:
    canary:
      maxSurge: 1
      steps:  # slowly
"""
TAIL = """\
  template:
    metadata: {labels: {app: checkout}}  # the end
"""
OTHER = "---\napiVersion: v1\nkind: Service\nmetadata: {name: checkout}\n"

STEPS = [
    # steps, the index at which the analysis comes, whether a setWeight comes before it
    ("      - setWeight: 10\n      # then half\n      - setWeight: 50  # half\n", 1, False),
    ("      - setWeight: 5\n      - pause: {duration: 5m}  # look\n\n      - setWeight: 50\n", 3, True),
    ("      # first\n      - setWeight: 20\n", 1, True),
    ("      - pause: {}\n", 2, True),
    ("      - setWeight: 10\n      - pause:\n          duration: 10m # ten\n", 1, False),
    ("        - setWeight: 5\n        - setWeight: 10\n        - pause: {}\n", 2, False),
    ("      - setWeight: 5\n      - plugin:\n          config: |\n            a\n            b\n", 3, True),
]


def steps_of(text: str) -> list[object]:
    rollout = next(item for item in yaml.safe_load_all(text) if item["kind"] == "Rollout")
    steps = rollout["spec"]["strategy"]["canary"]["steps"]
    assert isinstance(steps, list)
    return steps


@pytest.mark.parametrize("around", [("", ""), (OTHER + "---\n", ""), ("", OTHER)])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize(("steps", "index", "with_weight"), STEPS)
def test_step_is_inserted_at_its_weight_and_nothing_else_changes(
    steps: str, index: int, line_break: str, around: tuple[str, str], *, with_weight: bool
) -> None:
    text = (around[0] + HEAD + steps + TAIL + around[1]).replace("\n", line_break)
    changed = insert_step(text, ANSWERS)
    lines = difflib.ndiff(text.splitlines(keepends=True), changed.splitlines(keepends=True))
    assert not [line for line in lines if line.startswith("- ")]
    after = steps_of(changed)
    analysis = after[index]
    assert isinstance(analysis, dict)
    assert analysis["analysis"]["templates"] == [{"templateName": "last9-error-rate"}]
    inserted = slice(index - with_weight, index + 1)
    assert not with_weight or after[index - 1] == {"setWeight": 10}
    assert after[: inserted.start] + after[inserted.stop :] == steps_of(text)
    assert set(re.findall("\r\n|\n", changed)) == {line_break}


def test_a_file_without_a_last_line_break_stays_valid() -> None:
    text = (HEAD + "      - setWeight: 5").rstrip("\n")
    assert steps_of(insert_step(text, ANSWERS))[1] == {"setWeight": 10}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + HEAD.replace("# The", "---\n# The"), "it has: checkout, checkout; select one with --rollout"),
        (HEAD.replace("name: checkout", "name: till"), "no spec.strategy.canary.steps"),
        (HEAD.replace("steps:  # slowly", "steps: [{setWeight: 10}]"), "in brackets"),
        (OTHER, "no Rollout checkout; it has: none"),
        (HEAD.replace("canary:", "blueGreen:") + "      - setWeight: 10\n", "no spec.strategy.canary.steps"),
        (
            HEAD + "      - setWeight: 10\n      - analysis: {templates: [{templateName: last9-error-rate}]}\n",
            "uses last9-error-rate already",
        ),
    ],
)
def test_what_cannot_be_inserted_is_an_error_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        insert_step(text, ANSWERS)


def test_command_changes_the_file_and_prints_no_credential(tmp_path: Path) -> None:
    file, token = tmp_path / "rollout.yaml", tmp_path / "token"
    file.write_text(HEAD + STEPS[0][0] + TAIL)
    token.write_text("user:hidden-token")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**ARTICLE, "rollout": "checkout"}.items()]
    command = ["gate", "render", *options, "--into", str(file), "--credential-file", str(token)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "kind: Secret" not in done.stdout
    assert "dXNlcjpoaWRkZW4tdG9rZW4=" not in done.output + file.read_text()
    assert rules(done.stdout, file.read_text()) == []
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "already" in again.output) == (2, True)
