"""The commands of `gate`: Last9, or any Prometheus API, as an automated canary gate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.answers import AnswersCommand, ask, asked_credential
from exporter.cli.edge import Seconds, refusals, say

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group()
def gate() -> None:
    """Write, check, try and simulate canary gates: AnalysisTemplates that ask Last9 and promote or roll back."""


@gate.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR|-…")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option("--controller", metavar="VERSION", help="Argo Rollouts' version; default: the newest release.")
@click.option("--scrape-interval", type=Seconds(), default="30s", show_default=True, help="How often is scraped.")
@click.option("--read-delay", type=Seconds(), default="30s", show_default=True, help="How long until it can be read.")
@click.option("--strict", is_flag=True, help="Warnings make exit code 1, too.")
@refusals
def lint(
    paths: Sequence[str], form: str, controller: str | None, scrape_interval: float, read_delay: float, *, strict: bool
) -> None:
    """Find what is wrong with gates: which rule, where, why, and the cure.

    Exit code 0: no error (warnings alone are no error, unless --strict); 1: errors; 2: nothing to look at.
    `# gate-lint: allow RULE` beside a line, or above it, allows what a rule finds there.
    """
    from exporter.commands.linting import given, surroundings
    from exporter.gate.lint.report import FORMATS
    from exporter.gate.lint.rules import failing, lint

    gates = given(tuple(paths), sys.stdin, surroundings(controller, scrape_interval, read_delay))
    findings = lint(gates)
    say(FORMATS[form](findings, len(gates.gates)))
    sys.exit(1 if failing(findings, strict=strict) else 0)


@gate.command(cls=AnswersCommand)
@click.option("--answers", "file", type=click.Path(path_type=Path, dir_okay=False), help="YAML file of answers.")
@click.option("--credential-file", type=click.Path(path_type=Path, dir_okay=False), help="Holds user:token or Basic ….")
@click.option("--credential-env", metavar="NAME", help="Variable that holds it.")
@click.option("--ask-credential", is_flag=True, help="Ask for it; it is not shown.")
@click.option("--part", type=click.Choice(["template", "secret", "rollout"]), help="Print this alone; default: all.")
@refusals
def render(
    file: Path | None,
    credential_file: Path | None,
    credential_env: str | None,
    part: str | None,
    *,
    ask_credential: bool,
    **answers: Any,  # noqa: ANN401 - the options of the answers
) -> None:
    """Write a gate: the AnalysisTemplate, the Secret if a credential is named, and what the Rollout needs.

    What is not said is asked for, in a terminal. The credential is in the Secret that is printed, and nowhere else.
    """
    from exporter.commands import rendering

    said = {name: value for name, value in answers.items() if value is not None}
    whole = rendering.completed({**rendering.from_file(file), **said}, ask if sys.stdin.isatty() else None)
    proof = rendering.proof(credential_file, credential_env, asked_credential if ask_credential else None)
    click.echo(rendering.rendered(whole, part, proof), nl=False)
